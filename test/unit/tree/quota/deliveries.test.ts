/** A full quota and the events that are delivered. */
import * as assert from 'uvu/assert';
import { refusal } from '../../../support/memory/connection.js';
import { suite } from '../../../support/runner/suite.js';
import { withQuotas } from './ledger.js';

const quota = suite('a quota');

quota("makes a queue drop its own oldest event for a delivery, never another queue's", () => {
  const { kernel, user, own } = withQuotas({ events: 5 });
  const second = kernel.mkdir('second', user);
  for (let seqnum = 1; seqnum <= 4; seqnum++) kernel.event(seqnum);
  assert.equal(
    [kernel.names(own), kernel.names(second)],
    [
      ['2', '3', '4'],
      ['3', '4'],
    ],
  );
  const stream = kernel.open(kernel.lookup(second, '.stream').nodeid);
  assert.match(
    kernel.read(stream),
    /^overflow@\/eventfs\n[^]*LOST=2\n\nadd@\/devices\/x\n[^]*SEQNUM=3\n\nadd@[^]*SEQNUM=4\n\n$/,
  );
  kernel.close();
});

quota('loses deliveries if other queues have used it up, and the reader gets the number', () => {
  const { kernel, user, own } = withQuotas({ events: 2 });
  for (const name of ['a', 'b']) kernel.make(own, name, 'x');
  const second = kernel.mkdir('second', user);
  kernel.event(1);
  assert.equal(kernel.names(second), []);
  assert.equal(kernel.names(own), ['b', '1'], 'it has room of its own to make');
  const stream = kernel.open(kernel.lookup(second, '.stream').nodeid);
  assert.match(kernel.read(stream), /^overflow@\/eventfs\n[^]*LOST=1\n\n$/);
  kernel.close();
});

quota('of bytes drops nothing if the room would still not suffice', () => {
  const { kernel, user, own } = withQuotas({ bytes: 200 });
  kernel.make(own, 'big', 'x'.repeat(180));
  const second = kernel.mkdir('second', user);
  kernel.make(second, 'small', 'y'.repeat(20));
  kernel.event(1, `PAD=${'z'.repeat(100)}\n`);
  assert.equal(kernel.names(second), ['small']);
  assert.equal(kernel.names(own), ['1']);
  kernel.close();
});

quota('wakes a blocked reader of a queue that has lost an event', () => {
  const { kernel, user } = withQuotas({ events: 0 });
  const second = kernel.mkdir('second', user);
  const waiting = kernel.startRead(kernel.open(kernel.lookup(second, '.stream').nodeid));
  assert.is(waiting.result, undefined);
  kernel.event(1);
  assert.match(waiting.result!, /^overflow@\/eventfs\n[^]*LOST=1\n\n$/);
  kernel.close();
});

quota(
  'with the policies refuse and drop-newest refuses the writer, and loses only deliveries',
  () => {
    for (const overflow of ['refuse', 'drop-newest'] as const) {
      const { kernel, own, user } = withQuotas({});
      kernel.tree.configure({ queueLimits: { events: 2, bytes: 1000, overflow } });
      kernel.make(own, 'a', 'text');
      const { fh } = kernel.create(own, 'b');
      const root = kernel.mkdir('root', user);
      const other = kernel.make(root, 'other', '');
      assert.is(
        refusal(() => kernel.make(own, 'c', '')),
        'EDQUOT',
      );
      assert.is(
        refusal(() => kernel.link(other, own, 'c')),
        'EDQUOT',
      );
      assert.is(
        refusal(() => kernel.rename(root, 'other', own, 'c')),
        'EDQUOT',
      );
      assert.is(
        refusal(() => kernel.write(fh, 'x'.repeat(997))),
        'EDQUOT',
      );
      kernel.rename(root, 'other', own, 'a'); // it replaces a file
      kernel.write(fh, 'x'.repeat(996));
      kernel.event(1);
      assert.equal(kernel.names(own), ['b', 'a']);
      assert.is(kernel.tree.root.directories.get('own')!.queue.lost, 1);
      kernel.close();
    }
  },
);

quota.run();
