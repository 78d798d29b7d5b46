/**
 * inotify of what the daemon does by itself: IN_CREATE for each event that it delivers, IN_DELETE_SELF and IN_DELETE when
 * an owner dies, raised by the notifier (fs/tree/inotify/inotify-queue.ts). Debian's inotifywait, and a client of ours.
 */
import * as assert from 'uvu/assert';
import {
  appendFileSync,
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename } from 'node:path';
import { buildClients, client, isDead, reach } from '../../support/actor.js';
import {
  eventText,
  killClients,
  publish,
  publishNumbered,
  spawnClient,
  statusOf,
} from '../../support/clients.js';
import {
  type Daemon,
  Shell,
  descriptors,
  isMounted,
  killDaemons,
  mountPoint,
  removeMountPoint,
  run,
  startDaemon,
  until,
} from '../../support/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mounted.js';
import { suite } from '../../support/suite.js';
import { AS_NOBODY } from '../../support/other-user.js';
import { type How, Watcher, helperOf } from '../../support/watcher.js';

const batches = (): number => Number(statusOf(`${daemon.path}/log`).NOTICE_BATCHES);
/** The names in a directory, in its own order, which Node would not keep. */
const listed = async (path: string): Promise<string[]> =>
  (await run(['ls', '-U', path])).out.split('\n').slice(0, -1);

// ---- delivered events

const watched = mounted('a watched directory');

watched('is told of each delivered event, in order, by inotifywait', async () => {
  const path = await directory();
  const watcher = await Watcher.inotifywait(path, 'create');
  publishNumbered(daemon.path, 1000);
  const heard = await watcher.creates(1000);
  assert.equal(heard, await listed(path));
  await watcher.end();
});

watched('is told of a thousand events, however it is watched', async () => {
  for (const how of ['path', 'dot', 'fd', 'thread', 'fork'] as How[]) {
    const path = await directory();
    const watcher = await Watcher.on(path, how);
    publishNumbered(daemon.path, 1000);
    assert.equal(await watcher.creates(1000), await listed(path), how);
    await watcher.end();
    await shell.run(`rm -r ${path}`);
  }
});

watched(
  'is told under any of its paths: with slashes, with dots, through a bind mount',
  async () => {
    const path = await directory();
    const other = mountPoint();
    const bound = [
      'unshare',
      '-m',
      'sh',
      '-c',
      'mount --bind "$1" "$2"; shift 2; exec "$@"',
      'sh',
      path,
      other,
    ];
    const watchers = [
      await Watcher.on(`${path}/`),
      await Watcher.on(`${path}/.//.`),
      await Watcher.on(`${path}/../${basename(path)}`),
      await Watcher.on(other, 'path', [], bound),
    ];
    publishNumbered(daemon.path, 3);
    for (const watcher of watchers) {
      assert.equal(await watcher.creates(3), await listed(path));
      await watcher.end();
    }
    removeMountPoint(other);
  },
);

watched('is told long after the watch was added, and each of many watchers once', async () => {
  const path = await directory();
  const watchers = await Promise.all(Array.from({ length: 5 }, () => Watcher.on(path)));
  for (let round = 1; round <= 3; round++) {
    publishNumbered(daemon.path, 100);
    for (const watcher of watchers) await watcher.creates(100 * round);
    await new Promise((done) => setTimeout(done, 50)); // so that batches and full looks fall apart
  }
  for (const watcher of watchers) {
    assert.equal(watcher.created, await listed(path));
    await watcher.end();
  }
});

watched(
  'is told though its watcher has asked for it when it was told nothing, and a child of it listens',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path, 'fork');
    for (let n = 0; n < 5; n++) await shell.run(`ls ${path}`); // other processes that have asked and ended
    publishNumbered(daemon.path, 2);
    await watcher.creates(2);
    publishNumbered(daemon.path, 2);
    assert.equal(await watcher.creates(4), await listed(path));
    await watcher.end();
  },
);

