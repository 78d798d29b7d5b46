/** The tree behind fuse-native: what it does as the other driver does, what it does otherwise, and what must not hang. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Actor, buildClients, reach } from '../../support/actor.js';
import {
  Calls,
  Reader,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients.js';
import {
  EVENTFS,
  Shell,
  isMounted,
  killDaemons,
  makeUevent,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/daemon.js';
import { measuring } from '../../support/measure.js';
import { daemon, directory, mounted, nothingIsOpen, shell } from '../../support/mounted.js';
import { AS_NOBODY, eventfsForOthers, NOBODY, projectForOthers } from '../../support/other-user.js';
import { suite } from '../../support/suite.js';

const DRIVER = ['--source', 'none', '--driver', 'fuse-native'] as const;
/** fs/drivers/fuse-native/fuse-native.ts. */
const MOST_PARKED = 8;

const native = mounted('the tree behind fuse-native', [...DRIVER, '--sticky', 'global:1733']);
native.before(buildClients);
native.before(restartObserver);
native.after(() => Actor.endAll());

/** Looks on, and has nothing open between tests. */
let observer: Actor;

async function restartObserver(): Promise<void> {
  await (observer as Actor | undefined)?.kill();
  observer = new Actor();
}

/** Runs commands in the suite's shell; gives what they printed. */
async function sh(commands: string): Promise<string> {
  const { out, code } = await shell.run(commands);
  assert.is(code, 0, `${commands}: ${out}`);
  return out;
}

/** Runs a line of Python with arguments; gives what it printed. */
async function python(line: string, ...args: string[]): Promise<string> {
  const { out, err, code } = await run(['python3', '-c', line, ...args]);
  assert.is(code, 0, err);
  return out.trim();
}

/** Resolves once that many reads wait. */
async function untilWaiting(directoryPath: string, count: number): Promise<void> {
  await until(
    () => statusOf(directoryPath).WAITING === String(count),
    `${count} reads did not wait`,
  );
}

// ---- as behind the other driver

native('says at its start what it cannot do', () => {
  assert.match(daemon.log(), /^eventfs: mount: fuse-native: .*docs\/drivers\.md/m);
});

native('shows a process its events, and pops them by head', async () => {
  const path = await directory();
  assert.is(statSync(path).mode & 0o7777, 0o755);
  publishNumbered(daemon.path, 3);
  const names = (await sh(`ls -f ${path}`))
    .split('\n')
    .filter((name) => name !== '' && !name.startsWith('.'));
  assert.is(names.length, 3);
  assert.is(readlinkSync(`${path}/head`), names[0]);
  assert.is(readlinkSync(`${path}/tail`), names[2]);
  assert.is(readFileSync(`${path}/head`, 'latin1'), eventText('/devices/n', { N: 0 }));
  assert.is(statSync(`${path}/head`).size, eventText('/devices/n', { N: 0 }).length);
  await sh(`rm ${path}/head && rm ${path}/tail`);
  assert.is(readlinkSync(`${path}/head`), names[1]);
  assert.is(readlinkSync(`${path}/tail`), names[1]);
  await sh(`rm ${path}/${names[1]}`);
  assert.is(reach(`${path}/head`), 'ENOENT');
  assert.equal(readdirSync(path), []);
});

native('counts links, and shows one inode number for all of them', async () => {
  const [one, other] = [await directory(), await directory()];
  await sh(`printf hello > ${one}/event && ln ${one}/event ${other}/linked`);
  assert.is(statSync(`${one}/event`).nlink, 2);
  assert.is(statSync(`${one}/event`).ino, statSync(`${other}/linked`).ino);
  assert.is((await shell.run(`ln ${one}/event ${other}/linked`)).code, 1, 'EEXIST');
  await sh(`rm ${one}/event`);
  assert.is(statSync(`${other}/linked`).nlink, 1);
  assert.is(readFileSync(`${other}/linked`, 'latin1'), 'hello');
});

