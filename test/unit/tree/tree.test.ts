/** What the tree does, asked as the kernel asks it, without a mount: see test/support/kernel.ts. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { FUSE_ROOT_ID, SetattrValid } from '../../../fs/fuse/abi.js';
import {
  Child,
  MemoryKernel,
  O_APPEND,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  refusal,
} from '../../support/kernel.js';
import { type Suite, suite } from '../../support/suite.js';
import { encode, offsetOf } from '../fuse/structs.js';

const NAME_MAX = 255;
const DT_DIR = 4;
const DT_REG = 8;

/** A test with a kernel of its own and a directory of this process's, which must end with everything answered. */
function withKernel(of: Suite) {
  return (
    sentence: string,
    body: (kernel: MemoryKernel, own: number) => Promise<void> | void,
  ): void => {
    of(sentence, async () => {
      const kernel = MemoryKernel.started();
      try {
        await body(kernel, kernel.mkdir('own'));
        assert.equal(kernel.complaints, []);
      } finally {
        kernel.close();
      }
    });
  };
}

/** The text of `kernel.event(seqnum)`. */
function eventText(seqnum: number, more = 'SUBSYSTEM=mem\n'): string {
  return `add@/devices/x\nACTION=add\n${more}SEQNUM=${seqnum}\n`;
}

// ---- the root

/** What the root lists behind all directories. */
const FIXED = ['log', 'match', 'publish'];

const rootSuite = suite('the root');
const root = withKernel(rootSuite);

