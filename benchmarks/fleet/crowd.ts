/**
 * 1,000 hosts with one event a second each, half of which die at once; and a bridge without work.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Figure, figure } from '../figure.js';
import { cpuNs } from '../daemon-costs.js';
import { until } from '../../test/support/mount/daemon.js';
import { memoryKib } from '../../test/support/processes.js';
import { end, onStage } from './stage.js';

const HOSTS = 1000;
const WATCH_MS = 10_000;
const IDLE_MS = 30_000;
const KEEP_ALIVE = 10;
const START_MS = 60_000;
const PROGRAM = fileURLToPath(new URL('crowd-hosts.js', import.meta.url));
/** The names in the root of a mount that are no directories of hosts. */
const FIXED = 3;

export async function crowd(say: (progress: string) => void): Promise<Figure[]> {
  return onStage({}, async (stage) => {
    const { fleet, broker, web } = stage;
    const follower = await stage.follower('--subscribe', 'crowd*');
    const count = (): number => readdirSync(fleet.path).length - FIXED;
    say(`${HOSTS} hosts`);
    const command = [...web.enter, process.execPath, PROGRAM];
    const args = [...command.slice(1), broker.address, String(broker.port), String(HOSTS)];
    const hosts = spawn(command[0], args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await until(
      () => count() === HOSTS,
      () => `${count()} of ${HOSTS} hosts came`,
      START_MS,
    );
    await sleep(2000);
    const processes = [
      ['bridge', follower.pid!],
      ["the fleet's daemon", fleet.pid],
      ['mosquitto', broker.pid],
    ] as const;
    const before = processes.map(([, pid]) => cpuNs(pid));
    await sleep(WATCH_MS);
    const costs = processes.flatMap(([name, pid], at) => [
      figure(`  CPU of ${name}`, (cpuNs(pid) - before[at]) / WATCH_MS / 10_000, ' %'),
      figure(`  memory of ${name}`, memoryKib(pid) / 1024, ' MiB'),
    ]);
    const start = performance.now();
    hosts.stdin.write('die\n');
    await until(() => count() <= HOSTS / 2, 'the directories stay', START_MS);
    const gone = performance.now() - start;
    hosts.kill('SIGKILL');
    await end(follower);
    return [
      ...costs,
      figure(`${HOSTS / 2} of ${HOSTS} hosts die: directories gone`, gone / 1000, ' s', {
        atMost: 2,
      }),
    ];
  });
}

/** Returns how often the threads of a process have slept: proc_pid_status(5). */
function sleeps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, tid) => {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1');
    return sum + Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
  }, 0);
}

export async function idle(say: (progress: string) => void): Promise<Figure[]> {
  return onStage({}, async (stage) => {
    const follower = await stage.follower('--keep-alive', String(KEEP_ALIVE));
    const publisher = await stage.publisher('--keep-alive', String(KEEP_ALIVE));
    say('a bridge without work');
    await sleep(15_000);
    const processes = [follower.pid!, publisher.pid!];
    const before = processes.map(sleeps);
    await sleep(IDLE_MS);
    const [following, publishing] = processes.map((pid, at) => sleeps(pid) - before[at]);
    // A ping wakes the process twice: the timer, and the answer.
    const most = (IDLE_MS / 1000 / KEEP_ALIVE) * 2 + 1;
    await end(publisher);
    await end(follower);
    return [
      figure(`wake-ups in ${IDLE_MS / 1000} s, a bridge that follows`, following, '', {
        atMost: most,
      }),
      figure('the same, a bridge that publishes', publishing, '', { atMost: most }),
    ];
  });
}
