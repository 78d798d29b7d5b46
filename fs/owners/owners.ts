/**
 * Who owns what, and for how long.
 *
 * An owner is a pidfd: it stands for one process and never for a later one with the same PID. All of them are in one
 * epoll set. The driver drains it before every request, the event loop watches it too; either way `died` ends what the
 * process owned before anything else happens (docs/design.md, section 4).
 */
import { closeSync } from 'node:fs';
import { DeathWatch, DrainWord, openPidfd } from '#native';
import { Errno, FsError, isSystemError } from '../shared/errors.js';
import { RecyclingMap } from '../shared/recycling-map.js';
import { NO_TRACE, type Trace } from '../shared/trace.js';
import { type Pid, type ProcessStatus, asFull, readStatus } from './process.js';
import { namespaceOf } from '../shared/kernel/namespaces.js';

/** Something that ends with its owner. */
export interface Mortal {
  /** Its owner is dead. */
  ownerDied(): void;
  /** What it is, and what its end frees, in words: for the trace. */
  describe(): string;
}

/** A living process that owns something. */
export class Owner {
  readonly owned = new Set<Mortal>();

  constructor(
    readonly pid: Pid,
    readonly pidfd: number,
  ) {}
}

/** Who makes a request: fuse_in_header. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  /** The calling *thread* in the daemon's PID namespace, or 0 when it has no id there. */
  readonly pid: number;
}

export class Owners {
  /** How often the deaths were drained: the addon counts. */
  readonly #drains = new Uint32Array(DrainWord.count);
  readonly watch = new DeathWatch({
    onDeath: (pid) => this.#died(pid as Pid),
    drains: this.#drains,
  });
  readonly #owners = new RecyclingMap<Pid, Owner>();
  readonly #pidNamespace = namespaceOf('self', 'pid');
  readonly #userNamespace = namespaceOf('self', 'user');

  /** @param onDeath called when an owner has died and what it owned has ended */
  constructor(
    private readonly onDeath: () => void = () => undefined,
    private readonly trace: Trace = NO_TRACE,
  ) {}

  /** How many processes own something. */
  get size(): number {
    return this.#owners.size;
  }

  /** How often the deaths were drained, modulo 2^32. */
  get drains(): number {
    return this.#drains[DrainWord.drains];
  }

  /**
   * Ends what every process owned that has died by now. Mostly no process has, and then it costs a
   * look at memory (native/addon/process/death_watch.h).
   */
  drain(): void {
    this.watch.drainIfDue();
  }

  /** The process that makes the request. It can't end before the reply, so its PID is its own. EPERM, ESRCH. */
  ofCaller(caller: Caller): Owner {
    const status = this.#callerStatus(caller);
    return this.#open(status.pid, () => true);
  }