watched("is told of a user's own files once, as ever", async () => {
  const path = await directory();
  const from = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 1);
  const [event] = await listed(path);
  await watcher.creates(1);
  writeFileSync(`${path}/file`, 'x');
  linkSync(`${from}/${event}`, `${path}/link`);
  await shell.run(`mkfifo ${path}/fifo`);
  publishNumbered(daemon.path, 1);
  const heard = await watcher.creates(5);
  assert.equal(heard.slice(0, 4), [event, 'file', 'link', 'fifo']);
  assert.is(statusOf(path).NOTICES, '2');
  assert.is(watcher.created.length, 5);
  await watcher.end();
});

watched('is told again when the watch has been off', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path, 'twice');
  publishNumbered(daemon.path, 1);
  await watcher.creates(1);
  watcher.tell('off');
  await watcher.says(/^off$/m);
  publishNumbered(daemon.path, 1);
  await until(() => statusOf(`${daemon.path}/log`).UNTOLD === '0', 'the helper is busy'); // else the notice may come after the watch
  watcher.tell('on');
  await watcher.says(/^on$/m);
  publishNumbered(daemon.path, 1);
  const all = await listed(path);
  assert.equal(await watcher.creates(2), [all[0], all[2]]);
  await watcher.end();
});

watched('is told of what the filter lets through only', async () => {
  const path = await directory();
  writeFileSync(`${path}/.filter`, 'SUBSYSTEM=mine');
  const watcher = await Watcher.on(path);
  publish(
    daemon.path,
    eventText('/a', { SUBSYSTEM: 'mine' }),
    eventText('/b', { SUBSYSTEM: 'other' }),
    eventText('/c', { SUBSYSTEM: 'mine' }),
  );
  assert.is((await watcher.creates(2)).length, 2);
  assert.equal(watcher.created, await listed(path));
  await watcher.end();
});

watched(
  'is told where a user has put a symlink in the way, which the helper does not follow',
  async () => {
    const path = await directory('0777');
    const outside = await directory('0700'); // root's, as the helper is
    const last = statusOf(`${daemon.path}/log`);
    const next = (n: number): string => `${last.SEQNUM}.${Number(last.PUBLISHED) + n}`;
    const targets = [`${outside}/made`, outside, '/etc/passwd', next(4), '.stream'];
    const links = targets.map((target, n) => `ln -s ${target} ${path}/${next(n + 1)}`);
    assert.is((await run([...AS_NOBODY, 'sh', '-ec', links.join('; ')])).code, 0);
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, targets.length);
    assert.equal(
      await watcher.creates(targets.length),
      targets.map((_, n) => `${next(n + 1)}.1`),
    );
    assert.equal(
      readdirSync(outside).filter((name) => name === 'made'),
      [],
    );
    await watcher.end();
  },
);

watched(
  'is told where a user has taken the name, by the name that the event has then',
  async () => {
    const path = await directory();
    const last = statusOf(`${daemon.path}/log`);
    const next = `${last.SEQNUM}.${Number(last.PUBLISHED) + 1}`;
    writeFileSync(`${path}/${next}`, 'mine');
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, 1);
    assert.equal(await watcher.creates(1), [`${next}.1`]);
    await watcher.end();
  },
);

watched('of the log tells of every event', async () => {
  const watcher = await Watcher.on(`${daemon.path}/log`);
  publishNumbered(daemon.path, 10);
  assert.equal(await watcher.creates(10), (await listed(`${daemon.path}/log`)).slice(-10));
  await watcher.end();
});

watched('has nothing to tell when its events are taken first', async () => {
  const path = await directory();
  const reader = await shell.run(`exec 9< ${path}/.stream; cat <&9 > /dev/null & echo $!`);
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 500);
  await until(() => readdirSync(path).length === 0, 'the events were not taken');
  writeFileSync(`${path}/end`, '');
  await until(() => watcher.created.includes('end'), 'the end was not heard of');
  await shell.run(`kill ${reader.out.trim()}; exec 9<&-`);
  await watcher.end();
});

