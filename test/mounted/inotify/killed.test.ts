/** A daemon that is killed while its notifier works on the mount: no process hangs. */
import { killClients, publishNumbered } from '../../support/clients/clients.js';
import {
  Shell,
  killDaemons,
  removeMountPoint,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import { Watcher, helperOf } from '../../support/clients/watcher.js';
import { stateOf, isDead } from '../../support/processes.js';

const ROUNDS = 50;
/** Each begins with a start of Node, so two daemons at a time use both CPUs. */
const AT_ONCE = 2;

const killed = suite('a daemon that is killed');

killed.after(async () => {
  await killClients(); // clients of tests that failed
  await killDaemons();
});

/** Kills a daemon while its notifier works. */
async function once(owner: Shell, round: number): Promise<void> {
  const served = await startDaemon();
  const path = `${served.path}/${owner.pid}`;
  await owner.run(`mkdir ${path}`);
  const watcher = await Watcher.on(path);
  publishNumbered(served.path, 300);
  if (round % 2 === 0)
    // Each of these becomes a ghost at once.
    await owner.run(`for i in {1..5}; do mkdir ${served.path}/dead$i; done`, 20_000);
  await watcher.creates(1 + round);
  const pid = helperOf(served.pid);
  await served.kill();
  await until(
    () => isDead(pid),
    () => `the notifier lives, in state ${stateOf(pid)}`,
    10_000,
  );
  await watcher.end();
  await run(['umount', '-l', served.path]);
  removeMountPoint(served.path);
}

killed(
  'ends its notifier too, with notices and ghosts under way, and lets no process hang',
  async () => {
    let rounds = 0;
    const some = async (): Promise<void> => {
      const owner = new Shell();
      for (let round = rounds++; round < ROUNDS; round = rounds++) await once(owner, round);
      await owner.kill();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, some));
  },
  280_000,
);

killed.run();
