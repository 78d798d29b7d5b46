/**
 * The addon: system calls that Node does not offer, each an exported function, and the few loops
 * that must not call JavaScript more than once for each request.
 *
 * Every function and constructor throws a {@link SystemError} if its system call fails, and a
 * TypeError or RangeError if an argument is of another kind or too small. Every descriptor is
 * close-on-exec.
 *
 * C++ and TypeScript share some typed arrays. native/addon/shared_words.h defines their words, and
 * the addon exports the indices: `control[ControlWord.outcome]`. `count` is the number of words, or
 * of the words in each group of an array with many groups.
 */

/** A failed system call throws this: an Error with the message `<syscall>: <strerror>`. */
export interface SystemError extends Error {
  /** The errno's name, as in `EPERM`. */
  code: string;
  /** The errno, positive. */
  errno: number;
  /** The system call that failed, as in `mount`. */
  syscall: string;
}

/** The path of the program that raises inotify events on a mount (native/notifier/main.c). */
export const notifierProgram: string;

/** The path of the guardian (native/guard/main.c). */
export const guardProgram: string;

// ---- mounts

/**
 * Opens /dev/fuse with O_RDWR|O_NONBLOCK (open(2)). One descriptor is one connection
 * (fs/fuse/dev.c).
 *
 * @returns the descriptor
 */
export function openFuse(): number;

/**
 * Mounts a filesystem (mount(2)).
 *
 * @param flags MS_* bits
 * @param data the filesystem's own options
 */
export function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  data: string,
): void;

/**
 * Unmounts a filesystem (umount2(2)).
 *
 * @param flags MNT_* bits
 */
export function unmount(target: string, flags: number): void;

/**
 * Unmounts in a child process, and waits at most a second for it. By then the mount is out of the
 * tree. A stopped daemon can delay the rest: only it can take the requests in its io_uring
 * (fs/fuse/dev.c, fuse_wait_aborted()).
 *
 * @param flags MNT_* bits
 */
export function unmountApart(target: string, flags: number): void;

/**
 * Reads an extended attribute (lgetxattr(2)).
 *
 * @param path the file's path as bytes; a symlink is not followed
 * @returns the value, as UTF-8
 * @throws SystemError ENODATA if the file has no attribute of that name
 */
export function readAttribute(path: Uint8Array, name: string): string;

/**
 * Makes two connected Unix stream sockets (socketpair(2)), for fusermount3 to pass a descriptor of
 * /dev/fuse (libfuse, lib/mount.c).
 *
 * @returns their descriptors, which are close-on-exec
 */
export function socketPair(): [number, number];

/**
 * Receives the descriptor that waits in a socket (SCM_RIGHTS, unix(7)). Never blocks.
 *
 * @param socket the descriptor of a Unix stream socket
 * @returns the received descriptor, which is close-on-exec; -1 if no descriptor waits
 */
export function receiveDescriptor(socket: number): number;

// ---- processes

/**
 * Returns the inode number of the user namespace that owns a namespace (NS_GET_USERNS,
 * ioctl_nsfs(2)).
 *
 * @param path as in /proc/self/ns/net
 * @returns 0 if the owner is around this process's user namespace
 */
export function namespaceOwner(path: string): number;

/**
 * Opens a pidfd of a process (pidfd_open(2)).
 *
 * @returns the descriptor
 * @throws SystemError ESRCH if there is no such process; EINVAL, or ENOENT on newer kernels (seen
 *   on 6.18), if `pid` is a thread other than the first of its process
 */
export function openPidfd(pid: number): number;

/**
 * Reads the file handle of a pidfd (name_to_handle_at(2) in pidfs, Linux 6.14 and newer). The
 * handle names the process and no later one with the same PID. It takes no descriptor.
 *
 * @param handle receives the first 8 bytes
 * @returns false if the kernel or a seccomp filter does not offer handles of pidfds; then only the
 *   pidfd itself names the process
 * @throws RangeError if `handle` is shorter than 8 bytes
 */
export function readPidfdHandle(pidfd: number, handle: Uint8Array): boolean;

/**
 * Opens a pidfd of the process that a handle names (open_by_handle_at(2)).
 *
 * @param handle the 8 bytes of {@link readPidfdHandle}
 * @returns the descriptor, also of a zombie, whose pidfd is readable; -1 if the process has been
 *   reaped
 */
export function openPidfdByHandle(handle: Uint8Array): number;

