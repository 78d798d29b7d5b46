/** inotify where one user's processes are slow to look at, and where a watch goes ways that are hard to find. */
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { buildClients, client } from '../../support/actor.js';
import { Calls, compile, publishNumbered, spawnClient, statusOf } from '../../support/clients.js';
import { run, until } from '../../support/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mounted.js';
import { type How, Watcher, helperOf } from '../../support/watcher.js';

const HOARDER_UID = 4321;
const PROCESSES = 16;
const DESCRIPTORS = 20_000;
const EVENTS = 60;
const MOST_MS = 20;

/** The line goes past uvu's dots to the runner. */
function figure(text: string): void {
  console.log(`\n  figure: ${text}`);
}

/** Publishes events one by one; gives how long each took to be heard of, in milliseconds, sorted. */
async function latencies(watcher: Watcher, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < count; n++) {
    const before = watcher.created.length;
    const beganMs = performance.now();
    publishNumbered(daemon.path, 1, n);
    while (watcher.created.length === before && performance.now() - beganMs < 5000)
      await new Promise((done) => setImmediate(done));
    took.push(performance.now() - beganMs);
    await new Promise((done) => setTimeout(done, 5));
  }
  return took.sort((a, b) => a - b);
}

const middle = (sorted: readonly number[]): number => sorted[sorted.length >> 1];
const told = (sorted: readonly number[]): string =>
  `${middle(sorted).toFixed(2)} ms at the median, ${sorted.at(-1)!.toFixed(1)} ms at most`;
/** The names in a directory, in its own order. */
const listed = async (path: string): Promise<string[]> =>
  (await run(['ls', '-U', path])).out.split('\n').slice(0, -1);

buildClients();

/**
 * A new directory that nobody watches as far as the helper knows, and how many events it has. Until then the helper looks at
 * everybody, since the process that has made the directory has ended, and finds each watch. So it does where a process asks that ends,
 * or one that has the watcher as a child, as this one: the shell asks instead.
 */
async function quietDirectory(): Promise<{ path: string; count: number }> {
  const path = await directory();
  let [before, count] = ['', 0];
  await until(
    async () => {
      publishNumbered(daemon.path, 1);
      count++;
      await new Promise((done) => setTimeout(done, 100));
      const { out } = await shell.run(
        `while IFS= read -r line; do [[ $line == NOTICES=* ]] && echo $line; done < ${path}/.status`,
      );
      const isQuiet = out === before;
      before = out;
      return isQuiet;
    },
    'notices were raised all the time',
    20_000,
  );
  return { path, count };
}

const crowded = mounted("a watched directory beside another user's processes");

crowded(
  'is told soon, whatever descriptors they have open, and misses nothing',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path);
    figure(`a notice takes ${told(await latencies(watcher, EVENTS))}`);
    const hoarder = spawnClient(
      [
        compile('hoarder'),
        daemon.path,
        String(HOARDER_UID),
        String(PROCESSES),
        String(DESCRIPTORS),
      ],
      ['pipe', 'pipe', 'inherit'],
    );
    let said = '';
    hoarder.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said === 'ready\n', 'the other user is not ready', 40_000);
    const beside = await latencies(watcher, EVENTS);
    figure(
      `beside ${PROCESSES} processes of another user with ${DESCRIPTORS} descriptors each it takes ${told(beside)}`,
    );
    // A watch that is added now is found among all of these.
    const late = await directory();
    const next = await Watcher.on(late);
    figure(`and to a new watcher ${told(await latencies(next, EVENTS))}`);
    assert.equal(next.created, await listed(late));
    await watcher.creates(3 * EVENTS);
    assert.equal(watcher.created, await listed(path));
    assert.ok(middle(beside) < MOST_MS, told(beside));
    const ended = new Promise((done) => hoarder.once('close', done));
    hoarder.stdin!.end();
    await ended;
    await watcher.end();
    await next.end();
  },
  120_000,
);

crowded(
  'is told when it is their own, and they watch it',
  async () => {
    // As a user's whose descriptor is the last of many: notices come though the look at it is not done, and after it.
    const path = await directory('0777');
    const many = `ulimit -n $(ulimit -H -n); exec setpriv --reuid ${HOARDER_UID} --clear-groups "$@"`;
    const watcher = await Watcher.on(path, 'many', ['19000'], ['bash', '-c', many, 'bash']);
    for (let n = 0; n < 40; n++) {
      publishNumbered(daemon.path, 1, n);
      await new Promise((done) => setTimeout(done, 20));
    }
    await watcher.creates(40);
    assert.equal(watcher.created, await listed(path));
    await watcher.end();
  },
  60_000,
);

