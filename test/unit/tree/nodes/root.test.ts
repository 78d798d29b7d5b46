/** The root directory, on the tree in memory. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { FUSE_ROOT_ID, SetattrValid } from '../../../../fs/fuse/abi.js';
import { Child } from '../../../support/memory/child.js';
import { refusal } from '../../../support/memory/connection.js';
import { suite } from '../../../support/runner/suite.js';
import { withKernel } from '../with-kernel.js';

const NAME_MAX = 255;

const DT_DIR = 4;
const DT_REG = 8;

/** The names that the root lists behind all directories. */
const FIXED = ['log', 'match', 'publish'];

const rootSuite = suite('the root directory');
const root = withKernel(rootSuite);

root(
  'lists process directories in the order of their creation, then log, match and publish, not stream',
  (kernel) => {
    kernel.mkdir(String(process.pid));
    kernel.mkdir('another');
    const entries = kernel.readdir(kernel.opendir(FUSE_ROOT_ID));
    assert.equal(
      entries.map(({ name, type }) => `${name} ${type}`),
      ['.', '..', 'own', String(process.pid), 'another', 'log', 'match']
        .map((name) => `${name} ${DT_DIR}`)
        .concat(`publish ${DT_REG}`),
    );
    for (const { name, ino } of entries.slice(2))
      assert.is(kernel.lookup(FUSE_ROOT_ID, name)['attr.ino'], ino, name);
  },
);

root('lets the kernel cache its own attributes only', (kernel, own) => {
  assert.is(kernel.getattr(FUSE_ROOT_ID).attr_valid, 1);
  assert.is(kernel.getattr(FUSE_ROOT_ID)['attr.mode'], 0o41777);
  for (const node of [own, kernel.walk('log'), kernel.walk('stream'), kernel.walk('own/.status')]) {
    assert.is(kernel.getattr(node).attr_valid, 0);
  }
});

root('accepts a directory with any name, a PID, or a PID with a label', (kernel) => {
  const { pid } = process;
  for (const name of [
    `${pid}`,
    `${pid}.label`,
    `${pid}.`,
    `${pid}.a.b`,
    '007',
    '1x',
    '-1',
    '.hidden',
    'x'.repeat(NAME_MAX),
    'two\nlines',
    '\xff',
  ]) {
    const directory = kernel.mkdir(name);
    assert.is(kernel.walk(name), directory);
    assert.match(kernel.cat(kernel.walk(`${name}/.status`)), `OWNER=${pid}\n`);
  }
});

root('refuses a directory without a possible owner', async (kernel) => {
  const dead = new Child();
  await dead.die();
  const mkdir = (name: string, by = {}) => refusal(() => kernel.mkdir(name, by));
  assert.is(mkdir('0'), 'ESRCH');
  assert.is(mkdir('2147483648'), 'ESRCH');
  assert.is(mkdir('9'.repeat(NAME_MAX)), 'ESRCH');
  assert.is(mkdir(String(dead.pid)), 'ESRCH');
  assert.is(mkdir('name', { pid: dead.pid }), 'ESRCH');
  assert.is(mkdir('name', { pid: 0 }), 'EPERM');
  assert.is(mkdir(String(process.pid), { pid: 0 }), 'EPERM');
  assert.is(mkdir('x'.repeat(NAME_MAX + 1)), 'ENAMETOOLONG');
  for (const name of ['own', 'log', 'match', 'publish', 'stream']) assert.is(mkdir(name), 'EEXIST');
  assert.is(kernel.counts.directories, 1);
  assert.is(kernel.counts.owners, 1);
});

root('keeps its fixed names and refuses files', (kernel) => {
  for (const name of ['log', 'match', 'publish', 'stream']) {
    assert.is(
      refusal(() => kernel.rmdir(name)),
      'EPERM',
    );
    assert.is(
      refusal(() => kernel.unlink(FUSE_ROOT_ID, name)),
      'EPERM',
    );
  }
  assert.is(
    refusal(() => kernel.rmdir('nothing')),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.create(FUSE_ROOT_ID, 'file')),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.create(FUSE_ROOT_ID, 'stream')),
    'EEXIST',
  );
});