root(
  'lists directories in the order in which they were made, then what is always there but the stream, with no directory at the end',
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

root('may be cached for its own attributes, and for nothing else', (kernel, own) => {
  assert.is(kernel.getattr(FUSE_ROOT_ID).attr_valid, 1);
  assert.is(kernel.getattr(FUSE_ROOT_ID)['attr.mode'], 0o41777);
  for (const node of [own, kernel.walk('log'), kernel.walk('stream'), kernel.walk('own/.status')]) {
    assert.is(kernel.getattr(node).attr_valid, 0);
  }
});

root('takes a directory by any name, a PID or a PID with a label', (kernel) => {
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

root('refuses directories that nobody could own', async (kernel) => {
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
  assert.is(kernel.books.directories, 1);
  assert.is(kernel.books.owners, 1);
});

root('does not lose what is always there, and takes no files', (kernel) => {
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

root(
  'has offsets that stay right while directories come and go, however small the buffer',
  (kernel) => {
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
  },
);

root(
  'shows what stays throughout a listing exactly once, whatever is made and removed meanwhile, and links shown or not',
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
  'keeps its offsets within 31 bits, for 32-bit programs, and beyond only after a billion directories',
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

root('has as many links as it has directories, and two', (kernel) => {
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

root('takes a new mode and owner, and keeps them', (kernel) => {
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

// ---- events as files

const filesSuite = suite('a process directory');
const files = withKernel(filesSuite);

files('shows each event as a file of its SEQNUM, with its text and size', (kernel, own) => {
  kernel.event(1041);
  kernel.event(1042);
  assert.equal(kernel.names(own), ['1041', '1042']);
  const entry = kernel.lookup(own, '1041');
  assert.equal(
    [entry['attr.size'], entry['attr.mode'], entry['attr.nlink']],
    [eventText(1041).length, 0o100440, 2],
  ); // own and log
  assert.is(kernel.cat(entry.nodeid), eventText(1041));
  assert.is(kernel.lookup(kernel.walk('log'), '1041')['attr.ino'], entry['attr.ino']);
});

files('reads an event from any offset', (kernel) => {
  kernel.event(1);
  const fh = kernel.open(kernel.walk('own/1'));
  const text = eventText(1);
  for (const offset of [0, 1, text.length - 1, text.length, text.length + 1, 2 ** 40]) {
    assert.is(kernel.read(fh, 4, offset), text.slice(offset, offset + 4));
  }
});

files('is not read into the page cache, which would outlive its owner; log/ is', (kernel) => {
  kernel.event(1);
  for (const path of [
    'own/1',
    'own/.status',
    'own/.filter',
    'own/.stream',
    'stream',
    'match/A==1',
  ]) {
    assert.is(kernel.readIntoCache(kernel.open(kernel.walk(path))), 'EINVAL', path);
  }
  assert.is(kernel.readIntoCache(kernel.open(kernel.walk('log/1'))), eventText(1));
  assert.match(kernel.readIntoCache(kernel.open(kernel.walk('log/.status'))), 'SEQNUM=1\n');
});

files('has head and tail while it has events', (kernel, own) => {
  assert.is(
    refusal(() => kernel.lookup(own, 'head')),
    'ENOENT',
  );
  kernel.event(1);
  const [head, tail] = [kernel.lookup(own, 'head').nodeid, kernel.lookup(own, 'tail').nodeid];
  assert.equal([kernel.readlink(head), kernel.readlink(tail)], ['1', '1']);
  kernel.event(22);
  assert.equal([kernel.readlink(head), kernel.readlink(tail)], ['1', '22']);
  assert.equal([kernel.getattr(head)['attr.size'], kernel.getattr(tail)['attr.size']], [1, 2]);
  assert.is(kernel.getattr(head)['attr.mode'], 0o120777);
  kernel.unlink(own, '1');
  kernel.unlink(own, '22');
  assert.is(
    refusal(() => kernel.readlink(head)),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.lookup(own, 'tail')),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.unlink(own, 'head')),
    'ENOENT',
  );
  kernel.event(23);
  assert.is(kernel.readlink(kernel.lookup(own, 'head').nodeid), '23');
  assert.is(
    refusal(() => kernel.open(kernel.walk('own/head'))),
    'ELOOP',
  );
});

files('takes the oldest off with rm head and the newest with rm tail', (kernel, own) => {
  for (let seqnum = 1; seqnum <= 4; seqnum++) kernel.event(seqnum);
  kernel.unlink(own, 'head');
  assert.equal(kernel.names(own), ['2', '3', '4']);
  kernel.unlink(own, 'tail');
  assert.equal(kernel.names(own), ['2', '3']);
});

files(
  'finds the dot files and does not list them, nor let them be removed or made',
  (kernel, own) => {
    kernel.event(1);
    assert.equal(kernel.names(own), ['1']);
    for (const name of ['.stream', '.filter', '.status']) {
      assert.is(kernel.lookup(own, name).nodeid, kernel.lookup(own, name).nodeid);
      assert.is(
        refusal(() => kernel.unlink(own, name)),
        'EPERM',
      );
      assert.is(
        refusal(() => kernel.create(own, name)),
        'EEXIST',
      );
    }
    assert.is(
      refusal(() => kernel.lookup(own, '.other')),
      'ENOENT',
    );
  },
);

files('refuses what cannot be in it', (kernel, own) => {
  assert.is(
    refusal(() => kernel.create(own, 'head')),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.create(own, 'tail')),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.mkdir('directory', {}, 0o755, own)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.rmdir('directory', own)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.unlink(own, 'nothing')),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.lookup(kernel.walk('own/.status'), 'x')),
    'ENOTDIR',
  );
  assert.is(
    refusal(() => kernel.open(own)),
    'EISDIR',
  );
  assert.is(
    refusal(() => kernel.opendir(kernel.walk('own/.status'))),
    'ENOTDIR',
  );
  assert.is(
    refusal(() => kernel.readlink(own)),
    'EINVAL',
  );
});

files('does not let a delivered event be changed', (kernel) => {
  kernel.event(1);
  const node = kernel.walk('own/1');
  assert.is(
    refusal(() => kernel.open(node, O_WRONLY)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.open(node, O_RDWR | O_TRUNC)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.setattr(node, { valid: SetattrValid.FATTR_MODE, mode: 0o777 })),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.write(kernel.open(node), 'x')),
    'EBADF',
  );
  assert.is(kernel.cat(node), eventText(1));
});

files('takes names of 255 bytes and no longer ones, and line ends in them', (kernel, own) => {
  const names = [
    'x'.repeat(NAME_MAX),
    'two\nlines',
    'blank tab\t',
    '\xff\xfe',
    '\\',
    '..x',
    '...',
    '-rf',
  ];
  for (const name of names) kernel.make(own, name, `text of ${name.slice(0, 9)}`);
  assert.equal(kernel.names(own), names);
  for (const name of names)
    assert.is(kernel.cat(kernel.lookup(own, name).nodeid), `text of ${name.slice(0, 9)}`);
  assert.is(kernel.readlink(kernel.lookup(own, 'head').nodeid), names[0]);
  const long = 'x'.repeat(NAME_MAX + 1);
  assert.is(
    refusal(() => kernel.lookup(own, long)),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() => kernel.create(own, long)),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() => kernel.unlink(own, long)),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() => kernel.rmdir(long)),
    'ENAMETOOLONG',
  );
});

files('gives an event another name where a user has taken its own', (kernel, own) => {
  kernel.make(own, '7', 'mine');
  kernel.event(7);
  kernel.make(own, '8', 'mine');
  kernel.make(own, '8.1', 'mine');
  kernel.event(8);
  assert.equal(kernel.names(own), ['7', '7.1', '8', '8.1', '8.2']);
  assert.is(kernel.cat(kernel.walk('own/7.1')), eventText(7));
  kernel.forgetAll();
  assert.equal(kernel.names(kernel.walk('own')), ['7', '7.1', '8', '8.1', '8.2']);
  kernel.unlink(kernel.walk('own'), '8.2');
  assert.is(kernel.cat(kernel.walk('own/8')), 'mine');
});

// ---- files that users write

files('takes files that users write anywhere in them', (kernel, own) => {
  const { nodeid, fh } = kernel.create(own, 'file', O_RDWR, 0o640, { uid: 5, gid: 6 });
  assert.is(kernel.write(fh, 'world', 6), 5);
  assert.is(kernel.read(fh), '\0\0\0\0\0\0world');
  kernel.write(fh, 'hello ', 0);
  kernel.write(fh, '!', 0, O_APPEND);
  assert.is(kernel.read(fh), 'hello world!');
  kernel.setattr(nodeid, { valid: SetattrValid.FATTR_SIZE, size: 5 });
  kernel.setattr(nodeid, { valid: SetattrValid.FATTR_SIZE, size: 8 });
  assert.is(kernel.read(fh), 'hello\0\0\0');
  const attr = kernel.getattr(nodeid);
  assert.equal(
    [attr['attr.mode'], attr['attr.uid'], attr['attr.gid'], attr['attr.size'], attr['attr.nlink']],
    [0o100640, 5, 6, 8, 1],
  );
  assert.match(kernel.cat(kernel.walk('own/.status')), 'PENDING=1\nBYTES=8\n');
});

files('empties a file that is opened with O_TRUNC', (kernel, own) => {
  const node = kernel.make(own, 'file', 'long text');
  kernel.put(node, 'short');
  assert.is(kernel.cat(node), 'short');
  kernel.release(kernel.open(node, O_RDONLY | O_TRUNC));
  assert.is(kernel.cat(node), 'short');
});

files('takes a file of 64 KiB and not a byte more', (kernel, own) => {
  const { nodeid, fh } = kernel.create(own, 'file');
  const largest = 'x'.repeat(65536);
  assert.is(kernel.write(fh, largest), 65536);
  assert.is(
    refusal(() => kernel.write(fh, 'y', 65536)),
    'EFBIG',
  );
  assert.is(
    refusal(() => kernel.write(fh, 'y', 0, O_APPEND)),
    'EFBIG',
  );
  assert.is(
    refusal(() => kernel.write(fh, 'y', 2 ** 50)),
    'EFBIG',
  );
  assert.is(
    refusal(() => kernel.setattr(nodeid, { valid: SetattrValid.FATTR_SIZE, size: 65537 })),
    'EFBIG',
  );
  assert.is(kernel.cat(nodeid), largest);
});

files('keeps a file that is unlinked while it is open, until it is closed', (kernel, own) => {
  const { nodeid, fh } = kernel.create(own, 'file', O_RDWR);
  kernel.write(fh, 'still');
  kernel.unlink(own, 'file');
  assert.equal(kernel.names(own), []);
  kernel.write(fh, ' here', 5);
  assert.is(kernel.read(fh), 'still here');
  assert.is(kernel.getattr(nodeid)['attr.nlink'], 0);
  assert.match(kernel.cat(kernel.walk('own/.status')), 'BYTES=0\n');
  kernel.release(fh);
  assert.is(
    refusal(() => kernel.open(nodeid)),
    'ESTALE',
  );
});

files(
  'keeps an event that is unlinked while it is open, though the log has forgotten it',
  (kernel, own) => {
    kernel.event(1);
    const fh = kernel.open(kernel.lookup(own, '1').nodeid);
    kernel.unlink(own, '1');
    for (let seqnum = 2; seqnum < 5000; seqnum++) kernel.event(seqnum);
    assert.is(kernel.read(fh), eventText(1));
    kernel.release(fh);
  },
);

files('takes create, rm and create of one name', (kernel, own) => {
  const first = kernel.make(own, 'file', 'one');
  kernel.unlink(own, 'file');
  const second = kernel.make(own, 'file', 'two');
  assert.is.not(first, second);
  assert.is(kernel.cat(kernel.lookup(own, 'file').nodeid), 'two');
  assert.is(kernel.getattr(first)['attr.size'], 0);
});

files('gives times as they are set', (kernel, own) => {
  const node = kernel.make(own, 'file', 'x');
  const { FATTR_MTIME } = SetattrValid;
  for (const mtime of [0, 1, 2 ** 31, 2 ** 33]) {
    assert.is(
      kernel.setattr(node, { valid: FATTR_MTIME, mtime, mtimensec: 5 })['attr.mtime'],
      mtime,
    );
  }
});

files(
  'drops the oldest when a file grows too large for it, and may drop the file itself',
  (kernel, own) => {
    const block = 'x'.repeat(65536);
    const { nodeid, fh } = kernel.create(own, 'first', O_RDWR);
    for (let n = 0; n < 64; n++) kernel.make(own, `f${n}`, block);
    assert.match(kernel.cat(kernel.walk('own/.status')), 'PENDING=65\nBYTES=4194304\nLOST=0\n');
    kernel.write(fh, 'hello'); // the oldest is the one that grows
    assert.match(kernel.cat(kernel.walk('own/.status')), 'PENDING=64\nBYTES=4194304\nLOST=1\n');
    assert.is(kernel.read(fh), 'hello');
    assert.is(kernel.getattr(nodeid)['attr.nlink'], 0);
    kernel.release(fh);
  },
);

// ---- readdir

files(
  'has offsets that stay right while files are unlinked and made, however small the buffer',
  (kernel, own) => {
    for (let seqnum = 100; seqnum < 160; seqnum++) kernel.event(seqnum);
    const dh = kernel.opendir(own);
    const seen: string[] = [];
    let made = 160;
    for (
      let got = kernel.readdir(dh, 0, 32);
      got.length > 0;
      got = kernel.readdir(dh, got[0].off, 32)
    ) {
      assert.is(got.length, 1);
      seen.push(got[0].name);
      // libudev and rm -r take off what they have just read, and more comes behind.
      if (seen.length > 2) kernel.unlink(own, got[0].name);
      if (made < 170) kernel.event(made++);
    }
    assert.equal(seen, ['.', '..', ...Array.from({ length: 60 }, (_, n) => String(100 + n))]);
    // What came after the listing began is in the next, which rewinddir(3) begins.
    const rest = Array.from({ length: 10 }, (_, n) => String(160 + n));
    assert.equal(
      kernel
        .readdir(dh)
        .slice(2)
        .map(({ name }) => name),
      rest,
    );
    assert.equal(kernel.names(own), rest);
  },
);

files(
  'lists from an offset again and again the same, whatever was unlinked before it',
  (kernel, own) => {
    for (let seqnum = 10; seqnum < 50; seqnum++) kernel.event(seqnum);
    const dh = kernel.opendir(own);
    const all = kernel.readdir(dh);
    const middle = all.find(({ name }) => name === '29')!;
    const expected = all.slice(all.indexOf(middle) + 1).map(({ name }) => name);
    for (let seqnum = 10; seqnum < 30; seqnum++) {
      kernel.unlink(own, String(seqnum));
      assert.equal(
        kernel.readdir(dh, middle.off).map(({ name }) => name),
        expected,
      );
    }
    assert.equal(kernel.readdir(dh, all[all.length - 1].off), []);
    assert.equal(kernel.readdir(dh, 2 ** 60), []);
  },
);

files('gives in readdir the inode numbers and types of stat', (kernel, own) => {
  kernel.event(1);
  kernel.make(own, 'file', 'x');
  const entries = kernel.readdir(kernel.opendir(own));
  assert.equal(
    entries.map(({ name, type }) => [name, type]),
    [
      ['.', DT_DIR],
      ['..', DT_DIR],
      ['1', DT_REG],
      ['file', DT_REG],
    ],
  );
  assert.equal(
    entries.map(({ ino }) => ino),
    [
      kernel.getattr(own)['attr.ino'],
      kernel.getattr(FUSE_ROOT_ID)['attr.ino'],
      kernel.lookup(own, '1')['attr.ino'],
      kernel.lookup(own, 'file')['attr.ino'],
    ],
  );
  assert.is(new Set(entries.map(({ ino }) => ino)).size, 4);
});

// ---- lookups

files('is forgotten node by node, and what is forgotten is found again', (kernel, own) => {
  kernel.event(1);
  const nodes = () => kernel.status('NODES');
  assert.is(nodes(), 2); // the root and own
  const first = kernel.lookup(own, '1').nodeid;
  assert.is(kernel.lookup(own, '1').nodeid, first);
  for (const name of ['head', 'tail', '.stream', '.filter', '.status']) kernel.lookup(own, name);
  assert.is(nodes(), 8);
  kernel.forget(first, 1);
  assert.is(kernel.getattr(first)['attr.size'], eventText(1).length);
  kernel.forget(first, 1);
  assert.is(
    refusal(() => kernel.getattr(first)),
    'ESTALE',
  );
  const second = kernel.lookup(own, '1').nodeid;
  assert.is.not(second, first);
  assert.is(kernel.cat(second), eventText(1));
  kernel.forgetAll();
  assert.is(nodes(), 1);
  assert.is(kernel.walk('own'), own);
  assert.equal(kernel.names(own), ['1']);
});

files(
  'knows a file by one node as long as the kernel does, whatever happens to its name',
  (kernel, own) => {
    const node = kernel.make(own, 'file', 'x');
    kernel.lookup(own, 'file');
    kernel.unlink(own, 'file');
    const other = kernel.make(own, 'file', 'y');
    kernel.forget(node);
    assert.is(kernel.lookup(own, 'file').nodeid, other);
    kernel.forget(other);
    assert.is(kernel.cat(kernel.lookup(own, 'file').nodeid), 'y');
  },
);

files('does not mind being told to forget what it has not named', (kernel, own) => {
  kernel.batchForget([
    { nodeid: FUSE_ROOT_ID, nlookup: 100 },
    { nodeid: 2 ** 40, nlookup: 1 },
    { nodeid: own, nlookup: 100 },
  ]);
  assert.is(kernel.status('NODES'), 1);
  assert.is(kernel.getattr(FUSE_ROOT_ID)['attr.mode'], 0o41777);
  assert.is(kernel.walk('own'), own);
});

filesSuite.run();

// ---- rmdir

const rmdirSuite = suite('rmdir');
const rmdir = withKernel(rmdirSuite);
const remove = (kernel: MemoryKernel) => refusal(() => kernel.rmdir('own'));

rmdir('takes a directory that is empty, listed or not', (kernel, own) => {
  kernel.names(own);
  assert.is(remove(kernel), 'none');
  kernel.mkdir('own');
  assert.is(remove(kernel), 'none');
  assert.is(kernel.books.owners, 0);
});

rmdir('refuses a directory with events that nobody has listed', (kernel) => {
  kernel.event(1);
  assert.is(remove(kernel), 'ENOTEMPTY');
});

rmdir('refuses a directory with events that a listing has shown', (kernel, own) => {
  kernel.event(1);
  kernel.event(2);
  kernel.names(own);
  kernel.unlink(own, '2');
  assert.is(remove(kernel), 'ENOTEMPTY');
  kernel.unlink(own, '1');
  assert.is(remove(kernel), 'none');
});

rmdir(
  'takes a directory with nothing but events that came after it was listed to the end',
  (kernel, own) => {
    kernel.event(1);
    kernel.names(own);
    kernel.event(2);
    assert.is(remove(kernel), 'ENOTEMPTY');
    kernel.unlink(own, '1');
    assert.is(remove(kernel), 'none');
  },
);

rmdir('takes a directory whose events came after it was listed as empty', (kernel, own) => {
  kernel.names(own);
  kernel.event(1);
  assert.is(remove(kernel), 'none');
});

rmdir('refuses a directory that was listed only in part', (kernel, own) => {
  kernel.event(1);
  kernel.event(2);
  const dh = kernel.opendir(own);
  kernel.readdir(dh, 0, 24 * 2 + 16 + 32); // ., .. and 1
  kernel.unlink(own, '1');
  assert.is(remove(kernel), 'ENOTEMPTY');
});

rmdir(
  'takes a directory whose events came while it was listed, for the listing does not show them',
  (kernel, own) => {
    kernel.event(1);
    const dh = kernel.opendir(own);
    const [, , first] = kernel.readdir(dh);
    kernel.event(2);
    assert.equal(kernel.readdir(dh, first.off), []);
    kernel.unlink(own, '1');
    assert.is(remove(kernel), 'none');
  },
);

rmdir(
  'refuses a directory with events that a younger listing has shown, though an older one ends last',
  (kernel, own) => {
    const older = kernel.opendir(own);
    kernel.event(1);
    kernel.names(own);
    kernel.readdir(older, 2);
    assert.is(remove(kernel), 'ENOTEMPTY');
  },
);

rmdir('refuses a directory with a file that a user has written, listed or not', (kernel, own) => {
  kernel.names(own);
  kernel.make(own, 'file', 'x');
  assert.is(remove(kernel), 'ENOTEMPTY');
});

rmdir('frees the name for another directory, which has nothing of the old one', (kernel, own) => {
  kernel.put(kernel.walk('own/.filter'), 'SUBSYSTEM==none\n');
  kernel.rmdir('own');
  const next = kernel.mkdir('own');
  assert.is.not(next, own);
  kernel.event(1);
  assert.equal(kernel.names(next), ['1']);
});

rmdirSuite.run();

// ---- .filter and .status

const filterSuite = suite('.filter');
const filter = withKernel(filterSuite);
const shown = (kernel: MemoryKernel) => kernel.cat(kernel.walk('own/.filter'));

filter('is empty at first, and everything is taken', (kernel, own) => {
  assert.is(shown(kernel), '');
  kernel.event(1);
  assert.equal(kernel.names(own), ['1']);
});

filter('takes what is written for what matches', (kernel, own) => {
  const node = kernel.walk('own/.filter');
  kernel.put(node, 'SUBSYSTEM=block\n');
  assert.is(shown(kernel), 'SUBSYSTEM==block\n');
  assert.is(kernel.getattr(node)['attr.size'], shown(kernel).length);
  kernel.event(1);
  kernel.event(2, 'SUBSYSTEM=block\n');
  assert.equal(kernel.names(own), ['2']);
  assert.match(kernel.cat(kernel.walk('own/.status')), 'FILTER=SUBSYSTEM==block\n');
});

filter(
  'keeps the old filter until a new one is written, and none when nothing is',
  (kernel, own) => {
    const node = kernel.walk('own/.filter');
    kernel.put(node, 'SUBSYSTEM==block\n');
    const fh = kernel.open(node, O_WRONLY | O_TRUNC);
    kernel.event(1);
    assert.equal(kernel.names(own), []);
    kernel.release(fh);
    assert.is(shown(kernel), '');
    kernel.event(2);
    assert.equal(kernel.names(own), ['2']);
  },
);

filter('takes no part of a bad one, and says EINVAL', (kernel) => {
  const node = kernel.walk('own/.filter');
  kernel.put(node, 'SUBSYSTEM==block\n');
  for (const bad of [
    'SUBSYSTEM',
    'SUBSYSTEM==a ACTION==b',
    '==x',
    '\0',
    'ACTION==add\nSUBSYSTEM',
  ]) {
    assert.is(
      refusal(() => kernel.put(node, bad)),
      'EINVAL',
      bad,
    );
    assert.is(shown(kernel), 'SUBSYSTEM==block\n');
  }
});

filter('takes alternatives that are appended, or written line by line', (kernel) => {
  const node = kernel.walk('own/.filter');
  kernel.put(node, 'SUBSYSTEM=block\n');
  kernel.put(node, 'SUBSYSTEM=net\n', O_WRONLY | O_APPEND);
  assert.is(shown(kernel), 'SUBSYSTEM==block\nSUBSYSTEM==net\n');
  const fh = kernel.open(node, O_WRONLY | O_TRUNC);
  let at = 0;
  for (const line of ['# a comment\n', 'ACTION=add\n', '\n', 'ACTION=remove\n'])
    at += kernel.write(fh, line, at);
  kernel.release(fh);
  assert.is(shown(kernel), 'ACTION==add\nACTION==remove\n');
});

filter('refuses a write anywhere else', (kernel) => {
  const node = kernel.walk('own/.filter');
  kernel.put(node, 'SUBSYSTEM==block\n');
  const fh = kernel.open(node, O_WRONLY);
  assert.is(
    refusal(() => kernel.write(fh, 'ACTION==add', 3)),
    'EINVAL',
  );
  assert.is(
    refusal(() => kernel.write(fh, 'ACTION==add', 2 ** 40)),
    'EINVAL',
  );
  assert.is(shown(kernel), 'SUBSYSTEM==block\n');
  kernel.release(fh);
});

filter('is taken off by truncate, and not cut', (kernel) => {
  const node = kernel.walk('own/.filter');
  kernel.put(node, 'SUBSYSTEM==block\n');
  const { FATTR_SIZE, FATTR_MODE } = SetattrValid;
  assert.is(
    refusal(() => kernel.setattr(node, { valid: FATTR_SIZE, size: 3 })),
    'EINVAL',
  );
  assert.is(
    refusal(() => kernel.setattr(node, { valid: FATTR_MODE, mode: 0o777 })),
    'EPERM',
  );
  assert.is(shown(kernel), 'SUBSYSTEM==block\n');
  kernel.setattr(node, { valid: FATTR_SIZE, size: 0 });
  assert.is(shown(kernel), '');
});

filter('does not keep out what tells of a loss', (kernel, own) => {
  kernel.put(kernel.walk('own/.filter'), 'SUBSYSTEM==none\n');
  kernel.event(1);
  kernel.bus.publishLoss(5);
  assert.equal(kernel.names(own), ['1.1']);
  assert.match(kernel.cat(kernel.walk('own/1.1')), /^overflow@\/eventfs\n[^]*LOST=5\n$/);
});

filterSuite.run();

// ---- publish

const publishSuite = suite('publish');
const publish = withKernel(publishSuite);

/** Writes one after the other through one open file, as a shell does; gives the events that came of it. */
function published(kernel: MemoryKernel, own: number, writes: readonly string[]): string[] {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  for (const text of writes) assert.is(kernel.write(fh, text), text.length);
  kernel.release(fh);
  return kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid));
}

