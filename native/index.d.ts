/**
 * The addon: the system calls that Node cannot make itself, one an exported function, and the few loops that
 * must not cross into JavaScript more than once a request.
 *
 * Every function and constructor throws a {@link SystemError} when its system call fails. Every descriptor
 * is opened close-on-exec.
 */

/** What a failed system call throws: an Error whose message is `<syscall>: <strerror>`. */
export interface SystemError extends Error {
  /** The errno's name, as in `EPERM`. */
  code: string;
  /** The errno itself, positive. */
  errno: number;
  /** The system call that failed, as in `mount`. */
  syscall: string;
}

/** Where the program is that raises inotify events on a mount (native/notifier/main.c). */
export const notifierProgram: string;

/** open(2) of /dev/fuse, O_RDWR|O_NONBLOCK: one descriptor is one connection (kernel: fs/fuse/dev.c). */
export function openFuse(): number;

/** mount(2). `flags` are MS_* bits, `data` the filesystem's own options. */
export function mount(source: string, target: string, type: string, flags: number, data: string): void;

/** umount2(2). `flags` are MNT_* bits. */
export function unmount(target: string, flags: number): void;

/**
 * The same by a child, which is left to itself after a second: the mount is out of the tree by then, and what it waits for is
 * a daemon that is stopped, with requests in its io_uring that only it can take (fs/fuse/dev.c, fuse_wait_aborted()).
 */
export function unmountApart(target: string, flags: number): void;

/**
 * pidfd_open(2) of a thread group leader's PID: ESRCH when there is no such process, EINVAL (ENOENT on newer kernels,
 * seen on 6.18) when `pid` is a thread.
 */
export function openPidfd(pid: number): number;

/** Raises RLIMIT_NOFILE's soft limit to the hard one (setrlimit(2)); gives the limit now in force. */
export function raiseFileLimit(): number;

/**
 * Sends one datagram to a Unix socket; a `path` that begins with `@` is abstract (sd_notify(3)).
 * @param waits whether to wait for a receiver whose queue is full (default true); else EAGAIN
 */
export function sendDatagram(path: string, message: string, waits?: boolean): void;

/**
 * execve(2) with the PATH search of execvpe(3): on success nothing of this process is left but its PID. Signals are as for a new
 * process: none blocked, and SIGPIPE and SIGXFSZ, which Node ignores, at their defaults. ENOENT, EACCES, ENOEXEC, E2BIG.
 *
 * @param argv the command and its arguments, each ended by a NUL
 * @param environment `KEY=VALUE`, each ended by a NUL
 * @param kept descriptors that stay open; all others of Node's are close-on-exec
 */
export function execute(argv: Uint8Array, environment: Uint8Array, kept: readonly number[]): never;

/** _exit(2): at once, without waiting for a thread of ours that hangs in a system call. */
export function exitNow(code: number): never;

/** What a {@link DeathWatch} works on. */
export interface DeathWatchOptions {
  /** Called once for each dead process with the token it was added under; it is out of the set already. */
  onDeath: (token: number) => void;
  /** One word: how often the set was drained, modulo 2^32. A check can tell from it whether a drain came between. */
  drains: Uint32Array;
}

/**
 * An epoll set of pidfds (pidfd_open(2), epoll(7)): a pidfd becomes readable when the last thread of its
 * process has ended, waited for or not.
 *
 * The set is watched by the event loop once `start` is called, and drained by {@link FuseChannel} before every request.
 */
export class DeathWatch {
  constructor(options: DeathWatchOptions);
  /** Watches in the event loop too (uv_poll on the set). */
  start(): void;
  /** Adds `pidfd`; `token` is an integer below 2^53. The descriptor stays the caller's to close. */
  add(pidfd: number, token: number): void;
  /** Takes `pidfd` out of the set again. */
  remove(pidfd: number): void;
  /** Whether the process behind `pidfd` is dead now, by poll(2) with a zero time-out. */
  isDead(pidfd: number): boolean;
  /**
   * Reports the processes that have died by now (epoll_wait(2) with a zero time-out, until none is left).
   * @returns how many it reported
   */
  drain(): number;
  /** As `drain`, but without a system call where io_uring's memory tells that no process has died. */
  drainIfDue(): void;
  /** Leaves the event loop and closes the set. */
  close(): void;
}