/**
 * Returns some fields of the status of a process or thread, in the form of /proc/<id>/status: Tgid,
 * PPid, Uid, Gid, CapEff and NStgid (Linux 6.13 and newer). Its cost does not depend on the number
 * of supplementary groups, unlike that of the file.
 *
 * @param id the id of a process or thread in our PID namespace
 * @returns null if the kernel does not tell: the file may
 * @throws SystemError ESRCH if there is no such process or thread; EMFILE or ENFILE if there is no
 *   descriptor left
 */
export function processStatus(id: number): string | null;

/**
 * Returns how a dead process has ended (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15 and newer).
 * The kernel tells it only after the process has been reaped: after its parent has waited for it.
 *
 * @param pidfd a pidfd that was opened before the process was reaped
 * @returns the status as wait(2) has it; -1 if the process is not reaped yet; -2 if it is reaped
 *   and the kernel does not tell
 */
export function exitStatus(pidfd: number): number;

/**
 * Raises the soft limit of RLIMIT_NOFILE to the hard limit (setrlimit(2)). Another thread begins to
 * enlarge the kernel's table of descriptors, so that `openPidfd` need not wait for that.
 *
 * @returns the limit in force, in descriptors
 */
export function raiseFileLimit(): number;

/**
 * Sends one datagram to a Unix socket (sendto(2), as in sd_notify(3)).
 *
 * @param path the socket's file; an abstract name if it begins with `@` (unix(7))
 * @param waits whether to wait for room in the receiver's queue (default true)
 * @param descriptor a descriptor that goes with it (SCM_RIGHTS); -1 for none (default)
 * @throws SystemError EAGAIN if there is no room and `waits` is false
 */
export function sendDatagram(
  path: string,
  message: string,
  waits?: boolean,
  descriptor?: number,
): void;

/**
 * Sends one message to a connected SOCK_SEQPACKET Unix socket (sendmsg(2)).
 *
 * @param descriptor a descriptor that goes with it (SCM_RIGHTS, unix(7)); -1 for none
 * @param waits whether to wait up to 1 s for room; true without it
 * @throws SystemError EPIPE, ECONNRESET if the receiver has ended; EAGAIN if there is no room
 */
export function sendMessage(
  socket: number,
  text: string,
  descriptor: number,
  waits?: boolean,
): void;

/**
 * Receives one message of such a socket (recvmsg(2)).
 *
 * @param descriptor receives the descriptor that came with it, which is close-on-exec; or -1
 * @param waits whether it blocks until a message comes; false by default
 * @returns the first 512 bytes of the message, as UTF-8; empty at the end; null if none waits
 */
export function receiveMessage(
  socket: number,
  descriptor: Int32Array,
  waits?: boolean,
): string | null;

/**
 * Replaces this process by a program (execve(2), with the PATH search of execvpe(3)). Only the PID
 * stays. The program gets the signal state of a new process: no signal blocked, and the default
 * actions of SIGPIPE and SIGXFSZ, which Node ignores.
 *
 * @param argv the command and its arguments, each ended by a NUL
 * @param environment KEY=VALUE, each ended by a NUL
 * @param kept descriptors that stay open; all others of Node are close-on-exec
 * @throws SystemError ENOENT, EACCES, ENOEXEC, E2BIG
 */
export function execute(argv: Uint8Array, environment: Uint8Array, kept: readonly number[]): never;

/**
 * Returns true if a write of at most PIPE_BUF bytes to a pipe or a socket does not wait, or fails
 * (poll(2) with a timeout of 0).
 *
 * @throws SystemError EINVAL, ENOMEM
 */
export function isWritable(fd: number): boolean;

/**
 * Returns true if poll(2) reports POLLERR for a descriptor, as for a /dev/fuse whose connection has
 * ended.
 *
 * @throws SystemError ENOMEM
 */
export function hasError(fd: number): boolean;

/**
 * Locks an open file or directory for this process alone (flock(2)). The lock ends when the last
 * copy of the descriptor is closed.
 *
 * @returns false if another process has it
 * @throws SystemError EBADF, ENOLCK, EOPNOTSUPP: as some network filesystems refuse directories
 */
export function tryLock(fd: number): boolean;

/** Ends the process at once (_exit(2)), even if one of its threads hangs in a system call. */
export function exitNow(code: number): never;

/**
 * A thread that makes system calls, one after the other. So neither the event loop nor a thread of
 * libuv's pool waits for a FUSE daemon.
 *
 * Each method returns a promise, and rejects it with a SystemError. The loop stays alive until
 * `close`.
 */