native(
  'keeps the place of an event that is renamed, and moves one elsewhere to the end',
  async () => {
    const [one, other] = [await directory(), await directory()];
    await sh(
      `cd ${one} && touch a b c && mv b z && cd / && touch ${other}/first && mv ${one}/a ${other}/a`,
    );
    assert.is(await sh(`ls -f ${one} | grep -v '^\\.'`), 'z\nc\n');
    assert.is(await sh(`ls -f ${other} | grep -v '^\\.'`), 'first\na\n');
  },
);

native(
  'keeps a file readable that is removed or replaced while it is open, and shows no other name for it',
  async () => {
    const path = await directory();
    await sh(
      `echo old > ${path}/event; echo new > ${path}/newer; exec 5< ${path}/event 6< ${path}/newer; rm ${path}/event`,
    );
    assert.equal(readdirSync(path), ['newer']);
    assert.is(reach(`${path}/event`), 'ENOENT');
    assert.is(await sh('cat <&5; stat -L -c "%s %h" /dev/fd/5'), 'old\n4 0\n');
    await sh(`echo newest > ${path}/newest; mv ${path}/newest ${path}/newer`);
    assert.equal(readdirSync(path), ['newer']);
    assert.is(await sh(`cat <&6; cat ${path}/newer; exec 5<&- 6<&-`), 'new\nnewest\n');
    await nothingIsOpen();
  },
);

native('writes, appends and truncates', async () => {
  const path = `${await directory()}/event`;
  await sh(`echo one > ${path}; echo two >> ${path}`);
  assert.is(readFileSync(path, 'latin1'), 'one\ntwo\n');
  await sh(`truncate -s 3 ${path}`);
  assert.is(readFileSync(path, 'latin1'), 'one');
  await sh(`chmod 600 ${path}; : > ${path}`);
  assert.is(statSync(path).size, 0);
  assert.is(statSync(path).mode & 0o777, 0o600);
  assert.is((await shell.run(`head -c 70000 /dev/zero > ${path}`)).code, 1, 'EFBIG');
});

native(
  'has attributes of any size: 300 bytes where there is room for 128, and none that is not there',
  async () => {
    const path = await directory('0700');
    const filter = `SUBSYSTEM==${'x'.repeat(300)}`;
    await sh(`setfattr -n user.eventfs.filter -v '${filter}' ${path}`);
    assert.is(readFileSync(`${path}/.filter`, 'latin1'), `${filter}\n`);
    assert.is(
      await python(
        'import os,sys; print(os.getxattr(sys.argv[1], "user.eventfs.filter").decode())',
        path,
      ),
      filter,
    );
    assert.equal(
      JSON.parse(
        await python(
          'import os,sys,json; print(json.dumps(sorted(os.listxattr(sys.argv[1]))))',
          path,
        ),
      ),
      ['user.eventfs.filter', 'user.eventfs.lost', 'user.eventfs.owner', 'user.eventfs.pending'],
    );
    assert.match((await shell.run(`getfattr -n user.none ${path}`)).out, /No such attribute/);
    assert.match((await shell.run(`setfattr -n user.none -v 1 ${path}`)).out, /not supported/);
  },
);

native('keeps a sticky directory when its owner dies, and no other', async () => {
  const owner = new Shell();
  const [stays, goes] = [`${daemon.path}/${owner.pid}.stays`, `${daemon.path}/${owner.pid}.goes`];
  assert.is(
    (await owner.run(`mkdir ${stays} ${goes} && setfattr -n user.eventfs_sticky ${stays}`)).code,
    0,
  );
  await owner.kill();
  assert.is(reach(stays), 'ok');
  assert.is(reach(goes), 'ENOENT');
  await sh(`setfattr -x user.eventfs_sticky ${stays}`);
  assert.is(reach(stays), 'ENOENT');
});

