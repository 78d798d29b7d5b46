/** The file `.filter`. */
import * as assert from 'uvu/assert';
import { SetattrValid } from '../../../../fs/fuse/abi.js';
import { FILTER_LIMITS } from '../../../../fs/uevent/filter/filter.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, O_APPEND, O_TRUNC, O_WRONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { withKernel } from '../with-kernel.js';

const filterSuite = suite('.filter');
const filter = withKernel(filterSuite);
const shown = (kernel: MemoryKernel) => kernel.cat(kernel.walk('own/.filter'));

filter('is empty at first, and every event matches', (kernel, own) => {
  assert.is(shown(kernel), '');
  kernel.event(1);
  assert.equal(kernel.names(own), ['1']);
});

filter('admits the events that match the written filter', (kernel, own) => {
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
  'keeps the old filter from open with O_TRUNC to close, and is empty if nothing was written',
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

filter('refuses an invalid filter with EINVAL and keeps the old one', (kernel) => {
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

filter('accepts alternatives by append or line by line', (kernel) => {
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

filter('refuses a write at any other offset', (kernel) => {
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

/** A text that is parsed after the write, once more of it is written. */
const LONG = `# ${'x'.repeat(5000)}\nDEVPATH==/first\n`;

filter('keeps what an open file has written, if a later write of it fails', (kernel) => {
  const node = kernel.walk('own/.filter');
  const fh = kernel.open(node, O_WRONLY | O_APPEND);
  for (const bad of ['SUBSYSTEM\n', `${'x'.repeat(70_000)}\n`]) {
    kernel.write(fh, 'SUBSYSTEM==block\n', 0);
    assert.throws(() => kernel.write(fh, bad, 0));
    assert.is(shown(kernel), 'SUBSYSTEM==block\n');
    kernel.write(fh, 'SUBSYSTEM==net\n', 0, O_APPEND);
    assert.is(shown(kernel), 'SUBSYSTEM==block\nSUBSYSTEM==net\n');
  }
  kernel.release(fh);
});

filter('keeps a text that was not parsed yet, if a later write of it fails', (kernel, own) => {
  kernel.tree.configure({ filterLimits: { ...FILTER_LIMITS, text: 8192 } });
  const fh = kernel.open(kernel.walk('own/.filter'), O_WRONLY);
  const end = kernel.write(fh, LONG, 0);
  kernel.write(fh, 'DEVPATH==/last\n', end);
  assert.is(
    refusal(() => kernel.write(fh, 'SUBSYSTEM\n', 0)),
    'EINVAL',
  );
  kernel.event(1);
  assert.equal(kernel.names(own), []);
  assert.is(shown(kernel), 'DEVPATH==/first\nDEVPATH==/last\n');
  kernel.release(fh);
});

filter('is removed by truncate to 0; a truncate to another size fails', (kernel) => {
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

filter('admits overflow records', (kernel, own) => {
  kernel.put(kernel.walk('own/.filter'), 'SUBSYSTEM==none\n');
  kernel.event(1);
  kernel.bus.publishLoss(5);
  assert.equal(kernel.names(own), ['1.2']);
  assert.match(kernel.cat(kernel.walk('own/1.2')), /^overflow@\/eventfs\n[^]*LOST=5\n$/);
});

filterSuite.run();
