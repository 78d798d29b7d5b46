/** Directories that a thread may watch by inotify, after a restart of the daemon. */
import * as assert from 'uvu/assert';
import { Journal } from '../../../fs/state/journal.js';
import { StateLayout, heapMemory } from '../../../fs/state/layout.js';
import { Recorder } from '../../../fs/state/recorder.js';
import { StateTable } from '../../../fs/state/table.js';
import { restoreTree } from '../../../fs/tree/restore/restore.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { encode } from '../fuse/structs.js';

const SIZES = { ring: 1024 * 1024, mailbox: 4096, half: 2 * 1024 * 1024 };
const LOG = { bytes: SIZES.ring, events: 64 };
/** The numbers of threads. They are no threads of this process. */
const HELPER = 2 ** 30;
const WATCHER = HELPER + 1;
const OTHER = HELPER + 2;

const watches = suite('a watched directory of the last daemon');

/** A kernel whose daemons end one after the other. */
class Restarted {
  readonly memory = heapMemory(StateLayout.bytes(SIZES));
  kernel = this.#start(Journal.create(this.memory, SIZES));
  readonly own = this.kernel.mkdir(`${process.pid}.own`);
  readonly log = this.kernel.lookup(1, 'log').nodeid;

  #start(journal: Journal): MemoryKernel {
    const kernel = MemoryKernel.started({ log: LOG, recorder: new Recorder(journal) });
    kernel.tree.inotify.notifierStarted(HELPER);
    kernel.tree.inotify.attach(() => undefined);
    return kernel;
  }

  restart(): void {
    this.commit();
    this.kernel.close();
    const layout = StateLayout.open(this.memory);
    this.kernel = this.#start(new Journal(layout));
    restoreTree(this.kernel.tree, new StateTable(layout));
  }

  /** Makes the request of inotify_add_watch(2), for both directories. */
  ask(pid: number): void {
    for (const directory of [this.own, this.log])
      this.kernel.ask('FUSE_GETATTR', directory, encode('fuse_getattr_in', {}), { pid });
    this.commit();
  }

  /** Makes the requests of a path walk through both directories. */
  walk(pid: number): void {
    this.ask(pid);
    for (const directory of [this.own, this.log])
      this.kernel.try('FUSE_LOOKUP', directory, Buffer.from('none\0'), { pid });
  }

  publish(...seqnums: number[]): void {
    for (const seqnum of seqnums) {
      this.kernel.event(seqnum);
      this.commit();
    }
  }

  /** Ends a transaction, as each reply does. */
  commit(): void {
    this.kernel.tree.recorder!.commit();
  }

  /** Returns the names of the next batch: each of them twice, because both directories have it. */
  announced(): string[] {
    const parts = this.kernel.tree.inotify.nextBatch()?.toString('latin1').split('\0') ?? [];
    return parts.filter((part) => part.startsWith('N')).map((part) => part.slice(1));
  }
}

watches('announces no event that was there before the first thread asked', () => {
  const daemons = new Restarted();
  daemons.publish(11, 12, 13);
  daemons.ask(WATCHER);
  for (let n = 0; n < 2; n++) {
    daemons.restart();
    assert.equal(daemons.announced(), []);
  }
  daemons.publish(14);
  daemons.restart();
  assert.equal(daemons.announced(), ['14', '14']);
  daemons.kernel.close();
});

watches('announces no event from a time at which no thread may have watched', () => {
  const daemons = new Restarted();
  daemons.walk(OTHER);
  daemons.publish(11, 12, 13);
  daemons.ask(WATCHER);
  daemons.restart();
  assert.equal(daemons.announced(), []);
  daemons.kernel.close();
});

watches('announces no event from before a thread asked after the last watcher was gone', () => {
  const daemons = new Restarted();
  daemons.ask(OTHER);
  daemons.publish(11);
  const { tree } = daemons.kernel;
  assert.equal(daemons.announced(), ['11', '11']);
  tree.inotify.batchDone([daemons.own, daemons.log]);
  daemons.publish(12, 13);
  daemons.ask(WATCHER);
  daemons.publish(14);
  daemons.restart();
  assert.equal(daemons.announced(), ['14', '14']);
  daemons.kernel.close();
});

watches('writes nothing for a thread that asks again without an event between', () => {
  const daemons = new Restarted();
  daemons.publish(11);
  daemons.walk(OTHER);
  const { journal } = daemons.kernel.tree.recorder!;
  const { length } = journal;
  for (let n = 0; n < 10; n++) daemons.walk(OTHER);
  daemons.ask(WATCHER);
  assert.is(journal.length, length);
  daemons.kernel.close();
});

watches.run();
