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

/** open(2) of /dev/fuse, O_RDWR|O_NONBLOCK: one descriptor is one connection (kernel: fs/fuse/dev.c). */
export function openFuse(): number;

/** mount(2). `flags` are MS_* bits, `data` the filesystem's own options. */
export function mount(source: string, target: string, type: string, flags: number, data: string): void;

/** umount2(2). `flags` are MNT_* bits. */
export function unmount(target: string, flags: number): void;

/**
 * pidfd_open(2) of a thread group leader's PID: ESRCH when there is no such process, EINVAL (ENOENT on newer kernels,
 * seen on 6.18) when `pid` is a thread.
 */
export function openPidfd(pid: number): number;

/** Raises RLIMIT_NOFILE's soft limit to the hard one (setrlimit(2)); gives the limit now in force. */
export function raiseFileLimit(): number;

/** Sends one datagram to a Unix socket; a `path` that begins with `@` is abstract (sd_notify(3)). */
export function sendDatagram(path: string, message: string): void;

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

/**
 * An epoll set of pidfds (pidfd_open(2), epoll(7)): a pidfd becomes readable when the last thread of its
 * process has ended, waited for or not.
 *
 * The set is watched by the event loop once `start` is called, and drained by {@link FuseChannel} before every request.
 */
export class DeathWatch {
  /** @param onDeath called once for each dead process with the token it was added under; it is out of the set already. */
  constructor(onDeath: (token: number) => void);
  /** Watches in the event loop too (uv_poll on the set). */
  start(): void;
  /** Adds `pidfd`; `token` is an integer below 2^53. The descriptor stays the caller's to close. */
  add(pidfd: number, token: number): void;
  /** Takes `pidfd` out of the set again. */
  remove(pidfd: number): void;
  /** Whether the process behind `pidfd` is dead now, by poll(2) with a zero time-out. */
  isDead(pidfd: number): boolean;
  /** Reports what has died by now (epoll_wait(2) with a zero time-out, until none is left); gives their number. */
  drain(): number;
  /** Leaves the event loop and closes the set. */
  close(): void;
}

/** What a {@link FuseChannel} works on. All memory is shared: neither side copies it. */
export interface FuseChannelOptions {
  /** A mounted /dev/fuse descriptor; the channel closes it. */
  fd: number;
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
   * [2] not 0 asks for `onSettle`.
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
  /** The connection is over: ENODEV after umount, ECONNABORTED after an abort. The channel is closed already. */
  onEnd: (errno: number) => void;
}

/**
 * The serving loop on one /dev/fuse descriptor: when it is readable (uv_poll), read a request, drain the
 * death watch, call `onRequest`, write the reply. One call into JavaScript a request, no other thread.
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
   * {len, error 0, unique}. Gives the number that the kernel took; the others are gone (ENOENT).
   */
  answer(slots: Uint32Array, count: number, length: number): number;
  /** Answers one parked request with an error: `errno` positive. */
  fail(slot: number, errno: number): void;
  /** Writes the first `length` bytes of `reply` as they are: a notification. False when the kernel would not take it. */
  notify(length: number): boolean;
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
  /** Starts to read in the event loop. */
  start(): void;
  /** Reads what is waiting now, without blocking. */
  read(): void;
  close(): void;
}

/** Watches any pollable descriptor for readability (uv_poll). The descriptor stays the caller's to close. */
export class ReadableWatch {
  /** @param onReadable called while `fd` is readable or has hung up; level-triggered. */
  constructor(fd: number, onReadable: () => void);
  close(): void;
}