export class CallThread {
  /** @throws SystemError with an errno of eventfd(2) or pthread_create(3) */
  constructor();
  /**
   * Opens a file (open(2)). The thread closes it when it ends.
   *
   * @param flags O_* bits
   * @returns the descriptor
   */
  open(path: Uint8Array, flags: number): Promise<number>;
  /**
   * Waits for data (poll(2)), and reads once (read(2)).
   *
   * @param fd a descriptor from `open`, with O_NONBLOCK
   * @param size the most bytes
   * @returns the bytes; none at the end of the file
   * @throws SystemError ECANCELED after `close`, and the errnos of poll(2) and read(2)
   */
  read(fd: number, size: number): Promise<Buffer>;
  /**
   * Writes once (write(2)). The bytes are copied first.
   *
   * @returns how many bytes were written
   */
  write(fd: number, bytes: Uint8Array): Promise<number>;
  /** Closes a descriptor from `open` (close(2)). */
  release(fd: number): Promise<number>;
  /**
   * Makes a directory (mkdir(2)), whose owner in a mount of eventfs is this process. The thread
   * removes it when it ends.
   */
  mkdir(path: Uint8Array, mode: number): Promise<number>;
  /** Removes a directory (rmdir(2)). */
  rmdir(path: Uint8Array): Promise<number>;
  /** Returns the type of a filesystem (statfs(2), f_type). */
  statfs(path: Uint8Array): Promise<number>;
  /**
   * Ends the thread after the calls that wait; reads fail with ECANCELED. The thread closes its
   * files. If a daemon does not answer, the thread ends only when the daemon answers or dies, and
   * the event loop does not wait for it. A second call has no effect.
   */
  close(): void;
}

/** The index of each word in the array {@link DeathWatchOptions.drains}. */
export const DrainWord: {
  /**
   * How many drains have ended, modulo 2^32. Two equal values show that no drain came between. A
   * drain counts once it has found no further death, so after all calls of `onDeath`.
   */
  readonly drains: number;
  readonly count: number;
};

/** The options of a {@link DeathWatch}. */
export interface DeathWatchOptions {
  /**
   * Called once for each dead process, which has left the set by then, with its token from `add`.
   */
  onDeath: (token: number) => void;
  /** {@link DrainWord}, written by the watch. */
  drains: Uint32Array;
}

/**
 * An epoll set of pidfds (pidfd_open(2), epoll(7)). A pidfd becomes readable once the last thread
 * of its process has ended, even if no process has waited for it.
 *
 * The event loop watches the set after `start`. A {@link FuseChannel} drains it before each
 * request.
 */
export class DeathWatch {
  constructor(options: DeathWatchOptions);
  /** Watches in the event loop too (uv_poll on the set). */
  start(): void;
  /** Leaves the event loop until the next `start`. */
  stop(): void;
  /**
   * Adds a pidfd (epoll_ctl(2)). The caller closes the descriptor.
   *
   * @param token an integer below 2^53
   */
  add(pidfd: number, token: number): void;
  /** Removes a pidfd. Does nothing if it is not in the set. */
  remove(pidfd: number): void;
  /** Returns whether the process of `pidfd` is dead now (poll(2) with a timeout of 0). */
  isDead(pidfd: number): boolean;
  /**
   * Reports all processes that have died (epoll_wait(2) with a timeout of 0).
   *
   * @returns how many it has reported
   */
  drain(): number;
  /**
   * Does the same as `drain`, but makes no system call if io_uring's memory shows that no process
   * has died.
   */
  drainIfDue(): void;
  /** Leaves the event loop and closes the set. */
  close(): void;
}

// ---- /dev/fuse

/** The words of {@link FuseChannelOptions.control}. */
export const ControlWord: {
  /**
   * A value of {@link RequestOutcome}. `onRequest` sets it; the channel resets it before each call.
   */
  readonly outcome: number;
  /**
   * The reply's bytes in `reply`, header included and slice excluded. Read if `outcome` is
   * `replied`.
   */
  readonly replyLength: number;
  /** The offset in `log` of the slice that ends the reply, in bytes. */
  readonly sliceStart: number;
  /** The slice's length in bytes; 0 for no slice. The channel sets it back to 0. */
  readonly sliceLength: number;
  /** A value of {@link SettleState}. */
  readonly settle: number;
  readonly count: number;
};

/** The outcome of a request: the values of `ControlWord.outcome`. */
export const RequestOutcome: {
  /** `onRequest` has not said. The channel fails the request with EIO. */
  readonly unset: number;
  /** The reply is in `reply`, and may end with a slice of `log`. */
  readonly replied: number;
  /** The request waits in a slot of `parked`. `answer` or `fail` replies later. */
  readonly parked: number;
  /** The kernel expects no reply: FORGET, BATCH_FORGET, INTERRUPT. */
  readonly noReply: number;
  readonly count: number;
};

