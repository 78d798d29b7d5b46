import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { type Handle, ParkedRead } from '../../../../fs/tree/nodes/node.js';
import { ReadList } from '../../../../fs/tree/streams/read-list.js';
import { suite } from '../../../support/runner/suite.js';

const readList = suite('the list of blocked reads');
const NO_FILE = undefined as unknown as Handle;

function slotsOf(list: ReadList): number[] {
  const slots: number[] = [];
  for (let read = list.first; read !== null; read = read.next) slots.push(read.slot);
  return slots;
}

readList('keeps the order of arrival, whichever reads leave', () => {
  const steps = fc.array(fc.oneof(fc.constant('add'), fc.nat(20)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (all) => {
      const list = new ReadList();
      const model: ParkedRead[] = [];
      let slot = 0;
      for (const step of all) {
        if (typeof step === 'string') {
          const read = new ParkedRead(slot++, NO_FILE, 4096);
          list.add(read);
          model.push(read);
        } else if (step < model.length) {
          const [read] = model.splice(step, 1);
          list.delete(read);
          list.delete(read); // a signal that comes after the answer changes nothing
        }
        assert.equal(
          slotsOf(list),
          model.map((read) => read.slot),
        );
        assert.is(list.size, model.length);
      }
    }),
  );
});

readList('refuses a read that is in a list, and ignores a read of another list', () => {
  const [one, other] = [new ReadList(), new ReadList()];
  const read = new ParkedRead(0, NO_FILE, 4096);
  one.add(read);
  assert.throws(() => other.add(read), /blocks twice/);
  other.delete(read);
  assert.is(one.first, read);
  one.delete(read);
  other.add(read);
  assert.equal([one.size, other.size], [0, 1]);
});

readList.run();
