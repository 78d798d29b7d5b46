/**
 * Simulated processes: users, births and deaths, /proc, pidfds and the death watch. The real code
 * of fs/owners runs on them.
 */
import { DrainWord, type DeathWatch, type DeathWatchOptions } from '#native';
import type { ProcessSystem } from '../../../fs/owners/system.js';

/** One process, with one thread. */
export class SimProcess {
  /** Whether its thread has not ended. A zombie is dead. */
  isAlive = true;
  /** Whether SIGKILL was sent. It ends once its system call returns. */
  isKilled = false;
  effectiveUid: number;
  /** The file handle of its pidfds: 16 hexadecimal digits that no other process ever has. */
  identity = '';

  constructor(
    readonly pid: number,
    readonly parent: SimProcess | null,
    public uid: number,
    public gid: number,
  ) {
    this.effectiveUid = uid;
  }

  /** Returns whether `other` is the process or an ancestor of it. */
  descendsFrom(other: SimProcess): boolean {
    let at: SimProcess | null = this; // eslint-disable-line @typescript-eslint/no-this-alias
    // The children of a dead process get another parent.
    for (; at !== null && at.isAlive; at = at.parent) if (at === other) return true;
    return false;
  }
}

/** The smallest PID of a client. Smaller PIDs belong to other processes. */
const FIRST_PID = 300;
/** So few PIDs that they are soon used again. */
const PIDS = 60;
const FIRST_PIDFD = 1000;