/** What a {@link FuseChannel} works on. All memory is shared: neither side copies it. */
export interface FuseChannelOptions {
  /** A mounted /dev/fuse descriptor; the channel closes it. */
  fd: number;
  /** How many microseconds to keep looking for the next request before sleeping; 0: not at all. Nothing on a single CPU. */
  busyPollUs: number;
  /** Drained after each request is read and before `onRequest`. */
  deaths: DeathWatch;
  /** One request is read here at a time. At least FUSE_MIN_READ_BUFFER (8 KiB), and max_write + 4096. */
  request: Uint8Array;
  /** The reply to it, header included, is built here. */
  reply: Uint8Array;
  /** The event log's memory: a reply may end with a slice of it instead of a copy in `reply`. */
  log: Uint8Array;
  /**
   * Three words. [0] and [1] `onRequest` may set before it returns, and `answer` reads them: where in `log` the slice begins,
   * and its length in bytes. A length that is not 0 appends the slice to the reply (writev(2)); the channel sets it back to 0.
   * [2] set to 1 asks for `onSettle`; the channel sets it back to 0 before it calls that.
   */
  slice: Uint32Array;
  /** `unique` of every parked request, 8 bytes each, as the kernel sent it: slot i is bytes 8i to 8i+7. */
  parked: Uint8Array;
  /**
   * Answers the request in `request`: `length` bytes. Gives the reply's length in `reply` without the slice, or 0
   * for none (FORGET, a parked request). Must not throw.
   */
  onRequest: (length: number) => number;
  /**
   * Called once a run of requests has been answered, if one of them has set `slice[2]`, which is set back to 0. What it
   * has to say to others waits until then: whoever made the request goes on meanwhile, and more of them may have come.
   */
  onSettle: () => void;
  /**
   * A reply that the kernel would not take, with its errno: EINVAL is a malformed reply. The channel has already
   * answered that request with a bare EIO. ENOENT (the request is gone: its caller was killed) is not reported.
   */
  onRefused: (errno: number) => void;
  /** Requests may wait in the kernel that nothing will bring: see `starvedQueue`. Called once, until that has been asked. */
  onStarved: () => void;
  /** The connection is over: ENODEV after umount, ECONNABORTED after an abort. The channel is closed already. */
  onEnd: (errno: number) => void;
}

/**
 * The serving loop on one /dev/fuse descriptor: when it is readable (uv_poll), read a request, drain the
 * death watch, call `onRequest`, write the reply. One call into JavaScript a request, no other thread. Through io_uring
 * requests come and replies go many at a time, in one system call.
 */
export class FuseChannel {
  constructor(options: FuseChannelOptions);
  /** Starts to serve in the event loop. */
  start(): void;
  /** Serves what is waiting now, without blocking, until there is none; gives the number of requests. */
  serve(): number;
  /**
   * Answers `count` parked requests, whose slots are the first `count` words of `slots`, with the same bytes:
   * the first `length` bytes of `reply` after its 16-byte header, then the slice. A header for each is made here:
   * {len, error 0, unique}. Those that are gone (ENOENT) are passed over.
   *
   * With `more` they may be written only with those of a later call, or by `flush`: what the slice holds must stay as it is till then.
   */
  answer(slots: Uint32Array, count: number, length: number, more: boolean): void;
  /** Writes what has not been written yet. */
  flush(): void;
  /** Answers one parked request with an error: `errno` positive. */
  fail(slot: number, errno: number): void;
  /** Writes the first `length` bytes of `reply` as they are: a notification. False when the kernel would not take it. */
  notify(length: number): boolean;
  /**
   * To be called while INIT is answered: once it is, requests come through io_uring (native/fuse_ring.h) and only
   * FORGET and INTERRUPT through /dev/fuse. False when it can't be set up, and INIT must not ask for it.
   * @param queues how many CPUs the machine may have @param payloadBytes the most that one request or reply carries
   */
  prepareRing(queues: number, payloadBytes: number): boolean;
  /** Whether requests come through io_uring. */
  usesRing(): boolean;
  /** Through io_uring, so many requests at once can block, wherever their callers run. */
  expectBlocked(most: number): void;
  /** The CPU on which a request of somebody else's must be made, since others may wait for one; -1 when there is none. */
  starvedQueue(): number;
  /** Stops serving and closes the descriptor, which aborts the connection if it is still mounted. */
  close(): void;
}

