/**
 * The inotify queue (fs/tree/inotify/inotify-queue.ts) on the tree in memory, without a notifier.
 */
import * as assert from 'uvu/assert';
import { FUSE_ROOT_ID } from '../../../fs/fuse/abi.js';
import type { EventDirectory } from '../../../fs/tree/nodes/event-directory.js';
import { refusal } from '../../support/memory/connection.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { encode } from '../fuse/structs.js';

const notices = suite('the inotify queue');

/** Numbers of processes. They are no children of this process. */
const HELPER = 2 ** 30;
const WATCHER = 2 ** 30 + 1;
const OTHER = 2 ** 30 + 2;
const MOST_NAMES = 256;

function withKernel(sentence: string, body: (kernel: MemoryKernel) => void): void {
  notices(sentence, () => {
    const kernel = MemoryKernel.started();
    kernel.tree.inotify.notifierStarted(HELPER);
    kernel.tree.inotify.attach(() => undefined);
    try {
      body(kernel);
      assert.equal(kernel.warnings, []);
    } finally {
      kernel.close();
    }
  });
}

function one(kernel: MemoryKernel): EventDirectory {
  return kernel.tree.root.directories.get('one')!;
}

/** Returns the notices of the next batch, by the letters that they begin with. */
function batch(kernel: MemoryKernel): { askers: number[]; names: string[]; directories: number } {
  const parts = kernel.tree.inotify.nextBatch()?.toString('latin1').split('\0') ?? [];
  const of = (letter: string): string[] =>
    parts.filter((part) => part.startsWith(letter)).map((part) => part.slice(1));
  return {
    askers: of('S').map((text) => parseInt(text)),
    names: of('N'),
    directories: of('D').length,
  };
}

/** Completes a batch, and reports no watcher. */
function done(kernel: MemoryKernel, quiet: readonly number[] = []): void {
  kernel.tree.inotify.batchDone(quiet);
}

/** Makes the requests of inotify_add_watch(2) and stat(2). */
function ask(kernel: MemoryKernel, directory: number, pid: number): void {
  kernel.ask('FUSE_GETATTR', directory, encode('fuse_getattr_in', {}), { pid });
}

/** Makes a step of a path walk. */
function walk(kernel: MemoryKernel, directory: number, name: string, pid: number): void {
  ask(kernel, directory, pid);
  kernel.try('FUSE_LOOKUP', directory, Buffer.from(`${name}\0`), { pid });
}

function publish(kernel: MemoryKernel, from: number, to: number): void {
  for (let seqnum = from; seqnum <= to; seqnum++) kernel.event(seqnum);
}

withKernel('names the events that are still there, in order', (kernel) => {
  const directory = kernel.mkdir('one');
  ask(kernel, directory, WATCHER);
  publish(kernel, 11, 15);
  kernel.unlink(directory, '11');
  kernel.unlink(directory, '13');
  assert.equal(batch(kernel), { askers: [WATCHER], names: ['12', '14', '15'], directories: 1 });
});

withKernel('is empty if all events have been taken', (kernel) => {
  const directory = kernel.mkdir('one');
  ask(kernel, directory, WATCHER);
  publish(kernel, 11, 12);
  kernel.unlink(directory, '11');
  kernel.unlink(directory, '12');
  assert.is(kernel.tree.inotify.nextBatch(), null);
  publish(kernel, 13, 13);
  assert.equal(batch(kernel), { askers: [WATCHER], names: ['13'], directories: 1 });
});

withKernel('names some events of each directory, however many another directory has', (kernel) => {
  const directories = [kernel.mkdir('one'), kernel.mkdir('two'), kernel.mkdir('three')];
  for (const directory of directories) ask(kernel, directory, WATCHER);
  publish(kernel, 1, 1000);
  const heard: string[] = [];
  while (heard.length < 3000) {
    const { names, directories: some } = batch(kernel);
    assert.is(some, 3);
    assert.ok(names.length > 0 && names.length <= MOST_NAMES);
    heard.push(...names);
    done(kernel);
  }
  assert.equal(
    heard.sort(),
    [...Array(1000).keys()].flatMap((n) => Array<string>(3).fill(`${n + 1}`)).sort(),
  );
  assert.is(kernel.tree.inotify.nextBatch(), null);
});

withKernel('names events of every user, however many directories another user has', (kernel) => {
  for (let n = 0; n < 200; n++) ask(kernel, kernel.mkdir(`many-${n}`, { uid: 1000 }), WATCHER);
  ask(kernel, kernel.mkdir('few', { uid: 1001 }), OTHER);
  publish(kernel, 1, 50);
  const tree = kernel.tree.root.directories;
  assert.is(tree.get('few')!.uid, 1001);
  let batches = 0;
  for (let heard = 0; heard < 50; batches++) {
    const parts = kernel.tree.inotify.nextBatch()!.toString('latin1').split('\0');
    const at = parts.indexOf(`D${tree.get('few')!.ino} few`);
    assert.ok(at >= 0, 'the other user has no share');
    for (let n = at + 1; !parts[n].startsWith('D') && parts[n] !== '.'; n++)
      if (parts[n].startsWith('N')) heard++;
    done(kernel);
  }
  assert.ok(batches <= 4, `${batches} batches`);
});

