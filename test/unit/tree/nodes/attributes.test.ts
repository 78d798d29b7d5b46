/**
 * stat(2) of each kind of node: the times that an operation changes, and the same result after a
 * FORGET.
 */
import * as assert from 'uvu/assert';
import { SetattrValid as Valid } from '../../../../fs/fuse/abi.js';
import { NAMED_COUNT, NAMED_FIRST } from '../../../../fs/shared/id-allocator.js';
import { O_APPEND, O_WRONLY, MemoryKernel, cstring } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';

const attributes = suite('an attribute');

const S_IFIFO = 0o010600;
const S_IFSOCK = 0o140600;
const DOT_FILES = ['.stream', '.filter', '.since', '.status'];

/**
 * Returns a kernel with a directory that holds one of each kind, and the paths of all kinds of
 * nodes.
 */
function everything(): { kernel: MemoryKernel; own: number; paths: string[] } {
  const kernel = MemoryKernel.started();
  const own = kernel.mkdir('own', { uid: 1000, gid: 100 });
  kernel.make(own, 'file', 'text');
  kernel.mknod(own, 'fifo', S_IFIFO);
  kernel.mknod(own, 'socket', S_IFSOCK);
  kernel.symlink(own, 'link', 'file');
  kernel.event(1);
  const inside = ['file', 'fifo', 'socket', 'link', '1', 'head', 'tail', ...DOT_FILES].map(
    (name) => `own/${name}`,
  );
  const always = [
    'log',
    'log/1',
    'log/head',
    'log/tail',
    'log/.status',
    'match',
    'match/A==b',
    'match/SUBSYSTEM==net',
    'stream',
    'publish',
  ];
  return { kernel, own, paths: ['own', ...inside, ...always] };
}

/** Returns the stat of a path without its size, which may count the nodes that the kernel knows. */
function stat(kernel: MemoryKernel, path: string): Record<string, number> {
  const {
    attr_valid: _,
    attr_valid_nsec: __,
    ...shown
  } = kernel.getattr(kernel.walk(path)) as Record<string, number>;
  return Object.fromEntries(
    Object.entries(shown).filter(
      ([name]) => name.startsWith('attr.') && !['attr.size', 'attr.blocks'].includes(name),
    ),
  );
}

/** Waits until the clock has advanced by a difference that two times can show. */
function tick(): void {
  for (const start = Date.now(); Date.now() < start + 2;) continue;
}

attributes('is the same after a FORGET, for each kind of node', () => {
  const { kernel, paths } = everything();
  const before = paths.map((path) => stat(kernel, path));
  const { nodes } = kernel.counts;
  for (let round = 0; round < 3; round++) {
    kernel.forgetAll();
    assert.is(kernel.counts.nodes, 0);
    tick();
    kernel.walk('own/.status'); // in another order than before
    paths.toReversed().forEach((path) => stat(kernel, path));
    paths.forEach((path, n) => assert.equal(stat(kernel, path), before[n], path));
    assert.is(kernel.counts.nodes, nodes);
  }
  kernel.close();
});

attributes('st_ino identifies one file, through any lookups and forgets', () => {
  const { kernel, paths } = everything();
  const inos = new Map<number, string>();
  const see = (path: string): void => {
    const ino = stat(kernel, path)['attr.ino'];
    const event = path.replace(/^log\/(1|head|tail)$/, (_, name: string) =>
      name === '1' ? 'own/1' : `log/${name}`,
    );
    assert.is(inos.get(ino) ?? event, event, `${path} has the number of ${inos.get(ino)}`);
    inos.set(ino, event);
  };
  for (let round = 0; round < 5; round++) {
    for (const path of paths) see(path);
    kernel.mkdir(`more${round}`);
    kernel.event(2 + round);
    for (const name of ['head', ...DOT_FILES, String(2 + round)]) see(`more${round}/${name}`);
    for (let n = 0; n < 50; n++) see(`match/N==${round * 50 + n}`);
    kernel.forgetAll();
  }
  kernel.close();
});

attributes(
  'st_ino equals the number in readdir, for head and tail too, and a listing makes no nodes',
  () => {
    const { kernel, own } = everything();
    kernel.tree.configure({ listsLinks: true });
    kernel.forgetAll();
    kernel.walk('own');
    const { nodes } = kernel.counts;
    const listed = kernel.readdir(kernel.opendir(own)).slice(2);
    assert.is(kernel.counts.nodes, nodes);
    assert.equal(
      listed.map(({ name }) => name),
      ['file', '1', 'fifo', 'socket', 'link', 'head', 'tail'],
    );
    for (const { name, ino } of listed) assert.is(kernel.lookup(own, name)['attr.ino'], ino, name);
    kernel.close();
  },
);

attributes('st_ino of a stream of match/ is a small integer, different from all others', () => {
  const { kernel } = everything();
  for (const name of ['A==b', 'B==a', 'SUBSYSTEM==net,ACTION==add']) {
    const ino = stat(kernel, `match/${name}`)['attr.ino'];
    assert.ok(ino >= NAMED_FIRST && ino < NAMED_FIRST + NAMED_COUNT, `${ino}`);
  }
  kernel.close();
});

