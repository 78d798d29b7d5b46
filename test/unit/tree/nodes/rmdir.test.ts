/** rmdir(2) of a process directory. */
import * as assert from 'uvu/assert';
import { FUSE_ROOT_ID } from '../../../../fs/fuse/abi.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { withKernel } from '../with-kernel.js';

const rmdirSuite = suite('rmdir');
const rmdir = withKernel(rmdirSuite);
/** Removes `own` as a process that does not own it. */
const remove = (kernel: MemoryKernel) =>
  refusal(() => kernel.rmdir('own', FUSE_ROOT_ID, { pid: process.ppid }));
/** Removes `own` as this process, its owner. */
const end = (kernel: MemoryKernel) => refusal(() => kernel.rmdir('own'));

rmdir('removes an empty directory, listed or not', (kernel, own) => {
  kernel.names(own);
  assert.is(remove(kernel), 'none');
  kernel.mkdir('own');
  assert.is(remove(kernel), 'none');
  assert.is(kernel.counts.owners, 0);
});

rmdir('refuses a directory with events that no listing has shown', (kernel) => {
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

rmdir('removes a directory whose only events came after a complete listing', (kernel, own) => {
  kernel.event(1);
  kernel.names(own);
  kernel.event(2);
  assert.is(remove(kernel), 'ENOTEMPTY');
  kernel.unlink(own, '1');
  assert.is(remove(kernel), 'none');
});

rmdir('removes a directory whose events came after an empty listing', (kernel, own) => {
  kernel.names(own);
  kernel.event(1);
  assert.is(remove(kernel), 'none');
});

rmdir('refuses a directory of which only a part was listed', (kernel, own) => {
  kernel.event(1);
  kernel.event(2);
  const dh = kernel.opendir(own);
  kernel.readdir(dh, 0, 24 * 2 + 16 + 32); // ., .. and 1
  kernel.unlink(own, '1');
  assert.is(remove(kernel), 'ENOTEMPTY');
});

rmdir(
  'removes a directory whose events came during a listing, which does not show them',
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
  'refuses a directory with events that a newer listing has shown, though an older listing ends last',
  (kernel, own) => {
    const older = kernel.opendir(own);
    kernel.event(1);
    kernel.names(own);
    kernel.readdir(older, 2);
    assert.is(remove(kernel), 'ENOTEMPTY');
  },
);

rmdir("refuses a directory with a user's file, listed or not", (kernel, own) => {
  kernel.names(own);
  kernel.make(own, 'file', 'x');
  assert.is(remove(kernel), 'ENOTEMPTY');
});

rmdir('by the owner ends a directory, whatever it holds', (kernel, own) => {
  kernel.event(1);
  kernel.event(2);
  kernel.make(own, 'file', 'x');
  kernel.mknod(own, 'fifo', 0o010644);
  const [event, stream] = [kernel.walk('own/1'), kernel.walk('own/.stream')];
  const open = kernel.open(event);
  const reader = kernel.open(stream);
  kernel.read(reader);
  kernel.create(own, 'unfinished');
  const parked = kernel.startRead(reader);
  assert.is(parked.answer, null);
  assert.is(remove(kernel), 'ENOTEMPTY');
  assert.is(end(kernel), 'none');
  assert.is(
    refusal(() => kernel.lookup(FUSE_ROOT_ID, 'own')),
    'ENOENT',
  );
  for (const node of [own, event, stream])
    assert.is(
      refusal(() => kernel.getattr(node)),
      'ESTALE',
    );
  assert.is(
    refusal(() => kernel.read(open)),
    'ESTALE',
  );
  kernel.tree.turns.finish();
  assert.is(parked.result, 'ESTALE');
  assert.is(kernel.counts.owners, 0);
});

rmdir('by the owner does not end a sticky directory, which has no owner', (kernel, own) => {
  kernel.event(1);
  kernel.tree.root.directories.get('own')!.setSticky(true);
  assert.is(end(kernel), 'ENOTEMPTY');
  kernel.unlink(own, '1');
  assert.is(end(kernel), 'none');
});

rmdir('refuses a caller that is in no PID namespace of the daemon', (kernel) => {
  kernel.event(1);
  assert.is(
    refusal(() => kernel.rmdir('own', FUSE_ROOT_ID, { pid: 0 })),
    'ENOTEMPTY',
  );
});

rmdir('frees the name for a new directory, which inherits nothing', (kernel, own) => {
  kernel.put(kernel.walk('own/.filter'), 'SUBSYSTEM==none\n');
  kernel.rmdir('own');
  const next = kernel.mkdir('own');
  assert.is.not(next, own);
  kernel.event(1);
  assert.equal(kernel.names(next), ['1']);
});

rmdirSuite.run();