native(
  'shows the attributes of the root: its number, links, owner, mode and times, and those that they are changed to',
  async () => {
    const { path } = daemon;
    const before = statSync(path);
    assert.equal(
      [before.ino, before.mode, before.uid, before.gid, before.size, before.blocks],
      [1, 0o41777, 0, 0, 0, 0],
    );
    const own = await directory();
    const with1 = statSync(path);
    assert.is(with1.nlink, before.nlink + 1);
    assert.ok(with1.mtimeMs > before.mtimeMs && with1.ctimeMs > before.ctimeMs);
    await sh(
      `rmdir ${own}; chmod 1755 ${path}; chown 1:2 ${path}; touch -d '2001-01-01 UTC' ${path}`,
    );
    const { nlink, mode, uid, gid, atimeMs, mtimeMs, ctimeMs } = statSync(path);
    assert.equal(
      [nlink, mode, uid, gid, atimeMs, mtimeMs],
      [before.nlink, 0o41755, 1, 2, Date.UTC(2001, 0, 1), Date.UTC(2001, 0, 1)],
    );
    assert.ok(ctimeMs > with1.ctimeMs);
    await sh(`chmod 1777 ${path}; chown 0:0 ${path}`);
  },
);

native('has FIFOs and symlinks that go with the owner', async () => {
  const owner = new Shell();
  const path = `${daemon.path}/${owner.pid}`;
  await owner.run(
    `mkdir ${path} && mkfifo ${path}/fifo && ln -s fifo ${path}/link && (echo through > ${path}/fifo &)`,
  );
  assert.is(await sh(`cat ${path}/link`), 'through\n');
  assert.is(readlinkSync(`${path}/link`), 'fifo');
  await owner.kill();
  for (const name of ['fifo', 'link']) assert.is(reach(`${path}/${name}`), 'ENOENT');
});

native('links what a publisher writes into every queue', async () => {
  const [one, other] = [await directory(), await directory()];
  publish(daemon.path, eventText('/devices/published', { SUBSYSTEM: 'mine' }));
  assert.is(readFileSync(`${one}/head`, 'latin1'), readFileSync(`${other}/head`, 'latin1'));
  assert.is(statSync(`${one}/head`).nlink >= 3, true, 'log/ has it too');
  assert.throws(() => publish(daemon.path, 'no event'), /EINVAL/);
});

// ---- who

native('takes no name but a PID: EPERM, and the log says why', async () => {
  assert.match((await shell.run(`mkdir ${daemon.path}/name`)).out, /not permitted/);
  await until(
    () => /mkdir: EPERM: the name name has no PID/.test(daemon.log()),
    'the log does not say',
  );
  assert.match((await shell.run(`mkdir ${daemon.path}/4194305`)).out, /No such process/);
  const path = await directory();
  assert.match((await shell.run(`mkdir ${path}/below`)).out, /not permitted/);
  assert.match((await shell.run(`ln -s anything ${daemon.path}/symlink`)).out, /not permitted/);
});

native("makes a directory its process's user's, and nobody else's, whoever makes it", async () => {
  const nobody = new Shell([...AS_NOBODY, 'bash']);
  const root = `${daemon.path}/${shell.pid}.trap`;
  assert.is((await nobody.run(`umask 0; mkdir ${root}`)).code, 0);
  assert.is(statSync(root).uid, 0);
  assert.is(statSync(root).mode & 0o7777, 0o700);
  for (const attempt of [
    `ls ${root}`,
    `touch ${root}/x`,
    `chmod 777 ${root}`,
    `rmdir ${root}`,
    `setfattr -n user.eventfs_sticky ${root}`,
  ]) {
    assert.is.not((await nobody.run(attempt)).code, 0, attempt);
  }
  const own = `${daemon.path}/${nobody.pid}`;
  assert.is((await nobody.run(`mkdir ${own} && touch ${own}/event && chmod 755 ${own}`)).code, 0);
  assert.is(statSync(own).uid, NOBODY);
  assert.is(statSync(`${own}/event`).uid, NOBODY);
  await nobody.kill();
  assert.is(reach(own), 'ENOENT');
  await sh(`rmdir ${root}`);
});