/** Whether readers have to be woken for new events: the values of `ControlWord.settle`. */
export const SettleState: {
  /** No event has come since the last `onSettle`. */
  readonly settled: number;
  /**
   * An event has come. TypeScript sets it; the channel calls `onSettle` after the run of requests.
   */
  readonly pending: number;
  /** The channel has set this: it polls for more events before it calls `onSettle`. */
  readonly deferred: number;
  readonly count: number;
};

/** The options of a {@link FuseChannel}. Both sides share all memory, and neither copies it. */
/** The options for a handler that hangs. A signal handler reads them: JavaScript can't run then. */
export interface HangOptions {
  /** How long `onRequest` may take, in milliseconds; 0 for any time. */
  boundMs: number;
  /** The beginning of the line on standard error that reports a hang at once; '' for no line. */
  prefix: string;
  /** The name of each opcode, by number. */
  names: readonly string[];
  /**
   * There is no timer for it (timer_create(2)), so a hang is not noticed.
   *
   * @param errno EAGAIN if the user has too many
   */
  onNoTimer: (errno: number) => void;
}

export interface FuseChannelOptions {
  /** A mounted /dev/fuse descriptor. The channel closes it. */
  fd: number;
  /**
   * How long to poll for the next request before sleeping, in microseconds; 0 for not at all. On a
   * single CPU the channel yields once instead (sched_yield(2)).
   */
  busyPollUs: number;
  /** The channel drains it after it has received a request, and before `onRequest`. */
  deaths: DeathWatch;
  /**
   * Holds one request at a time. At least FUSE_MIN_READ_BUFFER (8 KiB), and max_write + 4096 bytes.
   */
  request: Uint8Array;
  /** Holds the reply, which begins with a fuse_out_header. */
  reply: Uint8Array;
  /** The event log's memory. A reply may end with a slice of it instead of a copy in `reply`. */
  log: Uint8Array;
  /** {@link ControlWord}. */
  control: Uint32Array;
  /** The `unique` of every parked request as the kernel sent it: slot i is bytes 8i to 8i+7. */
  parked: Uint8Array;
  /**
   * Handles the request in `request`, and sets `control[ControlWord.outcome]`. Must not throw.
   *
   * @param length the request's bytes
   */
  onRequest: (length: number) => void;
  /**
   * Wakes waiting readers. The channel calls it after a run of requests, if one of them has set
   * `SettleState.pending`, and sets `SettleState.settled` before. Callers have their replies by
   * then, and more events may have come. Set `SettleState.pending` again if readers are left.
   */
  onSettle: () => void;
  /**
   * Called when the kernel has rejected a reply, and the channel has failed the request with EIO.
   * Not called for ENOENT: the request is gone because its caller was killed.
   *
   * @param errno EINVAL for a malformed reply; ENOMSG if `onRequest` has returned without the reply
   *   that the caller waits for
   * @param isParked whether it was the reply to a parked request instead of the one in `request`
   */
  onRefused: (errno: number, isParked: boolean) => void;
  /**
   * Called when requests may wait in the kernel that no reply releases: once until `starvedQueue`
   * returns
   * -1.
   */
  onStarved: () => void;
  /** Called once: the first time that no request waits. */
  onDry: () => void;
  /** The bound of `onRequest`: if it hangs, the channel answers EIO. */
  hang: HangOptions;
  /**
   * Called when `onRequest` has returned after the channel had answered its request with EIO. The
   * reply is dropped; if the request is parked, it is to be ended.
   *
   * @param ms how long `onRequest` has run, at least, in milliseconds
   */
  onHung: (ms: number) => void;
  /**
   * Called when the connection is over, and the channel is closed.
   *
   * @param errno ENODEV after an unmount, ECONNABORTED after an abort
   */
  onEnd: (errno: number) => void;
}

/**
 * Serves one /dev/fuse descriptor. When it is readable (uv_poll), the channel reads a request,
 * drains the death watch, calls `onRequest` and writes the reply: one call into JavaScript for each
 * request, and no other thread. With io_uring one system call carries many requests and replies
 * (native/addon/io_uring/fuse_ring.h).
 */