function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: ${syscall}`), { code, syscall, errno: 0 });
}

/** All processes, by PID. The daemon's pidfds outlive the process that a PID belongs to. */
export class Processes {
  readonly byPid = new Map<number, SimProcess>();
  /** The living processes, by identity. */
  readonly #byIdentity = new Map<string, SimProcess>();
  #born = 0;
  /** The living processes, in the order of their births. */
  living: SimProcess[] = [];
  #pidfds = new Map<number, SimProcess>();
  #nextPidfd = FIRST_PIDFD;
  #nextPid = FIRST_PID;
  #watch: SimDeathWatch | null = null;

  /**
   * @param onReported called when the death watch reports a death, before the daemon knows of it
   */
  constructor(private readonly onReported: (process: SimProcess) => void) {}

  /** The number of open pidfds. */
  get pidfds(): number {
    return this.#pidfds.size;
  }

  /** Makes a process. PIDs of the dead are used again. */
  birth(parent: SimProcess | null, uid: number, gid: number): SimProcess {
    do this.#nextPid = FIRST_PID + ((this.#nextPid - FIRST_PID + 1) % PIDS);
    while (this.byPid.has(this.#nextPid));
    const process = new SimProcess(this.#nextPid, parent, uid, gid);
    process.identity = (++this.#born).toString(16).padStart(16, '0');
    this.byPid.set(process.pid, process);
    this.#byIdentity.set(process.identity, process);
    this.living.push(process);
    return process;
  }

  /** Ends a process, and has its parent wait for it: its PID is free. */
  exit(process: SimProcess): void {
    process.isAlive = false;
    this.living = this.living.filter((other) => other !== process);
    this.byPid.delete(process.pid);
    this.#byIdentity.delete(process.identity);
    this.#watch?.noteDeath(process);
  }

  /**
   * Returns the system calls of a new daemon. Its predecessor's pidfds are closed, or held by it.
   */
  system(): ProcessSystem {
    this.#pidfds = new Map();
    return {
      newDeathWatch: (options) => (this.#watch = new SimDeathWatch(this, options)),
      openPidfd: (pid) => this.#openPidfd(pid),
      closePidfd: (pidfd) => {
        if (!this.#pidfds.delete(pidfd)) throw systemError('EBADF', 'close');
      },
      exitStatus: (pidfd) => (this.at(pidfd).isAlive ? -1 : 9),
      pidfdHandle: (pidfd) => this.at(pidfd).identity,
      openPidfdHandle: (handle) => this.#openHandle(handle),
      readStatus: (id) => this.#readWhole(`/proc/${id}/status`),
      readWhole: (path) => this.#readWhole(path),
      namespaceOf: (_, kind) => `${kind}:[1]`,
    };
  }

  /** Returns what gives a daemon its pidfds back, after another one has failed to replace it. */
  hold(): () => void {
    const pidfds = this.#pidfds;
    const watch = this.#watch!;
    return () => {
      this.#pidfds = pidfds;
      this.#watch = watch;
      watch.catchUp();
    };
  }

  /** Returns the process of a pidfd. */
  at(pidfd: number): SimProcess {
    const process = this.#pidfds.get(pidfd);
    if (process === undefined) throw systemError('EBADF', 'poll');
    return process;
  }

  /** Tells the model that the daemon learns of a death. */
  reported(process: SimProcess): void {
    this.onReported(process);
  }

  #openPidfd(pid: number): number {
    const process = this.byPid.get(pid);
    if (process === undefined) throw systemError('ESRCH', 'pidfd_open');
    this.#pidfds.set(++this.#nextPidfd, process);
    return this.#nextPidfd;
  }

  #openHandle(handle: string): number {
    const process = this.#byIdentity.get(handle);
    if (process === undefined) return -1;
    this.#pidfds.set(++this.#nextPidfd, process);
    return this.#nextPidfd;
  }

  #readWhole(path: string): string {
    const process = this.byPid.get(Number(path.split('/')[2]));
    if (process === undefined || !path.endsWith('/status')) throw systemError('ENOENT', 'open');
    const { pid, parent, uid, gid, effectiveUid } = process;
    const ppid = parent !== null && parent.isAlive ? parent.pid : 1;
    const capabilities = effectiveUid === 0 ? '000001ffffffffff' : '0000000000000000';
    return (
      `Name:\tsimulated\nTgid:\t${pid}\nPid:\t${pid}\nPPid:\t${ppid}\n` +
      `Uid:\t${uid}\t${effectiveUid}\t${uid}\t${effectiveUid}\nGid:\t${gid}\t${gid}\t${gid}\t${gid}\n` +
      `NStgid:\t${pid}\nCapEff:\t${capabilities}\n`
    );
  }
}

/** The death watch of one daemon. */
class SimDeathWatch implements DeathWatch {
  readonly #tokens = new Map<number, number>();
  #dead: number[] = [];

  constructor(
    private readonly processes: Processes,
    private readonly options: DeathWatchOptions,
  ) {}

  start(): void {}

  stop(): void {}

  add(pidfd: number, token: number): void {
    this.#tokens.set(pidfd, token);
    if (!this.processes.at(pidfd).isAlive) this.#dead.push(pidfd);
  }

  remove(pidfd: number): void {
    this.#tokens.delete(pidfd);
  }

  isDead(pidfd: number): boolean {
    return !this.processes.at(pidfd).isAlive;
  }

  noteDeath(process: SimProcess): void {
    for (const pidfd of this.#tokens.keys())
      if (this.processes.at(pidfd) === process) this.#dead.push(pidfd);
  }

  /** Notes the deaths that another watch has noted. */
  catchUp(): void {
    for (const pidfd of this.#tokens.keys())
      if (this.isDead(pidfd) && !this.#dead.includes(pidfd)) this.#dead.push(pidfd);
  }

  /** Counts the drain at its end, as the addon does: a death may complete a file in a queue. */
  drain(): number {
    let count = 0;
    for (let pidfd = this.#dead.shift(); pidfd !== undefined; pidfd = this.#dead.shift()) {
      const token = this.#tokens.get(pidfd);
      if (token === undefined) continue;
      this.#tokens.delete(pidfd);
      this.processes.reported(this.processes.at(pidfd));
      this.options.onDeath(token);
      count++;
    }
    this.options.drains[DrainWord.drains]++;
    return count;
  }

  drainIfDue(): void {
    this.drain();
  }

  close(): void {
    this.#tokens.clear();
  }
}
