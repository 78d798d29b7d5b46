/** Reads and polls of `stream`, `match/` and `.stream`. */
import * as assert from 'uvu/assert';
import { refusal } from '../../../support/memory/connection.js';
import { O_NONBLOCK } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { withKernel } from '../with-kernel.js';
import { POLLIN, record, recordsOf, results } from './records.js';

for (const path of ['stream', 'match/SUBSYSTEM==mem', 'own/.stream']) {
  const common = suite(`a read of ${path.slice(0, 9)}`);
  const read = withKernel(common);

  read('waits until an event comes', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const pending = kernel.startRead(fh);
    assert.is(pending.result, undefined);
    assert.is(kernel.parked.size, 1);
    kernel.event(1);
    assert.is(pending.result, record(1));
    assert.is(kernel.parked.size, 0);
  });

  read('returns at once if there is an event', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    kernel.event(1);
    kernel.event(2);
    assert.is(kernel.read(fh), recordsOf(1, 2));
    assert.is(
      refusal(() => kernel.read(fh, 100, 0, O_NONBLOCK)),
      'EAGAIN',
    );
  });

  read('does not wait with O_NONBLOCK', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    assert.is(
      refusal(() => kernel.read(fh, 100, 0, O_NONBLOCK)),
      'EAGAIN',
    );
    assert.is(kernel.parked.size, 0);
    kernel.event(1);
    assert.is(kernel.read(fh, 100, 0, O_NONBLOCK), record(1));
  });

  read('is interrupted by a signal, once, and loses nothing', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const pending = kernel.startRead(fh);
    kernel.interruptRead(pending);
    assert.is(pending.result, 'EINTR');
    kernel.interruptRead(pending);
    assert.is(kernel.parked.size, 0);
    kernel.event(1);
    assert.is(kernel.read(fh), record(1));
  });

  read('is not interrupted after its answer', (kernel) => {
    const pending = kernel.startRead(kernel.open(kernel.walk(path)));
    kernel.event(1);
    kernel.interruptRead(pending);
    assert.is(pending.result, record(1));
  });

  read(
    'returns the first part of a record that is larger than its buffer, and the next read the rest',
    (kernel) => {
      const fh = kernel.open(kernel.walk(path));
      const pending = kernel.startRead(fh, 10);
      kernel.event(1);
      assert.is(pending.result, record(1).slice(0, 10));
      assert.is(kernel.poll(fh, 1), POLLIN);
      assert.is(kernel.read(fh, 1), record(1).slice(10, 11));
      kernel.event(2);
      assert.is(kernel.read(fh), record(1).slice(11) + record(2));
    },
  );

  read('returns whole records only, as many as fit', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
    const { length } = record(1);
    assert.is(kernel.read(fh, 2 * length + 5), recordsOf(1, 2));
    assert.is(kernel.read(fh, length), record(3));
  });

  read('returns the events since the open, also after another such file was closed', (kernel) => {
    kernel.release(kernel.open(kernel.walk(path)));
    const fh = kernel.open(kernel.walk(path));
    kernel.event(1);
    assert.is(kernel.read(fh), record(1));
  });

  read('ignores the offset', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    kernel.event(1);
    assert.is(kernel.read(fh, 1000, 12345), record(1));
  });

  read('returns the end of the file when the daemon ends', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const pending = kernel.startRead(fh);
    kernel.ending = true;
    kernel.tree.end();
    assert.is(pending.result, '');
    assert.is(kernel.read(fh), '');
    assert.is(kernel.parked.size, 0);
  });

  read('of one open file by several threads returns each event to one of them', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const reads = [kernel.startRead(fh), kernel.startRead(fh), kernel.startRead(fh)];
    kernel.event(1);
    kernel.event(2);
    assert.equal(results(reads), [record(1), record(2), undefined]);
    kernel.event(3);
    assert.is(reads[2].result, record(3));
  });

  read('of one open file by many threads does not delay other readers', (kernel) => {
    const node = kernel.walk(path);
    const shared = kernel.open(node);
    const reads = Array.from({ length: 40 }, () => kernel.startRead(shared));
    const others = Array.from({ length: 3 }, () => kernel.startRead(kernel.open(node)));
    for (let seqnum = 1; seqnum <= 43; seqnum++) kernel.event(seqnum);
    assert.not(results([...reads, ...others]).includes(undefined));
  });

  read('fails with EAGAIN if too many reads wait, and leaves no slot taken', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const all = Array.from({ length: 1024 }, () => kernel.startRead(fh));
    assert.is(kernel.startRead(fh).result, 'EAGAIN');
    kernel.interruptRead(all[500]);
    const one = kernel.startRead(fh);
    assert.is(one.result, undefined);
    for (const pending of [...all, one])
      if (pending.result === undefined) kernel.interruptRead(pending);
    assert.is(kernel.parked.size, 0);
  });

  read(
    'wakes pollers once for an event, and for the next one after they have polled again',
    (kernel) => {
      const node = kernel.walk(path);
      const [one, other] = [kernel.open(node), kernel.open(node)];
      assert.is(kernel.poll(one, 11), 0);
      assert.is(kernel.poll(one, 11), 0);
      assert.is(kernel.poll(other, 22), 0);
      kernel.event(1);
      assert.equal(kernel.wakeUps, [11, 22]);
      assert.is(kernel.poll(one, 11), POLLIN);
      assert.is(kernel.poll(one, 11), POLLIN);
      kernel.event(2);
      assert.equal(kernel.wakeUps, [11, 22, 11]);
      kernel.event(3);
      assert.equal(kernel.wakeUps, [11, 22, 11]);
      assert.is(kernel.read(one), recordsOf(1, 2, 3));
      assert.is(kernel.poll(one, 11), 0);
    },
  );

  read('wakes no poller whose file is closed', (kernel) => {
    const node = kernel.walk(path);
    const [one, other] = [kernel.open(node), kernel.open(node)];
    assert.is(kernel.poll(one, 11), 0);
    assert.is(kernel.poll(other, 22), 0);
    kernel.release(one);
    kernel.event(1);
    assert.equal(kernel.wakeUps, [22]);
  });

  common.run();
}
