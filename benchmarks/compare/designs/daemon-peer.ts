/** The designs whose event manager is eventfs: its tree, or one of its outlets. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { descriptors, childrenOf } from '../../../test/support/processes.js';
import { type WeighedDaemon, startWeighedDaemon } from '../../daemon-costs.js';
import { SKB_HEAD_BYTES, memfdBytes, netlinkCharge, socketBytes } from './kernel-memory.js';
import { raiseInotifyLimit } from './inotify-limit.js';
import { type Leftovers, Peer, type Stored, sum } from './peer.js';

/** The number of files that a flood makes, for all subscribers. */
const FILES_FLOODED = 16_384;

abstract class DaemonPeer extends Peer {
  #daemon: WeighedDaemon | null = null;
  #idleBytes = 0;
  #idleFds = 0;

  protected get daemon(): WeighedDaemon {
    return this.#daemon!;
  }

  protected daemonArgs(): readonly string[] {
    return [];
  }

  /** Returns a command that runs the daemon. */
  protected daemonUnder(): readonly string[] {
    return [];
  }

  protected override async startManager(): Promise<void> {
    this.#daemon = await startWeighedDaemon(this.daemonArgs(), this.daemonUnder());
  }

  protected override async stopManager(): Promise<void> {
    await this.#daemon?.stop();
  }

  protected override publisherArgs(): readonly string[] {
    return ['file', `${this.daemon.path}/publish`];
  }

  /** Returns the PIDs of the daemon and its helpers. */
  protected override managerPids(): readonly number[] {
    const { pid } = this.daemon;
    return [pid, ...childrenOf(pid)];
  }

  protected override noteIdle(): void {
    this.#idleFds = descriptors(this.daemon.pid).length;
  }

  /** The number of descriptors that the daemon has for each subscriber. */
  protected abstract readonly fdsEach: number;