  /**
   * The process that the caller calls `pid`: itself, an ancestor, or, in the daemon's own PID namespace, any. All but
   * itself must be one that it could signal: PID 1 is everybody's ancestor. ESRCH when there is none or it is dead, else EPERM.
   */
  named(pid: number, caller: Caller): Owner {
    const status = this.#callerStatus(caller);
    const isAtHome = this.#isAtHome(status);
    // At home the numbers are ours, so there is no need to look for an ancestor with that number.
    const relative = isAtHome ? undefined : this.#ownOrAncestor(pid, status);
    // Looked for again with the pidfd open: if it is still there and lives, it was the same process all along.
    if (relative !== undefined) {
      return this.#open(
        relative,
        () => this.#ownOrAncestor(pid, status) === relative && this.#maySignal(status, relative),
      );
    }
    if (pid <= 0 || pid > MAX_PID) throw new FsError(Errno.ESRCH, `no process can have PID ${pid}`);
    if (!isAtHome)
      throw new FsError(Errno.EPERM, `${pid} is no ancestor of the caller in its PID namespace`);
    const target = readStatus(pid);
    if (target === undefined) throw new FsError(Errno.ESRCH, `no process ${pid}`);
    return this.#open(target.pid, () => this.#maySignal(status, target.pid));
  }

  /** The process with that PID in the daemon's own PID namespace, whoever asks, and whom it runs as. ESRCH. */
  anybody(pid: number): { owner: Owner; uid: number; gid: number } {
    const status = pid <= 0 || pid > MAX_PID ? undefined : readStatus(pid);
    if (status === undefined) throw new FsError(Errno.ESRCH, `no process ${pid}`);
    let now: ProcessStatus | undefined;
    // Read again with the pidfd open: then it is about whoever the pidfd stands for.
    const owner = this.#open(status.pid, () => (now = readStatus(status.pid)) !== undefined);
    return { owner, uid: now!.effectiveUid, gid: now!.effectiveGid };
  }

  /** Whether the caller's process, or an ancestor of it, is what the caller calls `pid`. False where the caller is not known. */
  isSelfOrAncestor(pid: number, caller: Caller): boolean {
    const status = caller.pid === 0 ? undefined : readStatus(caller.pid);
    return status !== undefined && this.#ownOrAncestor(pid, status) !== undefined;
  }

  /** Whether a process has that PID in the daemon's own PID namespace. */
  isAlive(pid: number): boolean {
    return pid > 0 && pid <= MAX_PID && readStatus(pid) !== undefined;
  }

  /** Whose rights an owner has now, as a uid; undefined when it has just ended. */
  effectiveUidOf(owner: Owner): number | undefined {
    return readStatus(owner.pid)?.effectiveUid;
  }

  /** `thing` ends with `owner` from now on. */
  bind(owner: Owner, thing: Mortal): void {
    owner.owned.add(thing);
  }

  /** `thing` is gone or has no owner any more. */
  release(owner: Owner, thing: Mortal): void {
    owner.owned.delete(thing);
    this.releaseUnused(owner);
  }

  /** Lets go of an owner that owns nothing. */
  releaseUnused(owner: Owner): void {
    if (owner.owned.size === 0) this.#forget(owner);
  }

  /** Closes every pidfd and the set. */
  close(): void {
    for (const owner of this.#owners.values()) closeSync(owner.pidfd);
    this.#owners.clear();
    this.watch.close();
  }

  #callerStatus(caller: Caller): ProcessStatus {
    if (caller.pid === 0)
      throw new FsError(Errno.EPERM, "the caller has no PID in the daemon's PID namespace");
    const status = readStatus(caller.pid);
    if (status === undefined)
      throw new FsError(Errno.ESRCH, `the caller, ${caller.pid}, has ended`);
    return status;
  }

  /**
   * The owner with this thread group's PID. `check` is asked with the pidfd open, about whoever has the PID then;
   * if the pidfd's process lives after that, it was the one that was asked about.
   */
  #open(pid: Pid, check: () => boolean): Owner {
    let known = this.#owners.get(pid);
    if (known !== undefined && this.watch.isDead(known.pidfd)) {
      this.watch.drain();
      known = this.#owners.get(pid);
    }
    const pidfd = known?.pidfd ?? openOwner(pid);
    let keep = known !== undefined;
    try {
      const allowed = check();
      if (this.watch.isDead(pidfd)) throw new FsError(Errno.ESRCH, `process ${pid} has ended`);
      if (!allowed) throw new FsError(Errno.EPERM, `the caller may not signal process ${pid}`);
      if (known !== undefined) return known;
      const owner = new Owner(pid, pidfd);
      this.watch.add(pidfd, pid);
      this.#owners.set(pid, owner);
      keep = true;
      return owner;
    } finally {
      if (!keep) closeSync(pidfd);
    }
  }

  /** The PID, for us, of the caller's process or the ancestor of it that it calls `pid`. */
  #ownOrAncestor(pid: number, caller: ProcessStatus): Pid | undefined {
    const namespace = namespaceOf(caller.pid, 'pid');
    let process: ProcessStatus | undefined = caller;
    for (let generation = 0; process !== undefined && generation < MOST_GENERATIONS; generation++) {
      // Ancestors lie in the same namespace or further out, where other processes have the same numbers.
      if (process.namespacePids.length < caller.namespacePids.length) return undefined;
      const innermost = process.namespacePids[process.namespacePids.length - 1];
      if (
        innermost === pid &&
        (process.pid === caller.pid || namespaceOf(process.pid, 'pid') === namespace)
      ) {
        return process.pid;
      }
      if (process.parent === 0) return undefined;
      process = readStatus(process.parent);
    }
    return undefined;
  }

  /** Whether the caller sees the PIDs that the daemon sees. */
  #isAtHome(caller: ProcessStatus): boolean {
    return namespaceOf(caller.pid, 'pid') === this.#pidNamespace;
  }

  /** kernel/signal.c, kill_ok_by_cred(); CAP_KILL counts only in the target's user namespace or one around it. */
  #maySignal(caller: ProcessStatus, pid: Pid): boolean {
    if (caller.pid === pid) return true;
    const target = readStatus(pid);
    if (target === undefined) return false;
    const { realUid, effectiveUid } = caller;
    if ([realUid, effectiveUid].some((uid) => uid === target.savedUid || uid === target.realUid))
      return true;
    if (!caller.mayKill) return false;
    const namespace = namespaceOf(caller.pid, 'user');
    return (
      namespace !== undefined &&
      (namespace === this.#userNamespace || namespace === namespaceOf(pid, 'user'))
    );
  }

  #died(pid: Pid): void {
    const owner = this.#owners.get(pid);
    if (owner === undefined) return;
    this.#owners.delete(pid);
    closeSync(owner.pidfd);
    this.trace.deaths?.(
      `owner ${pid} is dead: ${[...owner.owned].map((thing) => thing.describe()).join('; ')}`,
      { owner: pid },
    );
    for (const thing of owner.owned) thing.ownerDied();
    owner.owned.clear();
    this.onDeath();
  }

  #forget(owner: Owner): void {
    if (this.#owners.get(owner.pid) !== owner) return;
    this.#owners.delete(owner.pid);
    this.watch.remove(owner.pidfd);
    closeSync(owner.pidfd);
  }
}

/** How far up ancestors are looked for: each costs a read of /proc, and a user can make thousands. */
const MOST_GENERATIONS = 32;

/** PID_MAX_LIMIT of linux/threads.h is 2^22; what is beyond an int can't even be asked for. */
const MAX_PID = 2 ** 31 - 1;

function openOwner(pid: Pid): number {
  try {
    return openPidfd(pid);
  } catch (error) {
    if (['ESRCH', 'EINVAL', 'ENOENT'].some((code) => isSystemError(error, code)))
      throw new FsError(Errno.ESRCH, `no process ${pid}`);
    throw asFull(error);
  }
}
