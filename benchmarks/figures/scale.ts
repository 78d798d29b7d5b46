/**
 * Compares operations with 10,000 and with 10 live process directories, and measures 10,000 deaths
 * at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { ONE_CPU, measure, median, withDaemon } from '../programs.js';
import { statusOf } from '../../test/support/clients/clients.js';
import { compiled } from '../../test/support/clients/compiled.js';
import { type Daemon, Shell, until, within } from '../../test/support/mount/daemon.js';
import { descriptors, memoryKib } from '../../test/support/processes.js';

const FEW = 10;
const MANY = 10_000;
const COUNT = 5000;
const ROUNDS = 5;
const OWNERS_TIMEOUT_MS = 120_000;

export const scale: Benchmark = {
  name: 'scale',
  run: (say) => {
    return withDaemon('none', ONE_CPU, (few) =>
      withDaemon('none', ONE_CPU, async (many) => {
        say(`${MANY} owners`);
        const owners = [await Owners.on(few, FEW), await Owners.on(many, MANY)];
        const figures = await operationFigures(say, few, many);
        figures.push(
          figure(
            'resident size of the daemon with 10,000 directories',
            memoryKib(many.pid) / 1024,
            ' MiB',
            { atMost: 200 },
          ),
        );
        await owners[0].end();
        say(`the end of ${MANY} owners`);
        figures.push(await reclaimFigure(many, owners[1]));
        return figures;
      }),
    );
  },
};

/** Processes that own a directory each, which a program of test/programs starts. */
class Owners {
  readonly #process: ChildProcess;
  #said = '';

  private constructor(daemon: Daemon, count: number) {
    this.#process = spawn(compiled('spawn-owners'), [daemon.path, String(count)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#process.stdout!.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  static async on(daemon: Daemon, count: number): Promise<Owners> {
    const owners = new Owners(daemon, count);
    await until(
      () => owners.#said.includes('ready'),
      `${count} owners were not ready`,
      OWNERS_TIMEOUT_MS,
    );
    return owners;
  }

  /** Kills all processes, and resolves when their parent has waited for them. */
  async end(): Promise<void> {
    const ended = new Promise<void>((done) => this.#process.once('exit', () => done()));
    this.#process.stdin!.end();
    await within(OWNERS_TIMEOUT_MS, ended, 'the owners did not end');
  }
}

const OPERATIONS = [
  ['stat', 'event'],
  ['open', 'event'],
  ['getxattr', 'directory'],
  ['list', 'directory'],
  ['create', 'directory'],
  ['link', 'event'],
  ['rename', 'event'],
  ['pop', 'directory'],
  ['mkdir', 'root'],
] as const;

async function operationFigures(
  say: (progress: string) => void,
  few: Daemon,
  many: Daemon,
): Promise<Figure[]> {
  const owner = new Shell();
  try {
    const places = await Promise.all([few, many].map((daemon) => makePlace(daemon, owner)));
    const figures: Figure[] = [];
    for (const [operation, where] of OPERATIONS) {
      const ratios: number[] = [];
      const us: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        say(`${operation}, round ${round + 1} of ${ROUNDS}`);
        const [with10, with10000] = [
          await costUs(operation, places[0][where]),
          await costUs(operation, places[1][where]),
        ];
        ratios.push(with10000 / with10);
        us.push(with10);
      }
      figures.push(
        figure(`${operation} with 10 directories`, median(us), ' us'),
        figure(`${operation} with 10,000 directories, against that`, median(ratios), ' x', {
          atMost: 1.2,
        }),
      );
    }
    return figures;
  } finally {
    await owner.kill();
  }
}

async function makePlace(
  daemon: Daemon,
  owner: Shell,
): Promise<{ root: string; directory: string; event: string }> {
  const directory = `${daemon.path}/${owner.pid}`;
  const events = `${daemon.path}/${owner.pid}.events`;
  const { code, out } = await owner.run(
    `mkdir ${directory} ${events} && head -c 300 /dev/zero | tr '\\0' x > ${events}/1041`,
  );
  if (code !== 0) throw new Error(out);
  return { root: daemon.path, directory, event: `${events}/1041` };
}

async function costUs(operation: string, path: string): Promise<number> {
  return (await measure('client', [operation, path, COUNT], ONE_CPU)).get('us')!;
}

/**
 * Measures from the first SIGKILL until the daemon has closed the last pidfd. The mount gets no
 * request meanwhile.
 */
async function reclaimFigure(daemon: Daemon, owners: Owners): Promise<Figure> {
  const start = performance.now();
  await owners.end();
  await until(
    () => descriptors(daemon.pid, /pidfd/).length === 0,
    'descriptors of dead owners are left',
    OWNERS_TIMEOUT_MS,
  );
  const seconds = (performance.now() - start) / 1000;
  const { DIRECTORIES, OWNERS } = statusOf(`${daemon.path}/log`);
  if (DIRECTORIES !== '0' || OWNERS !== '0')
    throw new Error(`${DIRECTORIES} directories of ${OWNERS} owners are left`);
  return figure('10,000 owners killed, waited for and given back', seconds, ' s', { atMost: 2 });
}