export class FuseChannel {
  constructor(options: FuseChannelOptions);
  /** Starts to serve in the event loop. */
  start(): void;
  /**
   * Leaves the event loop until the next `start`: requests wait in the kernel. Only for requests by
   * read(2).
   */
  pause(): void;
  /**
   * Drops the requests that were read ahead (native/addon/device/fair_queue.h). Only for a channel
   * that is paused, if the kernel sends all requests again that have no reply.
   */
  dropAhead(): void;
  /**
   * Serves all requests that wait now, without blocking. Must not be called from a callback.
   *
   * @returns how many it has served
   */
  serve(): number;
  /**
   * Serves requests that wait, as the event loop does when the device is readable. Must not be
   * called from a callback.
   */
  serveTurn(): void;
  /**
   * Replies to parked requests, all with the same bytes: a header, then `length` bytes of `reply`
   * from byte 16 on, then the slice that `control` describes. The channel passes over requests that
   * are gone (ENOENT).
   *
   * @param slots the slots of the requests
   * @param count how many of `slots` to use
   * @param length bytes in `reply`, header excluded
   * @param isCorked whether the reply may wait for a later call or for `uncork`; the slice's bytes
   *   in `log` must not change until then
   */
  answer(slots: Uint32Array, count: number, length: number, isCorked: boolean): void;
  /** Writes all replies that wait. */
  uncork(): void;
  /**
   * Fails one parked request.
   *
   * @param errno positive
   */
  fail(slot: number, errno: number): void;
  /**
   * Writes a notification: the first `length` bytes of `reply` as they are.
   *
   * @returns false if the kernel has rejected it
   */
  notify(length: number): boolean;
  /**
   * Sets io_uring up. Call it while INIT is handled. After the INIT reply requests come through
   * io_uring, and only FORGET and INTERRUPT through /dev/fuse.
   *
   * @param queues how many CPUs the machine may have
   * @param payloadBytes the most bytes that one request or reply has behind its fixed part
   * @returns false if io_uring is not available; then INIT must not ask for it
   */
  prepareRing(queues: number, payloadBytes: number): boolean;
  /** Returns whether requests come through io_uring. */
  usesRing(): boolean;
  /**
   * Provides room in io_uring for requests that block.
   *
   * @param count how many may block at once, on any CPU
   */
  expectBlocked(count: number): void;
  /**
   * Returns a CPU where requests may wait that no reply releases, or -1. A request of another
   * process on that CPU releases them.
   */
  starvedQueue(): number;
  /** Stops and closes the descriptor, which aborts the connection if it is still mounted. */
  close(): void;
}

// ---- netlink

/** The words of {@link UeventSocketOptions.meta}, for each datagram. */
export const DatagramWord: {
  /** The datagram's full length in bytes (MSG_TRUNC), even if its slot is shorter. */
  readonly length: number;
  /** 1 if the slot is too short for the datagram; else 0. */
  readonly truncated: number;
  /** The sender's nl_pid (netlink(7)); 0 is the kernel. */
  readonly senderPort: number;
  /**
   * The sender's nl_groups: a mask of the groups that it was sent to; 0 if it was sent to us alone.
   */
  readonly groups: number;
  /** The sender's uid (SCM_CREDENTIALS); 0xffffffff without credentials. */
  readonly uid: number;
  /** The sender's pid (SCM_CREDENTIALS); 0 without credentials. */
  readonly pid: number;
  readonly count: number;
};

/** The options of a {@link UeventSocket}. */
export interface UeventSocketOptions {
  /**
   * The NETLINK_KOBJECT_UEVENT multicast group, 1 to 32: 1 is the kernel's, 2 is udev's
   * (netlink(7)).
   */
  group: number;
  /** A socket of an earlier daemon, which is taken over as it is (default: a new socket). */
  fd?: number;
  /**
   * The size to request with SO_RCVBUFFORCE, or with SO_RCVBUF without CAP_NET_ADMIN (socket(7)).
   */
  receiveBufferBytes: number;
  /** Slots for datagrams: datagram i begins at byte i * slotBytes. */
  data: Uint8Array;
  slotBytes: number;
  /** {@link DatagramWord} for each slot. */
  meta: Uint32Array;
  /**
   * Memory for the kernel's headers of the slots, at least 256 bytes and 160 a slot; zeros at
   * first. If a guardian keeps it together with `data`, {@link UeventSocket.recover} finds what an
   * earlier process has received.
   */
  headers: Uint8Array;
  /**
   * Called when `count` datagrams are in `data`.
   *
   * @param overrun whether the kernel has dropped messages since the last call (ENOBUFS); they
   *   belong between these datagrams and the next
   * @param dry whether the socket's queue was empty
   */
  onBatch: (count: number, overrun: boolean, dry: boolean) => void;
}