watched(
  'is told of the events that are left where one of them is taken before its notice',
  async () => {
    const path = await directory();
    const watcher = await Watcher.on(path);
    publishNumbered(daemon.path, 1);
    await watcher.creates(1);
    const pid = helperOf(daemon.pid);
    const before = batches();
    process.kill(pid, 'SIGSTOP');
    const records = Buffer.from('add@/many\n\n'.repeat(6));
    const fd = openSync(`${daemon.path}/publish`, constants.O_WRONLY);
    const taken = writeSync(fd, records); // at once, so that they are in one batch
    await until(() => batches() > before, 'the batch was not sent');
    const [, , second] = await listed(path);
    if (taken > records.length / 2) unlinkSync(`${path}/${second}`);
    process.kill(pid, 'SIGCONT');
    for (let from = taken; from < records.length;) from += writeSync(fd, records, from);
    closeSync(fd);
    const all = await listed(path);
    await watcher.creates(all.length);
    assert.equal(watcher.created, all);
    await watcher.end();
  },
);

watched(
  'wakes libudev-compat, which never sleeps while an event waits',
  async () => {
    const path = await directory();
    const count = 3000;
    const client = await Watcher.on(path, 'oneshot', [String(count)]);
    for (let sent = 0; sent < count;) {
      const some = 1 + ((sent * 7) % 13);
      publishNumbered(daemon.path, Math.min(some, count - sent));
      sent += some;
      if (sent % 5 === 0) await new Promise((done) => setTimeout(done, sent % 3));
    }
    const said = await client.says(/^(taken .*|slept .*|\w+: E.*)$/m);
    assert.is(said[0], `taken ${count}`);
    await client.end();
  },
  60_000,
);

watched.run();

// ---- those that nobody watches

const unwatched = mounted('a directory that nobody watches');

unwatched(
  'costs no notice for a watch on another filesystem, whose inode has the same number',
  async () => {
    const path = await directory();
    const { ino } = statSync(path);
    const other = mountPoint();
    assert.is((await run(['mount', '-t', 'tmpfs', 'none', other])).code, 0);
    try {
      // A tmpfs counts its inodes up from 1.
      let at = other;
      for (let n = 0; statSync(at).ino < ino; n++) mkdirSync((at = `${other}/${n}`));
      assert.is(statSync(at).ino, ino);
      // Its process has asked for the directory of the mount, and is looked at.
      const watcher = await Watcher.on(
        at,
        'path',
        [],
        ['sh', '-c', 'test -x "$0" && exec "$@"', path],
      );
      let before = -1;
      await until(
        async () => {
          publishNumbered(daemon.path, 5);
          await new Promise((done) => setTimeout(done, 100));
          const told = Number(statusOf(path).NOTICES);
          const isQuiet = told === before;
          before = told;
          return isQuiet;
        },
        'notices were raised all the time',
        20_000,
      );
      await watcher.end();
      await shell.run(`rm -r ${path}`); // it would have messages of its own in the next tests
    } finally {
      await run(['umount', '-l', other]);
      removeMountPoint(other);
    }
  },
);

unwatched('costs a message at most, and no notice, when nobody has asked since', async () => {
  const path = await directory();
  const before = batches();
  // From a process that asks for nothing but `publish`, and in 300 runs of requests.
  await shell.run(`for i in {1..300}; do echo 'change@/x' > ${daemon.path}/publish; done`, 20_000);
  const after = batches();
  assert.ok(after - before <= 6, `${after - before} messages`); // this process has asked, and has asked for log/
  assert.is(statusOf(path).NOTICES, '0');
  assert.is(statusOf(path).PENDING, '300');
});

unwatched('costs no notice when others ask all the time', async () => {
  const path = await directory();
  let before = -1;
  await until(
    () => {
      const told = Number(statusOf(path).NOTICES);
      const isQuiet = told === before;
      before = told;
      for (let n = 0; n < 20; n++) {
        readdirSync(path);
        statSync(`${path}/.status`);
        publishNumbered(daemon.path, 10);
      }
      return isQuiet;
    },
    'notices were raised all the time',
    25_000,
  ); // the process that has made the directory has ended, and all had to be looked at
});

unwatched('is left alone once its watcher has ended', async () => {
  const path = await directory();
  const watcher = await Watcher.on(path);
  publishNumbered(daemon.path, 5);
  await watcher.creates(5);
  await watcher.end();
  const told = (): string => statusOf(path).NOTICES;
  await until(
    async () => {
      const before = told();
      publishNumbered(daemon.path, 1); // an event finds that it has gone
      await new Promise((done) => setTimeout(done, 100));
      return told() === before;
    },
    'notices went on',
    20_000,
  );
  await shell.run(`for i in {1..100}; do echo 'change@/x' > ${daemon.path}/publish; done`, 20_000);
  assert.ok(Number(told()) < 50, `it was told ${told()} times`);
});

