/**
 * The name of a network namespace, and its end. A socket keeps its namespace alive, so the outlet
 * closes the socket once the name no longer names it:
 *
 *   /proc/PID/ns/net   the process has ended (its pidfd), even if others are in the namespace
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
  readlinkSync,
  realpathSync,
  statSync,
  watch,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ReadableWatch, openPidfd } from '#native';
import { UserError, isSystemError } from '../../shared/errors.js';

/** Identifies a namespace: `<device>:<inode>` of its file. */
type Identity = string;

/** The most symlinks to follow. */
const MOST_LINKS = 8;

/** An open namespace and the watch of its name. */
export class NamespaceName {
  #watcher: FSWatcher | null = null;
  #pidfd = -1;
  #death: ReadableWatch | null = null;
  /** The namespace's descriptor; -1 once {@link closeNamespace} has closed it. */
  fd = -1;
  readonly identity: Identity;

  /**
   * Opens the namespace, and watches its name.
   *
   * @param path the file of the namespace
   * @param onGone called once when the name has ended, with the reason
   * @throws UserError if the path names nothing, or if it is this process's own namespace
   */
  constructor(
    readonly path: string,
    private readonly onGone: (why: string) => void,
  ) {
    try {
      const file = followLinks(path);
      const pid = pidOf(file);
      // First: the process whose pidfd this is has the namespace that is opened next, unless it has
      // died by then, which the watch reports.
      if (pid !== undefined) this.#pidfd = openPidfd(pid);
      // O_NONBLOCK: a FIFO would wait for a writer
      this.fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
      this.identity = identityOf(fstatSync(this.fd));
      if (this.identity === identityAt('/proc/self/ns/net'))
        throw new UserError(
          `${path}: this is the daemon's own network namespace, so its events would come back (name another)`,
        );
      if (pid === undefined) this.#watchFile(file);
      else this.#watchProcess(pid);
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

  #gone(why: string): void {
    this.close();
    this.onGone(why);
  }

  /** Closes the descriptor of the namespace, which would keep it alive. The watch stays. */
  closeNamespace(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }

  /** Closes everything. `onGone` is not called any more. */
  close(): void {
    this.closeNamespace();
    this.#watcher?.close();
    this.#watcher = null;
    this.#death?.close();
    this.#death = null;
    if (this.#pidfd >= 0) closeSync(this.#pidfd);
    this.#pidfd = -1;
  }
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
