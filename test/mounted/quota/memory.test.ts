/**
 * The daemon's memory, and what its ledger charges for it: both are bounded, and both are freed.
 * EVENTFS_TEST_GUARD=1 puts each daemon under a guardian.
 */
import * as assert from 'uvu/assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventText, publish, publishNumbered, statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import {
  type Daemon,
  EVENTFS,
  Shell,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { asUser, NOBODY } from '../../support/mount/other-user.js';
import { GUARD, servingPid } from '../../support/mount/under-guardian.js';
import { memoryKib } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const memory = suite("the daemon's memory");

const MIB = 1024 * 1024;
/** The time for which the ledger is compared with the memory. To search for a leak, take 60. */
const SECONDS = Number(process.env.EVENTFS_LEDGER_SECONDS ?? 10);

const as = (uid: number): string[] => (uid === 0 ? [] : asUser(uid));

/** The queues drop nothing, so that only the quotas bound them. */
const file = join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), `memory-${process.pid}.toml`);
writeFileSync(file, '[queue]\nevents = 1048576\nbytes = "1 GiB"\n');

function start(env: Readonly<Record<string, string>> = {}): Promise<Daemon> {
  // As users start it: bin/eventfs bounds V8's young generation.
  return startDaemon([...GUARD, '--source', 'none', '--config', file], undefined, {
    env,
    eventfs: [EVENTFS],
  });
}

function rssOf(daemon: Daemon): number {
  return 1024 * memoryKib(servingPid(daemon));
}

/**
 * @returns a number of log/.status, or infinity if the mount is so full that even root cannot open
 * it
 */
