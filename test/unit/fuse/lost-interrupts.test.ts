/** Blocked readers whose INTERRUPT io_uring has lost: each is looked at by its state, with real processes as readers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { MissedInterruptPoller } from '../../../fs/drivers/devfuse/io-uring/missed-interrupt-poller.js';
import { ParkedReads } from '../../../fs/drivers/devfuse/parked-reads.js';
import { InHeader } from '../../../fs/fuse/abi.js';
import type { Handle, ParkedRead } from '../../../fs/tree/nodes/node.js';
import { NO_BOUNDS } from '../../../fs/tree/quota/bounds.js';
import { QuotaLedger } from '../../../fs/tree/quota/ledger.js';
import { childrenOf, stateOf } from '../../support/actor.js';
import { until } from '../../support/daemon.js';
import { suite } from '../../support/suite.js';

const lost = suite('a reader whose INTERRUPT may be lost');
const children: ChildProcess[] = [];

lost.after(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, 'exit');
    // The child of a vfork(2) first: its parent sleeps in state D, whatever the signal, until that ends.
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

/** A process in state S, D or R. */
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
    `it is not in ${state}, but in ${stateOf(child.pid!)}`,
    20_000,
  );
  return child.pid!;
}

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

lost('is ended once it is in state D, and one that only waits is left alone', async () => {
  const world = new World();
  const [sleeping, killed] = [await processIn('S'), await processIn('D')];
  world.park(sleeping);
  world.park(killed);
  await until(() => world.interrupted.length > 0, 'nothing was interrupted');
  await wait(300);
  assert.equal(world.interrupted, [killed]);
  assert.is(world.parked.size, 1);
  world.lost.stop();
});

lost('is looked at again while it runs', async () => {
  const world = new World();
  const running = await processIn('R');
  world.park(running);
  await wait(400);
  assert.equal(world.interrupted, []);
  assert.not(world.parked.isInterruptible(0), 'it is not looked at any more');
  process.kill(running, 'SIGSTOP'); // state T: it waits, and of a signal from now on there is an INTERRUPT
  await until(() => stateOf(running) === 'T', 'it does not stop');
  await until(() => world.parked.isInterruptible(0), 'it was not looked at again');
  process.kill(running, 'SIGKILL');
  world.lost.stop();
});

lost('is reached behind any number of others', async () => {
  const world = new World();
  const [sleeping, killed] = [await processIn('S'), await processIn('D')];
  for (let n = 0; n < 300; n++) world.park(sleeping);
  world.park(killed);
  await until(() => world.interrupted.length > 0, 'it was not reached');
  assert.equal(world.interrupted, [killed]);
  world.lost.stop();
});

lost('is not looked at once it was answered', async () => {
  const world = new World();
  world.parked.free(world.park(await processIn('D')));
  await wait(250);
  assert.equal(world.interrupted, []);
  world.lost.stop();
});

lost.run();
