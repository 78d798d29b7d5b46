/**
 * The owners of directories and other things, and how long each lives.
 *
 * An owner is identified by a pidfd, which stands for one process and never for a later one with
 * the same PID. All pidfds are in one epoll set. The driver drains the set before every request,
 * and the event loop watches it too. Either way `#died` ends everything that the process owned
 * before anything else happens (docs/design.md, section 4).
 */
import { DrainWord } from '#native';
import { Errno, FsError } from '../shared/errors.js';
import { type Keeper, NO_KEEPER } from '../shared/kernel/keeper.js';
import { RecyclingMap } from '../shared/recycling-map.js';
import { NO_TRACE, type Trace } from '../shared/log/trace.js';
import { ownOrAncestor } from './ancestors.js';
import type { Caller } from './caller.js';
import { traceDeath } from './death-trace.js';
import { Endings } from './endings.js';
import { Estates } from './estates.js';
import { SignalRights } from './signal-rights.js';
import { KeptPidfds } from './kept-pidfds.js';
import { OuterCallers } from './outer-callers.js';
import { type Mortal, Owner } from './owner.js';
import { ProcessFiles, addToWatch } from './process-files.js';
import { MAX_PID, type Pid, type ProcessStatus } from './process.js';
import { system } from './system.js';

export type { Caller } from './caller.js';
export { type Mortal, Owner } from './owner.js';

/** The first process of the daemon's PID namespace. */
const INIT = 1 as Pid;

/** All owners, by PID. */
export class Owners {
  /** The number of drains, which the addon counts. */
  readonly #drains = new Uint32Array(DrainWord.count);
  /** The epoll set of all owners' pidfds. */
  readonly watch = system.newDeathWatch({
    onDeath: (pid) => this.#died(pid as Pid),
    drains: this.#drains,
  });
  readonly #owners = new RecyclingMap<Pid, Owner>();
  readonly #rights = new SignalRights();
  readonly #outerCallers = new OuterCallers();
  /** How the dead owners ended. */
  readonly endings = new Endings();
  /** The dead owners whose things are not all removed yet. */
  readonly estates = new Estates(this.endings);
  readonly #processes: ProcessFiles;
  readonly #pidfds: KeptPidfds;

  /**
   * @param onDeath called after an owner's death, when everything that it owned has ended for all
   *   processes
   * @param keeper keeps pidfds for the next daemon where the kernel has no handles of them
   * @param mostDescriptors owners get no descriptor with this number or a higher one
   */
  constructor(
    private readonly onDeath: () => void = () => undefined,
    private readonly trace: Trace = NO_TRACE,
    keeper: Keeper = NO_KEEPER,
    mostDescriptors = Infinity,
  ) {
    this.#pidfds = new KeptPidfds(keeper);
    this.#processes = new ProcessFiles(this.estates, mostDescriptors);
  }

  /** The number of owners. */
  get size(): number {
    return this.#owners.size;
  }

  /** The number of drains so far, modulo 2^32. */
  get drains(): number {
    return this.#drains[DrainWord.drains];
  }

  /**
   * Ends everything that dead processes own. If no process has died, it costs only a read of memory
   * (native/addon/process/death_watch.h).
   */
  drain(): void {
    this.watch.drainIfDue();
  }

  /**
   * Returns the caller's process as an owner. The caller can't end before the reply, so its PID
   * stays its own.
   *
   * @throws FsError EPERM if the caller has no PID in the daemon's PID namespace; ESRCH if it has
   *   ended; ENFILE if the daemon has no descriptor left
   */
  ofCaller(caller: Caller): Owner {
    const status = this.#processes.ofCaller(caller);
    return this.#open(status.pid, () => true);
  }

