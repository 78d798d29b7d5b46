/**
 * The design of vdev: hard-linked files in a tmpfs, and an s6 fifodir, with or without cleaners.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { mount, unmount } from '#native';
import { Program } from '../program.js';
import { DENTRY_BYTES, INODE_BYTES } from './kernel-memory.js';
import { type Leftovers, Peer, type Stored } from './peer.js';

const MNT_DETACH = 2;
const TMPFS_OPTIONS = 'size=2g,nr_inodes=8m,mode=0755';
/** The period in which the catch-all looks for dead processes. */
const CLEANER_PERIOD_MS = 1000;

export class FilesPeer extends Peer {
  #root = '';
  #idle = { bytes: 0, inodes: 0 };
  #cleaner: Program | null = null;

  constructor(
    setting: Peer['setting'],
    private readonly cleaned: boolean,
    private readonly scratch: string,
  ) {
    super(setting);
  }

  get #events(): string {
    return join(this.#root, 'events');
  }

  get #fifodir(): string {
    return join(this.#root, 'fifodir');
  }

  protected override async startManager(): Promise<void> {
    const root = mkdtempSync(join(this.scratch, 'files-'));
    mount('tmpfs', root, 'tmpfs', 0, TMPFS_OPTIONS);
    this.#root = root;
    for (const directory of [this.#events, join(this.#events, 'global'), this.#fifodir])
      mkdirSync(directory);
    if (this.cleaned)
      this.#cleaner = await Program.start('cleaner', [
        this.#events,
        this.#fifodir,
        CLEANER_PERIOD_MS,
      ]);
  }

  protected override async stopManager(): Promise<void> {
    await this.#cleaner?.end();
    if (this.#root === '') return;
    unmount(this.#root, MNT_DETACH);
    rmdirSync(this.#root);
  }

  /** Ends the catch-all. */
  async killCleaner(): Promise<void> {
    await this.#cleaner?.end();
    this.#cleaner = null;
  }

  protected override publisherArgs(): readonly string[] {
    return ['links', this.#events, this.#fifodir];
  }

  protected override subscriberArgs(): { mode: string; rest: readonly string[] } {
    return {
      mode: 'links',
      rest: [this.#events, this.#fifodir, ...(this.cleaned ? ['wrapped'] : [])],
    };
  }

  /** Returns no PID: the publisher is the event manager. */
  protected override managerPids(): readonly number[] {
    return [];
  }

  protected override noteIdle(): void {
    this.#idle = this.#used();
  }

  /** Counts the directories and FIFOs beyond those of live subscribers. */
  protected override look(_dead: readonly number[], alive: number): Leftovers {
    const { bytes, inodes } = this.#used();
    const fifos = readdirSync(this.#fifodir).length;
    const directories = readdirSync(this.#events).length - 1; // Without global.
    const ofLive = Math.min(alive, fifos) + Math.min(alive, directories);
    return {
      bytes: bytes - this.#idle.bytes,
      inodes: inodes - this.#idle.inodes - ofLive,
      descriptors: 0,
      processes: 0,
    };
  }

  override async store(events: number): Promise<Stored> {
    if (events === 0) return Promise.resolve({ manager: 0, kernel: 0 });
    const { bytes } = this.#used();
    const kernel =
      bytes - this.#idle.bytes + events * (INODE_BYTES + this.setting.subscribers * DENTRY_BYTES);
    return Promise.resolve({ manager: 0, kernel });
  }

  #used(): { bytes: number; inodes: number } {
    const { blocks, bfree, bsize, files, ffree } = statfsSync(this.#root);
    return { bytes: (blocks - bfree) * bsize, inodes: files - ffree };
  }
}
