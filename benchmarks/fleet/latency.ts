/** How long an event takes from one host to a blocked reader on another, and a death. */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, figure, unmeasured } from '../figure.js';
import { median } from '../programs.js';
import { cut, restore } from '../../test/support/fleet/network.js';
import { until, within } from '../../test/support/mount/daemon.js';
import { forgets, knows, publish } from '../../test/support/fleet/bridges.js';
import { type Stage, end, onStage } from './stage.js';

const EVENTS = 500;
const WARM_UP = 5000;
const PAUSE_MS = 5;
const DEATHS = 20;
const CUTS = 3;
const DEATH_MS = 60_000;
const KEEP_ALIVE = '2';

/** A child process whose output tells when an event has come. */
class Listener {
  #wake: () => void = () => undefined;
  readonly child;

  constructor(command: readonly string[]) {
    this.child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'ignore'] });
    this.child.stdout.on('data', () => this.#wake());
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

export async function latency(say: (progress: string) => void): Promise<Figure[]> {
  return onStage({ source: 'kernel' }, async (stage) => {
    const { fleet, broker, web, watching } = stage;
    const follower = await stage.follower();
    const publisher = await stage.publisher();
    await knows(fleet.path, 'web1');
    say('latency');
    const reader = new Listener(['cat', `${fleet.path}/match/HOST=web1`]);
    const own = [...broker.clientArguments, '-q', '1', '-t', 'bench'];
    const subscriber = new Listener([...watching.enter, 'mosquitto_sub', ...own]);
    const sender = new Listener([...web.enter, 'mosquitto_pub', ...own, '-l']);
    await sleep(1000);
    // V8 compiles the path of an event, as it has in a bridge that has run for a while.
    for (let n = 0; n < WARM_UP; n++) {
      publish(stage.local, n, n + 1);
      if (n % 10 === 0) await sleep(1);
    }
    await sleep(1000);
    const event = (): void => appendFileSync('/sys/class/mem/null/uevent', 'change');
    const line = (): void => void sender.child.stdin.write(`${'x'.repeat(200)}\n`);
    const local = new Listener(['cat', `${stage.local.path}/stream`]);
    const ours: number[] = [];
    const theirs: number[] = [];
    const legs = { local: [] as number[], fleet: [] as number[] };
    const remote = 'change@/x\nACTION=change\nDEVPATH=/x\nHOST=web1\n';
    for (let i = 0; i < 5; i++) {
      ours.push(await medianOf(EVENTS / 5, () => reader.after(event)));
      theirs.push(await medianOf(EVENTS / 5, () => subscriber.after(line)));
      legs.local.push(await medianOf(EVENTS / 5, () => local.after(event)));
      await sleep(100);
      const write = (): void => writeFileSync(`${fleet.path}/publish`, remote);
      legs.fleet.push(await medianOf(EVENTS / 5, () => reader.after(write)));
    }
    for (const each of [reader, subscriber, sender, local]) each.end();
    await end(publisher);
    const deaths = await ofDeaths(stage, say);
    await end(follower);
    const ratio = median(ours) / median(theirs);
    return [
      figure('mosquitto_pub to mosquitto_sub, median', median(theirs) * 1000, ' us'),
      figure("uevent to a blocked reader of another host's mount", median(ours) * 1000, ' us'),
      figure(
        '  of it: uevent to a blocked reader of the own mount',
        median(legs.local) * 1000,
        ' us',
      ),
      figure(
        "  of it: publish to a blocked reader of the fleet's mount",
        median(legs.fleet) * 1000,
        ' us',
      ),
      figure('ratio', ratio, ' x', { atMost: 2 }),
      ...deaths,
    ];
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
      figures.push(unmeasured(what, (error as Error).message));
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
  await forgets(fleet.path, 'web1').catch(() => undefined);
  await end(follower);
  return figure(what, median(differences), ' ms', { atMost: 100 });
}