native(
  'lets nobody whom it cannot tell from others change the attributes of a directory that many may write',
  async () => {
    const path = await directory('0777');
    assert.match((await shell.run(`setfattr -n user.eventfs_sticky ${path}`)).out, /not permitted/);
    await sh(
      `chmod 755 ${path} && setfattr -n user.eventfs_sticky ${path} && setfattr -x user.eventfs_sticky ${path}`,
    );
  },
);

// ---- streams

native('hands a blocked reader what comes, and goes on serving others meanwhile', async () => {
  const path = await directory();
  const readers = [
    await Reader.on(`${daemon.path}/stream`),
    await Reader.on(`${path}/.stream`),
    await Reader.on(`${daemon.path}/match/N=1`),
  ];
  await untilWaiting(path, 1);
  publishNumbered(daemon.path, 2);
  assert.equal(valuesOf('N', await readers[0].has(2)), ['0', '1']);
  assert.equal(valuesOf('N', await readers[1].has(2)), ['0', '1']);
  assert.equal(valuesOf('N', await readers[2].has(1)), ['1']);
  for (const reader of readers) await reader.kill();
  await nothingIsOpen();
});

/** An actor that waits in a read of `path`; the answer is its errno or `ok <bytes>`. */
async function blockedOn(path: string): Promise<{ actor: Actor; answer: Promise<string> }> {
  const actor = new Actor();
  const { answer } = await actor.block(`read ${await actor.get(`open ${path}`)}`, observer);
  return { actor, answer };
}

native(
  'says EAGAIN to who opens with O_NONBLOCK, and to the ninth who would wait, and serves the others',
  async () => {
    const path = await directory();
    assert.is(await observer.ask(`read ${await observer.get(`opennb ${path}/.stream`)}`), 'EAGAIN');
    const waiting = await Promise.all(
      Array.from({ length: MOST_PARKED }, () => blockedOn(`${daemon.path}/stream`)),
    );
    assert.is(await observer.ask(`read ${await observer.get(`open ${path}/.stream`)}`), 'EAGAIN');
    assert.is(await sh(`echo hello > ${path}/event && cat ${path}/event`), 'hello\n');
    publishNumbered(daemon.path, 1);
    for (const { answer } of waiting)
      assert.is(await answer, `ok ${eventText('/devices/n', { N: 0 }).length + 1}`);
    for (const { actor } of waiting) await actor.kill();
    await restartObserver();
  },
);

native(
  'lets a blocked reader be killed at once, and gives what comes then to the other',
  async () => {
    const path = await directory();
    const [first, second] = [
      await blockedOn(`${path}/.stream`),
      await blockedOn(`${path}/.stream`),
    ];
    await untilWaiting(path, 2);
    await first.actor.kill();
    await untilWaiting(path, 1);
    await sh(`echo hello > ${path}/event`);
    assert.is(await second.answer, 'ok 7');
    await second.actor.kill();
  },
);

native("gives io_uring's READ the text of each file once", async () => {
  const path = await directory();
  publishNumbered(daemon.path, 1);
  const calls = new Calls();
  if ((await calls.call('ring', 0)).errno !== '') return calls.end();
  for (const name of ['head', '.status', '.since']) {
    await calls.open(1, `${path}/${name}`);
    const text = (await calls.call('pread', 1, 65536, 0)).bytes;
    for (const [size, offset] of [
      [4096, 0],
      [4096, 3],
      [3, 0],
      [4096, text.length],
    ]) {
      await calls.call('ring_read', 0, 1, size, offset, 0);
      assert.is(
        (await calls.call('ring_wait', 0, 5000)).bytes,
        text.slice(offset, offset + size),
        `${name}: ${size} bytes at ${offset}`,
      );
    }
    await calls.call('close', 1);
  }
  await calls.end();
});