crowded(
  'is told though the descriptor has been handed on, or its process sleeps in state D',
  async () => {
    for (const how of ['child', 'handed', 'handed-later', 'vfork'] as How[]) {
      const { path, count } = await quietDirectory();
      const watcher = await Watcher.on(path, how);
      publishNumbered(daemon.path, 1);
      await watcher.creates(1);
      if (how === 'handed-later') await watcher.says(/^closed$/m);
      for (let n = 2; n <= 30; n++) {
        publishNumbered(daemon.path, 1);
        if (n % 10 === 0) await new Promise((done) => setTimeout(done, 300)); // so that looks end between events
        await watcher.creates(n);
      }
      assert.equal(watcher.created, (await listed(path)).slice(count), how);
      await watcher.end();
      await shell.run(`rm -r ${path}`);
    }
  },
);

crowded(
  'is told though more processes have asked before its watcher than are told apart',
  async () => {
    const { path, count } = await quietDirectory();
    const others = Array.from({ length: 20 }, () => new Calls());
    for (const calls of others) await calls.call('stat', path);
    const watcher = await Watcher.on(path);
    for (let n = 1; n <= 5; n++) {
      publishNumbered(daemon.path, 1);
      await watcher.creates(n);
      await new Promise((done) => setTimeout(done, 300)); // so that looks end between events
    }
    assert.equal(watcher.created, (await listed(path)).slice(count));
    await watcher.end();
    for (const calls of others) await calls.end();
  },
);

crowded(
  'is told though more descriptors watch than are kept, and those that were found first are closed',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path, 'dups', ['500']);
    for (let n = 1; n <= 40; n++) {
      if (n === 20) {
        watcher.tell('close');
        await watcher.says(/^closed$/m);
      }
      publishNumbered(daemon.path, 1);
      await watcher.creates(n);
      if (n % 5 === 0) await new Promise((done) => setTimeout(done, 200)); // so that looks end between events
    }
    assert.equal(watcher.created, await listed(path));
    await watcher.end();
  },
);

crowded(
  'is told of what comes after a watch that was asked for while the helper was busy',
  async () => {
    const helper = helperOf(daemon.pid);
    for (let round = 0; round < 20; round++) {
      const path = await directory();
      await run(['stat', path]); // so that a batch is under way
      process.kill(helper, 'SIGSTOP');
      publishNumbered(daemon.path, 1);
      await until(() => Number(statusOf(`${daemon.path}/log`).UNTOLD) > 0, 'no batch is under way');
      const watcher = await Watcher.on(path);
      process.kill(helper, 'SIGCONT');
      publishNumbered(daemon.path, 1);
      const [, second] = await listed(path);
      await until(() => watcher.created.includes(second), 'the event was not heard of');
      await watcher.end();
      await shell.run(`rm -r ${path}`);
    }
  },
);

crowded(
  'is told of what comes after a watch that was added while its process was being looked at',
  async () => {
    const { path, count } = await quietDirectory();
    // The look passes the descriptor that will watch, and takes longer than the batch for those behind it.
    const many = 'ulimit -n $(ulimit -H -n); exec "$@"';
    const watcher = new Watcher([
      'bash',
      '-c',
      many,
      'bash',
      compile('watcher'),
      'late',
      path,
      '19000',
    ]);
    await watcher.says(/^asked$/m);
    publishNumbered(daemon.path, 1);
    await until(() => statusOf(`${daemon.path}/log`).UNTOLD === '0', 'the helper is busy');
    watcher.tell('watch');
    await watcher.says(/^ready$/m);
    for (let n = 1; n <= 30; n++) {
      publishNumbered(daemon.path, 1, n);
      await watcher.creates(n);
      await new Promise((done) => setTimeout(done, 100));
    }
    assert.equal(watcher.created, (await listed(path)).slice(count + 1));
    await watcher.end();
  },
  60_000,
);

