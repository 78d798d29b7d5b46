/** mount(): a daemon that is a child of the program, and what is left of each call. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import * as assert from 'uvu/assert';
import { type Mount, mount, publish, subscribe } from '../../../fs/index.js';
import { EVENTFS, isMounted, mountPoint, run, until, within } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import { failure, held, take } from './common.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const ROUNDS = 1000;
/** The growth that is no leak, in bytes. 256 KiB for each round of a kind would be 83 MiB. */
const MOST_GROWTH = 4 * 1024 * 1024;
const MOST_RESIDENT = 64 * 1024 * 1024;
const LIBRARY = new URL('../../../fs/index.js', import.meta.url).href;

const library = suite('mount() of the library');

let events: Mount;
library.before(async () => {
  events = await mount(mountPoint(), { source: 'none', sticky: ['a:1777', 'b'] });
});
library.after(async () => {
  await events.unmount();
});

library('serves a mount that the program itself uses', async () => {
  assert.ok(isMounted(events.path));
  const all = subscribe({ mount: events.path, filter: 'SUBSYSTEM==mine' });
  await all.ready;
  await publish(
    { action: 'add', devpath: '/x', properties: { SUBSYSTEM: 'mine' } },
    { mount: events.path },
  );
  assert.equal(await take(all, 1), ['/x']);
  await all.return();
});

/** Makes rounds of subscriptions, of which every other one has a read that waits. */
async function rounds(count: number, open: () => ReturnType<typeof subscribe>): Promise<void> {
  for (let n = 0; n < count; n++) {
    const one = open();
    await one.ready;
    const waiting = n % 2 === 0 ? one.next() : null;
    await one.return();
    await waiting;
  }
}

library(
  `keeps no descriptor, thread, handle or memory of ${ROUNDS} subscriptions`,
  async () => {
    const control = new AbortController();
    const { signal } = control;
    const kinds = {
      mount: () => subscribe({ mount: events.path, filter: 'SUBSYSTEM==mine', signal }),
      since: () => subscribe({ mount: events.path, since: 0 }),
      netlink: () => subscribe({ netlink: 'kernel', signal }),
    };
    const settled = async (): Promise<ReturnType<typeof held>> => {
      let before = held();
      // A thread and its handle end a moment after the descriptor.
      await until(async () => {
        await sleep(20);
        const now = held();
        const isSame = JSON.stringify(now) === JSON.stringify(before);
        before = now;
        return isSame;
      }, 'something still ends');
      collectGarbage();
      // Node 24 counts the memory of collected buffers until the next collection.
      await new Promise((done) => setTimeout(done, 20));
      collectGarbage();
      return before;
    };
    for (const open of Object.values(kinds)) {
      // As many as below: the process keeps the memory that it needs at once, and not for each.
      await rounds(ROUNDS / Object.keys(kinds).length, open);
      const before = await settled();
      const memory = process.memoryUsage();
      await rounds(ROUNDS / Object.keys(kinds).length, open);
      assert.equal(await settled(), before);
      const { heapUsed, external, rss } = process.memoryUsage();
      const grown = heapUsed + external - memory.heapUsed - memory.external;
      assert.ok(grown < MOST_GROWTH, `${grown} bytes more`);
      assert.ok(rss - memory.rss < MOST_RESIDENT, `${rss - memory.rss} resident bytes more`);
    }
  },
  60_000,
);

library('ends the loop with DAEMON_ENDED when the daemon stops or is killed', async () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const other = await mount(mountPoint(), { source: 'none' });
    const all = subscribe({ mount: other.path });
    await all.ready;
    const waiting = failure(all.next());
    process.kill(other.pid, signal);
    const { code, message } = await waiting;
    assert.equal(
      [code, message],
      [
        'DAEMON_ENDED',
        `${other.path}: its daemon has ended (mount it again, then subscribe again)`,
      ],
    );
    assert.is(await other.ended, signal === 'SIGTERM' ? 0 : null);
    assert.equal(await all.next(), { done: true, value: undefined });
    if (signal === 'SIGKILL') assert.is((await run([EVENTFS, 'umount', other.path])).code, 0);
  }
});

library('reports why the daemon could not start, and passes on its log', async () => {
  const missing = await failure(mount('/no/where'));
  assert.is(missing.code, 'MOUNT_FAILED');
  assert.is(missing.message, '/no/where: No such file or directory (try mkdir -p /no/where)');
  const wrong = await failure(mount(mountPoint(), { sticky: '..' }));
  assert.match(wrong.message, /Use NAME or NAME:MODE, as in global:1733/);

  const lines: string[] = [];
  const other = await mount(mountPoint(), {
    source: 'none',
    logLevel: 'debug',
    onLog: (line) => lines.push(line),
  });
  await other.unmount();
  assert.not.ok(isMounted(other.path));
  assert.ok(
    lines.some((line) => line.endsWith('the daemon stops')),
    lines.join('\n'),
  );
});

