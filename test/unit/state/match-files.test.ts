/** The files of `match/` that the kernel knows from a daemon that has died. */
import * as assert from 'uvu/assert';
import type { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { newMemory, startFirst, startNext } from './guarded-kernel.js';

const FILTER = 'ACTION==add';

const match = suite('a file of match/ that the kernel knows from the last daemon');

/** Ends a daemon between two requests. */
function end(kernel: MemoryKernel, compacts: boolean): void {
  const recorder = kernel.tree.recorder!;
  recorder.commit();
  if (compacts) recorder.compact();
  kernel.tree.turns.finish();
  kernel.close();
}

for (const compacts of [false, true])
  match(`is opened without another lookup${compacts ? ', after a compaction' : ''}`, () => {
    const memory = newMemory();
    const first = startFirst(memory);
    const node = first.walk(`match/${FILTER}`);
    end(first, compacts);
    const second = startNext(memory);
    end(second, compacts);
    const third = startNext(memory);
    third.event(1);
    third.release(third.open(node));
    assert.is(third.walk(`match/${FILTER}`), node);
    third.close();
  });

match('is gone once the kernel has forgotten it', () => {
  const memory = newMemory();
  const first = startFirst(memory);
  const node = first.walk(`match/${FILTER}`);
  end(first, false);
  const second = startNext(memory);
  second.walk(`match/${FILTER}`);
  second.forget(node, 2);
  assert.throws(() => second.open(node), /ESTALE/);
  end(second, false);
  const third = startNext(memory);
  assert.throws(() => third.open(node), /ESTALE/);
  third.close();
});

match('is known while it is open, even if a FORGET counts lookups of that time', () => {
  const memory = newMemory();
  const first = startFirst(memory);
  const node = first.walk(`match/${FILTER}`);
  const fh = first.open(node);
  end(first, false);
  const second = startNext(memory);
  second.forget(node, 2); // the kernel counts further lookups
  second.release(second.open(node));
  end(second, false);
  const third = startNext(memory);
  third.release(third.open(node));
  third.release(fh);
  third.forget(node, 1);
  assert.throws(() => third.open(node), /ESTALE/);
  third.close();
});

match('is one of 256 that are remembered', () => {
  const memory = newMemory();
  const first = startFirst(memory);
  const nodes = Array.from({ length: 257 }, (_, n) => first.walk(`match/K==${n}`));
  end(first, true);
  const second = startNext(memory);
  assert.throws(() => second.open(nodes[0]), /ESTALE/);
  for (const node of nodes.slice(1)) second.release(second.open(node));
  second.close();
});

match.run();