/** A NETLINK_KOBJECT_UEVENT socket in the event loop, read in batches (recvmmsg(2)). */
export class UeventSocket {
  constructor(options: UeventSocketOptions);
  /** The granted receive buffer in bytes: SO_RCVBUF doubles the requested size (socket(7)). */
  readonly receiveBufferBytes: number;
  /** The socket's descriptor. */
  readonly fd: number;
  /** The number of the batch of datagrams in `data`, modulo 2^32. */
  readonly batch: number;
  /**
   * Describes in `meta` the datagrams that an earlier process has received. To be called before
   * `start`.
   *
   * @returns how many there are
   */
  recover(): number;
  /**
   * Reads in the event loop, one batch in each turn. A batch has at most as many datagrams as
   * slots.
   *
   * @param isOverrunCounted whether an earlier process has counted the overrun that it has received
   *   last; false by default
   */
  start(isOverrunCounted?: boolean): void;
  /** Leaves the event loop until the next `start`. The socket's queue keeps what comes. */
  stop(): void;
  /**
   * Reads a batch at once. It does not read to the end: in a storm the queue has no end.
   *
   * @returns whether the socket's queue is empty now
   */
  readBatch(): boolean;
  close(): void;
}

/**
 * Opens a NETLINK_KOBJECT_UEVENT socket that sends to one group (connect(2)).
 *
 * @param group 1 to 32
 * @returns the descriptor
 * @throws SystemError EPERM without CAP_NET_ADMIN
 */
export function openUeventSender(group: number): number;

/** The words of `found` in {@link openNamespaceSender}. */
export const NamespaceWord: {
  /** The uid that is 0 in the namespace's user namespace; the caller's if 0 is not mapped there. */
  readonly uid: number;
  /** The gid, likewise. */
  readonly gid: number;
  /** 1 if the initial user namespace owns it; else 0. */
  readonly isInitial: number;
  readonly count: number;
};

/**
 * Opens a NETLINK_KOBJECT_UEVENT socket inside another network namespace. A child process enters
 * the namespace (setns(2)), makes the socket, and sends it back (SCM_RIGHTS). This process stays in
 * its namespace. The socket keeps the namespace alive until it is closed.
 *
 * @param namespace a descriptor of a network namespace, as of /proc/PID/ns/net
 * @param found {@link NamespaceWord}
 * @returns the descriptor of the socket
 * @throws SystemError ENOTTY for a file that is no namespace; EINVAL of ioctl for a namespace of
 *   another type; EPERM without the rights to enter it; ETIMEDOUT if the child does not answer
 *   within 2 s
 */
export function openNamespaceSender(namespace: number, found: Uint32Array): number;

/** The words of `outcome` in {@link injectUevents}. */
export const InjectionWord: {
  /** How many messages the kernel has sent to the namespace's group. */
  readonly sent: number;
  /** How many messages failed. */
  readonly refused: number;
  /** The errno of the last failure; 0 if there was none. */
  readonly error: number;
  readonly count: number;
};

/**
 * Makes the kernel send uevents to the uevent group of a socket's network namespace
 * (lib/kobject_uevent.c, uevent_net_rcv_skb; Linux 4.18). The kernel adds a SEQNUM to each. Its
 * clients see it as the sender (nl_pid 0). It rejects a message of more than 2 KiB (EINVAL). A
 * client whose socket is full loses the message, and its own socket reports that (ENOBUFS). Never
 * blocks.
 *
 * @param socket a descriptor of {@link openNamespaceSender}
 * @param found what it has found
 * @param memory holds all messages: text with a NUL behind each line, without SEQNUM
 * @param slices {@link SliceWord} for each message
 * @param messages how many, at most 64
 * @param outcome {@link InjectionWord}
 */
export function injectUevents(
  socket: number,
  found: Uint32Array,
  memory: Uint8Array,
  slices: Uint32Array,
  messages: number,
  outcome: Uint32Array,
): void;

// ---- readiness

/** Watches one descriptor for readability (uv_poll). The caller closes the descriptor. */
export class ReadableWatch {
  /** @param onReadable called while `fd` is readable or hung up; level-triggered */
  constructor(fd: number, onReadable: () => void);
  close(): void;
}

/** The words of {@link ReadinessOptions.ready}, for each ready descriptor. */
export const ReadyWord: {
  /** The token from `add`. */
  readonly token: number;
  /** EPOLL* bits. */
  readonly events: number;
  readonly count: number;
};

/** The options of a {@link Readiness}. */
export interface ReadinessOptions {
  /** Room for groups of {@link ReadyWord}. */
  ready: Uint32Array;
  /**
   * Called when `ready` describes `count` descriptors; called again until they are not ready:
   * level-triggered.
   */
  onReady: (count: number) => void;
}

