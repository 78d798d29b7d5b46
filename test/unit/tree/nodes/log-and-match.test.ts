/** The directories `log/` and `match/`. */
import * as assert from 'uvu/assert';
import { SetattrValid } from '../../../../fs/fuse/abi.js';
import { refusal } from '../../../support/memory/connection.js';
import { suite } from '../../../support/runner/suite.js';
import { eventText, withKernel } from '../with-kernel.js';

const logSuite = suite('log/');
const log = withKernel(logSuite);

log('lists the last events and refuses every change', (kernel) => {
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

log("lists to the log's end at opendir, also while the oldest events drop out", (kernel) => {
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
  assert.is(numbers[numbers.length - 1], 1024); // newer events appear in the next listing
});

log("shows the daemon's counters in .status", (kernel) => {
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

match('has a stream for each filter and lists none', (kernel) => {
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

match('shares one group between equal filters and drops it with their last stream', (kernel) => {
  const node = kernel.walk('match');
  const [one, other] = ['SUBSYSTEM=net', 'SUBSYSTEM == net '].map((name) =>
    kernel.open(kernel.lookup(node, name).nodeid),
  );
  assert.is(kernel.counts.groups, 1);
  kernel.release(one);
  assert.is(kernel.counts.groups, 1);
  kernel.release(other);
  assert.is(kernel.counts.groups, 0);
});

match('refuses a name that is no filter', (kernel) => {
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

match('remembers a limited number of filters, and every open one', (kernel) => {
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

match('drops a filter that the kernel has forgotten', (kernel) => {
  const node = kernel.walk('match');
  const first = kernel.lookup(node, 'A==1').nodeid;
  kernel.forget(first);
  assert.is.not(kernel.lookup(node, 'A==1').nodeid, first);
});

matchSuite.run();