/** What a {@link UeventSocket} works on. */
export interface UeventSocketOptions {
  /** The NETLINK_KOBJECT_UEVENT multicast group, as a number: 1 the kernel's, 2 udev's (netlink(7)). */
  group: number;
  /** Asked of SO_RCVBUFFORCE, and of SO_RCVBUF where that is not permitted. */
  receiveBufferBytes: number;
  /** Room for `slots` datagrams of `slotBytes` each; datagram i begins at i * slotBytes. */
  data: Uint8Array;
  slotBytes: number;
  /**
   * Six words a datagram: [0] its full length, which MSG_TRUNC tells even where it is over slotBytes; [1] 1 if it was cut short;
   * [2] the sender's nl_pid (0 is the kernel); [3] the sender's nl_groups, the mask it was sent to (0: it was sent to us alone);
   * [4] the sender's uid (SCM_CREDENTIALS; 0xffffffff when there were no credentials); [5] the sender's pid.
   */
  meta: Uint32Array;
  /**
   * `count` datagrams are in `data`. `overrun`: the kernel has dropped messages since the last call (ENOBUFS); they belong
   * after these datagrams and before the next. `dry`: nothing more was waiting.
   */
  onBatch: (count: number, overrun: boolean, dry: boolean) => void;
}

/** A NETLINK_KOBJECT_UEVENT socket in the event loop, read in batches (recvmmsg(2)). */
export class UeventSocket {
  constructor(options: UeventSocketOptions);
  /** The receive buffer that the kernel granted, in bytes (SO_RCVBUF doubles what was asked: socket(7)). */
  readonly receiveBufferBytes: number;
  /** Starts to read in the event loop: a batch of as many as there are slots, then others have their turn. */
  start(): void;
  /** Reads all that is waiting now, without blocking. */
  read(): void;
  close(): void;
}

/** Watches any pollable descriptor for readability (uv_poll). The descriptor stays the caller's to close. */
export class ReadableWatch {
  /** @param onReadable called while `fd` is readable or has hung up; level-triggered. */
  constructor(fd: number, onReadable: () => void);
  close(): void;
}

/** What a {@link Readiness} works on. */
export interface ReadinessOptions {
  /** Two words a descriptor that is ready: its token, and its EPOLL* bits. */
  ready: Uint32Array;
  /** `count` descriptors are ready and described in `ready`. Level-triggered: it is called again until they are not. */
  onReady: (count: number) => void;
}

/** An epoll set of many descriptors in the event loop (epoll(7)): one call into JavaScript for all that are ready. */
export class Readiness {
  constructor(options: ReadinessOptions);
  /** Adds `fd`; `token` is an unsigned 32-bit number, `events` EPOLL* bits. EPOLLHUP and EPOLLERR are told always. */
  add(fd: number, token: number, events: number): void;
  /** Waits for other bits from now on. */
  change(fd: number, token: number, events: number): void;
  /** Takes `fd` out of the set. What was ready in the call of `onReady` that is under way is still told. */
  remove(fd: number): void;
  /** Leaves the event loop and closes the set. The descriptors stay the caller's to close. */
  close(): void;
}

/**
 * socket(2), bind(2) and listen(2) of a SOCK_SEQPACKET Unix socket, whose file has `mode` from the start, whatever the
 * umask. EADDRINUSE when there is a file of that name.
 */
export function listenSeqpacket(path: string, mode: number): number;

/** Whether somebody listens: connect(2)'s errno, or 0. ECONNREFUSED: the file is a dead server's; EPROTOTYPE: a live one's. */
export function probeSeqpacket(path: string): number;