/**
 * An epoll set in the event loop (epoll(7)): one call into JavaScript for all ready descriptors.
 */
export class Readiness {
  constructor(options: ReadinessOptions);
  /**
   * Adds a descriptor. The caller closes it.
   *
   * @param token an unsigned 32-bit number
   * @param events EPOLL* bits; EPOLLHUP and EPOLLERR are always reported
   */
  add(fd: number, token: number, events: number): void;
  /** Changes the token and the EPOLL* bits of a descriptor. */
  change(fd: number, token: number, events: number): void;
  /** Removes a descriptor. The `onReady` that runs now may still report it. */
  remove(fd: number): void;
  /** Leaves the event loop and closes the set. */
  close(): void;
}

// ---- sockets

/**
 * Binds a SOCK_SEQPACKET Unix socket (socket(2), bind(2)). Clients are refused until it listens.
 *
 * @param mode the mode of the socket's file from the start, whatever the umask
 * @returns the descriptor
 * @throws SystemError EADDRINUSE if the file exists; ENAMETOOLONG
 */
export function bindSeqpacket(path: string, mode: number): number;

/** Makes a bound socket listen (listen(2)). */
export function listenOn(fd: number): void;

/**
 * Tries to connect to a SOCK_SEQPACKET Unix socket (connect(2)), and closes the connection.
 *
 * @returns 0 if a server listens; else the errno: ECONNREFUSED if the server is dead, EPROTOTYPE if
 *   it listens with another type of socket
 */
export function probeSeqpacket(path: string): number;

/**
 * Connects to a SOCK_SEQPACKET Unix socket (connect(2)).
 *
 * @returns the descriptor
 * @throws SystemError ENOENT, ECONNREFUSED, EACCES
 */
export function connectSeqpacket(path: string): number;

/** The words of `peer` in {@link acceptSeqpacket} (SO_PEERCRED). */
export const PeerWord: {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly count: number;
};

/**
 * Accepts a connection without blocking (accept4(2)).
 *
 * @param peer receives {@link PeerWord}
 * @returns the descriptor, or -1 if no client waits
 */
export function acceptSeqpacket(listener: number, peer: Uint32Array): number;

/**
 * Receives one message of a connection from {@link acceptSeqpacket}, without blocking (recvmsg(2)).
 * The kernel cuts off a part that does not fit `bytes`.
 *
 * @returns its length in bytes, 0 for an empty message; -1 if none waits; -2 at the end, once the
 *   client has shut down its side
 */
export function receiveSeqpacket(fd: number, bytes: Uint8Array): number;

/** The words of `slices` in {@link sendToAll}, for each message. */
export const SliceWord: {
  /** The offset in `memory`, in bytes. */
  readonly start: number;
  /** The length in bytes. */
  readonly length: number;
  readonly count: number;
};

/**
 * The words of `failed` in {@link sendToAll}, for each socket that has not received all messages.
 */
export const FailureWord: {
  /** The socket's index in `sockets`. */
  readonly place: number;
  /** How many messages it has received; or a negative errno if it has received none. */
  readonly outcome: number;
  readonly count: number;
};

/**
 * Sends the same messages to many sockets without blocking: one sendmmsg(2) for each socket.
 *
 * @param count how many of `sockets` to send to
 * @param memory holds all messages
 * @param slices {@link SliceWord} for each message
 * @param messages how many, at most 64
 * @param failed room for {@link FailureWord} for each socket
 * @returns how many sockets have not received all messages
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
 * Sends as {@link sendToAll}, but puts the bytes of each message once into a sealed memfd
 * (memfd_create(2); F_SEAL_SEAL, _SHRINK, _GROW and _WRITE). Each socket receives a read-only
 * descriptor of it (SCM_RIGHTS) with the first line as the message. No descriptor stays open here.
 *
 * @throws SystemError EMFILE, and others, if not even one memfd could be made. If only some could
 *   be made, `failed` has every socket.
 */
export function passToAll(
  sockets: Int32Array,
  count: number,
  memory: Uint8Array,
  slices: Uint32Array,
  messages: number,
  failed: Int32Array,
): number;

// ---- FIFOs

/** The words of `counts` in {@link notifyFifos}. */
export const FifoCount: {
  /** FIFOs that got all bytes. */
  readonly notified: number;
  /** FIFOs that had no room. */
  readonly full: number;
  /** FIFOs without a reader that were unlinked. */
  readonly stale: number;
  /** FIFOs that were not written to. */
  readonly skipped: number;
  readonly count: number;
};

