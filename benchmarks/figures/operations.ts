/**
 * Measures open+read+close and stat of an event on one CPU and on two, against the bare C loop,
 * against the same tree behind fuse-native, and beside libfuse's own example.
 */
import { type Benchmark, type Figure, figure, unmeasured } from '../figure.js';
import {
  HAS_TWO_CPUS,
  ONE_CPU,
  OTHER_CPU,
  hasExample,
  measureOne,
  median,
  moveToOtherCpu,
  ratios,
  withDaemon,
  withEvent,
  withExample,
  withFloor,
} from '../programs.js';

const ROUNDS = 7;
const EVENT_BYTES = 300;

/** The CPUs of client and filesystem. */
interface Place {
  readonly label: string;
  /** A command that runs the client. */
  readonly client: readonly string[];
  /** A command that runs filesystems that do not choose a CPU themselves. */
  readonly server: readonly string[];
  readonly count: number;
}

/** The bare C loop sleeps between two requests, on any CPU. */
const PLACES = {
  one: { label: 'one CPU', client: ONE_CPU, server: ONE_CPU, count: 10_000 },
  two: { label: 'two CPUs', client: ONE_CPU, server: OTHER_CPU, count: 3000 },
  free: { label: 'two CPUs, placed by the scheduler', client: [], server: [], count: 3000 },
} as const;

/**
 * An operation, and the requests that the daemon gets for it: the kernel looks up names and
 * permissions each time. close(2) does not wait for a RELEASE. The file of libfuse's example is one
 * directory less deep, but the kernel asks for the root's attributes as well.
 */
export const OPERATIONS = [
  {
    name: 'open',
    what: 'open+read+close',
    requests: ['LOOKUP', 'GETATTR', 'LOOKUP', 'GETATTR', 'OPEN', 'READ', 'RELEASE'],
    example: ['GETATTR', 'LOOKUP', 'GETATTR', 'OPEN', 'READ', 'RELEASE'],
    cached: ['OPEN', 'READ', 'RELEASE'],
    atMost: 1.15,
  },
  {
    name: 'stat',
    what: 'stat',
    requests: ['LOOKUP', 'GETATTR', 'LOOKUP', 'GETATTR'],
    example: ['GETATTR', 'LOOKUP', 'GETATTR'],
    cached: [],
    atMost: 1.25,
  },
] as const;
type Operation = (typeof OPERATIONS)[number];

/** The same file on each filesystem; the example's paths exist only if it was compiled. */
interface Paths {
  readonly floor: string;
  readonly ours: string;
  readonly fuseNative?: string;
  readonly cached?: string;
  readonly example?: string;
}
type Filesystem = keyof Paths;
type Costs = Readonly<Record<Filesystem, readonly number[]>>;
type Say = (progress: string) => void;

export const operations: Benchmark = {
  name: 'operations',
  run: async (say) => [
    ...(await withOurs(PLACES.one, (paths) =>
      withFuseNative(paths, (all) =>
        withExamples(PLACES.one, all, (most) => figuresAt(say, PLACES.one, most, oneCpuRows)),
      ),
    )),
    ...(HAS_TWO_CPUS
      ? await twoCpuFigures(say)
      : OPERATIONS.map(({ what }) => unmeasured(`${what}, two CPUs`, 'there is one CPU'))),
    ...(hasExample()
      ? []
      : [
          unmeasured(
            "libfuse's own hello_ll",
            'not there: install libfuse3-dev (see benchmarks/programs/Makefile)',
          ),
        ]),
  ],
};

/**
 * Measures with client and filesystem on a CPU each, where wake-ups across CPUs are most of the
 * cost, and with CPUs that the scheduler chooses.
 */
async function twoCpuFigures(say: Say): Promise<Figure[]> {
  return [
    ...(await withOurs(PLACES.two, (paths) =>
      withExamples(PLACES.two, paths, (most) => figuresAt(say, PLACES.two, most, twoCpuRows)),
    )),
    ...(await withOurs(PLACES.free, (paths) => figuresAt(say, PLACES.free, paths, twoCpuRows))),
  ];
}

