/**
 * A fleet's mount with 10,000 directories of one process, each with the filter of its host, against
 * one with 10: the costs of events, of making and ending the directories, and of the process's
 * death.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { statusOf } from '../../test/support/clients/clients.js';
import { type Daemon, startDaemon, until, within } from '../../test/support/mount/daemon.js';
import { memoryKib } from '../../test/support/processes.js';
import { cpuNs } from '../daemon-costs.js';
import { EVENTS_AFTER, texts } from '../directories.js';
import { type Benchmark, type Figure, figure } from '../figure.js';
import { ONE_CPU, median } from '../programs.js';

const FEW = 10;
const MANY = 10_000;
/** The events of one round, and how many of them are one write(2). */
const EVENTS = 10_000;
const BATCH = 64;
const ROUNDS = 5;
const TIMEOUT_MS = 120_000;
const MIB = 1024 * 1024;
/** How long the daemon may hold a request, in milliseconds. */
const HOLD_MS = 5;
/** How long the daemon may take to give the memory back, in seconds. */
const GIVEN_BACK_S = 2;

export const hosts: Benchmark = {
  name: 'hosts',
  run: async (say) => {
    const few = await Fleet.with(FEW);
    const many = await Fleet.with(MANY);
    const figures: Figure[] = [];
    try {
      say('events');
      figures.push(...costs(few, many));
      say('directories');
      figures.push(many.size());
      for (const each of [few, many]) figures.push(...(await each.changes()));
      say(`the death of the owner of ${MANY} directories`);
      figures.push(...(await many.death()));
    } finally {
      await few.end();
      await many.end();
    }
    return figures;
  },
};

/** Compares the CPU time of an event whose host has a directory. */
function costs(few: Fleet, many: Fleet): Figure[] {
  const [us, ratios]: [number[], number[]] = [[], []];
  for (const each of [few, many]) each.publish(EVENTS_AFTER);
  for (let round = 0; round < ROUNDS; round++) {
    const [with10, with10000] = [few.cpuUs(), many.cpuUs()];
    us.push(with10);
    ratios.push(with10000 / with10);
  }
  return [
    figure(
      `an event, ${BATCH} a write, with 10 directories with HOST filters, daemon CPU`,
      median(us),
      ' us',
    ),
    figure('the same with 10,000 directories, against that', median(ratios), ' x', { atMost: 1.2 }),
  ];
}

/** A mount, and a process that owns the directories of its hosts. */
class Fleet {
  #said = '';

  private constructor(
    private readonly daemon: Daemon,
    private readonly count: number,
    private readonly owner: ChildProcess,
  ) {
    owner.stdout!.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  static async with(count: number): Promise<Fleet> {
    const daemon = await startDaemon(['--fleet'], undefined, { under: ONE_CPU });
    const program = fileURLToPath(new URL('../host-owner.js', import.meta.url));
    const owner = spawn(process.execPath, [program, daemon.path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const fleet = new Fleet(daemon, count, owner);
    await fleet.ask(`make 0 ${count}`);
    return fleet;
  }

  /** Resolves to the time that the owner took for a line, in microseconds. */
  async ask(line: string): Promise<number> {
    this.#said = '';
    this.owner.stdin!.write(`${line}\n`);
    const found = await until(
      () => /done (\d+)\n/.exec(this.#said),
      `no answer to ${line}`,
      TIMEOUT_MS,
    );
    return Number(found![1]);
  }

  /** Publishes events of all hosts in turn, many a write. */
  publish(count: number): void {
    const of = texts(count, 'block').map((text, n) =>
      text.replace('PAD=', `HOST=host${n % this.count}\nPAD=`),
    );
    const fd = openSync(`${this.daemon.path}/publish`, constants.O_WRONLY);
    for (let at = 0; at < count; at += BATCH) {
      const batch = Buffer.from(`${of.slice(at, at + BATCH).join('\n')}\n`, 'latin1');
      // The daemon takes as many events as it has time for.
      for (let done = 0; done < batch.length;) done += writeSync(fd, batch, done);
    }
    closeSync(fd);
  }

  /** Returns the daemon's CPU time an event. */
  cpuUs(): number {
    const before = cpuNs(this.daemon.pid);
    this.publish(EVENTS);
    return (cpuNs(this.daemon.pid) - before) / EVENTS / 1000;
  }

  /** Returns the daemon's size. */
  size(): Figure {
    const { DIRECTORIES } = statusOf(`${this.daemon.path}/log`);
    if (Number(DIRECTORIES) !== this.count) throw new Error(`there are ${DIRECTORIES}`);
    return figure(
      'resident size of the daemon with 10,000 directories and their events',
      memoryKib(this.daemon.pid) / 1024,
      ' MiB',
    );
  }

  /** Measures mkdir(2) with its filter, and rmdir(2) by the owner of a directory with events. */
  async changes(): Promise<Figure[]> {
    const label = this.count.toLocaleString('en');
    const more = 1000;
    const made = await this.ask(`make ${this.count} ${this.count + more}`);
    const removed = await this.ask(`remove ${this.count} ${this.count + more}`);
    return [
      figure(`mkdir and .filter of a host's directory beside ${label}`, made / more, ' us'),
      figure(`rmdir by the owner beside ${label}`, removed / more, ' us'),
    ];
  }

  /** Kills the owner. Measures the time until its directories are gone, and their memory. */
  async death(): Promise<Figure[]> {
    const { path, pid } = this.daemon;
    const before = cpuNs(pid);
    const dead = new Promise<void>((done) => this.owner.once('exit', () => done()));
    this.owner.kill('SIGKILL');
    await within(TIMEOUT_MS, dead, 'the owner did not end');
    const start = performance.now();
    statSync(`${path}/host0`, { throwIfNoEntry: false });
    const lookupMs = performance.now() - start;
    const isThere = Array.from(
      { length: this.count },
      (_, n) => statSync(`${path}/host${n}`, { throwIfNoEntry: false }) !== undefined,
    );
    const first = performance.now();
    readdirSync(path);
    await until(
      () => {
        const { MEMORY, GHOSTS } = statusOf(`${path}/log`);
        return GHOSTS === '0' && Number(MEMORY) < MIB;
      },
      'the memory was not given back',
      TIMEOUT_MS,
    );
    const seconds = (performance.now() - start) / 1000;
    return [
      figure(
        `directories of 10,000 that are still there when their owner has been waited for`,
        isThere.filter(Boolean).length,
        '',
        { atMost: 0 },
      ),
      figure('the first lookup after the death', lookupMs, ' ms', { atMost: HOLD_MS }),
      figure(
        'stat of the 10,000 names right after the death, each',
        ((first - start) / this.count) * 1000,
        ' us',
      ),
      figure('until all their memory is given back and the watchers are told', seconds, ' s', {
        atMost: GIVEN_BACK_S,
      }),
      figure('daemon CPU of the death and of that stat', (cpuNs(pid) - before) / 1e6, ' ms'),
    ];
  }

  async end(): Promise<void> {
    this.owner.kill('SIGKILL');
    await this.daemon.stop();
  }
}