/** accept4(2) without blocking: -1 when nobody waits. Who it is (SO_PEERCRED) is put into `peer`: pid, uid, gid. */
export function acceptSeqpacket(listener: number, peer: Uint32Array): number;

/**
 * recvmsg(2) of one message of a connection of `acceptSeqpacket`'s, without blocking; what does not fit `bytes` is cut off.
 *
 * @returns its length, 0 for an empty one; -1 when there is none; -2 at the end, when the client has shut down its side
 */
export function receiveSeqpacket(fd: number, bytes: Uint8Array): number;

/**
 * Sends the same messages, at most 64, to each of the first `count` of `sockets`, without blocking: one sendmmsg(2) a
 * socket. Message i is bytes slices[2i] to slices[2i] + slices[2i+1] of `memory`, which is sent from as it is.
 *
 * Gives how many sockets did not take all of them. Of these j is the socket at place failed[2j]; failed[2j+1] is how many
 * messages it took (the next would have blocked, or was refused), or a negative errno when it was none.
 */
export function sendToAll(
  sockets: Int32Array,
  count: number,
  memory: Uint8Array,
  slices: Uint32Array,
  messages: number,
  failed: Int32Array,
): number;

/**
 * As {@link sendToAll}, but the bytes go once into a sealed memfd (memfd_create(2), F_SEAL_SEAL, _SHRINK, _GROW and _WRITE), and
 * what each socket gets is a read-only descriptor of it (SCM_RIGHTS) with the first line as the message. No descriptor is
 * left open here. Throws when not even the first could be made (EMFILE); with fewer than `messages` every socket is in `failed`.
 */
export function passToAll(
  sockets: Int32Array,
  count: number,
  memory: Uint8Array,
  slices: Uint32Array,
  messages: number,
  failed: Int32Array,
): number;

/** A NETLINK_KOBJECT_UEVENT socket that sends to one group, 1 to 32 (connect(2)). EPERM without CAP_NET_ADMIN. */
export function openUeventSender(group: number): number;

/**
 * Writes the first `length` bytes of `bytes`, at most PIPE_BUF, into every FIFO of a directory whose name begins with no dot, as
 * s6-ftrig-notify does: open(2) with O_WRONLY|O_NONBLOCK|O_NOFOLLOW, write(2), close(2). One without a reader (ENXIO) is unlinked if
 * its name begins with `ftrig1`. What is beyond the first `most`, or the first 65,536 names, is not written to. Adds to `counts`,
 * as it goes: FIFOs that got the bytes, that were full, that were unlinked, that were not written to.
 *
 * A thread of libuv's pool does all that. The directory stays open until `done` is called, with 0 or an errno.
 */
export function notifyFifos(
  directoryFd: number,
  bytes: Uint8Array,
  length: number,
  most: number,
  counts: Uint32Array,
  done: (errno: number) => void,
): void;

/**
 * Catches a signal that is sent to single threads (sigaction(2)); gives the descriptor of a pipe that says whom it met: for
 * each, 8 bytes in the machine's order, the address of the semaphore that the thread waits for (what futex(2) was
 * called with), or another number when it waits for none; always 0 but on x86-64. Non-blocking, and never to be closed.
 */
export function catchInterrupts(signal: number): number;

/** Where a buffer's memory is, to tell an address that lies in it. */
export function addressOf(buffer: Uint8Array): number;

/**
 * Maps memory that holds nothing yet (mmap(2), private, anonymous, without huge pages): a page is taken from the machine when it is
 * first written to. V8 does not count it, since no collection can free it. ENOMEM.
 */
export function allocatePages(bytes: number): Uint8Array;

/**
 * Gives pages back to the machine: they read as zeros afterwards (madvise(2), MADV_DONTNEED).
 * @param memory from {@link allocatePages} @param start in bytes, a multiple of the page size
 */
export function discardPages(memory: Uint8Array, start: number, length: number): void;

/** Gives back to the machine what free(3) has kept (malloc_trim(3)); does nothing with a C library that keeps nothing. */
export function trimHeap(): void;