withKernel(
  "keeps at most two queues' length of notices while the notifier is stopped",
  (kernel) => {
    const directory = kernel.mkdir('one');
    ask(kernel, directory, WATCHER);
    publish(kernel, 1, 1);
    assert.equal(batch(kernel).names, ['1']);
    const { limits } = one(kernel).queue;
    let most = 0;
    for (let n = 2; n <= 5 * limits.events; n++) {
      publish(kernel, n, n);
      if (n % 100 === 0) ask(kernel, directory, OTHER + n);
      most = Math.max(most, one(kernel).watch!.candidates!.pending.length);
    }
    assert.ok(most <= 2 * limits.events, `${most} are kept`);
    assert.ok(one(kernel).watch!.candidates!.askers.length <= 16);
    // Afterwards it names the events that are still there.
    done(kernel);
    const { names } = batch(kernel);
    assert.is(names[0], String(4 * limits.events + 1));
  },
);

withKernel(
  'hides an event from the notifier until it makes it, and skips one that has been taken',
  (kernel) => {
    const directory = kernel.mkdir('one');
    ask(kernel, directory, WATCHER);
    publish(kernel, 11, 12);
    assert.equal(batch(kernel).names, ['11', '12']);
    kernel.unlink(directory, '11');
    const errno = (name: string): string =>
      refusal(() =>
        kernel.ask('FUSE_LOOKUP', directory, Buffer.from(`${name}\0`), { pid: HELPER }),
      );
    assert.is(errno('11'), 'EALREADY');
    assert.is(errno('12'), 'ENOENT');
    assert.is(errno('13'), 'EALREADY');
  },
);

withKernel(
  'answers the notifier ENOENT for an event that was taken after its lookup, and for a name that is not announced',
  (kernel) => {
    const directory = kernel.mkdir('one');
    ask(kernel, directory, WATCHER);
    publish(kernel, 11, 12);
    batch(kernel);
    const errno = (name: string): string =>
      refusal(() => kernel.mknod(directory, name, 0o100440, { pid: HELPER }));
    assert.is(
      refusal(() => kernel.ask('FUSE_LOOKUP', directory, Buffer.from('11\0'), { pid: HELPER })),
      'ENOENT',
    );
    kernel.unlink(directory, '11');
    assert.is(errno('11'), 'ENOENT');
    kernel.make(directory, 'mine', 'x\n');
    assert.is(errno('mine'), 'ENOENT');
    kernel.mknod(directory, '12', 0o100440, { pid: HELPER });
    assert.equal(kernel.names(directory), ['12', 'mine']);
  },
);

withKernel('names the events again that the notifier had not made when it died', (kernel) => {
  const directory = kernel.mkdir('one');
  ask(kernel, directory, WATCHER);
  publish(kernel, 11, 13);
  assert.equal(batch(kernel).names, ['11', '12', '13']);
  assert.ok(kernel.tree.inotify.made(one(kernel), '11'));
  kernel.unlink(directory, '12');
  publish(kernel, 14, 14);
  kernel.tree.inotify.requeue();
  assert.equal(batch(kernel).names, ['13', '14']);
});

withKernel('has no watch candidate that only walks through a directory or lists it', (kernel) => {
  const directory = kernel.mkdir('one');
  walk(kernel, directory, 'head', WATCHER);
  publish(kernel, 11, 11);
  walk(kernel, directory, 'head', WATCHER);
  walk(kernel, directory, '11', WATCHER);
  ask(kernel, directory, WATCHER);
  kernel.ask('FUSE_UNLINK', directory, Buffer.from('11\0'), { pid: WATCHER });
  ask(kernel, directory, OTHER);
  kernel.ask('FUSE_OPENDIR', directory, encode('fuse_open_in', {}), { pid: OTHER });
  publish(kernel, 12, 12);
  assert.is(kernel.tree.inotify.nextBatch(), null);
});

withKernel(
  'has each asker as a watch candidate that walked afterwards, or while another walks',
  (kernel) => {
    const directory = kernel.mkdir('one');
    ask(kernel, directory, WATCHER);
    walk(kernel, directory, 'head', WATCHER);
    publish(kernel, 11, 11);
    assert.equal(batch(kernel).askers, [WATCHER]);
    done(kernel, [one(kernel).ino]);

    ask(kernel, directory, WATCHER);
    walk(kernel, directory, 'head', OTHER);
    publish(kernel, 12, 12);
    assert.equal(batch(kernel).askers, [WATCHER]);
    done(kernel, []);

    // Between its GETATTR and its next request, the thread may be about to watch.
    ask(kernel, directory, OTHER);
    publish(kernel, 13, 13);
    kernel.try('FUSE_LOOKUP', directory, Buffer.from('head\0'), { pid: OTHER });
    assert.ok(batch(kernel).askers.includes(OTHER));
  },
);

withKernel('does not name the files that users make', (kernel) => {
  const directory = kernel.mkdir('one');
  ask(kernel, directory, WATCHER);
  publish(kernel, 11, 11);
  kernel.link(
    kernel.lookup(kernel.lookup(FUSE_ROOT_ID, 'log').nodeid, '11').nodeid,
    directory,
    'linked',
  );
  publish(kernel, 12, 12);
  assert.equal(batch(kernel).names, ['11', '12']);
});

notices.run();
