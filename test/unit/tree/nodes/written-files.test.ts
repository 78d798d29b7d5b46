/** Files that users write into a process directory. */
import * as assert from 'uvu/assert';
import { SetattrValid } from '../../../../fs/fuse/abi.js';
import { refusal } from '../../../support/memory/connection.js';
import {
  MemoryKernel,
  O_APPEND,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
} from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { encode, offsetOf } from '../../fuse/structs.js';
import { eventText, withKernel } from '../with-kernel.js';

const writtenSuite = suite('a process directory');
const files = withKernel(writtenSuite);

files('lets users write at any offset of their files', (kernel, own) => {
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

files(
  'knows eight unlinked files, and does not count those that the kernel has forgotten',
  (kernel, own) => {
    const known = kernel.make(own, 'known', 'x');
    kernel.unlink(own, 'known');
    const others: number[] = [];
    for (let n = 0; n < 20; n++) {
      others.push(kernel.make(own, `other${n}`, 'x'));
      kernel.unlink(own, `other${n}`);
      if (n < 13) kernel.forget(others[n]);
    }
    assert.is(kernel.getattr(known)['attr.nlink'], 0);
    others.push(kernel.make(own, 'ninth', 'x'));
    kernel.unlink(own, 'ninth');
    assert.is(
      refusal(() => kernel.getattr(known)),
      'ESTALE',
    );
    assert.is(kernel.getattr(others[13])['attr.nlink'], 0);
  },
);

files('empties a file that is opened with O_TRUNC', (kernel, own) => {
  const node = kernel.make(own, 'file', 'long text');
  kernel.put(node, 'short');
  assert.is(kernel.cat(node), 'short');
  kernel.release(kernel.open(node, O_RDONLY | O_TRUNC));
  assert.is(kernel.cat(node), 'short');
});

files('accepts a file of 64 KiB and refuses one more byte', (kernel, own) => {
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

files('has a linked event of an ended directory complete, though it is open there', (kernel) => {
  const other = kernel.mkdir('other');
  const { nodeid, fh } = kernel.create(other, 'file');
  const second = kernel.open(nodeid, O_RDWR);
  kernel.write(fh, 'mine@/x\n');
  kernel.link(nodeid, kernel.walk('own'), 'file');
  const stream = kernel.open(kernel.walk('own/.stream'), O_NONBLOCK);
  assert.is(
    refusal(() => kernel.read(stream, 4096, 0, O_NONBLOCK)),
    'EAGAIN',
  );
  kernel.release(second);
  const third = kernel.open(nodeid, O_RDWR);
  kernel.rmdir('other');
  kernel.tree.turns.finish();
  assert.is(kernel.read(stream), 'mine@/x\n\n');
  for (const open of [fh, third, stream]) kernel.release(open);
});

files('has the bus settle without a request for a file that an end completes', (kernel, own) => {
  kernel.settles = false;
  let settles = 0;
  kernel.tree.deliveries.settleAloneBy(() => settles++);
  const other = kernel.mkdir('other');
  const { nodeid, fh } = kernel.create(other, 'file');
  kernel.write(fh, 'mine@/x\n');
  kernel.link(nodeid, own, 'file');
  const stream = kernel.open(kernel.lookup(own, '.stream').nodeid);
  const read = kernel.startRead(stream);
  kernel.rmdir('other');
  kernel.tree.turns.finish();
  assert.is(settles, 1);
  kernel.bus.settle();
  assert.is(read.result, 'mine@/x\n\n');
  for (const open of [fh, stream]) kernel.release(open);
});

files('keeps an unlinked file until it is closed', (kernel, own) => {
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

files('keeps an open event that is unlinked, also after the log has dropped it', (kernel, own) => {
  kernel.event(1);
  const fh = kernel.open(kernel.lookup(own, '1').nodeid);
  kernel.unlink(own, '1');
  for (let seqnum = 2; seqnum < 5000; seqnum++) kernel.event(seqnum);
  assert.is(kernel.read(fh), eventText(1));
  kernel.release(fh);
});

files('accepts create, rm and create of one name', (kernel, own) => {
  const first = kernel.make(own, 'file', 'one');
  kernel.unlink(own, 'file');
  const second = kernel.make(own, 'file', 'two');
  assert.is.not(first, second);
  assert.is(kernel.cat(kernel.lookup(own, 'file').nodeid), 'two');
  assert.is(kernel.getattr(first)['attr.size'], 0);
});

files('keeps times as they are set', (kernel, own) => {
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
  'drops its oldest event if a file grows over its bound, even the file itself',
  (kernel, own) => {
    const block = 'x'.repeat(65536);
    const { nodeid, fh } = kernel.create(own, 'first', O_RDWR);
    for (let n = 0; n < 64; n++) kernel.make(own, `f${n}`, block);
    assert.match(kernel.cat(kernel.walk('own/.status')), 'PENDING=65\nBYTES=4194304\nLOST=0\n');
    kernel.write(fh, 'hello'); // this file is the oldest event
    assert.match(kernel.cat(kernel.walk('own/.status')), 'PENDING=64\nBYTES=4194304\nLOST=1\n');
    assert.is(kernel.read(fh), 'hello');
    assert.is(kernel.getattr(nodeid)['attr.nlink'], 0);
    kernel.release(fh);
  },
);

writtenSuite.run();

const treeSuite = suite('the tree');

treeSuite('keeps times before 1970', () => {
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

treeSuite('frees a file that .stream has consumed while it was open, once it is closed', () => {
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