const CHANGE = 'change@/my/thing\nACTION=change\nSUBSYSTEM=mine\n';

publish('makes one event of each write', (kernel, own) => {
  assert.equal(published(kernel, own, [CHANGE, `${CHANGE}A=1\n`, CHANGE.slice(0, -1)]), [
    CHANGE,
    `${CHANGE}A=1\n`,
    CHANGE,
  ]);
  assert.equal(kernel.names(own), ['0.1', '0.2', '0.3']);
});

publish('takes several records in one write, each ended by an empty line', (kernel, own) => {
  const got = published(kernel, own, ['a@/1\nK=1\n\nb@/2\n\n\nc@/3\nK=3\n\n', 'd@/4\nK=4\n']);
  assert.equal(got, ['a@/1\nK=1\n', 'b@/2\n', 'c@/3\nK=3\n', 'd@/4\nK=4\n']);
});

publish(
  'takes of several what comes before one that is none, or is not ended, and says how much that was',
  (kernel, own) => {
    const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
    assert.is(kernel.write(fh, 'a@/1\nK=1\n\nb@/2\nnot one\n\n'), 'a@/1\nK=1\n\n'.length);
    assert.is(
      refusal(() => kernel.write(fh, 'b@/2\nnot one\n\nc@/3\n\n')),
      'EINVAL',
    );
    assert.is(kernel.write(fh, 'd@/4\nK=4\n\ne@/5\nK='), 'd@/4\nK=4\n\n'.length);
    kernel.release(fh);
    assert.equal(
      kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
      ['a@/1\nK=1\n', 'd@/4\nK=4\n'],
    );
  },
);