  /**
   * Returns the process that has the PID `pid` in the caller's PID namespace. It must be the caller
   * itself or an ancestor; in the daemon's own PID namespace it may be any process. Except for
   * itself, the caller must be allowed to signal the process, because PID 1 is an ancestor of every
   * process.
   *
   * @param pid a PID in the caller's PID namespace
   * @throws FsError ESRCH if there is no such process or it is dead; ENFILE if the daemon has no
   *   descriptor left; else EPERM
   */
  named(pid: number, caller: Caller): Owner {
    const status = this.#processes.ofCaller(caller);
    // A PID in one namespace only: the daemon's. Only root may read another user's link ns/pid.
    const isAtHome = status.namespacePids.length === 1;
    // In the daemon's own namespace `pid` needs no translation, so no search among the ancestors.
    const relative = isAtHome ? undefined : ownOrAncestor(pid, status);
    // The search runs again with the pidfd open: if it finds the same PID and the process lives,
    // both searches found the same process.
    if (relative !== undefined) {
      return this.#open(
        relative,
        () => ownOrAncestor(pid, status) === relative && this.#rights.maySignal(status, relative),
      );
    }
    if (pid <= 0 || pid > MAX_PID) throw new FsError(Errno.ESRCH, `no process can have PID ${pid}`);
    if (!isAtHome)
      throw new FsError(
        Errno.EPERM,
        `process ${pid} is no ancestor of the caller in the PID namespace of the caller`,
      );
    const target = this.#processes.status(pid);
    if (target === undefined) throw new FsError(Errno.ESRCH, `no process ${pid}`);
    return this.#open(target.pid, () => this.#rights.maySignal(status, target.pid));
  }

  /**
   * Returns the process with a PID in the daemon's own PID namespace, without a check of the
   * caller's rights, and the ids that it runs as.
   *
   * @returns the owner, and the process's effective uid and gid
   * @throws FsError ESRCH if there is no such process; ENFILE if the daemon has no descriptor left
   */
  anybody(pid: number): { owner: Owner; uid: number; gid: number } {
    const status = pid <= 0 || pid > MAX_PID ? undefined : this.#processes.status(pid);
    if (status === undefined) throw new FsError(Errno.ESRCH, `no process ${pid}`);
    let now: ProcessStatus | undefined;
    // The status is read again with the pidfd open, so that it is the status of the pidfd's
    // process.
    const owner = this.#open(
      status.pid,
      () => (now = this.#processes.status(status.pid)) !== undefined,
    );
    return { owner, uid: now!.effectiveUid, gid: now!.effectiveGid };
  }

  /**
   * Returns the process that the caller means by a PID: itself or an ancestor, in its own PID
   * namespace.
   *
   * @returns undefined if it means neither, or is unknown. Process 1 of the daemon's PID namespace
   *   is an ancestor of every process, so only that process itself means it
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  meant(pid: number, caller: Caller): Pid | undefined {
    const status = caller.pid === 0 ? undefined : this.#processes.status(caller.pid);
    const meant = status === undefined ? undefined : ownOrAncestor(pid, status);
    return meant === INIT && status!.pid !== INIT ? undefined : meant;
  }

  /**
   * Returns whether the caller is in an inner PID namespace.
   *
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  isInside(caller: Caller): boolean {
    // The link costs less than the status, but only root may read that of another user.
    if (caller.pid === 0 || this.#outerCallers.has(caller.pid)) return false;
    return (this.#processes.status(caller.pid)?.namespacePids.length ?? 0) > 1;
  }

  /**
   * Returns whether the caller is a thread of the owner's process. An unknown caller is none.
   *
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  isCaller(owner: Owner, caller: Caller): boolean {
    if (caller.pid === owner.pid) return true;
    return caller.pid !== 0 && this.#processes.status(caller.pid)?.pid === owner.pid;
  }

  /**
   * Returns whether a process has that PID in the daemon's own PID namespace.
   *
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  isAlive(pid: number): boolean {
    return pid > 0 && pid <= MAX_PID && this.#processes.status(pid) !== undefined;
  }

  /**
   * Returns an owner's effective uid now.
   *
   * @returns undefined if the owner has just ended
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  effectiveUidOf(owner: Owner): number | undefined {
    return this.#processes.status(owner.pid)?.effectiveUid;
  }

  /**
   * Finds an owner of another daemon again.
   * @param pid its PID
   * @param handle the handle that the last daemon has recorded
   * @returns an owner that is dead (`pidfd` is -1) if the process has ended
   */
  restore(pid: Pid, handle: string): Owner {
    const known = this.#owners.get(pid);
    if (known !== undefined && known.handle === handle) return known;
    const pidfd = this.#pidfds.open(pid, handle);
    const owner = new Owner(pid, pidfd, this.#pidfds, pidfd < 0 ? null : handle);
    if (pidfd < 0) return owner;
    this.watch.add(pidfd, pid);
    this.#owners.set(pid, owner);
    return owner;
  }

  /** Returns this process as an owner. */
  own(): Owner {
    return this.#open(process.pid as Pid, () => true);
  }

  /** Makes `owner` the owner of `thing`, which then ends with it. */
  bind(owner: Owner, thing: Mortal): void {
    owner.own(thing);
  }

  /** Takes `thing` from its owner, because it is gone or has no owner any more. */
  release(owner: Owner, thing: Mortal): void {
    owner.disown(thing);
    this.releaseUnused(owner);
  }

  /** Closes the pidfd of an owner that owns nothing. */
  releaseUnused(owner: Owner): void {
    if (owner.owned.size === 0) this.#forget(owner);
  }

  /** Closes every pidfd and the epoll set. */
  close(): void {
    this.estates.finish();
    this.endings.finish();
    for (const owner of this.#owners.values()) system.closePidfd(owner.pidfd);
    this.#owners.clear();
    this.watch.close();
  }

  /**
   * Returns the owner with this thread group's PID. It calls `check` with the pidfd open, while the
   * PID may belong to another process. If the pidfd's process is alive after that, `check` was
   * about this process.
   */
  #open(pid: Pid, check: () => boolean): Owner {
    let known = this.#owners.get(pid);
    if (known !== undefined && this.watch.isDead(known.pidfd)) {
      this.watch.drain();
      known = this.#owners.get(pid);
    }
    const pidfd = known?.pidfd ?? this.#processes.openPidfd(pid);
    let keep = known !== undefined;
    try {
      const allowed = check();
      if (this.watch.isDead(pidfd)) throw new FsError(Errno.ESRCH, `process ${pid} has ended`);
      if (!allowed) throw new FsError(Errno.EPERM, `the caller may not signal process ${pid}`);
      if (known !== undefined) return known;
      const owner = new Owner(pid, pidfd, this.#pidfds);
      addToWatch(this.watch, pidfd, pid);
      this.#owners.set(pid, owner);
      keep = true;
      return owner;
    } finally {
      if (!keep) system.closePidfd(pidfd);
    }
  }

  #died(pid: Pid): void {
    const owner = this.#owners.get(pid);
    if (owner === undefined) return;
    this.#owners.delete(pid);
    if (this.trace.deaths !== null) traceDeath(this.trace.deaths, owner);
    this.estates.add(owner);
    this.onDeath();
  }

  #forget(owner: Owner): void {
    if (this.#owners.get(owner.pid) !== owner) return;
    this.#owners.delete(owner.pid);
    this.watch.remove(owner.pidfd);
    owner.dropHandle();
    system.closePidfd(owner.pidfd);
  }
}