crowded('leaves what is mounted over it alone', async () => {
  const path = await directory();
  const other = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 1);
  await watcher.creates(1);
  for (const [what, mount] of [
    ['another filesystem', ['mount', '-t', 'tmpfs', 'none', path]],
    ['a directory of the same one', ['mount', '--bind', other, path]],
  ] as const) {
    const before = watcher.created.length;
    assert.is((await run(mount)).code, 0);
    try {
      // The daemon's events come to both directories of the mount; what is seen at the path is what covers it.
      publishNumbered(daemon.path, 1);
      await watcher.creates(before + 1);
      assert.is(
        readdirSync(path).length,
        what === 'another filesystem' ? 0 : readdirSync(other).length,
      );
    } finally {
      await run(['umount', path]);
    }
  }
  assert.equal(watcher.created, await listed(path));
  await watcher.end();
});

crowded(
  'is told what it has missed once the daemon has descriptors for its helper again',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, 1);
    await watcher.creates(1);
    const limits = (
      await run([
        'prlimit',
        '--pid',
        String(daemon.pid),
        '--nofile',
        '--raw',
        '--noheadings',
        '-o',
        'SOFT,HARD',
      ])
    ).out
      .trim()
      .split(/\s+/);
    await run(['prlimit', '--pid', String(daemon.pid), `--nofile=5:${limits[1]}`]);
    process.kill(helperOf(daemon.pid), 'SIGKILL');
    await until(() => daemon.log().includes("the notifier can't run yet"), 'it did not say so');
    publishNumbered(daemon.path, 100);
    await new Promise((done) => setTimeout(done, 1000));
    assert.is(watcher.created.length, 1);
    await run(['prlimit', '--pid', String(daemon.pid), `--nofile=${limits.join(':')}`]);
    await watcher.creates(101);
    assert.equal(watcher.created, await listed(path));
    await until(() => daemon.log().includes('the notifier runs again'), 'it did not say so');
    assert.is(daemon.log().split("can't run yet").length, 2, 'it was said more than once');
    await watcher.end();
  },
);

const { glibcVersionRuntime } = (
  process.report.getReport() as { header: { glibcVersionRuntime?: string } }
).header;
/** A thread's stack is as large as RLIMIT_STACK says, and there is no room for one of that size. Other C libraries do not ask. */
const NO_ROOM = 2 ** 47;

(glibcVersionRuntime === undefined ? crowded.skip : crowded)(
  'is told what it has missed once its helper can have its thread again',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, 1);
    await watcher.creates(1);
    const said = daemon.log().length;
    const limits = (
      await run([
        'prlimit',
        '--pid',
        String(daemon.pid),
        '--stack',
        '--raw',
        '--noheadings',
        '-o',
        'SOFT,HARD',
      ])
    ).out
      .trim()
      .split(/\s+/);
    await run(['prlimit', '--pid', String(daemon.pid), `--stack=${NO_ROOM}:${limits[1]}`]);
    process.kill(helperOf(daemon.pid), 'SIGKILL');
    await until(
      () => daemon.log().slice(said).includes("the notifier can't run yet"),
      `it did not say so: ${daemon.log()}`,
    );
    publishNumbered(daemon.path, 100);
    await new Promise((done) => setTimeout(done, 1500)); // it is tried again, more often than it may die
    await run(['prlimit', '--pid', String(daemon.pid), `--stack=${limits.join(':')}`]);
    await watcher.creates(101);
    assert.equal(watcher.created, await listed(path));
    await until(
      () => daemon.log().slice(said).includes('the notifier runs again'),
      'it did not say so',
    );
    assert.is(
      daemon.log().slice(said).split('the daemon restarts the notifier').length,
      2,
      'it counts as one that has died more than once',
    );
    await watcher.end();
  },
);

crowded.run();

const plain = mounted('a watched directory whose helper can have no mount of its own', undefined, {
  under: [client('refuses'), 'open_tree'],
});

plain('is told, and what is mounted over it is left alone', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 1);
  await watcher.creates(1);
  assert.is((await run(['mount', '-t', 'tmpfs', 'none', path])).code, 0);
  try {
    publishNumbered(daemon.path, 3);
    await until(() => statusOf(`${daemon.path}/log`).UNTOLD === '0', 'the helper is busy');
    assert.equal(readdirSync(path), []);
  } finally {
    await run(['umount', path]);
  }
  publishNumbered(daemon.path, 1);
  const last = (await listed(path)).at(-1)!;
  await until(() => watcher.created.includes(last), 'the event after it was not heard of', 20_000);
  await watcher.end();
});

plain.run();
