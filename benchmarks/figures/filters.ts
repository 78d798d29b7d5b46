/**
 * Measures the cost of an event when few of many filters match it: in process directories, and in
 * streams of `match/`.
 */
import { Filter } from '../../fs/uevent/filter/filter.js';
import { DEFAULT_QUOTAS } from '../../fs/tree/quota/bounds.js';
import { eventText, publish } from '../../test/support/clients/clients.js';
import { type Daemon, Shell } from '../../test/support/mount/daemon.js';
import {
  EVENTS,
  EVENTS_AFTER,
  cpuPerEventUs,
  cpuUs,
  makeDirectories,
  texts,
} from '../directories.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { withDaemon } from '../programs.js';

const MATCHING = 10;
/** The properties of the events. */
const HAS = { HOST: 'mine' };
const COUNTS = [MATCHING, 1000, 10_000];

/** The filters that do not match. */
const KINDS = [
  {
    title: 'SUBSYSTEM==another',
    atMost: 1.2,
    filter: (index: number) => `SUBSYSTEM==s${index}, ACTION==add`,
  },
  {
    title: 'HOST==another',
    atMost: 1.2,
    filter: (index: number) => `HOST==h${index}, ACTION==add`,
  },
  { title: 'DEVPATH==*another*', filter: (index: number) => `DEVPATH==*s${index}*, ACTION==add` },
] as const;

type Say = (progress: string) => void;

export const filters: Benchmark = {
  name: 'filters',
  run: async (say) => {
    const figures: Figure[] = [];
    for (const kind of KINDS) {
      const owner = new Shell();
      try {
        figures.push(
          ...(await withDaemon('none', [], (daemon) => figuresOf(daemon, owner, kind, say))),
        );
      } finally {
        await owner.kill();
      }
    }
    for (const { title, filter } of WORST) {
      const owner = new Shell([
        'setpriv',
        '--reuid',
        '65534',
        '--regid',
        '65534',
        '--clear-groups',
        'bash',
      ]);
      try {
        figures.push(
          ...(await withDaemon('none', [], (daemon) => worstOf(daemon, owner, title, filter, say))),
        );
      } finally {
        await owner.kill();
      }
    }
    return figures;
  },
};

interface Kind {
  readonly title: string;
  readonly atMost?: number;
  readonly filter: (index: number) => string;
}

/**
 * Filters with the highest cost for an event in relation to their filter cost. None of them
 * matches.
 */
const WORST = [
  {
    title: 'texts between stars',
    filter: `V==${Array.from('bcdefghijk', (char) => `*aaaa${char}*`).join('|')}`,
  },
  {
    title: 'sets between stars',
    filter: `V==${Array.from('bcdefghijk', (char) => `*?[${char}z]*`).join('|')}`,
  },
  { title: 'a long text between stars', filter: `V==*${'a'.repeat(124)}b${'a'.repeat(375)}*` },
  {
    title: '128 prefixes',
    filter: Array.from(
      { length: 4 },
      () => `V==${Array.from({ length: 32 }, (_, n) => `aaa${n}*`).join('|')}`,
    ).join('; '),
  },
] as const;

const WORST_EVENTS = 40;
const MOST_DIRECTORIES = 250;
/** The size of the value that they match, in bytes. */
const VALUE_BYTES = [1900, 60_000];
const HOLD_MS = 5;

/** Creates as many directories with the filter as one user's quota allows. */
async function worstOf(
  daemon: Daemon,
  owner: Shell,
  title: string,
  filter: string,
  say: Say,
): Promise<Figure[]> {
  const count = Math.min(
    MOST_DIRECTORIES,
    Math.floor(DEFAULT_QUOTAS.uid.others.filter_cost / Filter.parse(filter).cost),
  );
  say(`${count} filters of ${title}`);
  const events = VALUE_BYTES.map((bytes) =>
    Array.from({ length: WORST_EVENTS }, (_, n) =>
      eventText('/devices/n', { N: n, V: 'a'.repeat(bytes) }),
    ),
  );
  const before = events.map((each) => cpuUs(daemon, each));
  await makeDirectories(daemon, owner, count, () => filter);
  return events.map((each, n) => {
    const ms = (cpuUs(daemon, each) - before[n]) / 1000;
    return figure(
      `${count} filters of one user: ${title}, an event with ${VALUE_BYTES[n].toLocaleString('en')} bytes for them`,
      ms,
      ' ms',
      { atMost: HOLD_MS },
    );
  });
}

/** Measures filters of which the first ten match and the others do not. */
async function figuresOf(
  daemon: Daemon,
  owner: Shell,
  { title, atMost, filter }: Kind,
  say: Say,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  let few = NaN;
  publish(daemon.path, ...texts(EVENTS_AFTER, 'other', HAS));
  for (const [index, count] of COUNTS.entries()) {
    say(`${count} filters, the others ${title}`);
    await makeDirectories(
      daemon,
      owner,
      count,
      (each) => (each < MATCHING ? 'SUBSYSTEM==mine, ACTION==add' : filter(each)),
      COUNTS[index - 1],
    );
    publish(daemon.path, ...texts(EVENTS, 'mine', HAS));
    const us = cpuPerEventUs(daemon, 'mine', HAS);
    const label = `an event that ${MATCHING} of ${count.toLocaleString('en')} filtered directories take`;
    if (index === 0) {
      few = us;
      figures.push(figure(`${label}, daemon CPU`, us, ' us'));
    } else {
      figures.push(
        figure(`${label}, the others ${title}, daemon CPU`, us, ' us'),
        figure(
          'the same, against 10 of 10',
          us / few,
          ' x',
          atMost === undefined || count < 10_000 ? undefined : { atMost },
        ),
      );
    }
  }
  return figures;
}
