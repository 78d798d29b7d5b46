/**
 * MissedInterruptPoller: io_uring may lose a blocked reader's INTERRUPT. The poller looks at the
 * state of the reader, here a real process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { MissedInterruptPoller } from '../../../fs/drivers/devfuse/io-uring/missed-interrupt-poller.js';
import { ParkedReads } from '../../../fs/drivers/devfuse/parked-reads.js';
import { InHeader } from '../../../fs/fuse/abi.js';
import type { Handle, ParkedRead } from '../../../fs/tree/nodes/node.js';
import { NO_BOUNDS } from '../../../fs/tree/quota/bounds.js';
import { QuotaLedger } from '../../../fs/tree/quota/ledger.js';
import { until } from '../../support/mount/daemon.js';
import { stateOf, childrenOf } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const lost = suite('the poller for missed interrupts');
const children: ChildProcess[] = [];

lost.after(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, 'exit');
    // The child of the vfork(2) ends first: its parent sleeps in state D until then, whatever the
    // signal.
    for (const pid of childrenOf(child.pid!)) process.kill(pid, 'SIGKILL');
    child.kill('SIGKILL');
    await gone;
  }
});

class World {
  readonly parked = new ParkedReads(
    1024,
    new QuotaLedger({
      mount: NO_BOUNDS,
      uid: { others: NO_BOUNDS, of: new Map() },
      gid: { others: NO_BOUNDS, of: new Map() },
    }),
  );
  readonly interrupted: number[] = [];
  readonly lost = new MissedInterruptPoller(this.parked, (read) => {
    this.interrupted.push(this.parked.tidOf(read.slot));
    this.parked.free(read);
  });
  #unique = 0;

  park(tid: number): ParkedRead {
    const request = new Uint32Array(16);
    request[InHeader.unique >>> 2] = this.#unique += 2;
    request[InHeader.pid >>> 2] = tid;
    const read = this.parked.park(request, {} as Handle, 4096)!;
    this.lost.watch();
    return read;
  }
}

/** Returns a process in state S, D or R. */
async function processIn(state: 'S' | 'D' | 'R'): Promise<number> {
  const command = {
    S: ['sleep', '1000'],
    // vfork(2): the parent can't be interrupted while the child has its memory.
    D: [
      'python3',
      '-c',
      'import ctypes, time\nc = ctypes.CDLL(None)\nif c.vfork() == 0: c.sleep(1000); c._exit(0)',
    ],
    R: ['sh', '-c', 'while :; do :; done'],
  }[state];
  const child = spawn(command[0], command.slice(1), { stdio: 'ignore' });
  children.push(child);
  await until(
    () => stateOf(child.pid!) === state,
    () => `it is not in ${state}, but in ${stateOf(child.pid!)}`,
    20_000,
  );
  return child.pid!;
}

lost('ends a read whose reader is in state D, and leaves one in state S alone', async () => {
  const world = new World();
  const [sleeping, killed] = [await processIn('S'), await processIn('D')];
  world.park(sleeping);
  world.park(killed);
  await until(() => world.interrupted.length > 0, 'nothing was interrupted');
  await sleep(300);
  assert.equal(world.interrupted, [killed]);
  assert.is(world.parked.size, 1);
  world.lost.stop();
});

lost('looks again at a reader that runs', async () => {
  const world = new World();
  const running = await processIn('R');
  world.park(running);
  await sleep(400);
  assert.equal(world.interrupted, []);
  assert.not(world.parked.isInterruptible(0), 'it is not looked at any more');
  // state T: it waits, and a signal from now on causes an INTERRUPT
  process.kill(running, 'SIGSTOP');
  await until(() => stateOf(running) === 'T', 'it does not stop');
  await until(() => world.parked.isInterruptible(0), 'it was not looked at again');
  process.kill(running, 'SIGKILL');
  world.lost.stop();
});

lost('reaches a reader behind any number of others', async () => {
  const world = new World();
  const [sleeping, killed] = [await processIn('S'), await processIn('D')];
  for (let n = 0; n < 300; n++) world.park(sleeping);
  world.park(killed);
  await until(() => world.interrupted.length > 0, 'it was not reached');
  assert.equal(world.interrupted, [killed]);
  world.lost.stop();
});

lost('does not look at a reader that has its reply', async () => {
  const world = new World();
  world.parked.free(world.park(await processIn('D')));
  await sleep(250);
  assert.equal(world.interrupted, []);
  world.lost.stop();
});

lost.run();
