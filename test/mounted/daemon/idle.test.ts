/** The cost of a daemon without work: its memory, and its wake-ups. Prints both. */
import * as assert from 'uvu/assert';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EVENTFS, mountPoint, startDaemon } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

/** Calls that are closer to each other belong to one wake-up. */
const BURST_MS = 20;
const LOOK_MS = 10_000;
const MOST_PRIVATE_KB = 30 * 1024;
/** Namespaces that the kernel sends no events: other programs of the machine may make mounts. */
const APART = ['unshare', '--user', '--map-root-user', '--net', '--mount'];

const idle = suite('an idle daemon');

/** Returns the children of a process: the notifier. */
function children(pid: number): number[] {
  return execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(Number);
}

/** Returns the private memory of a process in KiB: smaps_rollup, proc_pid_smaps(5). */
function privateKb(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  return [...text.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB$/gm)].reduce(
    (sum, [, kb]) => sum + Number(kb),
    0,
  );
}

/** Returns the time of a line of strace -tt in milliseconds of the day. */
function timeMs(line: string): number {
  const [, hours, minutes, seconds] = /^\d+ +(\d\d):(\d\d):([\d.]+)/.exec(line)!;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
}

/** Splits what strace(1) has seen into wake-ups, each the lines of its system calls. */
function bursts(text: string): string[][] {
  const seen = new Set<string>();
  const found: string[][] = [];
  let lastMs = -Infinity;
  for (const line of text.split('\n').slice(0, -1)) {
    const [thread] = line.split(' ', 1);
    const isFirst = !seen.has(thread);
    seen.add(thread);
    if (isFirst || line.includes('<detached')) continue; // the call in which the thread sleeps
    if (timeMs(line) - lastMs > BURST_MS) found.push([]);
    lastMs = timeMs(line);
    found.at(-1)!.push(line);
  }
  return found;
}

/**
 * Follows processes with strace(1) until a period of 10 s without a wake-up, for at most 40 s: V8
 * frees memory for the last time some 10 s after the work.
 *
 * @param isWork whether a wake-up has a reason, and does not count
 * @returns the wake-ups of the last 10 s, and all that have a reason
 */
async function lookAt(
  pids: readonly number[],
  log: string,
  isWork: (calls: string) => boolean,
): Promise<{ readonly idle: string[][]; readonly work: string[][] }> {
  const tracer = spawn(
    'strace',
    ['-f', '-tt', '-o', log].concat(pids.flatMap((pid) => ['-p', String(pid)])),
    { stdio: 'ignore' },
  );
  const ended = new Promise((done) => tracer.once('exit', done));
  const counts = (burst: string[]): boolean => !isWork(burst.join('\n'));
  const startMs = Date.now();
  let quietMs = Date.now();
  for (let known = 0; Date.now() - quietMs < LOOK_MS && Date.now() - startMs < 4 * LOOK_MS;) {
    await sleep(100);
    const text = existsSync(log) ? readFileSync(log, 'latin1') : '';
    const count = bursts(text).filter(counts).length;
    if (text === '' || count > known) quietMs = Date.now();
    known = count;
  }
  tracer.kill('SIGINT');
  await ended;
  const found = bursts(readFileSync(log, 'latin1'));
  const isOver = Date.now() - quietMs >= LOOK_MS;
  return {
    idle: isOver ? [] : found.filter(counts),
    work: found.filter((burst) => isWork(burst.join('\n'))),
  };
}

idle(
  'has at most 30 MiB of private memory, and does not wake up in 10 s but for the watchdog',
  async () => {
    const path = mountPoint();
    const daemons = [
      await startDaemon(['--source', 'kernel'], undefined, {
        under: APART,
        eventfs: [EVENTFS],
      }),
      await startDaemon(['--source', 'kernel'], path, {
        under: APART,
        eventfs: [EVENTFS],
        env: { NOTIFY_SOCKET: `${path}.socket`, WATCHDOG_USEC: '8000000' },
      }),
    ];
    const processes = daemons.map(({ pid }) => [pid, ...children(pid)]);
    const isPing = (calls: string): boolean => calls.includes('WATCHDOG=1');
    const [quiet, watched] = await Promise.all([
      lookAt(processes[0], `${path}.strace.0`, () => false),
      lookAt(processes[1], `${path}.strace.1`, isPing),
    ]);
    const kb = Math.max(
      ...processes.map((pids) => pids.reduce((sum, pid) => sum + privateKb(pid), 0)),
    );
    console.log(
      `idle: ${(kb / 1024).toFixed(1)} MiB private; ${quiet.idle.length} wake-ups in 10 s, with a watchdog ${watched.idle.length} and its pings`,
    );
    assert.equal(quiet.idle, []);
    assert.equal(watched.idle, []);
    assert.ok(watched.work.length >= 2, `${watched.work.length} pings`);
    assert.ok(kb <= MOST_PRIVATE_KB, `${kb} KiB`);
    for (const daemon of daemons) await daemon.stop();
  },
  90_000,
);

idle.run();