root('has stable offsets while directories come and go, also with a small buffer', (kernel) => {
  for (let n = 0; n < 40; n++) kernel.mkdir(`d${n}`);
  const dh = kernel.opendir(FUSE_ROOT_ID);
  const seen: string[] = [];
  let n = 0;
  for (
    let got = kernel.readdir(dh, 0, 32);
    got.length > 0;
    got = kernel.readdir(dh, got[0].off, 32)
  ) {
    assert.is(got.length, 1);
    seen.push(got[0].name);
    if (/^d\d/.test(got[0].name) && n < 30) kernel.rmdir(`d${n++}`);
  }
  assert.equal(seen, [
    '.',
    '..',
    'own',
    ...Array.from({ length: 40 }, (_, d) => `d${d}`),
    ...FIXED,
  ]);
  assert.equal(kernel.names(FUSE_ROOT_ID).slice(1), [
    ...Array.from({ length: 10 }, (_, d) => `d${d + 30}`),
    ...FIXED,
  ]);
});

root(
  'lists every entry that stays exactly once, while others come and go and links are switched on and off',
  (kernel) => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          does: fc.constant('read' as const),
          size: fc.integer({ min: 32, max: 200 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          does: fc.constantFrom('mkdir' as const, 'rmdir' as const),
          n: fc.nat(11),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ does: fc.constant('links' as const), on: fc.boolean() }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const there = new Set(kernel.names(FUSE_ROOT_ID).filter((name) => /^p\d/.test(name)));
        const stayed = new Set([...there, 'own', ...FIXED]);
        const dh = kernel.opendir(FUSE_ROOT_ID);
        const seen: string[] = [];
        let [offset, isOver] = [0, false];
        const read = (size: number): void => {
          const got = kernel.readdir(dh, offset, size);
          isOver = got.length === 0 && size >= 64;
          if (got.length > 0) offset = got[got.length - 1].off;
          seen.push(...got.map(({ name }) => name));
        };
        for (const now of steps) {
          if (now.does === 'read') read(now.size);
          else if (now.does === 'links') kernel.tree.configure({ listsLinks: now.on });
          else if (now.does === 'mkdir' && !there.has(`p${now.n}`)) {
            kernel.mkdir(`p${now.n}`);
            there.add(`p${now.n}`);
          } else if (now.does === 'rmdir' && there.delete(`p${now.n}`)) {
            kernel.rmdir(`p${now.n}`);
            stayed.delete(`p${now.n}`);
          }
        }
        while (!isOver) read(64);
        kernel.releasedir(dh);
        for (const name of stayed)
          assert.is(seen.filter((one) => one === name).length, 1, `${name} of ${seen.join(' ')}`);
        const fixed = seen.filter((name) => FIXED.includes(name));
        assert.equal(fixed, FIXED);
        assert.is(seen[seen.length - 1], 'publish');
        assert.ok(
          seen.indexOf('log') >
            Math.max(
              ...[...stayed]
                .filter((name) => !FIXED.includes(name))
                .map((name) => seen.indexOf(name)),
            ),
        );
      }),
      { numRuns: 200 },
    );
    kernel.tree.configure({ listsLinks: false });
  },
);

root(
  'keeps its offsets below 2^31 for 32-bit programs, until there have been a billion directories',
  (kernel) => {
    const offsets = (): number[] =>
      kernel.readdir(kernel.opendir(FUSE_ROOT_ID)).map(({ off }) => off);
    assert.ok(offsets().every((off) => off < 2 ** 31));
    const { directories } = kernel.tree.root;
    Object.defineProperty(directories, 'nextPosition', { get: () => 2 ** 30 });
    assert.ok(
      offsets()
        .slice(-3)
        .every((off) => off > 2 ** 31),
    );
    assert.equal(kernel.names(FUSE_ROOT_ID, 32), ['own', ...FIXED]);
  },
);

root('has two more links than directories', (kernel) => {
  const links = (): number => kernel.getattr(FUSE_ROOT_ID)['attr.nlink'];
  const listed = (): number =>
    kernel
      .readdir(kernel.opendir(FUSE_ROOT_ID))
      .filter(({ type, name }) => type === DT_DIR && !name.startsWith('.')).length;
  assert.is(links(), 2 + 3);
  kernel.mkdir('one');
  kernel.mkdir('two');
  assert.is(links(), 2 + listed());
  kernel.rmdir('one');
  assert.is(links(), 2 + listed());
});

root('keeps a new mode and owner', (kernel) => {
  const { FATTR_MODE, FATTR_UID, FATTR_GID } = SetattrValid;
  kernel.setattr(FUSE_ROOT_ID, {
    valid: FATTR_MODE | FATTR_UID | FATTR_GID,
    mode: 0o40750,
    uid: 3,
    gid: 4,
  });
  const attr = kernel.getattr(FUSE_ROOT_ID);
  assert.equal([attr['attr.mode'], attr['attr.uid'], attr['attr.gid']], [0o40750, 3, 4]);
});

rootSuite.run();
