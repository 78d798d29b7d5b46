/**
 * PollWakes: one user delays neither requests nor the wake-ups of others for long, with any number
 * of files that have pollers.
 */
import * as assert from 'uvu/assert';
import { PollWakes } from '../../../fs/drivers/devfuse/poll-wakes.js';
import type { Handle } from '../../../fs/tree/nodes/node.js';
import { QuotaLedger } from '../../../fs/tree/quota/ledger.js';
import { cpuMs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const wakes = suite('wake-ups of pollers');
const ledger = new QuotaLedger();

/** Returns an open file of a user. */
function fileOf(uid: number): Handle {
  return { account: ledger.account(uid, uid) } as Handle;
}

/** A kernel with some pollers on each file: their wake-ups take CPU time. */
class Kernel {
  readonly woken: Handle[] = [];
  readonly wakes = new PollWakes((handle) => {
    const endMs = cpuMs() + this.msOf(handle);
    while (cpuMs() < endMs);
    this.woken.push(handle);
  });

  constructor(private readonly msOf: (handle: Handle) => number) {}
}

const turn = (): Promise<void> => new Promise((done) => void setImmediate(done));

wakes('are cut into turns, whatever they take together', async () => {
  const kernel = new Kernel(() => 0.3);
  const files = Array.from({ length: 100 }, () => fileOf(1000));
  const startMs = cpuMs();
  for (const file of files) kernel.wakes.wake(file);
  const atOnceMs = cpuMs() - startMs;
  assert.ok(atOnceMs < 5, `the wake-ups took ${atOnceMs} ms at once`);
  let longestMs = 0;
  for (let turns = 0; kernel.woken.length < files.length; turns++) {
    assert.ok(turns < 1000, `${kernel.woken.length} files are woken`);
    const beganMs = cpuMs();
    await turn();
    longestMs = Math.max(longestMs, cpuMs() - beganMs);
  }
  assert.ok(longestMs < 5, `a turn took ${longestMs} ms`);
  assert.equal(kernel.woken, files);
});

wakes('of one user wait for one wake-up of another user at a time', async () => {
  const kernel = new Kernel(() => 0.3);
  const other = fileOf(1001);
  for (let n = 0; n < 100; n++) kernel.wakes.wake(fileOf(1000));
  kernel.wakes.wake(other);
  const before = kernel.woken.length;
  while (!kernel.woken.includes(other)) await turn();
  assert.ok(kernel.woken.length - before <= 3, `${kernel.woken.length - before} came first`);
});

wakes('come once for a file that is woken again meanwhile', async () => {
  const kernel = new Kernel(() => 0.3);
  const files = Array.from({ length: 20 }, () => fileOf(1000));
  for (let round = 0; round < 3; round++) for (const file of files) kernel.wakes.wake(file);
  while (new Set(kernel.woken).size < files.length) await turn();
  await turn();
  const last = files[files.length - 1];
  assert.is(kernel.woken.filter((file) => file === last).length, 1);
});

wakes('of a file whose wake-up was slow come after a pause', async () => {
  const [slow, fast] = [fileOf(1000), fileOf(1001)];
  const kernel = new Kernel((handle) => (handle === slow ? 3 : 0));
  kernel.wakes.wake(slow);
  kernel.wakes.wake(slow);
  kernel.wakes.wake(fast);
  while (!kernel.woken.includes(fast)) await turn();
  assert.equal(kernel.woken, [slow, fast]);
  kernel.wakes.stop();
});

wakes('end with stop()', async () => {
  const kernel = new Kernel(() => 0.3);
  for (let n = 0; n < 100; n++) kernel.wakes.wake(fileOf(1000));
  kernel.wakes.stop();
  const before = kernel.woken.length;
  for (let turns = 0; turns < 10; turns++) await turn();
  assert.is(kernel.woken.length, before);
});

wakes.run();