native('lets a signal interrupt a blocked read, and loses nothing by it', async () => {
  const calls = new Calls();
  await calls.open(1, `${daemon.path}/stream`);
  for (let round = 0; round < 10; round++) {
    await calls.call('alarm', 5 + round, 0);
    assert.is((await calls.call('read', 1, 4096)).errno, 'EINTR');
  }
  publishNumbered(daemon.path, 1);
  assert.match((await calls.call('read', 1, 4096)).bytes, 'N=0');
  await calls.end();
});

native('does not let rmdir wait for who reads the stream in the directory', async () => {
  const path = await directory();
  const reader = await blockedOn(`${path}/.stream`);
  await sh(`rmdir ${path}`);
  assert.is(await reader.answer, 'EINTR');
  assert.is(reach(path), 'ENOENT');
  await reader.actor.kill();
});

native(
  'shows streams without a size: what reads through the page cache finds the end, and read(2) the events',
  async () => {
    const path = await directory();
    assert.is(statSync(`${path}/.stream`).size, 0);
    await sh(`echo hello > ${path}/event`);
    assert.is(
      await python(
        'import os,sys; i=os.open(sys.argv[1],0); print(os.sendfile(os.memfd_create("x"),i,0,100), os.read(i,100))',
        `${path}/.stream`,
      ),
      String.raw`0 b'hello\n\n'`,
    );
  },
);

// ---- the promise

native(
  'keeps the promise: 300 owners killed and waited for, seven operations after each',
  async () => {
    const { out, err, code } = await run([measuring('deaths'), daemon.path, '300'], {
      timeoutMs: 100_000,
    });
    assert.is(code, 0, err);
    assert.match(out, /^rounds=300 accesses=2100 stale=0 .*stuck=0 wrong_errno=0 /);
  },
  110_000,
);

native(
  'ends a blocked read with ESTALE when the owner dies; that of a living one stays',
  async () => {
    const owner = await observer.get(`forkmkdir 0 ${daemon.path}/%`);
    const living = await directory();
    const [ends, stays] = [
      await blockedOn(`${daemon.path}/${owner}/.stream`),
      await blockedOn(`${living}/.stream`),
    ];
    const held = await observer.get(`open ${daemon.path}/${owner}/.status`);
    assert.is(await observer.ask(`signal ${owner} 9`), 'ok');
    assert.is(await observer.ask(`wait ${owner}`), 'ok');
    assert.is(await observer.ask(`read ${held}`), 'ESTALE');
    assert.is(await ends.answer, 'ESTALE');
    await sh(`echo hello > ${living}/event`);
    assert.is(await stays.answer, 'ok 7');
    for (const { actor } of [ends, stays]) await actor.kill();
    await restartObserver();
  },
);

native.run();

// ---- a daemon of its own

const life = suite('a daemon with fuse-native');
life.after(killDaemons);

life('ends with 0 by SIGTERM, and those who read get the end of the file', async () => {
  const own = await startDaemon(DRIVER);
  const readers = [await Reader.on(`${own.path}/stream`), await Reader.on(`${own.path}/stream`)];
  for (const reader of readers)
    await until(() => /fuse|request_wait/.test(wchanOf(reader.process.pid!)), 'it does not wait');
  assert.is(await own.stop(), 0);
  for (const reader of readers) assert.is(await reader.ended, 0, reader.err);
  assert.not(isMounted(own.path));
});

life('ends with 0 when somebody unmounts, and at once when it is idle', async () => {
  const own = await startDaemon(DRIVER);
  assert.is((await run(['umount', own.path])).code, 0);
  assert.is(await within(10_000, own.ended, 'it did not end'), 0);
  const lazy = await startDaemon(DRIVER);
  const reader = await Reader.on(`${lazy.path}/stream`);
  assert.is((await run(['umount', '-l', lazy.path])).code, 0);
  await reader.kill();
  assert.is(await within(10_000, lazy.ended, 'it did not end'), 0);
});