library('ends by its signal, while it starts and later', async () => {
  const early = new AbortController();
  const starting = mount(mountPoint(), { source: 'none', signal: early.signal });
  early.abort(new Error('enough'));
  assert.is(await starting.catch(String), 'Error: enough');
  const late = new AbortController();
  const path = mountPoint();
  const other = await mount(path, { source: 'none', signal: late.signal });
  late.abort();
  assert.is(await within(10_000, other.ended, 'the daemon did not end'), 0);
  assert.not.ok(isMounted(path));
});

library('reads a mount of fuse-native, which has no poll', async () => {
  const other = await mount(mountPoint(), {
    source: 'none',
    driver: 'fuse-native',
    onLog: () => undefined,
  });
  const all = subscribe({ mount: other.path, filter: 'SUBSYSTEM==mine' });
  await all.ready;
  const waiting = take(all, 1);
  await sleep(50);
  await publish(
    { action: 'add', devpath: '/x', properties: { SUBSYSTEM: 'mine' } },
    { mount: other.path },
  );
  assert.equal(await waiting, ['/x']);
  await all.return();
  await other.unmount();
});

const isOwn = (name: string): boolean => name.startsWith(`${process.pid}.`);

library('ends its threads and sockets with a worker that is terminated', async () => {
  const text = `
    import { parentPort } from 'node:worker_threads';
    import { subscribe } from ${JSON.stringify(LIBRARY)};
    const mount = ${JSON.stringify(events.path)};
    const all = [{ mount }, { mount, since: 0 }, { netlink: 'kernel' }].map((one) => subscribe(one));
    for (const one of all) await one.ready;
    for (const one of all) void one.next();
    parentPort.postMessage('reading');
    setInterval(() => undefined, 1000);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(text)}`);
  const left: ReturnType<typeof held>[] = [];
  // The first worker of a process leaves threads and descriptors of Node's own.
  for (let n = 0; n < 3; n++) {
    const worker = new Worker(url);
    await within(10_000, once(worker, 'message'), 'the worker does not read');
    const { threads } = held();
    await worker.terminate();
    await until(() => held().threads <= threads - 3, 'a thread is left');
    await until(() => !readdirSync(events.path).some(isOwn), 'a directory is left');
    left.push(held());
  }
  assert.equal(left[2], left[1]);
});

library('uses nothing that Node has freed with a worker that is terminated', async () => {
  const subscriber = `
    import { parentPort } from 'node:worker_threads';
    import { subscribe } from ${JSON.stringify(LIBRARY)};
    const one = subscribe({ mount: ${JSON.stringify(events.path)} });
    await one.ready;
    void one.next();
    parentPort.postMessage('reading');
    setInterval(() => undefined, 1000);`;
  const program = `
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const url = new URL('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(subscriber))});
    for (let n = 0; n < 4; n++) {
      const worker = new Worker(url);
      await once(worker, 'message');
      await worker.terminate();
      await new Promise((done) => setTimeout(done, 50));
    }
    console.log('ended');`;
  // malloc(3) overwrites what is freed.
  const env = { ...process.env, MALLOC_PERTURB_: '165' };
  const { out, err, code } = await run([process.execPath, '--input-type=module', '-e', program], {
    env,
  });
  assert.equal([out, err, code], ['ended\n', '', 0]);
});

/** Runs a program that mounts, and returns its PID and that of the daemon once it has. */
async function program(path: string, outlives: boolean): Promise<{ pid: number; daemon: number }> {
  const text = `
    import { mount } from ${JSON.stringify(LIBRARY)};
    const { pid } = await mount(${JSON.stringify(path)}, { source: 'none', outlives: ${outlives} });
    console.log(pid);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await within(20_000, once(child.stdout, 'data'), 'it did not mount')) as [Buffer];
  return { pid: child.pid!, daemon: Number(line) };
}

library('unmounts when the program is killed', async () => {
  const path = mountPoint();
  const { pid } = await program(path, false);
  assert.ok(isMounted(path));
  process.kill(pid, 'SIGKILL');
  await until(() => !isMounted(path), 'the mount is left', 10_000);
});

library('outlives the program if that is wanted, and does not keep it alive', async () => {
  const path = mountPoint();
  const { pid, daemon } = await program(path, true);
  const isRunning = (): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  await until(() => !isRunning(), 'the program does not end', 10_000);
  assert.ok(isMounted(path));
  await publish({ action: 'add', devpath: '/x' }, { mount: path });
  process.kill(daemon, 'SIGTERM');
  await until(() => !isMounted(path), 'the mount is left', 10_000);
});

library.run();
