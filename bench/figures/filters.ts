/** What an event costs when many have filters of which few match it: process directories, and streams in `match/`. */
import { publish } from '../../test/support/clients.js';
import { type Daemon, Shell } from '../../test/support/daemon.js';
import { EVENTS, EVENTS_AFTER, cpuPerEventUs, makeDirectories, texts } from '../directories.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { withDaemon } from '../programs.js';

const MATCHING = 10;
const COUNTS = [MATCHING, 1000, 10_000];

/** What the filters of those that do not match look like. */
const KINDS = [
  { title: 'SUBSYSTEM==another', filter: (index: number) => `SUBSYSTEM==s${index}, ACTION==add` },
  { title: 'DEVPATH==*another*', filter: (index: number) => `DEVPATH==*s${index}*, ACTION==add` },
] as const;

type Say = (progress: string) => void;

export const filters: Benchmark = {
  name: 'filters',
  run: async (say) => {
    const figures: Figure[] = [];
    for (const { title, filter } of KINDS) {
      const owner = new Shell();
      try {
        figures.push(...(await withDaemon('none', [], (daemon) => figuresOf(daemon, owner, title, filter, say))));
      } finally {
        await owner.kill();
      }
    }
    return figures;
  },
};

/** The first ten match, all others do not. */
async function figuresOf(daemon: Daemon, owner: Shell, title: string, filter: (index: number) => string, say: Say): Promise<Figure[]> {
  const figures: Figure[] = [];
  let few = NaN;
  publish(daemon.path, ...texts(EVENTS_AFTER, 'other'));
  for (const [index, count] of COUNTS.entries()) {
    say(`${count} filters, the others ${title}`);
    await makeDirectories(daemon, owner, count, (each) => (each < MATCHING ? 'SUBSYSTEM==mine, ACTION==add' : filter(each)), COUNTS[index - 1]);
    publish(daemon.path, ...texts(EVENTS, 'mine'));
    const us = cpuPerEventUs(daemon, 'mine');
    const label = `an event that ${MATCHING} of ${count.toLocaleString('en')} filtered directories take`;
    if (index === 0) {
      few = us;
      figures.push(figure(`${label}, daemon CPU`, us, ' us'));
    } else {
      figures.push(figure(`${label}, the others ${title}, daemon CPU`, us, ' us'), figure('the same, against 10 of 10', us / few, ' x'));
    }
  }
  return figures;
}
