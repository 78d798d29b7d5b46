/** The parts that the tests of `eventfs exec` share: with Node, and through its C program. */
import { readdirSync } from 'node:fs';
import { until } from '../mount/daemon.js';
import { daemon } from '../mount/mounted.js';
import { spawnClient, statusOf } from './clients.js';

const FIXED = ['log', 'match', 'publish', 'stream'];

/** Returns the names of the process directories of the shared daemon. */
export const directories = (): string[] =>
  readdirSync(daemon.path).filter((name) => !FIXED.includes(name));

/** Runs `work` while two processes publish events with N=no as fast as they can. */
export async function whilePublishing(work: () => Promise<void>): Promise<void> {
  const loop = `while :; do printf 'add@/x\\nN=no\\n' > ${daemon.path}/publish; done`;
  const publishers = [1, 2].map(() => spawnClient(['bash', '-c', loop], 'ignore'));
  await until(
    () => Number(statusOf(`${daemon.path}/log`).PUBLISHED) > 100,
    'the publishers do not publish',
  );
  await work();
  for (const publisher of publishers) publisher.kill('SIGKILL');
}