publish("takes the kernel's own form", (kernel, own) => {
  assert.equal(published(kernel, own, [CHANGE.replaceAll('\n', '\0')]), [CHANGE]);
});

publish('puts together what bash writes line by line', (kernel, own) => {
  const lines = ['change@/my/thing\n', 'ACTION=change\n', 'SUBSYSTEM=mine\n'];
  assert.equal(published(kernel, own, lines), [CHANGE]);
});

publish('begins another event with another header, an empty line or a whole one', (kernel, own) => {
  const got = published(kernel, own, [
    'a@/1\n',
    'K=1\n',
    'b@/2\n',
    'K=2\n',
    '\n',
    'c@/3',
    'K=3',
    'd@/4\nK=4\n',
    'e@/5\n',
  ]);
  assert.equal(got, ['a@/1\nK=1\n', 'b@/2\nK=2\n', 'c@/3\nK=3\n', 'd@/4\nK=4\n', 'e@/5\n']);
});

publish('keeps apart what two write at once', (kernel, own) => {
  const node = kernel.walk('publish');
  const [one, other] = [kernel.open(node, O_WRONLY), kernel.open(node, O_WRONLY)];
  kernel.write(one, 'a@/1\n');
  kernel.write(other, 'b@/2\n');
  kernel.write(one, 'K=1\n');
  kernel.write(other, 'K=2\n');
  kernel.release(other);
  kernel.release(one);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['b@/2\nK=2\n', 'a@/1\nK=1\n'],
  );
});

