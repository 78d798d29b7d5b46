/** How many events a second come from one host to a reader of another's mount. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, figure } from '../figure.js';
import { cpuNs } from '../daemon-costs.js';
import { median } from '../programs.js';
import { statusOf } from '../../test/support/clients/clients.js';
import { knows } from '../../test/support/fleet/bridges.js';
import { until, within } from '../../test/support/mount/daemon.js';
import { type Stage, end, onStage } from './stage.js';

const ROUNDS = 5;
const EVENTS = 20_000;
const BYTES = 300;
/** Events of one write to publish. */
const AT_ONCE = 200;
const RUN_MS = 120_000;
const NS_PER_US = 1000;

function record(n: number): string {
  const head = `change@/n/${n}\nACTION=change\nDEVPATH=/n/${n}\nSUBSYSTEM=mine\nX=`;
  return `${head}${'x'.repeat(BYTES - head.length - 1)}\n\n`;
}

const RECORDS = Array.from({ length: EVENTS }, (_, n) => record(n));
/** The bytes of all records with HOST. */
const FLEET_BYTES = RECORDS.join('').length + EVENTS * 'HOST=web1\n'.length;

/**
 * Runs a reader until it has all bytes.
 * @returns the time of its end, as of performance.now()
 * @throws Error if it fails: its end would pass for the last event
 */
function reader(command: readonly string[]): Promise<number> {
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<number>((done, failed) =>
    child.on('exit', (code) =>
      code === 0 ? done(performance.now()) : failed(new Error(`a reader ended with ${code}`)),
    ),
  );
  return within(RUN_MS, ended, 'a reader did not get all events');
}

async function ofBridge({ local, fleet }: Stage): Promise<number> {
  const streams = (): number => Number(statusOf(`${fleet.path}/log`).STREAMS);
  const others = streams(); // that of the follower's bridge
  const ended = reader(['head', '-c', String(FLEET_BYTES), `${fleet.path}/match/HOST=web1`]);
  await until(() => streams() > others, 'the reader does not read');
  const start = performance.now();
  for (let at = 0; at < EVENTS; at += AT_ONCE)
    writeFileSync(`${local.path}/publish`, RECORDS.slice(at, at + AT_ONCE).join(''));
  return (await ended) - start;
}

async function ofMosquitto({ broker, web, watching, folder }: Stage): Promise<number> {
  const lines = join(folder, 'lines');
  writeFileSync(lines, `${'x'.repeat(BYTES)}\n`.repeat(EVENTS));
  const own = [...broker.clientArguments, '-q', '1', '-t', 'bench'];
  const ended = reader([...watching.enter, 'mosquitto_sub', ...own, '-C', String(EVENTS)]);
  await sleep(300);
  const start = performance.now();
  const publish = ['sh', '-c', 'exec "$@" <"$0"', lines, 'mosquitto_pub', ...own, '-l'];
  spawn(web.enter[0], [...web.enter.slice(1), ...publish], { stdio: 'ignore' });
  return (await ended) - start;
}

const perSecond = (ms: readonly number[]): number => (EVENTS * 1000) / median(ms);

export async function throughput(say: (progress: string) => void): Promise<Figure[]> {
  return onStage({}, async (stage) => {
    const ms = { bridge: [] as number[], mosquitto: [] as number[], single: [] as number[] };
    const batched = await rounds(stage, [], async (round) => {
      say(`throughput: round ${round + 1} of ${ROUNDS}`);
      ms.bridge.push(await ofBridge(stage));
      ms.mosquitto.push(await ofMosquitto(stage));
    });
    const single = await rounds(stage, ['--batch', '1'], async (round) => {
      say(`throughput: one event a message, round ${round + 1} of ${ROUNDS}`);
      ms.single.push(await ofBridge(stage));
    });
    const floor = perSecond(ms.mosquitto);
    return [
      figure('events of 300 B a second, mosquitto_pub -l to mosquitto_sub', floor, ''),
      figure('bridge to a reader of the fleet', perSecond(ms.bridge), '', { atLeast: floor }),
      ...batched,
      figure('bridge, one event a message', perSecond(ms.single), ''),
      ...single,
    ];
  });
}

/** Runs rounds with two bridges. @returns the CPU time of each process for an event */
async function rounds(
  stage: Stage,
  args: readonly string[],
  work: (round: number) => Promise<void>,
): Promise<Figure[]> {
  const follower = await stage.follower();
  const publisher = await stage.publisher(...args);
  await knows(stage.fleet.path, 'web1');
  const processes: readonly (readonly [string, number])[] = [
    ["the publisher's daemon", stage.local.pid],
    ["the publisher's bridge", publisher.pid!],
    ['mosquitto (its own rounds too)', stage.broker.pid],
    ["the follower's bridge", follower.pid!],
    ["the fleet's daemon", stage.fleet.pid],
  ];
  const before = processes.map(([, pid]) => cpuNs(pid));
  for (let round = 0; round < ROUNDS; round++) await work(round);
  const figures = processes.map(([name, pid], at) =>
    figure(
      `  CPU an event: ${name}`,
      (cpuNs(pid) - before[at]) / (EVENTS * ROUNDS) / NS_PER_US,
      ' us',
    ),
  );
  await end(publisher);
  await end(follower);
  return figures;
}
