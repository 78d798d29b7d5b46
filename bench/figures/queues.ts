/** What queues cost: memory a link, CPU time a delivery, with filters and without, and an event taken off through `head`. */
import { type WeighedDaemon, cpuNs, withWeighedDaemon } from '../daemon-costs.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { ONE_CPU, measure, median, withDaemon, withFloor } from '../programs.js';
import { eventText, publish, statusOf } from '../../test/support/clients.js';
import { type Daemon, Shell } from '../../test/support/daemon.js';

const EVENT_BYTES = 300;
const MAKE_TIMEOUT_MS = 120_000;
const POPS = 20_000;
const ROUNDS = 5;

export const queues: Benchmark = {
  name: 'queues',
  run: async (say) => [...(await popFigures(say)), ...(await linkFigures(say)), ...(await deliveryFigures(say)), ...(await filterFigures(say))],
};

type Say = (progress: string) => void;

/** Open head, read, close, unlink head, against what a bare C loop needs for open, read and close alone. */
async function popFigures(say: Say): Promise<Figure[]> {
  const owner = new Shell([...ONE_CPU, 'bash']);
  try {
    return await withFloor(['files'], ONE_CPU, (floor) =>
      withDaemon('none', ONE_CPU, async (daemon) => {
        const directory = `${daemon.path}/${owner.pid}`;
        await owner.run(`mkdir ${directory}`);
        const pops: number[] = [];
        const ratios: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          say(`pop, round ${round + 1} of ${ROUNDS}`);
          const bare = (await measure('client', ['open', `${floor.path}/1234/1041`, POPS], ONE_CPU)).get('us')!;
          pops.push((await measure('client', ['pop', directory, POPS], ONE_CPU)).get('us')!);
          ratios.push(pops[round] / bare);
        }
        return [
          figure('read and pop through head, one CPU', median(pops), ' us'),
          figure('read and pop, against open+read+close of the bare C loop', median(ratios), ' x', { atMost: 3 }),
        ];
      }),
    );
  } finally {
    await owner.kill();
  }
}

/** Makes `count` directories of the shell's, each with a filter or none. */
async function makeDirectories(daemon: Daemon, owner: Shell, count: number, filter: (index: number) => string = () => ''): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => `${owner.pid}.${index}`);
  for (let at = 0; at < count; at += 500) {
    const some = names.slice(at, at + 500);
    const filters = some.map((name, index) => [name, filter(at + index)]).filter(([, text]) => text !== '');
    const commands = [`cd ${daemon.path} && mkdir ${some.join(' ')}`, ...filters.map(([name, text]) => `echo '${text}' > ${name}/.filter`)];
    const { code, out } = await owner.run(`${commands.join('\n')}\ncd /`, MAKE_TIMEOUT_MS);
    if (code !== 0) throw new Error(out);
  }
}

/** Events of EVENT_BYTES bytes of text. */
function texts(count: number, subsystem: string): string[] {
  return Array.from({ length: count }, (_, n) => {
    const text = eventText('/devices/n', { SUBSYSTEM: subsystem, N: n });
    return `${text}PAD=${'x'.repeat(EVENT_BYTES - text.length - 5)}\n`;
  });
}

const DIRECTORIES = 1000;
const EVENTS = 1000;
/** More than the ring holds, so that the events have only their queues left. */
const EVENTS_AFTER = 5000;

/** A thousand directories hold the same thousand events; then the ring moves on. */
async function linkFigures(say: Say): Promise<Figure[]> {
  say('a million links');
  const owner = new Shell();
  try {
    return await withWeighedDaemon([], async (daemon: WeighedDaemon) => {
      await makeDirectories(daemon, owner, DIRECTORIES, () => 'SUBSYSTEM==mine');
      publish(daemon.path, ...texts(EVENTS_AFTER, 'other'));
      const before = await daemon.weigh();
      publish(daemon.path, ...texts(EVENTS, 'mine'));
      publish(daemon.path, ...texts(EVENTS_AFTER, 'other'));
      const after = await daemon.weigh();
      const pending = Number(statusOf(`${daemon.path}/${owner.pid}.${DIRECTORIES - 1}`).PENDING);
      if (pending !== EVENTS) throw new Error(`a directory holds ${pending} events`);
      const links = DIRECTORIES * EVENTS;
      const text = after.arrayBuffers - before.arrayBuffers;
      const all = after.heapUsed + after.external - before.heapUsed - before.external;
      return [
        figure('event text held for 1,000,000 links to 1,000 events of 300 B', text, ' B', { atMost: EVENTS * (EVENT_BYTES + 64) }),
        figure('all memory held, a link', all / links, ' B', { atMost: 100 }),
        figure('resident size, a link', (after.rss - before.rss) / links, ' B'),
      ];
    });
  } finally {
    await owner.kill();
  }
}

/** One event to a thousand directories without a filter. */
async function deliveryFigures(say: Say): Promise<Figure[]> {
  say('deliveries to 1,000 directories');
  const owner = new Shell();
  try {
    return await withDaemon('none', [], async (daemon) => {
      publish(daemon.path, ...texts(EVENTS_AFTER, 'mine'));
      const alone = cpuPerEventUs(daemon, 'mine');
      await makeDirectories(daemon, owner, DIRECTORIES);
      publish(daemon.path, ...texts(EVENTS, 'mine'));
      const delivered = cpuPerEventUs(daemon, 'mine');
      return [
        figure('one event to 1,000 directories, daemon CPU a directory', (delivered - alone) / DIRECTORIES, ' us', { atMost: 1 }),
        figure('one event to nobody, daemon CPU', alone, ' us'),
      ];
    });
  } finally {
    await owner.kill();
  }
}

const FILTERED = 10_000;
const MATCHING = 10;

/** An event that ten of 10,000 filtered directories want, against one that ten of ten want. */
async function filterFigures(say: Say): Promise<Figure[]> {
  const costs: number[] = [];
  for (const count of [MATCHING, FILTERED]) {
    say(`an event with ${count} filters`);
    const owner = new Shell();
    try {
      costs.push(
        await withDaemon('none', [], async (daemon) => {
          publish(daemon.path, ...texts(EVENTS_AFTER, 'other'));
          await makeDirectories(daemon, owner, count, (index) => `SUBSYSTEM==${index < MATCHING ? 'mine' : `s${index}`}, ACTION==add`);
          publish(daemon.path, ...texts(EVENTS, 'mine'));
          return cpuPerEventUs(daemon, 'mine');
        }),
      );
    } finally {
      await owner.kill();
    }
  }
  const [few, many] = costs;
  return [
    figure(`an event that ${MATCHING} of ${MATCHING} filtered directories take, daemon CPU`, few, ' us'),
    figure(`an event that ${MATCHING} of ${FILTERED.toLocaleString('en')} filtered directories take, daemon CPU`, many, ' us'),
    figure('the second against the first', many / few, ' x'),
  ];
}

/** Daemon CPU for each of some thousand events, its share of the publishing system calls included. */
function cpuPerEventUs(daemon: Daemon, subsystem: string): number {
  const events = texts(EVENTS, subsystem);
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = cpuNs(daemon.pid);
    publish(daemon.path, ...events);
    rounds.push((cpuNs(daemon.pid) - before) / EVENTS / 1000);
  }
  return median(rounds);
}