publish('refuses what is no event with EINVAL and what is too large with EFBIG', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  for (const bad of [
    'x',
    '\n',
    'K=1\n',
    'a@/1\nK\n',
    'a@/1\n=1\n',
    'a@/1\nSEQNUM=x\n',
    'a@/1\0K=1',
    '\0',
  ]) {
    assert.is(
      refusal(() => kernel.write(fh, bad)),
      'EINVAL',
      JSON.stringify(bad),
    );
  }
  for (const bad of [`a@/1\nK=${'v'.repeat(65536)}\n`, 'x'.repeat(128 * 1024)]) {
    assert.is(
      refusal(() => kernel.write(fh, bad)),
      'EFBIG',
    );
  }
  kernel.release(fh);
  assert.equal(kernel.names(own), []);
});

publish('publishes nothing of an event with a line that is none', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  kernel.write(fh, 'a@/1\n');
  assert.is(
    refusal(() => kernel.write(fh, 'not a property\n')),
    'EINVAL',
  );
  kernel.write(fh, 'b@/2\n');
  kernel.release(fh);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['b@/2\n'],
  );
});

publish('publishes the event that was begun when the one behind it is refused', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  kernel.write(fh, 'a@/1\n');
  assert.is(
    refusal(() => kernel.write(fh, 'b@/2\nnot a property\n')),
    'EINVAL',
  );
  kernel.release(fh);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['a@/1\n'],
  );
});