unwatched.run();

// ---- the kernel's own events

const kernel = mounted('a watched directory of kernel events', ['--source', 'kernel']);

kernel('is told of each uevent, in order', async () => {
  const path = await directory();
  writeFileSync(`${path}/.filter`, 'DEVNAME=full'); // others make the kernel speak too
  const watcher = await Watcher.inotifywait(path, 'create');
  for (let n = 0; n < 200; n++)
    appendFileSync('/sys/class/mem/full/uevent', n % 2 === 0 ? 'add' : 'change');
  await watcher.creates(200);
  await until(
    async () => watcher.created.length === (await listed(path)).length,
    'not all were heard of',
    20_000,
  );
  assert.equal(watcher.created, await listed(path));
  await watcher.end();
});

kernel.run();

// ---- dead owners

const dead = mounted("a dead owner's directory");

dead.before(buildClients);

async function ownDirectory(): Promise<{ owner: Shell; path: string }> {
  const owner = new Shell();
  const path = `${daemon.path}/${owner.pid}`;
  assert.is((await owner.run(`mkdir ${path}; echo x > ${path}/e; cat ${path}/e`)).code, 0);
  return { owner, path };
}

dead(
  "is gone for everybody at once, and then inotify says so to its watcher and to the root's",
  async () => {
    const { owner, path } = await ownDirectory();
    const own = await Watcher.on(path);
    const root = await Watcher.inotifywait(daemon.path, 'delete');
    // With the helper stopped nothing is heard, and nothing is found either.
    process.kill(helperOf(daemon.pid), 'SIGSTOP');
    await owner.kill();
    for (const each of [path, `${path}/e`, `${path}/.stream`]) assert.is(reach(each), 'ENOENT');
    assert.equal(own.heard('DELETE_SELF'), []);
    process.kill(helperOf(daemon.pid), 'SIGCONT');
    await own.says(/^DELETE_SELF\nIGNORED$/m);
    await root.says(new RegExp(`^DELETE,ISDIR ${basename(path)}$`, 'm'));
    assert.is(reach(path), 'ENOENT');
    await own.end();
    await root.end();
  },
);

dead('is told of once by inotifywait', async () => {
  const { owner, path } = await ownDirectory();
  const own = await Watcher.inotifywait(path, 'delete_self');
  await owner.kill();
  await own.says(/^DELETE_SELF/m);
  await own.end();
});

dead('is told of though its name is taken again, and the new one is left alone', async () => {
  const first = new Shell();
  const second = new Shell();
  const path = `${daemon.path}/name-of-many`;
  const helper = helperOf(daemon.pid);
  // mkdir is done by the shell's own python: an owner that lives on
  const make = `exec python3 -c 'import os, time; os.mkdir("${path}"); print("made", flush=True); time.sleep(60)'`;
  const makes = (owner: Shell): void => void owner.process.stdin!.write(`${make}\n`);
  makes(first);
  await until(() => reach(path) === 'ok', 'it was not made');
  const { ino } = statSync(path);
  const own = await Watcher.on(path);
  const root = await Watcher.on(daemon.path);
  process.kill(helper, 'SIGSTOP');
  await first.kill();
  makes(second);
  await until(() => reach(path) === 'ok', 'it was not made again');
  assert.is.not(statSync(path).ino, ino);
  const next = await Watcher.on(path);
  process.kill(helper, 'SIGCONT');
  await own.says(/^DELETE_SELF\nIGNORED$/m);
  assert.equal(next.heard('DELETE_SELF', 'IGNORED'), []);
  assert.not.ok(root.heard('DELETE').includes(`DELETE ${basename(path)}`));
  publishNumbered(daemon.path, 1);
  await next.creates(1);
  await second.kill();
  await next.says(/^DELETE_SELF\nIGNORED$/m);
  await until(
    () => root.heard('DELETE').includes(`DELETE ${basename(path)}`),
    'the second end was not heard of',
  );
  for (const watcher of [own, root, next]) await watcher.end();
});

