/**
 * How the notifier finds watches: beside processes that take long to inspect, and where descriptors
 * have been passed on.
 */
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Calls, publishNumbered, spawnClient, statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { run, until } from '../../support/mount/daemon.js';
import { setLimit } from '../../support/mount/limits.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { type How, Watcher, helperOf } from '../../support/clients/watcher.js';
import { listed } from './common.js';
import { figure } from '../../support/runner/output.js';
import { skip } from '../../support/runner/suite.js';

const OTHER_UID = 4321;
const PROCESSES = 16;
const DESCRIPTORS = 20_000;
const EVENTS = 60;
const MOST_MS = 20;

/**
 * Publishes events one by one.
 * @returns the times until the watcher heard of each, in ms, sorted
 */
async function latencies(watcher: Watcher, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < count; n++) {
    const before = watcher.created.length;
    const beganMs = performance.now();
    publishNumbered(daemon.path, 1, n);
    while (watcher.created.length === before && performance.now() - beganMs < 5000)
      await new Promise((done) => setImmediate(done));
    took.push(performance.now() - beganMs);
    await sleep(5);
  }
  return took.sort((a, b) => a - b);
}

const middle = (sorted: readonly number[]): number => sorted[sorted.length >> 1];
const told = (sorted: readonly number[]): string =>
  `${middle(sorted).toFixed(2)} ms at the median, ${sorted.at(-1)!.toFixed(1)} ms at most`;

/**
 * Makes a directory that has no watcher as far as the notifier knows. Before that the notifier
 * looks at all processes and finds each watch, because the process that made the directory has
 * ended. It also looks at all if a process asks and ends, or if the watcher is a child of the
 * asking process. So the shell asks instead of this process.
 * @returns its path, and the number of its events
 */
async function quietDirectory(): Promise<{ path: string; count: number }> {
  const path = await directory();
  let [before, count] = ['', 0];
  await until(
    async () => {
      publishNumbered(daemon.path, 1);
      count++;
      await sleep(100);
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
  'raises each notice, within 20 ms at the median, however many descriptors they have',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path);
    figure(`a notice takes ${told(await latencies(watcher, EVENTS))}`);
    const others = spawnClient(
      [
        compiled('many-descriptors'),
        daemon.path,
        String(OTHER_UID),
        String(PROCESSES),
        String(DESCRIPTORS),
      ],
      ['pipe', 'pipe', 'inherit'],
    );
    let said = '';
    others.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said === 'ready\n', 'the other user is not ready', 40_000);
    const beside = await latencies(watcher, EVENTS);
    figure(
      `beside ${PROCESSES} processes of another user with ${DESCRIPTORS} descriptors each it takes ${told(beside)}`,
    );
    // The notifier must find a new watch among all these descriptors.
    const late = await directory();
    const next = await Watcher.on(late);
    figure(`and to a new watcher ${told(await latencies(next, EVENTS))}`);
    assert.equal(next.created, await listed(late));
    await watcher.creates(3 * EVENTS);
    assert.equal(watcher.created, await listed(path));
    assert.ok(middle(beside) < MOST_MS, told(beside));
    const ended = new Promise((done) => others.once('close', done));
    others.stdin!.end();
    await ended;
    await watcher.end();
    await next.end();
  },
  120_000,
);

crowded(
  'raises each notice if the watching descriptor is the last of 19,000',
  async () => {
    // Notices must come while the notifier looks at the process, and afterwards.
    const path = await directory('0777');
    const many = `ulimit -n $(ulimit -H -n); exec setpriv --reuid ${OTHER_UID} --clear-groups "$@"`;
    const watcher = await Watcher.on(path, 'many', ['19000'], ['bash', '-c', many, 'bash']);
    for (let n = 0; n < 40; n++) {
      publishNumbered(daemon.path, 1, n);
      await sleep(20);
    }
    await watcher.creates(40);
    assert.equal(watcher.created, await listed(path));
    await watcher.end();
  },
  60_000,
);

crowded(
  'raises each notice although the descriptor was handed on, or its process is in state D',
  async () => {
    for (const how of ['child', 'handed', 'handed-later', 'vfork'] as How[]) {
      const { path, count } = await quietDirectory();
      const watcher = await Watcher.on(path, how);
      publishNumbered(daemon.path, 1);
      await watcher.creates(1);
      if (how === 'handed-later') await watcher.says(/^closed$/m);
      for (let n = 2; n <= 30; n++) {
        publishNumbered(daemon.path, 1);
        // The notifier's scan ends between events.
        if (n % 10 === 0) await sleep(300);
        await watcher.creates(n);
      }
      assert.equal(watcher.created, (await listed(path)).slice(count), how);
      await watcher.end();
      await shell.run(`rm -r ${path}`);
    }
  },
);

crowded('raises each notice although more processes have asked than are told apart', async () => {
  const { path, count } = await quietDirectory();
  const others = Array.from({ length: 20 }, () => new Calls());
  for (const calls of others) await calls.call('stat', path);
  const watcher = await Watcher.on(path);
  for (let n = 1; n <= 5; n++) {
    publishNumbered(daemon.path, 1);
    await watcher.creates(n);
    await sleep(300); // the notifier's scan ends meanwhile
  }
  assert.equal(watcher.created, (await listed(path)).slice(count));
  await watcher.end();
  for (const calls of others) await calls.end();
});