/**
 * Writes bytes into the FIFOs of a directory, as s6-ftrig-notify does: open(2) with
 * O_WRONLY|O_NONBLOCK|O_NOFOLLOW, write(2), close(2). It passes over names that begin with a dot. A
 * FIFO without a reader (ENXIO) is unlinked if its name begins with `ftrig1`. A thread of libuv's
 * pool does all that. The caller must keep the directory open until `done`.
 *
 * @param length how many of `bytes` to write, at most PIPE_BUF
 * @param most the most FIFOs to write to; of the names in the directory, it reads the first 65,536
 * @param counts {@link FifoCount}: the thread adds to them as it goes
 * @param done called at the end with 0 or an errno
 */
export function notifyFifos(
  directoryFd: number,
  bytes: Uint8Array,
  length: number,
  most: number,
  counts: Uint32Array,
  done: (errno: number) => void,
): void;

// ---- interrupts of libfuse

/**
 * Catches a signal that libfuse sends to single threads (sigaction(2)).
 *
 * @returns a non-blocking pipe, which must stay open. For each signal it has 8 bytes in the
 *   machine's byte order. On x86-64 they are the address of the semaphore that the thread waits for
 *   (the first argument of futex(2)), or another number if it waits for none. On other machines
 *   they are 0.
 */
export function catchInterrupts(signal: number): number;

/**
 * Asks a thread of libfuse for the caller of the call that it serves. The thread must wait for a
 * semaphore. The first question sets the action of the signal.
 *
 * @param thread the id of the thread
 * @param signal a real-time signal that no other part of the process uses
 * @returns the id of the calling thread in the PID namespace of the mount; 0 if it has none there,
 *   or if the thread does not tell
 */
export function callerOfThread(thread: number, signal: number): number;

/** Returns the address of a buffer's memory, to tell whether another address is in it. */
export function addressOf(buffer: Uint8Array): number;

// ---- memory

/**
 * Maps private memory without huge pages (mmap(2)). The kernel provides each page at its first
 * write. V8 does not count this memory, because no collection can free it.
 *
 * @param bytes the size
 * @throws SystemError ENOMEM
 */
export function allocatePages(bytes: number): Uint8Array;

/**
 * Maps memory whose pages are all there from the start, and locks it as far as the user may
 * (mmap(2), MAP_POPULATE; mlock(2)). A system call that copies to it never waits for a page.
 *
 * @param bytes the size, a multiple of the page size
 * @throws SystemError ENOMEM
 */
export function allocateResident(bytes: number): Uint8Array;

/**
 * Gives pages back to the kernel (madvise(2), MADV_DONTNEED). They read as zeros afterwards.
 *
 * @param memory from {@link allocatePages}
 * @param start in bytes, a multiple of the page size
 * @param length in bytes
 */
export function discardPages(memory: Uint8Array, start: number, length: number): void;

/**
 * Makes a file in memory whose size no process can change (memfd_create(2), F_SEAL_SHRINK and
 * F_SEAL_GROW). It is sparse: the kernel provides each page at its first write.
 *
 * @param bytes the size, a multiple of the page size
 * @returns the descriptor
 */
export function createStateMemfd(bytes: number): number;

/**
 * Maps a part of a file into shared memory (mmap(2), MAP_SHARED), for reading and writing. The
 * mapping outlives the descriptor. The first read of a page of a hole makes the page too. V8 does
 * not count this memory, because no collection can free it.
 *
 * @param offset in bytes, a multiple of the page size
 * @param length in bytes
 * @throws RangeError if the file is shorter: access behind the end would end the process (SIGBUS)
 */
export function mapShared(fd: number, offset: number, length: number): Uint8Array;

/**
 * Maps a part of a file as a private copy (mmap(2), MAP_PRIVATE): writes do not reach the file. A
 * page that was not written to may change with the file. See `mapShared`.
 */
export function mapPrivate(fd: number, offset: number, length: number): Uint8Array;

/**
 * Makes the kernel provide the pages of a range now (fallocate(2)). Bytes that are there stay.
 *
 * @param offset in bytes
 * @param length in bytes
 * @throws SystemError ENOSPC or ENOMEM; a write to the mapping would end the process instead
 */
export function reserveRange(fd: number, offset: number, length: number): void;

/**
 * Returns the pages of a range to the kernel (fallocate(2), FALLOC_FL_PUNCH_HOLE). The range reads
 * as zeros afterwards, also in mappings.
 *
 * @param offset in bytes
 * @param length in bytes
 */
export function punchHole(fd: number, offset: number, length: number): void;

/** Gives memory that free(3) has kept back to the kernel (malloc_trim(3)). Only glibc has this. */
export function trimHeap(): void;