dead('is told of when the sticky attribute is taken off it', async () => {
  const { owner, path } = await ownDirectory();
  await run(['setfattr', '-n', 'user.eventfs_sticky', path]);
  const own = await Watcher.on(path);
  await owner.kill();
  assert.is(reach(path), 'ok');
  publishNumbered(daemon.path, 1);
  await own.creates(1);
  await run(['setfattr', '-x', 'user.eventfs_sticky', path]);
  await own.says(/^DELETE_SELF\nIGNORED$/m);
  assert.is(reach(path), 'ENOENT');
  await own.end();
});

dead(
  'gives everything back, of a thousand at once',
  async () => {
    const { NODES, WATCHED, MEMORY } = statusOf(`${daemon.path}/log`);
    const herd = spawnClient([client('herd'), daemon.path, '1000'], ['pipe', 'pipe', 'inherit']);
    let said = '';
    herd.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.startsWith('ready'), 'the herd did not gather', 40_000);
    await run(['ls', '-l', daemon.path]); // the kernel knows them all
    const root = await Watcher.on(daemon.path);
    herd.stdin!.end();
    await until(() => said.endsWith('gone\n'), 'the herd did not go', 40_000);
    const { DIRECTORIES } = statusOf(`${daemon.path}/log`);
    assert.ok(Number(DIRECTORIES) < 1000);
    await until(() => root.heard('DELETE').length === 1000, 'not all ends were heard of', 40_000);
    await until(
      () => {
        const now = statusOf(`${daemon.path}/log`);
        return (
          now.GHOSTS === '0' &&
          Number(now.MEMORY) <= Number(MEMORY) + 100_000 && // a ghost is charged 4 KiB
          Number(now.NODES) <= Number(NODES) + 2 &&
          Number(now.WATCHED) <= Number(WATCHED) + 1
        );
      },
      'not all was given back',
      20_000,
    );
    await root.end();
  },
  120_000,
);

dead('leaves no event behind in the notices', async () => {
  const { owner, path } = await ownDirectory();
  const own = await Watcher.on(path);
  publishNumbered(daemon.path, 300);
  await owner.kill();
  await own.says(/^DELETE_SELF\nIGNORED$/m);
  publishNumbered(daemon.path, 10);
  await own.end();
  assert.not.ok(readdirSync(daemon.path).some((name) => name.startsWith('.ended')));
});

dead.run();

// ---- the helper

const helper = suite('the notifier');
const owners: Shell[] = [];

helper.after(async () => {
  for (const { process: owner } of owners) owner.kill('SIGKILL');
  await killClients(); // of tests that failed
  await killDaemons();
});

/** A daemon, a directory in it, and a watcher of that. */
async function setUp(): Promise<{ served: Daemon; owner: Shell; path: string; watcher: Watcher }> {
  const served = await startDaemon();
  const owner = new Shell();
  owners.push(owner);
  const path = `${served.path}/${owner.pid}`;
  await owner.run(`mkdir ${path}`);
  return { served, owner, path, watcher: await Watcher.on(path) };
}

helper('holds neither /dev/fuse nor the mount', async () => {
  const { served, owner, watcher } = await setUp();
  publishNumbered(served.path, 5);
  await watcher.creates(5);
  const pid = helperOf(served.pid);
  await until(
    () => descriptors(pid).length === 3,
    `it has more than its pipes open: ${descriptors(pid).join(', ')}`,
  );
  assert.equal(descriptors(pid, /fuse|eventfs-/), []);
  await watcher.end();
  await owner.kill();
  await served.stop();
  assert.ok(isDead(pid));
});

helper('has nothing open that the daemon was started with', async () => {
  const served = await startDaemon(undefined, mountPoint(), {
    under: ['bash', '-c', 'exec 9< /etc/passwd; exec "$@"', 'bash'],
  });
  assert.is(descriptors(served.pid, /passwd$/).length, 1);
  await until(() => helperOf(served.pid) !== 0, 'there is no helper');
  await until(
    () => descriptors(helperOf(served.pid)).length === 3,
    `it has ${descriptors(helperOf(served.pid)).join(', ')}`,
  );
  await served.stop();
});