life('ends by eventfs umount', async () => {
  const own = await startDaemon(DRIVER);
  assert.is((await run([EVENTFS, 'umount', own.path])).code, 0);
  assert.is(await within(10_000, own.ended, 'it did not end'), 0);
});

life('takes away the mount that a killed one has left, and so does the other driver', async () => {
  const killed = await startDaemon(DRIVER);
  await killed.kill();
  assert.ok(isMounted(killed.path));
  const again = await startDaemon(DRIVER, killed.path);
  assert.match(again.log(), /took away the mount/);
  assert.ok(readdirSync(again.path).includes('publish'));
  await again.kill();
  const other = await startDaemon(['--source', 'none'], killed.path);
  assert.match(other.log(), /took away the mount/);
  assert.is(await other.stop(), 0);
});

life('gets kernel events', async () => {
  const own = await startDaemon(['--driver', 'fuse-native']);
  const reader = await Reader.on(`${own.path}/match/SUBSYSTEM=mem,DEVNAME=null`);
  await makeUevent();
  assert.match((await reader.has(1))[0], /^add@\/devices\/virtual\/mem\/null$/m);
  await reader.kill();
  assert.is(await own.stop(), 0);
});

life('loads libfuse only when it is asked for', async () => {
  for (const driver of ['devfuse', 'fuse-native']) {
    const own = await startDaemon(['--source', 'none', '--driver', driver]);
    assert.is(
      /libfuse|fuse-native/.test(readFileSync(`/proc/${own.pid}/maps`, 'latin1')),
      driver === 'fuse-native',
      driver,
    );
    assert.is(await own.stop(), 0);
  }
});

life('says in one line which package to install when libfuse is not there', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'eventfs-'));
  writeFileSync(join(empty, 'libfuse.so.2'), ''); // found first, and no library
  const at = mountPoint();
  const { err, code } = await run([EVENTFS, 'mount', '--driver', 'fuse-native', at], {
    env: { ...process.env, LD_LIBRARY_PATH: empty },
  });
  rmSync(empty, { recursive: true });
  assert.match(
    err,
    /^eventfs: mount: --driver fuse-native: [^\n]*libfuse\.so\.2[^\n]*install libfuse2[^\n]*\n$/,
  );
  assert.is(code, 1);
  assert.not(isMounted(at));
});

life(
  'says in one line what to install when the npm package is not there, which the other driver does without',
  async () => {
    const copy = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'without-'));
    execFileSync('cp', ['-R', `${projectForOthers()}/.`, copy]);
    rmSync(join(copy, 'node_modules/fuse-native'), { recursive: true });
    const eventfs = [process.execPath, join(copy, 'bin/eventfs')];
    const at = mountPoint();
    const { err, code } = await run([
      ...eventfs,
      'mount',
      '--source',
      'none',
      '--driver',
      'fuse-native',
      at,
    ]);
    assert.match(
      err,
      /^eventfs: mount: --driver fuse-native: the npm package fuse-native is not installed \([^\n]*npm ci[^\n]*\n$/,
    );
    assert.is(code, 1);
    assert.not(isMounted(at));
    const own = await startDaemon(['--source', 'none'], at, { eventfs });
    assert.is(await own.stop(), 0);
  },
);

life('says what to do when it may not mount', async () => {
  const at = mountPoint();
  const { err, code } = await run([
    ...AS_NOBODY,
    ...eventfsForOthers(),
    'mount',
    '--source',
    'none',
    '--driver',
    'fuse-native',
    at,
  ]);
  assert.match(err, /try as root/);
  assert.is(code, 111);
});

life('refuses a driver that there is not', async () => {
  const { err, code } = await run([EVENTFS, 'mount', '--driver', 'fuse', mountPoint()]);
  assert.match(err, /^eventfs: [^\n]*devfuse, fuse-native[^\n]*\n$/);
  assert.is(code, 100);
});

function wchanOf(pid: number): string {
  return readFileSync(`/proc/${pid}/wchan`, 'latin1');
}

life.run();
