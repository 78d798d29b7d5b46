/**
 * How long an event takes from one host to a blocked reader on another, and a death.
 *
 * Each time begins before one write(2) of this process, to a file that is open: the uevent file of
 * a device, `publish`, or a FIFO that mosquitto_pub reads. It ends when this process has read the
 * output of a program that has read the event: cat, or mosquitto_sub. No other program waits for
 * the event meanwhile: it would take a CPU from those that are measured.
 */
import { spawn } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, figure, unmeasured } from '../figure.js';
import { median } from '../programs.js';
import { cut, restore } from '../../test/support/fleet/network.js';
import { run, until, within } from '../../test/support/mount/daemon.js';
import { knows } from '../../test/support/fleet/bridges.js';
import { NoBroker, type Stage, end, onStage } from './stage.js';

const EVENTS = 500;
const ROUNDS = 5;
const WARM_UP = 5000;
const PAUSE_MS = 5;
const LINE = `${'x'.repeat(200)}\n`;
/** The processes and threads between a uevent and the reader of another host's mount. */
const WAKE_UPS = 8;
const DEATHS = 20;
const CUTS = 3;
const DEATH_MS = 60_000;
const KEEP_ALIVE = '2';

/** A child process whose output tells when an event has come. */
class Listener {
  #wake: () => void = () => undefined;
  readonly child;