publish('refuses what stands behind an empty line, rather than lose it', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  kernel.write(fh, 'a@/1\n');
  assert.is(
    refusal(() => kernel.write(fh, '\nb@/2\nK=2\n')),
    'EINVAL',
  );
  kernel.write(fh, 'c@/3\n');
  kernel.write(fh, '\n\n');
  kernel.release(fh);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['c@/3\n'],
  );
});

publish('gives its events to log/, to directories and to streams alike', (kernel, own) => {
  const fh = kernel.open(kernel.walk('stream'));
  assert.equal(published(kernel, own, [CHANGE]), [CHANGE]);
  assert.is(kernel.cat(kernel.walk('log/0.1')), CHANGE);
  assert.is(kernel.read(fh), `${CHANGE}\n`);
});

publish('cannot be read, and is always ready to be written', (kernel) => {
  const fh = kernel.open(kernel.walk('publish'), O_RDWR);
  assert.is(
    refusal(() => kernel.read(fh)),
    'EINVAL',
  );
  assert.is(kernel.poll(fh, 1), 0x104);
});

publishSuite.run();

// ---- log/ and match/

const logSuite = suite('log/');
const log = withKernel(logSuite);

log('lists the last events, and lets nobody change them', (kernel) => {
  for (let seqnum = 1; seqnum <= 1030; seqnum++) kernel.event(seqnum);
  const node = kernel.walk('log');
  const names = kernel.names(node);
  assert.equal([names.length, names[0], names[1023]], [1024, '7', '1030']);
  assert.is(kernel.readlink(kernel.lookup(node, 'head').nodeid), '7');
  assert.is(
    refusal(() => kernel.unlink(node, '7')),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.unlink(node, 'head')),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.create(node, 'file')),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.mkdir('directory', {}, 0o755, node)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.setattr(node, { valid: SetattrValid.FATTR_MODE, mode: 0o777 })),
    'EPERM',
  );
});

