/**
 * The time from the start of a command to its effect: the first event of `watch`, the end of
 * `emit`, and what `exec` adds to a command. Rounds of all commands alternate, so that a busy
 * machine slows all of them. The figure is the median.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Benchmark, figure, unmeasured } from '../figure.js';
import { median } from '../programs.js';
import { publishNumbered } from '../../test/support/clients/clients.js';
import { EMIT_HELPER, EVENTFS, startDaemon, within } from '../../test/support/mount/daemon.js';

const ROUNDS = 21;
/** The time that `watch` may take longer than Node's start, in milliseconds. */
const MOST_OF_WATCH_MS = 60;
const MOST_OF_EMIT_MS = 5;
const WATCH_TIMEOUT_MS = 10_000;
const MOST_OF_EXEC_MS = 10;

/** Returns how long a command takes to its end, in milliseconds. */
function timeOf(command: string, ...args: readonly string[]): number {
  const started = performance.now();
  const { status } = spawnSync(command, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
  return performance.now() - started;
}

/** Returns how long `watch` takes to print an event that was kept, in milliseconds. */
async function firstEvent(mount: string): Promise<number> {
  const started = performance.now();
  const child = spawn(EVENTFS, ['watch', '--since', '0', '--mount', mount], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((done) => child.once('close', done));
  const came = new Promise((done) => child.stdout.once('data', done));
  await within(WATCH_TIMEOUT_MS, came, 'watch did not print the event');
  const took = performance.now() - started;
  child.kill('SIGKILL');
  await ended;
  return took;
}

export const commands: Benchmark = {
  name: 'commands',
  run: async (say) => {
    const daemon = await startDaemon();
    const times = { node: [], watch: [], emit: [], exec: [], command: [] } as Record<
      'node' | 'watch' | 'emit' | 'exec' | 'command',
      number[]
    >;
    try {
      publishNumbered(daemon.path, 1);
      const mount = ['--mount', daemon.path];
      for (let round = 0; round < ROUNDS; round++) {
        say(`round ${round + 1} of ${ROUNDS}`);
        times.node.push(timeOf(process.execPath, '-e', '0'));
        times.watch.push(await firstEvent(daemon.path));
        times.emit.push(timeOf(EVENTFS, 'emit', ...mount, 'ACTION=add', 'DEVPATH=/x'));
        times.command.push(timeOf('/bin/true'));
        times.exec.push(timeOf(EVENTFS, 'exec', ...mount, '--', '/bin/true'));
      }
    } finally {
      await daemon.stop();
    }
    const [node, watch, command] = [times.node, times.watch, times.command].map(median);
    const hasHelpers = [EMIT_HELPER, join(dirname(EMIT_HELPER), 'eventfs-exec')].every((path) =>
      existsSync(path),
    );
    const quick = hasHelpers
      ? [
          figure('emit', median(times.emit), ' ms', { atMost: MOST_OF_EMIT_MS }),
          figure('exec, beyond its command', median(times.exec) - command, ' ms', {
            atMost: MOST_OF_EXEC_MS,
          }),
        ]
      : [unmeasured('emit and exec', 'their C programs are not built')];
    return [
      figure('node -e 0', node, ' ms'),
      figure('watch to its first event, beyond node -e 0', watch - node, ' ms', {
        atMost: MOST_OF_WATCH_MS,
      }),
      ...quick,
    ];
  },
};