type Time = 'atime' | 'mtime' | 'ctime';

/** Returns the times of a path that an action changes. */
function changed(kernel: MemoryKernel, path: string, action: () => void): Time[] {
  const before = stat(kernel, path);
  tick();
  action();
  const after = stat(kernel, path);
  return (['atime', 'mtime', 'ctime'] as const).filter(
    (time) =>
      before[`attr.${time}`] !== after[`attr.${time}`] ||
      before[`attr.${time}nsec`] !== after[`attr.${time}nsec`],
  );
}

attributes('mtime of .filter changes with each way to change the filter', () => {
  const { kernel, own } = everything();
  const file = kernel.walk('own/.filter');
  const ways: [string, () => void][] = [
    ['write', () => kernel.put(file, 'A==b\n')],
    ['append', () => kernel.put(file, 'C==d\n', O_WRONLY | O_APPEND)],
    ['truncate', () => kernel.setattr(file, { valid: Valid.FATTR_SIZE, size: 0 })],
    [
      'setxattr',
      () =>
        kernel.ask(
          'FUSE_SETXATTR',
          own,
          Buffer.concat([
            Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]),
            cstring('user.eventfs.filter'),
            Buffer.from('A==b'),
          ]),
        ),
    ],
    ['removexattr', () => kernel.ask('FUSE_REMOVEXATTR', own, cstring('user.eventfs.filter'))],
  ];
  for (const [name, way] of ways)
    assert.equal(changed(kernel, 'own/.filter', way), ['mtime', 'ctime'], name);
  const others: [string, () => void][] = [
    ['an event', () => kernel.event(2)],
    ['a file', () => kernel.make(own, 'new', '')],
    ['a read', () => kernel.cat(file)],
    ['a bad filter', () => assert.throws(() => kernel.put(file, 'A==\n'))],
    [
      'utimensat of the directory',
      () => kernel.setattr(own, { valid: Valid.FATTR_MTIME, mtime: 1 }),
    ],
  ];
  for (const [name, other] of others) assert.equal(changed(kernel, 'own/.filter', other), [], name);
  kernel.close();
});

attributes('mtime of .since changes with a write that adds earlier events', () => {
  const kernel = MemoryKernel.started();
  for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
  kernel.mkdir('own');
  const file = kernel.walk('own/.since');
  assert.equal(
    changed(kernel, 'own/.since', () => kernel.put(file, '1\n')),
    ['mtime', 'ctime'],
  );
  assert.equal(
    changed(kernel, 'own/.since', () => kernel.put(file, '3\n')),
    [],
  );
  kernel.close();
});

attributes('ctime of the dot files changes with mode and owner of their directory', () => {
  const { kernel, own } = everything();
  for (const name of DOT_FILES) {
    assert.equal(
      changed(kernel, `own/${name}`, () =>
        kernel.setattr(own, { valid: Valid.FATTR_MODE, mode: 0o700 }),
      ),
      ['ctime'],
      name,
    );
    assert.equal(
      changed(kernel, `own/${name}`, () =>
        kernel.setattr(own, { valid: Valid.FATTR_UID, uid: 1001 }),
      ),
      ['ctime'],
      name,
    );
  }
  kernel.close();
});

attributes('times of stream and publish are settable, and chmod and chown change ctime', () => {
  const { kernel } = everything();
  for (const path of ['stream', 'publish']) {
    const node = kernel.walk(path);
    assert.equal(
      changed(kernel, path, () => kernel.setattr(node, { valid: Valid.FATTR_MODE, mode: 0o644 })),
      ['ctime'],
    );
    assert.equal(
      changed(kernel, path, () =>
        kernel.setattr(node, { valid: Valid.FATTR_UID | Valid.FATTR_GID, uid: 1, gid: 1 }),
      ),
      ['ctime'],
    );
    assert.equal(
      changed(kernel, path, () =>
        kernel.setattr(node, {
          valid: Valid.FATTR_ATIME | Valid.FATTR_MTIME,
          atime: 5,
          mtime: 6,
          mtimensec: 7,
        }),
      ),
      ['atime', 'mtime', 'ctime'],
    );
    const {
      'attr.atime': atime,
      'attr.mtime': mtime,
      'attr.mtimensec': mtimensec,
    } = stat(kernel, path);
    assert.equal([atime, mtime, mtimensec], [5, 6, 7]);
  }
  kernel.close();
});

attributes(
  'ctime of a FIFO, a socket and a symlink changes with rename and nothing else in the directory',
  () => {
    const { kernel, own } = everything();
    for (const [n, name] of ['fifo', 'socket', 'link'].entries()) {
      const node = kernel.lookup(own, name).nodeid;
      const move = (): void => {
        kernel.rename(own, name, own, `${name}2`);
        kernel.rename(own, `${name}2`, own, name);
      };
      assert.equal(changed(kernel, `own/${name}`, move), ['ctime']);
      assert.equal(
        changed(kernel, `own/${name}`, () => kernel.event(2 + n)),
        [],
      );
      assert.is(kernel.lookup(own, name).nodeid, node);
    }
    kernel.close();
  },
);

attributes.run();
