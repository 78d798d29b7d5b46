/**
 * A model of processes that make directories, read, write, wait, poll and die. It predicts each
 * result on a kernel in memory.
 */
import * as assert from 'uvu/assert';
import { FUSE_ROOT_ID } from '../../../fs/fuse/abi.js';
import { Child } from '../../support/memory/child.js';
import { type Pending, refusal } from '../../support/memory/connection.js';
import { MemoryKernel, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '../../support/memory/kernel.js';
import {
  CHILDREN,
  type Directory,
  type Entry,
  FIXED,
  KINDS,
  type Open,
  type Step,
} from './life-steps.js';

const POLLIN = 0x41;

const NOTHING = {
  directories: 0,
  owners: 0,
  handles: 0,
  parked: 0,
  unanswered: 0,
  groups: 0,
  waiting: 0,
  nodes: 0,
  known: 0,
};

/** The model beside a kernel in memory: each step is made on both and compared. */
export class World {
  readonly kernel = MemoryKernel.started({ log: { bytes: 256 * 1024, events: 4096 } });
  directories: Directory[] = [];
  /** The removed directories, with the nodes that the kernel knows of them. */
  readonly stale = new Map<number, Directory>();
  opens: Open[] = [];
  /** The blocked reads, in order. */
  waiting: { open: Open; pending: Pending }[] = [];
  #seqnum = 0;
  #key = 0;

  constructor(readonly children: Child[]) {}

  async perform(one: Step): Promise<void> {
    const { kernel } = this;
    switch (one.do) {
      case 'mkdir':
        return this.mkdir(this.children[one.child], one.label);
      case 'event':
        return this.event(one.kinds);
      case 'openStream':
        return this.openStream(one.filter);
      case 'hold':
        kernel.settles = false;
        return;
      case 'settle':
        return this.settle();
      case 'read':
        return this.pick(this.opens, one.which, (open) => this.read(open, one.room));
      case 'release':
        return this.pick(this.opens, one.which, (open) => this.release(open));
      case 'poll':
        return this.pick(this.opens, one.which, (open) => this.poll(open));
      case 'write':
        return this.pick(
          this.opens.filter(({ writes }) => writes),
          one.which,
          (open) => this.write(open, one.text),
        );
      case 'interrupt':
        return this.pick(this.waiting, one.which, ({ pending }) => kernel.interruptRead(pending));
      case 'forget':
        return this.pick([...kernel.known.keys()], one.which, (node) => this.forget(node));
      case 'die':
        return this.die(this.children[one.which % CHILDREN]);
      default:
        return this.pick(this.directories, one.which, (directory) =>
          this.performIn(directory, one),
        );
    }
  }

  performIn(directory: Directory, one: Step): void {
    switch (one.do) {
      case 'create':
        return this.create(directory, one.name, one.text, one.done);
      case 'setFilter':
        this.kernel.put(
          this.lookup(directory, '.filter'),
          `${KINDS[one.kind]}\n`,
          O_WRONLY | O_TRUNC,
        );
        directory.kind = one.kind;
        return;
      case 'openFile':
        return this.pick(directory.entries, one.entry, (entry) => this.openFile(directory, entry));
      case 'unlink':
        return this.pick(directory.entries, one.entry, ({ name }) =>
          this.unlink(directory, name, name),
        );
      case 'unlinkEnd': {
        const entry = one.entry % 2 === 0 ? directory.entries[0] : directory.entries.at(-1);
        return this.unlink(directory, one.entry % 2 === 0 ? 'head' : 'tail', entry?.name);
      }
      case 'rmdir':
        return this.rmdir(directory);
      case 'rmdirByOwner':
        return this.rmdir(directory, directory.owner);
      case 'openQueue':
        return this.openQueue(directory);
      case 'openDirectory':
        this.remember({
          fh: this.kernel.opendir(directory.node),
          node: directory.node,
          directory,
          kind: 'directory',
        });
        return;
      case 'list':
        return this.list(directory);
      default:
        throw new Error(`no step: ${one.do}`);
    }
  }

  pick<T>(from: readonly T[], number: number, then: (one: T) => void): void {
    if (from.length > 0) then(from[number % from.length]);
  }

  // ---- directories

  mkdir(owner: Child, label: number): void {
    const name = label === 0 ? String(owner.pid) : `name${owner.pid}`;
    if (!owner.alive)
      return assert.is(
        refusal(() => this.kernel.mkdir(name, owner.by)),
        'ESRCH',
      );
    if (this.directories.some((other) => other.name === name)) {
      return assert.is(
        refusal(() => this.kernel.mkdir(name, owner.by)),
        'EEXIST',
      );
    }
    const node = this.kernel.mkdir(name, owner.by);
    this.directories.push({
      name,
      owner,
      node,
      entries: [],
      next: 0,
      listedTo: -1,
      kind: 0,
      gone: false,
    });
  }

  rmdir(directory: Directory, by?: Child): void {
    const { entries, listedTo } = directory;
    const removable =
      by !== undefined ||
      entries.length === 0 ||
      entries.every(({ position, written }) => listedTo >= 0 && position >= listedTo && !written);
    assert.is(
      refusal(() => this.kernel.rmdir(directory.name, FUSE_ROOT_ID, by?.by)),
      removable ? 'none' : 'ENOTEMPTY',
    );
    if (removable) this.end(directory);
  }

  end(directory: Directory): void {
    directory.gone = true;
    this.directories = this.directories.filter((other) => other !== directory);
  }

  async die(child: Child): Promise<void> {
    if (!this.directories.some(({ owner }) => owner === child)) return; // it owns no directory
    await child.die();
    for (const directory of this.directories) if (directory.owner === child) this.end(directory);
    // The next request finds the directory gone.
    assert.equal(
      this.kernel.names(FUSE_ROOT_ID).slice(0, -FIXED),
      this.directories.map(({ name }) => name),
    );
  }

  list(directory: Directory): void {
    assert.equal(
      this.kernel.names(directory.node, 4096),
      directory.entries.map(({ name }) => name),
    );
    directory.listedTo = directory.next;
  }

  lookup(directory: Directory, name: string): number {
    const { nodeid } = this.kernel.lookup(directory.node, name);
    this.stale.set(nodeid, directory);
    this.stale.set(directory.node, directory);
    return nodeid;
  }

  // ---- events and files

  event(kinds: readonly number[]): void {
    const { kernel } = this;
    const { settles } = kernel;
    kernel.settles = false;
    for (const kind of kinds) {
      const more = `K=${kind}\n`;
      kernel.event(++this.#seqnum, more);
      const name = String(this.#seqnum);
      const own = `add@/devices/x\nACTION=add\n${more}SEQNUM=${name}\n`;
      for (const directory of this.directories) {
        if (directory.kind !== 0 && directory.kind !== kind) continue;
        directory.entries.push({
          name,
          position: directory.next++,
          written: false,
          text: own,
          writers: 0,
        });
        for (const open of this.opens)
          if (open.kind === 'queue' && open.directory === directory) open.due = true;
      }
      for (const open of this.opens) {
        if (open.kind !== 'stream' || (open.filter !== 0 && open.filter !== kind)) continue;
        open.rest += `${own}\n`;
        open.due = true;
      }
    }
    kernel.settles = settles;
    if (settles) kernel.settle();
  }

  create(directory: Directory, name: string, own: string, done: boolean): void {
    if (directory.entries.some((entry) => entry.name === name)) {
      return assert.is(
        refusal(() => this.kernel.create(directory.node, name)),
        'EEXIST',
      );
    }
    const { fh, nodeid } = this.kernel.create(directory.node, name, O_RDWR);
    this.stale.set(nodeid, directory);
    const entry: Entry = { name, position: directory.next++, written: true, text: '', writers: 1 };
    directory.entries.push(entry);
    const open = this.remember({ fh, node: nodeid, directory, kind: 'file', entry, writes: true });
    if (own !== '') this.write(open, own);
    if (done) this.release(open);
  }

  openFile(directory: Directory, entry: Entry): void {
    const node = this.lookup(directory, entry.name);
    this.remember({ fh: this.kernel.open(node, O_RDONLY), node, directory, kind: 'file', entry });
  }

  write(open: Open, own: string): void {
    const { directory, entry } = open;
    if (own === '') return;
    if (directory!.gone)
      return assert.is(
        refusal(() => this.kernel.write(open.fh, own)),
        'ESTALE',
      );
    assert.is(this.kernel.write(open.fh, own, entry!.text.length), own.length);
    entry!.text += own;
  }

  unlink(directory: Directory, name: string, means: string | undefined): void {
    assert.is(
      refusal(() => this.kernel.unlink(directory.node, name)),
      means === undefined ? 'ENOENT' : 'none',
    );
    directory.entries = directory.entries.filter((entry) => entry.name !== means);
  }

  // ---- open files

  remember(open: Pick<Open, 'fh' | 'node' | 'directory' | 'kind'> & Partial<Open>): Open {
    const whole = {
      filter: 0,
      rest: '',
      entry: null,
      writes: false,
      armed: null,
      due: false,
      ...open,
    };
    assert.not(
      this.opens.some(({ fh }) => fh === whole.fh),
      'a handle was given twice',
    );
    this.opens.push(whole);
    return whole;
  }

  openStream(filter: number): void {
    const node = this.kernel.walk(filter === 0 ? 'stream' : `match/${KINDS[filter]}`);
    this.remember({ fh: this.kernel.open(node), node, directory: null, kind: 'stream', filter });
  }

  openQueue(directory: Directory): void {
    const node = this.lookup(directory, '.stream');
    this.remember({ fh: this.kernel.open(node), node, directory, kind: 'queue' });
  }

  read(open: Open, room: number): void {
    const { kernel } = this;
    const { directory, entry, fh } = open;
    const stale = directory?.gone === true;
    if (open.kind === 'directory') {
      if (stale)
        return assert.is(
          refusal(() => kernel.readdir(fh)),
          'ESTALE',
        );
      const names = kernel.readdir(fh, 0, 65536).map(({ name }) => name);
      assert.equal(names, ['.', '..', ...directory!.entries.map(({ name }) => name)]);
      directory!.listedTo = directory!.next;
    } else if (open.kind === 'file') {
      if (stale)
        assert.is(
          refusal(() => kernel.read(fh)),
          'ESTALE',
        );
      else assert.is(kernel.read(fh, room), entry!.text.slice(0, room));
    } else {
      const pending = kernel.startRead(fh, room);
      this.waiting.push({ open, pending });
      if (pending.answer !== null) this.collect(this.waiting.length - 1);
    }
  }

  poll(open: Open): void {
    if (open.kind !== 'queue' && open.kind !== 'stream') return;
    const key = ++this.#key;
    if (open.directory?.gone === true)
      return assert.is(
        refusal(() => this.kernel.poll(open.fh, key)),
        'ESTALE',
      );
    const ready = this.kernel.poll(open.fh, key);
    assert.is(ready, this.ready(open) ? POLLIN : 0);
    open.armed = key;
    open.due = ready === 0;
  }

  release(open: Open): void {
    // the kernel sends no RELEASE during a read
    if (this.waiting.some((one) => one.open === open)) return;
    this.opens = this.opens.filter((other) => other !== open);
    if (open.writes) open.entry!.writers--;
    this.kernel.release(open.fh, open.kind === 'directory' ? 'FUSE_RELEASEDIR' : 'FUSE_RELEASE');
  }

  forget(node: number): void {
    if (
      this.opens.some((open) => open.node === node) ||
      this.directories.some((directory) => directory.node === node)
    )
      return;
    this.kernel.forget(node);
    this.stale.delete(node);
  }

  /** Returns true if a read of it would return bytes. */
  ready(open: Open): boolean {
    return (
      open.rest !== '' ||
      (open.kind === 'queue' && open.directory!.entries.some(({ writers }) => writers === 0))
    );
  }

  // ---- invariants

  settle(): void {
    this.kernel.settles = true;
    this.kernel.settle();
  }

  /** Checks a reply: it must be the next bytes that the open file owes. */
  collect(index: number): void {
    const [{ open, pending }] = this.waiting.splice(index, 1);
    const { errno, body } = pending.answer!;
    const got = body.toString('latin1');
    if (errno !== 0) {
      if (pending.result === 'ESTALE')
        assert.ok(open.directory?.gone, 'ESTALE while its directory is there');
      else assert.is(pending.result, 'EINTR');
      return;
    }
    assert.not(open.directory?.gone, `read '${got}' of what is gone`);
    assert.ok(got.length > 0, 'the end of the file');
    if (open.kind === 'queue') this.takeOff(open, got.length);
    assert.is(got, open.rest.slice(0, got.length));
    open.rest = open.rest.slice(got.length);
  }

  /**
   * Moves entries of `length` bytes in all from the directory to the bytes that its reader must
   * get.
   */
  takeOff(open: Open, length: number): void {
    const directory = open.directory!;
    while (open.rest.length < length) {
      const entry = directory.entries.find(({ writers }) => writers === 0);
      assert.ok(entry, 'more than there is');
      directory.entries = directory.entries.filter((other) => other !== entry);
      open.rest += `${entry.text}${entry.text.endsWith('\n') ? '\n' : '\n\n'}`;
    }
  }

  check(): void {
    const { kernel } = this;
    for (let index = 0; index < this.waiting.length;) {
      if (this.waiting[index].pending.answer === null) index++;
      else this.collect(index);
    }
    for (const { name, entries } of this.directories) {
      const real = kernel.tree.root.directories.get(name)!.queue;
      assert.equal(
        [...real.entries].map((entry) => entry.name),
        entries.map((entry) => entry.name),
      );
      assert.is(
        real.bytes,
        entries.reduce((sum, { text: own }) => sum + own.length, 0),
      );
    }
    for (const key of kernel.wakeUps.splice(0)) {
      const open = this.opens.find(({ armed }) => armed === key);
      assert.ok(open, 'a wake-up without a poll');
      open.armed = null;
    }
    assert.is(kernel.parked.size, this.waiting.length);
    assert.is(kernel.counts.handles, this.opens.length);
    for (const open of this.opens) {
      const waits = this.waiting.some((one) => one.open === open);
      const polled = open.armed !== null;
      assert.not((waits || polled) && open.directory?.gone, 'it waits for what is gone');
      if (kernel.settles)
        assert.not(
          (waits || (polled && open.due)) && this.ready(open),
          'it waits though there is something',
        );
    }
    for (const [node, directory] of this.stale)
      if (directory.gone)
        assert.is(
          refusal(() => kernel.getattr(node)),
          'ESTALE',
        );
    assert.equal(kernel.warnings, []);
  }

  /** Ends every process, by death or by leaving. */
  async endAll(byDeath: boolean): Promise<void> {
    this.settle();
    this.check();
    for (const directory of [...this.directories]) {
      if (byDeath) {
        await this.die(directory.owner);
      } else {
        for (const { name } of [...directory.entries]) this.unlink(directory, name, name);
        this.rmdir(directory);
      }
      this.check();
    }
    for (const { pending } of [...this.waiting]) this.kernel.interruptRead(pending);
    this.check();
    for (const open of [...this.opens]) this.release(open);
    this.stale.clear();
    this.kernel.forgetAll();
    assert.equal(this.kernel.counts, NOTHING);
    for (const { event } of this.kernel.bus.history.entries)
      assert.equal([event.links, event.opens], [1, 0]);
  }
}