  protected override look(dead: readonly number[], alive: number): Leftovers {
    const { bytes, inodes } = this.lookAt(dead);
    const fds = descriptors(this.daemon.pid).length;
    return {
      bytes,
      inodes,
      descriptors: Math.max(0, fds - this.#idleFds - this.fdsEach * alive),
      processes: 0,
    };
  }

  /** Returns what dead subscribers leave besides descriptors of the daemon. */
  protected abstract lookAt(dead: readonly number[]): { bytes: number; inodes: number };

  override async store(events: number): Promise<Stored> {
    const { heapUsed, external } = await this.daemon.weigh();
    if (events === 0) this.#idleBytes = heapUsed + external;
    return {
      manager: Math.max(0, heapUsed + external - this.#idleBytes),
      kernel: this.kernelBytes(events),
    };
  }

  protected abstract kernelBytes(events: number): number;
}

/** Subscribers on the mount: leftover directories are found by name. */
export class TreePeer extends DaemonPeer {
  #restoreLimit: () => void = () => undefined;

  constructor(
    setting: Peer['setting'],
    private readonly mode: 'own-stream' | 'stream' | 'head' | 'inotify',
  ) {
    super(setting);
  }

  protected override async startManager(): Promise<void> {
    if (this.mode === 'inotify') this.#restoreLimit = raiseInotifyLimit(this.setting.subscribers);
    await super.startManager();
  }

  protected override async stopManager(): Promise<void> {
    await super.stopManager();
    this.#restoreLimit();
  }

  /**
   * Subscribers that take files one by one have some left after the flood, and need minutes for
   * more.
   */
  protected override get floodMost(): number {
    const { subscribers, publishers } = this.setting;
    return this.mode === 'head' || this.mode === 'inotify'
      ? Math.ceil(FILES_FLOODED / subscribers / publishers)
      : super.floodMost;
  }

  /** One pidfd an owner. */
  protected override get fdsEach(): number {
    return this.mode === 'stream' ? 0 : 1;
  }

  protected override subscriberArgs(): { mode: string; rest: readonly string[] } {
    return { mode: this.mode, rest: [this.daemon.path] };
  }

  protected override lookAt(dead: readonly number[]): { bytes: number; inodes: number } {
    const names = new Set(dead.map(String));
    const found = readdirSync(this.daemon.path).filter((name) => names.has(name.split('.')[0]));
    return found
      .map((name) => weighDirectory(join(this.daemon.path, name)))
      .reduce(add, { bytes: 0, inodes: 0 });
  }

  /** The daemon's ring holds the text once, for all readers. */
  protected override kernelBytes(events: number): number {
    return events * this.setting.bytes;
  }
}

function weighDirectory(path: string): { bytes: number; inodes: number } {
  try {
    const names = readdirSync(path);
    return {
      bytes: sum(names.map((name) => statSync(join(path, name)).size)),
      inodes: 1 + names.length,
    };
  } catch {
    return { bytes: 0, inodes: existsSync(path) ? 1 : 0 }; // It has gone meanwhile.
  }
}

function add(
  a: { bytes: number; inodes: number },
  b: { bytes: number; inodes: number },
): { bytes: number; inodes: number } {
  return { bytes: a.bytes + b.bytes, inodes: a.inodes + b.inodes };
}

/** Subscribers on a Unix socket, which get bytes or descriptors. */
export class SocketPeer extends DaemonPeer {
  constructor(
    setting: Peer['setting'],
    private readonly mode: 'messages' | 'descriptors',
    private readonly scratch: string,
  ) {
    super(setting);
  }

  protected readonly fdsEach = 1;

  get #path(): string {
    return join(this.scratch, `${this.mode}.sock`);
  }

  protected override daemonArgs(): readonly string[] {
    return [this.mode === 'messages' ? '--socket' : '--fd-socket', this.#path];
  }

  protected override subscriberArgs(): { mode: string; rest: readonly string[] } {
    return { mode: this.mode, rest: [this.#path] };
  }

  protected override lookAt(): { bytes: number; inodes: number } {
    return { bytes: socketBytes(this.#path), inodes: 0 };
  }

  protected override kernelBytes(events: number): number {
    return (
      socketBytes(this.#path) +
      (this.mode === 'descriptors' ? events * memfdBytes(this.setting.bytes) : 0)
    );
  }
}

/** Subscribers on a netlink group, in a network namespace without other events. */
export class NetlinkPeer extends DaemonPeer {
  protected readonly fdsEach = 0;
  #idleSockets = 0;

  protected override daemonArgs(): readonly string[] {
    return ['--rebroadcast', '4'];
  }

  protected override daemonUnder(): readonly string[] {
    return ['unshare', '--net', '--'];
  }

  protected override noteIdle(): void {
    super.noteIdle();
    this.#idleSockets = netlinkCharge(this.daemon.pid).sockets;
  }

  protected override subscriberArgs(): {
    mode: string;
    rest: readonly string[];
    under: readonly string[];
  } {
    return {
      mode: 'netlink',
      rest: ['4'],
      under: ['nsenter', `--net=/proc/${this.daemon.pid}/ns/net`, '--'],
    };
  }

  protected override look(dead: readonly number[], alive: number): Leftovers {
    // The manager has no descriptor for a listener, so it counts sockets that are left.
    const { sockets } = netlinkCharge(this.daemon.pid);
    return {
      ...super.look(dead, alive),
      descriptors: Math.max(0, sockets - this.#idleSockets - alive),
    };
  }

  protected override lookAt(): { bytes: number; inodes: number } {
    return { bytes: netlinkCharge(this.daemon.pid).bytes, inodes: 0 };
  }

  /**
   * Receivers share the bytes of a message, but each is charged for them; each has a head of its
   * own.
   */
  protected override kernelBytes(events: number): number {
    if (events === 0) return 0;
    const copies = this.setting.subscribers * events;
    return (
      netlinkCharge(this.daemon.pid).bytes / this.setting.subscribers + copies * SKB_HEAD_BYTES
    );
  }
}
