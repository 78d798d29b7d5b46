/**
 * The name of a network namespace, and its end. A socket keeps its namespace alive, so the outlet
 * closes the socket once the name no longer names it:
 *
 *   /proc/PID/ns/net   the process has ended (its pidfd), even if others are in the namespace. The
 *                      keeper has the pidfd: a later daemon must not take another process for it
 *   another path       the file is gone or replaced (inotify(7) on its directory), as after
 *                      `ip netns delete`. The keeper has the directory and the file's name
 */
import { type FSWatcher, closeSync, fstatSync, readFileSync, statSync, watch } from 'node:fs';
import { resolve } from 'node:path';
import { ReadableWatch, openPidfd } from '#native';
import { UserError, isSystemError } from '../../shared/errors.js';
import { type Keeper, NO_KEEPER } from '../../shared/kernel/keeper.js';
import { keptName } from '../kept-name.js';
import type { OpenedPaths } from '../opened-paths.js';
import {
  type Identity,
  type NamespacePlace,
  closePlace,
  dropPlace,
  identityAt,
  identityOf,
  keepPlace,
  openNamespace,
  pidOf,
  takePlace,
  walkTo,
} from './namespace-place.js';

/** The kernel asks for PTRACE_MODE_READ_FSCREDS (proc_pid_ns(5)). */
const DENIED =
  process.geteuid?.() === 0
    ? 'it needs CAP_SYS_PTRACE in the user namespace of the process: try from there'
    : 'try as root';

/** The delay before the next look at the file, if the daemon has no descriptor for it. */
const RETRY_MS = 1000;

const NOWHERE: NamespacePlace = { file: '', directory: -1 };

/** An open namespace and the watch of its name. */
export class NamespaceName {
  #watcher: FSWatcher | null = null;
  #retry: NodeJS.Timeout | null = null;
  #pidfd = -1;
  /** The pidfd's name in the keeper; null if the keeper does not have it. */
  #kept: string | null = null;
  #death: ReadableWatch | null = null;
  #place: NamespacePlace = NOWHERE;
  /** Whether the keeper has the place. */
  #isPlaceKept = false;
  /** The memfd with the place's text; -1 in a daemon that has taken the place over. */
  #placeText = -1;
  /** The namespace's descriptor; -1 once {@link closeNamespace} has closed it. */
  fd = -1;
  readonly identity: Identity;

  /**
   * Opens the namespace, and watches its name.
   *
   * @param path the file of the namespace
   * @param onGone called once when the name has ended, with the reason
   * @param keeper keeps the process of /proc/PID/ns/net, or the place, for the next daemon
   * @param opened the place, if this daemon has found it while another one served
   * @throws UserError if the path names nothing, or if it is this process's own namespace
   */
  constructor(
    readonly path: string,
    private readonly onGone: (why: string) => void,
    private readonly keeper: Keeper = NO_KEEPER,
    opened?: OpenedPaths,
  ) {
    try {
      const keptPlace = keptPlaceOf(path, keeper);
      this.#place = keptPlace ?? findPlace(path, opened);
      const { file } = this.#place;
      const pid = pidOf(file);
      const name = keptName('netns', file);
      const kept = pid === undefined ? undefined : keeper.take(name);
      if (pid !== undefined) this.#pidfd = kept ?? openPidfd(pid);
      this.fd = openNamespace(this.#place, path);
      // The number was that process's when the namespace was opened, if it is so now
      if (pid !== undefined && isReaped(this.#pidfd))
        throw new UserError(
          `${path}: the process ${pid} has ended, and its number may be that of another (name the new process)`,
        );
      this.identity = identityOf(fstatSync(this.fd));
      if (this.identity === identityOf(statSync('/proc/self/ns/net')))
        throw new UserError(
          `${path}: this is the daemon's own network namespace, so its events would come back (name another)`,
        );
      if (pid === undefined) this.#watchFile();
      else this.#watchProcess(pid);
      if (pid !== undefined && keeper.keeps) this.#kept = name;
      if (this.#kept !== null && kept === undefined) keeper.keep(this.#kept, this.#pidfd);
      this.#isPlaceKept = keeper.keeps && !namesProcess(path);
      if (this.#isPlaceKept && keptPlace === undefined)
        this.#placeText = keepPlace(keeper, path, this.#place);
    } catch (error) {
      this.close();
      throw isSystemError(error)
        ? UserError.from(error, path, {
            ENOENT: 'nothing has this name; ip netns list and lsns -t net show what there is',
            EINVAL: 'no process has this number; it is 0 for a container that does not run',
            ESRCH: 'the process has ended; lsns -t net shows which there are',
            EACCES: DENIED,
            ENOSPC: 'raise fs.inotify.max_user_watches',
            EMFILE: 'raise fs.inotify.max_user_instances or the limit of open files',
          })
        : error;
    }
  }

  #watchProcess(pid: number): void {
    this.#death = new ReadableWatch(this.#pidfd, () => this.#gone(`the process ${pid} has ended`));
  }

  #watchFile(): void {
    const check = (): void => this.#checkFile();
    this.#watcher = watch(`/proc/self/fd/${this.#place.directory}`, check);
    this.#watcher.on('error', check);
    // It may have ended before the watch began
    if (identityAt(this.#place) !== this.identity) setImmediate(check);
  }

  #checkFile(): void {
    if (this.#watcher === null) return;
    try {
      if (identityAt(this.#place) !== this.identity) this.#gone('its file is gone');
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#retry ??= setTimeout(() => {
        this.#retry = null;
        this.#checkFile();
      }, RETRY_MS);
    }
  }

  /** A kept descriptor stays: the keeper may not have it yet, and it tells the next daemon. */
  #gone(why: string): void {
    if (this.#kept === null && !this.#isPlaceKept) this.close();
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
    if (this.#isPlaceKept) dropPlace(this.keeper, this.path);
    this.#isPlaceKept = false;
    if (this.#placeText >= 0) closeSync(this.#placeText);
    this.#placeText = -1;
    closePlace(this.#place);
    this.#place = NOWHERE;
  }

  #stopWatch(): void {
    this.closeNamespace();
    this.#watcher?.close();
    this.#watcher = null;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#death?.close();
    this.#death = null;
  }
}

/** Returns the place that a daemon has kept which has died: the next one walks along no path. */
function keptPlaceOf(path: string, keeper: Keeper): NamespacePlace | undefined {
  const kept = takePlace(keeper, path);
  if (kept === undefined || keeper.followsDeath) return kept;
  closePlace(kept); // after a reload the path may lead elsewhere
  return undefined;
}

function findPlace(path: string, opened: OpenedPaths | undefined): NamespacePlace {
  if (namesProcess(path)) return { file: resolve(path), directory: -1 };
  return opened === undefined ? walkTo(path) : opened.takeNamespace(path);
}

/** Returns whether a path is /proc/PID/ns/net itself: no user can change where it leads. */
function namesProcess(path: string): boolean {
  return pidOf(resolve(path)) !== undefined;
}

/** Whether a process has ended and was waited for: its number may be that of another now. */
function isReaped(pidfd: number): boolean {
  return /^Pid:\t-1$/m.test(readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1'));
}
