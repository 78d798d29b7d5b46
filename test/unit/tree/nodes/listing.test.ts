/** readdir(3) of a process directory. */
import * as assert from 'uvu/assert';
import { FUSE_ROOT_ID } from '../../../../fs/fuse/abi.js';
import type { EventDirectory } from '../../../../fs/tree/nodes/event-directory.js';
import type { NodeId } from '../../../../fs/tree/nodes/node.js';
import { suite } from '../../../support/runner/suite.js';
import { withKernel } from '../with-kernel.js';

const DT_DIR = 4;
const DT_REG = 8;

const listingSuite = suite('a listing of a process directory');
const files = withKernel(listingSuite);

files(
  'has stable offsets while files are unlinked and created, also with a small buffer',
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
      // libudev and rm -r unlink each entry that they have read, while events are added at the end.
      if (seen.length > 2) kernel.unlink(own, got[0].name);
      if (made < 170) kernel.event(made++);
    }
    assert.equal(seen, ['.', '..', ...Array.from({ length: 60 }, (_, n) => String(100 + n))]);
    // Entries that are newer than the listing appear in the next one, after rewinddir(3).
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
  'lists the same from one offset each time, whatever was unlinked before the offset',
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

files('lists the inode numbers and types of stat(2)', (kernel, own) => {
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

files(
  'has head and tail if configured, from every offset, and not without events',
  (kernel, own) => {
    kernel.tree.configure({ listsLinks: true });
    assert.equal(kernel.names(own), []);
    kernel.mknod(own, 'fifo', 0o010644);
    assert.equal(kernel.names(own), ['fifo']);
    for (const name of ['a', 'b']) kernel.make(own, name, '');
    for (const size of [64, 100, 4096])
      assert.equal(kernel.names(own, size), ['a', 'b', 'fifo', 'head', 'tail']);
    const fh = kernel.opendir(own);
    for (const { name, ino, type } of kernel.readdir(fh).slice(2)) {
      const looked = kernel.lookup(own, name);
      assert.is(looked['attr.ino'], ino);
      assert.is((looked['attr.mode'] & 0o170000) >>> 12, type);
    }
  },
);

files(
  'keeps the offset of every entry below 2^31 for 32-bit programs, until a billion have come',
  (kernel, own) => {
    kernel.tree.configure({ listsLinks: true });
    kernel.event(1);
    for (const name of ['one', 'two']) kernel.mknod(own, name, 0o010644);
    const names = ['1', 'one', 'two', 'head', 'tail'];
    const offsets = (): number[] => kernel.readdir(kernel.opendir(own)).map(({ off }) => off);
    assert.is(offsets().length, names.length + 2);
    assert.ok(offsets().every((off) => off < 2 ** 31));
    assert.equal(kernel.names(own, 32), names);
    const { queue } = kernel.tree.node(own as NodeId) as EventDirectory;
    Object.defineProperty(queue.entries, 'nextPosition', { get: () => 2 ** 30 });
    assert.is(offsets().filter((off) => off > 2 ** 31).length, 4);
    assert.equal(kernel.names(own, 32), names);
  },
);

listingSuite.run();