log(
  'has a listing that goes on while it forgets, and ends where the log ended when it began',
  (kernel) => {
    for (let seqnum = 1; seqnum <= 1024; seqnum++) kernel.event(seqnum);
    const dh = kernel.opendir(kernel.walk('log'));
    const seen: string[] = [];
    for (
      let got = kernel.readdir(dh, 0, 4096), next = 1025;
      got.length > 0;
      got = kernel.readdir(dh, got[got.length - 1].off, 4096)
    ) {
      seen.push(...got.map(({ name }) => name));
      for (let n = 0; n < 10 && next <= 1100; n++) kernel.event(next++);
    }
    const numbers = seen.slice(2).map(Number);
    assert.equal(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
    assert.is(new Set(numbers).size, numbers.length);
    assert.is(numbers[numbers.length - 1], 1024); // what came later is in the next listing
  },
);

log('tells of the daemon in .status', (kernel) => {
  kernel.event(3);
  const text = kernel.cat(kernel.walk('log/.status'));
  for (const line of [
    `DAEMON=${process.pid}`,
    'SEQNUM=3',
    'KERNEL=1',
    'PUBLISHED=0',
    'DIRECTORIES=1',
    'OWNERS=1',
    'STREAMS=0',
  ]) {
    assert.match(text, `${line}\n`);
  }
});

logSuite.run();

const matchSuite = suite('match/');
const match = withKernel(matchSuite);

match('has a stream for each filter, and lists none', (kernel) => {
  const node = kernel.walk('match');
  const block = kernel.open(kernel.lookup(node, 'SUBSYSTEM=block,ACTION=add').nodeid);
  const net = kernel.open(kernel.lookup(node, 'SUBSYSTEM==net').nodeid);
  kernel.event(1, 'SUBSYSTEM=block\n');
  kernel.event(2, 'SUBSYSTEM=net\n');
  kernel.event(3, 'SUBSYSTEM=block\n');
  assert.is(
    kernel.read(block),
    `${eventText(1, 'SUBSYSTEM=block\n')}\n${eventText(3, 'SUBSYSTEM=block\n')}\n`,
  );
  assert.is(kernel.read(net), `${eventText(2, 'SUBSYSTEM=net\n')}\n`);
  assert.equal(kernel.names(node), []);
});

match(
  'counts filters that say the same as one, and forgets them with their last stream',
  (kernel) => {
    const node = kernel.walk('match');
    const [one, other] = ['SUBSYSTEM=net', 'SUBSYSTEM == net '].map((name) =>
      kernel.open(kernel.lookup(node, name).nodeid),
    );
    assert.is(kernel.books.groups, 1);
    kernel.release(one);
    assert.is(kernel.books.groups, 1);
    kernel.release(other);
    assert.is(kernel.books.groups, 0);
  },
);

match('knows no name that is no filter', (kernel) => {
  const node = kernel.walk('match');
  for (const name of ['SUBSYSTEM', '==', 'a b', 'x'.repeat(255)])
    assert.is(
      refusal(() => kernel.lookup(node, name)),
      'EINVAL',
    );
  assert.is(
    refusal(() => kernel.lookup(node, `A==${'x'.repeat(253)}`)),
    'ENAMETOOLONG',
  );
  assert.is(kernel.status('NODES'), 3); // the root, own and match
});

match('remembers only so many filters, but all that are open', (kernel) => {
  const node = kernel.walk('match');
  const first = kernel.lookup(node, 'A==first').nodeid;
  const fh = kernel.open(first);
  const second = kernel.lookup(node, 'A==second').nodeid;
  for (let n = 0; n < 5000; n++) kernel.lookup(node, `A==${n}`);
  assert.ok(kernel.status('NODES') < 4200);
  assert.is(kernel.lookup(node, 'A==first').nodeid, first);
  assert.is(
    refusal(() => kernel.getattr(second)),
    'ESTALE',
  );
  assert.is.not(kernel.lookup(node, 'A==second').nodeid, second);
  kernel.event(1, 'A=first\n');
  assert.is(kernel.read(fh), `${eventText(1, 'A=first\n')}\n`);
  kernel.release(fh);
  kernel.forgetAll();
  assert.is(kernel.status('NODES'), 1);
});

match('keeps nothing of a filter that the kernel has forgotten', (kernel) => {
  const node = kernel.walk('match');
  const first = kernel.lookup(node, 'A==1').nodeid;
  kernel.forget(first);
  assert.is.not(kernel.lookup(node, 'A==1').nodeid, first);
});

matchSuite.run();

// ---- times and books

const treeSuite = suite('the tree');

treeSuite('gives times before 1970 as they are set', () => {
  const kernel = MemoryKernel.started();
  const node = kernel.make(kernel.mkdir('own'), 'file', 'x');
  for (const mtime of [-1, -100, -86_400, -(2 ** 31)]) {
    const reply = kernel.ask(
      'FUSE_SETATTR',
      node,
      encode('fuse_setattr_in', { valid: SetattrValid.FATTR_MTIME, mtime }),
    );
    assert.is(reply.readBigInt64LE(offsetOf('fuse_attr_out', 'attr.mtime')), BigInt(mtime));
  }
  kernel.close();
});

treeSuite('lets go of a file that .stream has taken while it was open, once it is closed', () => {
  const kernel = MemoryKernel.started();
  const own = kernel.mkdir('own');
  kernel.event(1);
  const stream = kernel.open(kernel.lookup(own, '.stream').nodeid);
  const nodes = kernel.status('NODES');
  const fh = kernel.open(kernel.lookup(own, '1').nodeid);
  kernel.read(stream);
  assert.is(kernel.read(fh), eventText(1));
  kernel.release(fh);
  assert.is(kernel.status('NODES'), nodes);
  kernel.close();
});

treeSuite.run();