function oneCpuRows(
  place: Place,
  { what, atMost }: Operation,
  { ours, floor, fuseNative }: Costs,
): Figure[] {
  return [
    figure(`${what}, ${place.label}`, median(ours), ' us'),
    figure(`${what}, bare C loop`, median(floor), ' us'),
    figure(`${what}, ratio`, median(ratios(ours, floor)), ' x', { atMost }),
    figure(`${what}, --driver fuse-native`, median(fuseNative), ' us'),
    figure(
      `${what}, how many times as fast as fuse-native`,
      median(ratios(fuseNative, ours)),
      ' x',
      { atLeast: 3 },
    ),
  ];
}

function twoCpuRows(place: Place, { what }: Operation, { ours, floor }: Costs): Figure[] {
  const bar = place === PLACES.two ? { atLeast: 1.4 } : undefined;
  return [
    figure(`${what}, ${place.label}`, median(ours), ' us'),
    figure(`${what}, ${place.label}, bare C loop without polling`, median(floor), ' us'),
    figure(
      `${what}, ${place.label}, how many times as fast as the loop`,
      median(ratios(floor, ours)),
      ' x',
      bar,
    ),
  ];
}

/** The rows have no bars: no option makes the kernel send the example the same requests. */
function exampleRows(
  place: Place,
  { what, requests, example, cached }: Operation,
  costs: Costs,
): Figure[] {
  const label = `${what}, ${place.label}`;
  const each = (us: readonly number[], sent: readonly string[]): number[] =>
    us.map((all) => all / sent.length);
  return [
    figure(
      `${label}: libfuse's hello_ll, which caches for 1 s: ${cached.join(' ') || 'nothing is sent'}`,
      median(costs.cached),
      ' us',
    ),
    figure(`${label}: hello_ll without caches: ${example.join(' ')}`, median(costs.example), ' us'),
    figure(`${label}: ours: ${requests.join(' ')}`, median(costs.ours), ' us'),
    figure(
      `${label}: a request of ours, against a request of hello_ll without caches`,
      median(ratios(each(costs.ours, requests), each(costs.example, example))),
      ' x',
    ),
  ];
}

/** Runs `work` with the bare C loop and a daemon at a place. */
async function withOurs<T>(place: Place, work: (paths: Paths) => Promise<T>): Promise<T> {
  const isApart = place === PLACES.two;
  return withFloor(['files'], place.server, (floor) =>
    withDaemon('none', isApart ? [] : place.server, async (daemon) => {
      if (isApart) moveToOtherCpu(daemon);
      return withEvent(daemon, EVENT_BYTES, (ours) =>
        work({ ours, floor: `${floor.path}/1234/1041` }),
      );
    }),
  );
}

async function withFuseNative<T>(paths: Paths, work: (paths: Paths) => Promise<T>): Promise<T> {
  return withDaemon(
    'none',
    ONE_CPU,
    (daemon) => withEvent(daemon, EVENT_BYTES, (fuseNative) => work({ ...paths, fuseNative })),
    'fuse-native',
  );
}

async function withExamples<T>(
  place: Place,
  paths: Paths,
  work: (paths: Paths) => Promise<T>,
): Promise<T> {
  if (!hasExample()) return work(paths);
  return withExample('hello_ll', place.server, (cached) =>
    withExample('hello_ll-uncached', place.server, (example) =>
      work({ ...paths, cached, example }),
    ),
  );
}

/**
 * Measures each operation on all filesystems in turns, so that other load of the machine affects
 * all of them.
 */
async function figuresAt(
  say: Say,
  place: Place,
  paths: Paths,
  rows: (place: Place, operation: Operation, costs: Costs) => Figure[],
): Promise<Figure[]> {
  const figures: Figure[] = [];
  const examples: Figure[] = [];
  for (const operation of OPERATIONS) {
    const costs: Record<Filesystem, number[]> = {
      floor: [],
      ours: [],
      fuseNative: [],
      cached: [],
      example: [],
    };
    for (let round = 0; round < ROUNDS; round++) {
      say(`${operation.what}, ${place.label}, round ${round + 1} of ${ROUNDS}`);
      for (const [filesystem, path] of Object.entries(paths) as [Filesystem, string][]) {
        costs[filesystem].push(
          await measureOne('client', [operation.name, path, place.count], 'us', place.client),
        );
      }
    }
    figures.push(...rows(place, operation, costs));
    if (paths.example !== undefined) examples.push(...exampleRows(place, operation, costs));
  }
  return [...figures, ...examples];
}