function held({ path }: Daemon, key: string): number {
  try {
    return Number(statusOf(`${path}/log`)[key]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENFILE') return Infinity;
    throw error;
  }
}

/**
 * A program of test/programs that prints one line, and keeps what it has made until it is killed.
 */
class Flood {
  readonly #process: ChildProcess;
  /** Resolves with the line, or with '' if the program has ended without one. */
  readonly said: Promise<string>;
  readonly #ended: Promise<void>;

  constructor(command: readonly string[]) {
    this.#process = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'ignore'] });
    let told: (line: string) => void = () => undefined;
    this.said = new Promise((done) => (told = done));
    this.#process.stdout!.once('data', (line: Buffer) => told(line.toString()));
    this.#ended = new Promise((done) => this.#process.once('exit', () => done()));
    void this.#ended.then(() => told(''));
  }

  static of(what: string, daemon: Daemon, uid: number, most = 1_000_000): Flood {
    return new Flood([...as(uid), compiled('flood'), what, daemon.path, String(most)]);
  }

  /** Parses the line: how many objects were made and refused, and with which errnos. */
  async made(): Promise<{ made: number; refused: number; errors: string[] }> {
    const line = await within(120_000, this.said, 'the program printed no line');
    const [, made, refused, errors] = /^made (\d+), refused (\d+):(.*)\n$/.exec(line)!;
    return {
      made: Number(made),
      refused: Number(refused),
      errors: errors.trim().split(' ').filter(Boolean),
    };
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }
}

// ---- the memory that one user can take

/**
 * Lets a user make objects of a kind. The daemon may grow by twice what its ledger says, and 32
 * MiB.
 */
async function bounded(what: string, most: number): Promise<void> {
  const daemon = await start();
  const before = rssOf(daemon);
  const flood = Flood.of(what, daemon, NOBODY, most);
  const { made, errors } = await flood.made();
  const { MEMORY, BYTES } = statusOf(`${daemon.path}/log`);
  const grown = rssOf(daemon) - before;
  assert.ok(made > 100, `only ${made} were made`);
  assert.ok(
    errors.every((error) => error === 'EDQUOT'),
    errors.join(' '),
  );
  assert.ok(
    grown <= 2 * (Number(MEMORY) + Number(BYTES)) + 32 * MIB,
    `${grown} bytes more for ${MEMORY} and ${BYTES}, with ${made} of '${what}'`,
  );
  await flood.kill();
  await daemon.stop();
}

memory('for files is freed when they are truncated', () => bounded('truncate', 8000), 120_000);
memory(
  'for a filter does not depend on how often the filter is open',
  () => bounded('reopen', 12_000),
  120_000,
);
memory(
  'for each open log/.status is charged to the user who opens it',
  () => bounded('status', 18_000),
  120_000,
);
memory(
  'for each filtered stream is charged to the user who opens it',
  () => bounded('match', 18_000),
  120_000,
);

memory(
  "for a dead owner's files is freed at once, although another process has them open",
  async () => {
    const daemon = await start();
    const owner = new Shell([...as(NOBODY), 'bash']);
    const own = `${daemon.path}/${owner.pid}`;
    const count = 900;
    await owner.run(
      `mkdir ${own} && cd ${own} && head -c 60000 /dev/zero > 0 && for i in $(seq ${count - 1}); do cp 0 $i; done; ln 0 linked; cd /`,
      60_000,
    );
    const reader = new Shell();
    await reader.run(
      `ulimit -n 2000; for i in $(seq 0 ${count - 1}); do exec {fd}<${own}/$i; done`,
      60_000,
    );
    await owner.run(`cd ${own}; rm $(seq 0 2 ${count - 1}); cd /`, 60_000);
    assert.ok(held(daemon, 'BYTES') >= count * 60_000);
    const before = rssOf(daemon);
    await owner.kill();
    // The daemon shares its CPU with other programs while it frees a gigabyte; idleness begins
    // then.
    await until(() => held(daemon, 'BYTES') === 0, 'the bytes stay charged', 30_000);
    await until(
      () => before - rssOf(daemon) > 0.75 * count * 60_000,
      'the pages stay resident',
      5000,
    );
    assert.is(statusOf(`${daemon.path}/log`)[`QUOTA_UID_${NOBODY}`], undefined);
    await reader.kill();
    await daemon.stop();
  },
  120_000,
);

// ---- the memory that all users can take

const FLOODS = [
  'create',
  'link',
  'fifo',
  'symlink',
  'mkdir',
  'open',
  'stream',
  'match',
  'filter',
  'status',
];

for (const uid of [0, NOBODY]) {
  memory(
    `with a heap of 64 MiB suffices for as many objects as ${uid === 0 ? 'root' : 'a user'} can make`,
    async () => {
      const daemon = await start({ NODE_OPTIONS: '--max-old-space-size=64' });
      const most = held(daemon, 'MOST_MEMORY');
      for (const what of FLOODS) {
        const flood = Flood.of(what, daemon, uid);
        const { made, refused, errors } = await flood.made();
        assert.ok(made > 0 && refused >= 1000, `${what}: made ${made}, refused ${refused}`);
        assert.ok(
          errors.every((error) => ['ENOSPC', 'EDQUOT', 'ENFILE'].includes(error)),
          `${what}: ${errors.join(' ')}`,
        );
        if (uid !== 0) {
          // Other users are served.
          assert.ok(held(daemon, 'MEMORY') <= most, what);
          publish(daemon.path, eventText('/x'));
          assert.is(
            (
              await run([
                ...as(NOBODY - 1),
                'bash',
                '-c',
                `mkdir ${daemon.path}/$$ && rmdir ${daemon.path}/$$`,
              ])
            ).code,
            0,
            what,
          );
        }
        await flood.kill();
        await until(
          () => held(daemon, 'EVENTS') === 0 && held(daemon, 'MEMORY') < MIB,
          `${what}: memory stays charged`,
          20_000,
        );
      }
      const all = FLOODS.map((what) => Flood.of(what, daemon, uid));
      for (const flood of all) await flood.said;
      if (uid !== 0) publishNumbered(daemon.path, 1000); // root could not open `publish` now
      for (const flood of all) await flood.kill();
      await until(
        () => held(daemon, 'EVENTS') === 0 && held(daemon, 'MEMORY') < MIB,
        'memory stays charged',
        20_000,
      );
      assert.is(await daemon.stop(), 0);
    },
    300_000,
  );
}

/** A directory can be listed even if its user may hold nothing more. */
memory(
  'with a heap of 64 MiB suffices for open directories that no account can be charged for',
  async () => {
    const daemon = await start({ NODE_OPTIONS: '--max-old-space-size=64' });
    const [most, before] = [held(daemon, 'MOST_MEMORY'), rssOf(daemon)];
    const floods = [NOBODY, NOBODY - 1].map((uid) => Flood.of('opendir', daemon, uid, 50_000));
    for (const flood of floods) {
      const { made, errors } = await flood.made();
      assert.ok(made > 100, `only ${made} were made`);
      assert.ok(
        errors.every((error) => error === 'EMFILE'),
        errors.join(' '),
      );
    }
    const memory = held(daemon, 'MEMORY');
    assert.ok(memory <= most, `${memory} of ${most}`);
    const grown = rssOf(daemon) - before;
    assert.ok(grown <= 2 * memory + 32 * MIB, `${grown} bytes more for ${memory}`);
    for (const uid of [NOBODY, NOBODY - 2])
      assert.is((await run([...as(uid), 'ls', daemon.path])).code, 0);
    for (const flood of floods) await flood.kill();
    await until(() => held(daemon, 'MEMORY') < MIB, 'memory stays charged', 20_000);
    await daemon.stop();
  },
  120_000,
);

memory(
  'is freed within 5 s of idleness after the death of 16 users with 60 MB each',
  async () => {
    const daemon = await start();
    const before = rssOf(daemon);
    const users = Array.from({ length: 16 }, (_, n) => new Shell([...as(20_000 + n), 'bash']));
    const fill = (user: Shell): string =>
      `mkdir ${daemon.path}/${user.pid} && cd ${daemon.path}/${user.pid} && head -c 60000 /dev/zero > 0 && for i in $(seq 999); do cp 0 $i; done; cd /`;
    await Promise.all(users.map((user) => user.run(fill(user), 120_000)));
    assert.is(held(daemon, 'BYTES'), 16 * 60_000_000);
    assert.ok(rssOf(daemon) - before > 16 * 60_000_000, 'the files take no memory');
    for (const user of users) await user.kill();
    // The daemon shares its CPU with other programs while it frees a gigabyte; idleness begins
    // then.
    await until(() => held(daemon, 'BYTES') === 0, 'the bytes stay charged', 30_000);
    await sleep(5000); // without any request
    const after = rssOf(daemon);
    const { COLLECTIONS, COLLECTION_MS } = statusOf(`${daemon.path}/log`);
    assert.ok(
      after <= 1.5 * before + 32 * MIB,
      `${after / MIB} MiB, ${before / MIB} before, ${COLLECTIONS} collections`,
    );
    assert.ok(Number(COLLECTIONS) <= 1, `${COLLECTIONS} collections`);
    // On a busy machine a collection takes longer.
    if (loadavg()[0] < availableParallelism()) {
      assert.ok(Number(COLLECTION_MS) <= 50, `${COLLECTION_MS} ms`);
      assert.is(daemon.log(), '');
    }
    await daemon.stop();
  },
  240_000,
);

// ---- the ledger compared with the memory

memory(
  'is at most 32 MiB above twice what the ledger says, while a user does everything',
  async () => {
    const daemon = await start();
    // The memory of the log belongs to the mount: it is in use before the user comes.
    for (let n = 0; n < 50; n++)
      publishNumbered(daemon.path, 200, n * 200, { PAD: 'x'.repeat(500) });
    await sleep(1500);
    const before = rssOf(daemon);
    const seed = Math.floor(Math.random() * 1e6);
    const churn = spawn(
      as(NOBODY)[0],
      [...as(NOBODY).slice(1), compiled('churn'), daemon.path, String(seed)],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const ended = new Promise((done) => churn.once('exit', done));
    for (const endMs = Date.now() + SECONDS * 1000; Date.now() < endMs;) {
      for (let n = 0; n < 10; n++) {
        publishNumbered(daemon.path, 200, n * 200, { KEY7: '7', PAD: 'x'.repeat(500) });
        await sleep(100);
      }
      const paused = new Promise((done) => churn.stdout.once('data', done));
      churn.stdin.write('\n');
      await within(10_000, paused, 'the program did not pause');
      await sleep(1500);
      const account = statusOf(`${daemon.path}/log`)[`QUOTA_UID_${NOBODY}`];
      const [bytes, heap] = ['bytes', 'memory'].map((item) =>
        Number(new RegExp(` ${item}=(\\d+)/`).exec(account)![1]),
      );
      const grown = rssOf(daemon) - before;
      if (process.env.EVENTFS_SHOW_PRICES !== undefined)
        console.log(`    ${Math.round(grown / MIB)} MiB more for ${account}`);
      assert.ok(
        grown <= 2 * (bytes + heap) + 32 * MIB,
        `seed ${seed}: ${grown / MIB} MiB more for ${bytes / MIB} and ${heap / MIB}`,
      );
      churn.stdin.write('\n');
    }
    churn.kill('SIGKILL');
    await ended;
    await until(
      () =>
        held(daemon, 'EVENTS') === 0 &&
        held(daemon, 'BYTES') === 0 &&
        held(daemon, 'HANDLES') === 0,
      'memory stays charged',
      10_000,
    );
    // The last directories are charged until the notifier has told the kernel of their end.
    await until(
      () => statusOf(`${daemon.path}/log`)[`QUOTA_UID_${NOBODY}`] === undefined,
      'something is still charged',
      10_000,
    );
    await daemon.stop();
  },
  (SECONDS + 60) * 1000,
);

memory.run();
