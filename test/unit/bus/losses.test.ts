/** The text of a queue's losses, which the daemon keeps so that an event costs little. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Losses } from '../../../fs/bus/queue/losses.js';
import { Sequence } from '../../../fs/bus/sequence.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const losses = suite('the losses of a queue');

/** Carries out one action on a queue of names, and on its losses. */
function act(kind: number, entries: Sequence<string>, all: readonly Losses[]): void {
  if (kind === 0) entries.push(`${entries.nextPosition}`, 'event');
  else if (kind === 1) for (const one of all) one.atEnd(entries, 2);
  else if (entries.size === 0) return;
  else if (kind === 2) {
    const position = entries.firstPosition;
    entries.shift();
    for (const one of all) one.atHead(position, 1);
  } else if (kind === 3) entries.shift();
  else for (const one of all) one.tell(entries.firstPosition);
}

losses('have the text of their places and counts, however they have come', () => {
  const action = fc.oneof({ weight: 8, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(4) });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (kinds) => {
      const [asked, silent] = [new Losses(), new Losses()];
      const entries = new Sequence<string>();
      for (const kind of kinds) {
        act(kind, entries, [asked, silent]);
        asked.toText();
      }
      assert.is(asked.toText(), silent.toText());
      const restored = new Losses();
      restored.restore(asked.toText());
      assert.is(restored.toText(), asked.toText());
      assert.is(restored.untold, asked.untold);
    }),
    runs(300),
  );
});

losses.run();