helper(
  'stays when a signal comes to all of its process group: the daemon decides when it ends',
  async () => {
    const { served, owner, watcher } = await setUp();
    publishNumbered(served.path, 1);
    await watcher.creates(1);
    const pid = helperOf(served.pid);
    for (const signal of [
      'SIGINT',
      'SIGTERM',
      'SIGHUP',
      'SIGQUIT',
      'SIGPIPE',
      'SIGUSR1',
      'SIGUSR2',
    ] as const) {
      process.kill(pid, signal);
      publishNumbered(served.path, 1);
      await watcher.creates(watcher.created.length + 1);
      assert.is(helperOf(served.pid), pid, signal);
    }
    assert.is(served.log(), '');
    await watcher.end();
    await owner.kill();
    await served.stop();
  },
);

helper('is started again when it is killed, and nothing is missed', async () => {
  const { served, owner, path, watcher } = await setUp();
  publishNumbered(served.path, 5);
  await watcher.creates(5);
  const first = helperOf(served.pid);
  process.kill(first, 'SIGSTOP');
  publishNumbered(served.path, 500);
  process.kill(first, 'SIGKILL');
  publishNumbered(served.path, 5);
  assert.equal(await watcher.creates(510), await listed(path));
  assert.is.not(helperOf(served.pid), first);
  assert.match(served.log(), /the notifier is started again: it ended by SIGKILL/);
  await watcher.end();
  await owner.kill();
  await served.stop();
});

helper('that dies again and again is given up, and the daemon lives', async () => {
  const { served, owner, path, watcher } = await setUp();
  let last = 0;
  await until(
    () => {
      const now = helperOf(served.pid);
      if (now !== 0 && now !== last) {
        last = now;
        process.kill(now, 'SIGKILL');
      }
      return served.log().includes("can't be run");
    },
    'it was not given up',
    20_000,
  );
  publishNumbered(served.path, 10);
  assert.is(readdirSync(path).length, 10);
  await watcher.end();
  await owner.kill();
  assert.is(reach(path), 'ENOENT');
  assert.is(await served.stop(), 0);
});

helper('lets umount(8) take the mount, idle and with notices under way', async () => {
  for (const count of [0, 2000]) {
    const { served, owner, watcher } = await setUp();
    publishNumbered(served.path, 1 + count);
    await watcher.creates(1);
    await watcher.end(); // a watch is taken off by umount(8), but its shell's directory may be open
    const { code, err } = await run(['umount', served.path]);
    assert.is(code, 0, err);
    assert.is(await served.ended, 0);
    assert.not.ok(isMounted(served.path));
    await owner.kill();
    removeMountPoint(served.path);
  }
});

helper('touches nothing in the directory beneath', async () => {
  const { served, owner, path, watcher } = await setUp();
  const pid = helperOf(served.pid);
  process.kill(pid, 'SIGSTOP');
  publishNumbered(served.path, 3);
  await owner.run(`cd ${path}`); // so that the filesystem lives on without its mount
  await run(['umount', '-l', served.path]);
  await run(['mkdir', path]); // the same name, beneath
  process.kill(pid, 'SIGCONT');
  await until(
    async () => (await owner.run('cat ../log/.status')).out.includes('\nUNTOLD=0\n'),
    'the helper is busy',
  );
  assert.equal(readdirSync(path), []);
  assert.equal(watcher.created, []);
  await watcher.end();
  await owner.kill();
  assert.is(await served.ended, 0);
  await until(() => isDead(pid), 'the helper lives');
  await run(['rmdir', path]);
  removeMountPoint(served.path);
});

helper('ends with eventfs umount and with SIGTERM', async () => {
  for (const end of ['umount', 'SIGTERM']) {
    const { served, owner, watcher } = await setUp();
    publishNumbered(served.path, 100);
    await watcher.creates(1);
    const pid = helperOf(served.pid);
    if (end === 'SIGTERM') assert.is(await served.stop(), 0);
    else {
      await run([process.execPath, 'bin/eventfs', 'umount', served.path]);
      assert.is(await served.ended, 0);
    }
    assert.ok(isDead(pid), end);
    await watcher.end();
    await owner.kill();
  }
});

helper.run();