crowded(
  'raises each notice although more descriptors watch than are kept, and the first are closed',
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
      // The notifier's scan ends between events.
      if (n % 5 === 0) await sleep(200);
    }
    assert.equal(watcher.created, await listed(path));
    await watcher.end();
  },
);

crowded('raises each notice after a watch that was added while the notifier was busy', async () => {
  const helper = helperOf(daemon.pid);
  for (let round = 0; round < 20; round++) {
    const path = await directory();
    await run(['stat', path]); // causes a batch
    process.kill(helper, 'SIGSTOP');
    publishNumbered(daemon.path, 1);
    await until(() => Number(statusOf(`${daemon.path}/log`).UNTOLD) > 0, 'no batch is under way');
    const watcher = await Watcher.on(path);
    process.kill(helper, 'SIGCONT');
    publishNumbered(daemon.path, 1);
    const [, second] = await listed(path);
    await until(() => watcher.created.includes(second), 'the watcher did not hear of the event');
    await watcher.end();
    await shell.run(`rm -r ${path}`);
  }
});

crowded(
  'raises each notice after a watch that was added while its process was being looked at',
  async () => {
    const { path, count } = await quietDirectory();
    // The look has passed the descriptor that will watch, and continues after the batch.
    const many = 'ulimit -n $(ulimit -H -n); exec "$@"';
    const watcher = new Watcher([
      'bash',
      '-c',
      many,
      'bash',
      compiled('watcher'),
      'late',
      path,
      '19000',
    ]);
    await watcher.says(/^asked$/m);
    publishNumbered(daemon.path, 1);
    await until(() => statusOf(`${daemon.path}/log`).UNTOLD === '0', 'the notifier is busy');
    watcher.tell('watch');
    await watcher.says(/^ready$/m);
    for (let n = 1; n <= 30; n++) {
      publishNumbered(daemon.path, 1, n);
      await watcher.creates(n);
      await sleep(100);
    }
    assert.equal(watcher.created, (await listed(path)).slice(count + 1));
    await watcher.end();
  },
  60_000,
);

crowded('raises no notice in a filesystem that is mounted over it', async () => {
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
      // Both directories of the mount get the event. The path shows the mount that covers it.
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
  'gets its missed notices once the daemon has descriptors for the notifier again',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, 1);
    await watcher.creates(1);
    const restore = await setLimit(daemon, 'nofile', 5);
    process.kill(helperOf(daemon.pid), 'SIGKILL');
    await until(
      () => daemon.log().includes("the notifier can't run yet"),
      'the daemon did not log it',
    );
    publishNumbered(daemon.path, 100);
    await sleep(1000);
    assert.is(watcher.created.length, 1);
    await restore();
    await watcher.creates(101);
    assert.equal(watcher.created, await listed(path));
    await until(
      () => daemon.log().includes('the notifier runs again'),
      'the daemon did not log it',
    );
    assert.is(daemon.log().split("can't run yet").length, 2, 'the daemon logged it once');
    assert.ok(Number(statusOf(`${daemon.path}/log`).REFUSED_DESCRIPTORS) > 0);
    await watcher.end();
  },
);

const { glibcVersionRuntime } = (
  process.report.getReport() as { header: { glibcVersionRuntime?: string } }
).header;
/**
 * An RLIMIT_STACK for which a thread's stack finds no room. Only glibc makes stacks of that size;
 * other C libraries ignore the limit.
 */
const NO_ROOM = 2 ** 47;

crowded('gets its missed notices once the notifier can have its thread again', async () => {
  if (glibcVersionRuntime === undefined) skip('this is not glibc');
  const path = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 1);
  await watcher.creates(1);
  const said = daemon.log().length;
  const restore = await setLimit(daemon, 'stack', NO_ROOM);
  process.kill(helperOf(daemon.pid), 'SIGKILL');
  await until(
    () => daemon.log().slice(said).includes("the notifier can't run yet"),
    () => `the daemon did not log it: ${daemon.log()}`,
  );
  publishNumbered(daemon.path, 100);
  // The daemon tries again, more often than the notifier may die.
  await sleep(1500);
  await restore();
  await watcher.creates(101);
  assert.equal(watcher.created, await listed(path));
  await until(
    () => daemon.log().slice(said).includes('the notifier runs again'),
    'the daemon did not log it',
  );
  assert.is(
    daemon.log().slice(said).split('the daemon restarts the notifier').length,
    2,
    'the daemon counts one death',
  );
  await watcher.end();
});

crowded.run();

const plain = mounted(
  'a watched directory whose notifier can have no mount of its own',
  undefined,
  {
    under: [compiled('refuses'), 'open_tree'],
  },
);

plain('raises its notices, but none in a filesystem that is mounted over it', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 1);
  await watcher.creates(1);
  assert.is((await run(['mount', '-t', 'tmpfs', 'none', path])).code, 0);
  try {
    publishNumbered(daemon.path, 3);
    await until(() => statusOf(`${daemon.path}/log`).UNTOLD === '0', 'the notifier is busy');
    assert.equal(readdirSync(path), []);
  } finally {
    await run(['umount', path]);
  }
  publishNumbered(daemon.path, 1);
  const last = (await listed(path)).at(-1)!;
  await until(
    () => watcher.created.includes(last),
    'the watcher did not hear of the next event',
    20_000,
  );
  await watcher.end();
});

plain.run();