  /** @param input the descriptor that is its standard input */
  constructor(command: readonly string[], input: number | 'ignore' = 'ignore') {
    this.child = spawn(command[0], command.slice(1), { stdio: [input, 'pipe', 'ignore'] });
    this.child.stdout!.on('data', () => this.#wake());
  }

  /** Measures from `cause` to the next output, in ms. */
  async after(cause: () => void): Promise<number> {
    const came = new Promise<void>((done) => (this.#wake = done));
    const start = performance.now();
    cause();
    await within(DEATH_MS, came, 'nothing came');
    return performance.now() - start;
  }

  end(): void {
    this.child.kill('SIGKILL');
  }
}

async function medianOf(count: number, once: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < count; i++) {
    values.push(await once());
    await sleep(PAUSE_MS);
  }
  return median(values);
}

/** Opens a new FIFO. @returns the end for its reader, and the end to write */
async function openFifo(path: string): Promise<readonly [number, number]> {
  const { code, err } = await run(['mkfifo', path]);
  if (code !== 0) throw new Error(err);
  // The other end need not be there for these flags.
  const ends = openSync(path, constants.O_RDWR);
  return [openSync(path, constants.O_RDONLY), ends];
}

/** Waits for some single events: V8 compiles their path, as in a bridge that has run for long. */
async function warmUp(once: () => Promise<number>): Promise<void> {
  for (let n = 0; n < WARM_UP; n++) await once();
  await sleep(1000);
}

/** Measures the way through both mounts and the broker, mosquitto's way, and our two ends alone. */
async function ofEvents(stage: Stage): Promise<Figure[]> {
  const { local, fleet, broker, web, watching, folder } = stage;
  const reader = new Listener(['cat', `${fleet.path}/match/HOST=web1`]);
  const own = [...broker.clientArguments, '-q', '1', '-t', 'bench'];
  const subscriber = new Listener([...watching.enter, 'mosquitto_sub', ...own]);
  const [input, lines] = await openFifo(`${folder}/lines`);
  const sender = new Listener([...web.enter, 'mosquitto_pub', ...own, '-l'], input);
  // Does nothing else than wake as many processes as an event needs.
  const [chainInput, chainLines] = await openFifo(`${folder}/chain`);
  const cats = Array(WAKE_UPS).fill('cat').join(' | ');
  const chain = new Listener(['sh', '-c', cats], chainInput);
  await sleep(1000);
  const uevent = openSync('/sys/class/mem/null/uevent', constants.O_WRONLY);
  const publishFile = openSync(`${fleet.path}/publish`, constants.O_WRONLY);
  const event = (): void => void writeSync(uevent, 'change');
  const line = (): void => void writeSync(lines, LINE);
  const chainLine = (): void => void writeSync(chainLines, LINE);
  const remote = 'change@/x\nACTION=change\nDEVPATH=/x\nHOST=web1\n';
  const write = (): void => void writeSync(publishFile, remote);
  await warmUp(() => reader.after(event));
  const times: Record<string, number[]> = { ours: [], theirs: [], local: [], fleet: [], chain: [] };
  for (let i = 0; i < ROUNDS; i++) {
    times.ours.push(await medianOf(EVENTS / ROUNDS, () => reader.after(event)));
    times.theirs.push(await medianOf(EVENTS / ROUNDS, () => subscriber.after(line)));
    times.fleet.push(await medianOf(EVENTS / ROUNDS, () => reader.after(write)));
    const witness = new Listener(['cat', `${local.path}/stream`]);
    await sleep(500);
    times.local.push(await medianOf(EVENTS / ROUNDS, () => witness.after(event)));
    witness.end();
    await sleep(100);
    times.chain.push(await medianOf(EVENTS / ROUNDS, () => chain.after(chainLine)));
  }
  for (const each of [reader, subscriber, sender, chain]) each.end();
  for (const fd of [input, lines, chainInput, chainLines, uevent, publishFile]) closeSync(fd);
  const us = (name: string): number => median(times[name]) * 1000;
  return [
    figure('mosquitto_pub to mosquitto_sub, median', us('theirs'), ' us'),
    figure("uevent to a blocked reader of another host's mount", us('ours'), ' us'),
    figure('  uevent to a blocked reader of the own mount', us('local'), ' us'),
    figure("  publish to a blocked reader of the fleet's mount", us('fleet'), ' us'),
    figure(`  as many wake-ups alone: ${WAKE_UPS} times cat in a row`, us('chain'), ' us'),
    figure('ratio', us('ours') / us('theirs'), ' x', { atMost: 2 }),
  ];
}

export async function latency(say: (progress: string) => void): Promise<Figure[]> {
  return onStage({ source: 'kernel' }, async (stage) => {
    const follower = await stage.follower();
    const publisher = await stage.publisher();
    await knows(stage.fleet.path, 'web1');
    say('latency');
    const events = await ofEvents(stage);
    await end(publisher);
    const deaths = await ofDeaths(stage, say);
    await end(follower);
    return [...events, ...deaths];
  });
}

async function ofDeaths(stage: Stage, say: (progress: string) => void): Promise<Figure[]> {
  const times: number[] = [];
  for (let i = 0; i < DEATHS; i++) {
    say(`death ${i + 1} of ${DEATHS}`);
    const publisher = await stage.publisher();
    await knows(stage.fleet.path, 'web1');
    const start = performance.now();
    publisher.kill('SIGKILL');
    await until(() => !existsSync(`${stage.fleet.path}/web1`), 'the directory stays', DEATH_MS);
    times.push(performance.now() - start);
  }
  return [
    figure('SIGKILL to the end of the directory, median', median(times), ' ms', { atMost: 100 }),
  ];
}

/** Pulls the cable of a host, with each version of mosquitto. */
export async function cables(say: (progress: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const version of ['own', 'trixie'] as const) {
    const name = version === 'own' ? "this Debian's mosquitto" : "Debian 13's mosquitto";
    const what = `cable pulled, ${name}: the directory ends after mosquitto_sub sees the will`;
    try {
      figures.push(await onStage({ version }, (stage) => ofCables(stage, what, say)));
    } catch (error) {
      if (!(error instanceof NoBroker)) throw error;
      figures.push(unmeasured(what, error.message));
    }
  }
  return figures;
}

async function ofCables(
  stage: Stage,
  what: string,
  say: (progress: string) => void,
): Promise<Figure> {
  const { fleet, broker, web, watching } = stage;
  const follower = await stage.follower('--keep-alive', KEEP_ALIVE);
  const publisher = await stage.publisher('--keep-alive', KEEP_ALIVE);
  const differences: number[] = [];
  for (let i = 0; i < CUTS; i++) {
    say(`cable ${i + 1} of ${CUTS}`);
    await knows(fleet.path, 'web1');
    const states = ['-q', '1', '-R', '-t', 'eventfs/1/web1/state'];
    const witness = new Listener([
      ...watching.enter,
      'mosquitto_sub',
      ...broker.clientArguments,
      ...states,
    ]);
    await sleep(500);
    const start = performance.now();
    const [seen, gone] = await Promise.all([
      witness.after(() => void cut(web)),
      until(() => !existsSync(`${fleet.path}/web1`), 'the directory stays', DEATH_MS).then(
        () => performance.now() - start,
      ),
    ]);
    differences.push(gone - seen);
    witness.end();
    await restore(web);
  }
  await end(publisher, 'SIGKILL');
  await end(follower);
  return figure(what, median(differences), ' ms', { atMost: 100 });
}
