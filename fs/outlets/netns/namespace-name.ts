/**
 * The name of a network namespace, and its end. A socket keeps its namespace alive, so the outlet
 * closes the socket once the name no longer names it:
 *
 *   /proc/PID/ns/net   the process has ended (its pidfd), even if others are in the namespace. The
 *                      keeper has the pidfd: a later daemon must not take another process for it
 *   another path       the file is gone or replaced (inotify(7) on its directory), as after
 *                      `ip netns delete`
 */
import {
  type FSWatcher,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  watch,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ReadableWatch, openPidfd } from '#native';
import { UserError, isSystemError } from '../../shared/errors.js';
import { type Keeper, NO_KEEPER } from '../../shared/kernel/keeper.js';
import { keptName } from '../kept-name.js';

/** Identifies a namespace: `<device>:<inode>` of its file. */
type Identity = string;

/** The most symlinks to follow. */
const MOST_LINKS = 8;

/** An open namespace and the watch of its name. */
export class NamespaceName {
  #watcher: FSWatcher | null = null;
  #pidfd = -1;
  /** The pidfd's name in the keeper; null if the keeper does not have it. */
  #kept: string | null = null;
  #death: ReadableWatch | null = null;
  /** The namespace's descriptor; -1 once {@link closeNamespace} has closed it. */
  fd = -1;
  readonly identity: Identity;

  /**
   * Opens the namespace, and watches its name.
   *
   * @param path the file of the namespace
   * @param onGone called once when the name has ended, with the reason
   * @param keeper keeps the process of /proc/PID/ns/net for the next daemon
   * @throws UserError if the path names nothing, or if it is this process's own namespace
   */
  constructor(
    readonly path: string,
    private readonly onGone: (why: string) => void,
    private readonly keeper: Keeper = NO_KEEPER,
  ) {
    try {
      const file = followLinks(path);
      const pid = pidOf(file);
      const name = keptName('netns', file);
      const kept = pid === undefined ? undefined : keeper.take(name);
      if (pid !== undefined) this.#pidfd = kept ?? openPidfd(pid);
      // O_NONBLOCK: a FIFO would wait for a writer
      this.fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
      // The number was that process's when the namespace was opened, if it is so now
      if (pid !== undefined && isReaped(this.#pidfd))
        throw new UserError(
          `${path}: the process ${pid} has ended, and its number may be that of another (name the new process)`,
        );
      this.identity = identityOf(fstatSync(this.fd));
      if (this.identity === identityAt('/proc/self/ns/net'))
        throw new UserError(
          `${path}: this is the daemon's own network namespace, so its events would come back (name another)`,
        );
      if (pid === undefined) this.#watchFile(file);
      else this.#watchProcess(pid);
      if (pid !== undefined && keeper.keeps) this.#kept = name;
      if (this.#kept !== null && kept === undefined) keeper.keep(this.#kept, this.#pidfd);
    } catch (error) {
      this.close();
      throw isSystemError(error)
        ? UserError.from(error, path, {
            ENOENT: 'nothing has this name; ip netns list and lsns -t net show what there is',
            ESRCH: 'the process has ended; lsns -t net shows which there are',
            EACCES: 'try as root',
            ENOSPC: 'raise fs.inotify.max_user_watches',
            EMFILE: 'raise fs.inotify.max_user_instances or the limit of open files',
          })
        : error;
    }
  }

  #watchProcess(pid: number): void {
    this.#death = new ReadableWatch(this.#pidfd, () => this.#gone(`the process ${pid} has ended`));
  }

  #watchFile(file: string): void {
    const check = (): void => {
      if (identityAt(file) !== this.identity) this.#gone('its file is gone');
    };
    this.#watcher = watch(dirname(file), check);
    this.#watcher.on('error', check);
    // It may have ended before the watch began
    if (identityAt(file) !== this.identity) setImmediate(check);
  }

  /** A kept pidfd stays: the keeper may not have it yet, and tells the next daemon of the end. */
  #gone(why: string): void {
    if (this.#kept === null) this.close();
    else this.#stopWatch();
    this.onGone(why);
  }

  /** Closes the descriptor of the namespace, which would keep it alive. The watch stays. */
  closeNamespace(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }

  /** Closes everything. `onGone` is not called any more. */
  close(): void {
    this.#stopWatch();
    if (this.#kept !== null) this.keeper.drop(this.#kept);
    this.#kept = null;
    if (this.#pidfd >= 0) closeSync(this.#pidfd);
    this.#pidfd = -1;
  }

  #stopWatch(): void {
    this.closeNamespace();
    this.#watcher?.close();
    this.#watcher = null;
    this.#death?.close();
    this.#death = null;
  }
}

/** Whether a process has ended and was waited for: its number may be that of another now. */
function isReaped(pidfd: number): boolean {
  return /^Pid:\t-1$/m.test(readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1'));
}

/** Returns the PID of /proc/PID/ns/net, or undefined for another path. */
function pidOf(path: string): number | undefined {
  const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/**
 * Follows symlinks, as in /run/netns for containers of Docker, up to a file or to
 * /proc/PID/ns/net, which is a magic link itself.
 *
 * @throws UserError for a file below /proc whose end cannot be watched
 */
function followLinks(path: string): string {
  let file = resolve(path);
  for (let links = 0; links < MOST_LINKS && pidOf(file) === undefined; links++) {
    if (file.startsWith('/proc/'))
      throw new UserError(
        `${path}: it does not have the form /proc/PID/ns/net (name a process by its number)`,
      );
    file = join(realpathSync(dirname(file)), basename(file));
    if (!lstatSync(file).isSymbolicLink()) return file;
    file = resolve(dirname(file), readlinkSync(file));
  }
  return file;
}

function identityOf({ dev, ino }: { readonly dev: number; readonly ino: number }): Identity {
  return `${dev}:${ino}`;
}

/** Returns the identity of the namespace that a path names now, or undefined. */
function identityAt(path: string): Identity | undefined {
  try {
    return identityOf(statSync(path));
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}
