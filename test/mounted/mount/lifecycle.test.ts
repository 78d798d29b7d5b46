/** The daemon's life: how it says that it is ready, how it ends, what it leaves behind when it is killed. */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { mount as mountFilesystem, unmount } from '#native';
import { mountedAt } from '../../../fs/shared/kernel/mountinfo.js';
import {
  Actor,
  buildClients,
  childrenOf,
  client,
  reach,
  untilAlone,
  untilBlocked,
} from '../../support/actor.js';
import {
  type Daemon,
  EVENTFS,
  Shell,
  isMounted,
  killDaemons,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/daemon.js';
import { asUser, eventfsForOthers, NOBODY } from '../../support/other-user.js';
import { suite } from '../../support/suite.js';

const CONNECTIONS = '/sys/fs/fuse/connections';
const MNT_DETACH = 2;
/** `make bench` asks for 1,000. */
const ROUNDS = Number(process.env.EVENTFS_ROUNDS ?? 50);
/** A reader of a daemon that was killed gets one of these; the last through io_uring, where the daemon had not taken the request yet. */
const CUT_OFF = /^(ECONNABORTED|ENOTCONN|ECANCELED)$/;

const daemonSuite = suite('the daemon');
let observer: Actor;
const shells = new Set<Shell>();

function prepare(): void {
  buildClients();
  observer = new Actor();
  // Where a connection's state shows; the runner needs it too, for what hangs.
  if (!readFileSync('/proc/self/mountinfo', 'latin1').includes(` ${CONNECTIONS} `))
    mountFilesystem('none', CONNECTIONS, 'fusectl', 0, '');
}

async function cleanUp(): Promise<void> {
  for (const shell of shells) shell.process.kill('SIGKILL');
  await Actor.endAll();
  await killDaemons();
  await untilAlone();
}

daemonSuite.before(prepare);
daemonSuite.after(cleanUp);

type Ended = Awaited<ReturnType<typeof run>>;

/** cat(1) of a file, once it is blocked in read(2); its end comes later. */
async function blockedCat(path: string): Promise<{ pid: number; ended: Promise<Ended> }> {
  const child = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Ended>((done) => child.on('close', (code) => done({ out, err, code })));
  await Promise.race([
    untilBlocked(child.pid!, observer),
    ended.then((end) => assert.unreachable(`cat ${path}: ${end.err}`)),
  ]);
  return { pid: child.pid!, ended };
}

/** A shell with a directory of its own. */
async function shellWithDirectory(daemon: Daemon): Promise<Shell> {
  const shell = new Shell();
  shells.add(shell);
  assert.equal(await shell.run(`mkdir ${daemon.path}/$$`), { out: '', code: 0 });
  return shell;
}

async function eventfs(...args: readonly string[]): Promise<Ended> {
  return run([process.execPath, EVENTFS, ...args]);
}

/** What is mounted there has gone, and its connection too. */
async function untilGone(path: string, connection: number): Promise<void> {
  assert.not(isMounted(path));
  await until(() => !isConnected(connection), `connection ${connection} did not end`);
}

/** Whether that connection is there and nobody else's: the kernel uses the numbers again. */
function isConnected(connection: number): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1');
  return existsSync(join(CONNECTIONS, `${connection}`)) && !mounts.includes(` 0:${connection} `);
}

// ---- its end

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  daemonSuite(
    `ends blocked readers with the end of the file on ${signal}, unmounts and exits with 0`,
    async () => {
      const daemon = await startDaemon();
      const connection = mountedAt(daemon.path)!.minor;
      const shell = await shellWithDirectory(daemon);
      const files = [
        'stream',
        'match/SUBSYSTEM=none',
        'match/SUBSYSTEM=none',
        `${shell.pid}/.stream`,
        `${shell.pid}/.stream`,
      ];
      const cats = await Promise.all(files.map((file) => blockedCat(`${daemon.path}/${file}`)));
      process.kill(daemon.pid, signal);
      for (const { ended } of cats)
        assert.equal(await within(5000, ended, 'cat did not end'), { out: '', err: '', code: 0 });
      assert.is(await within(5000, daemon.ended, 'the daemon did not end'), 0);
      assert.is(daemon.log(), '');
      await untilGone(daemon.path, connection);
      assert.is(reach(`${daemon.path}/stream`), 'ENOENT');
      await shell.kill();
    },
  );
}

daemonSuite('unmounts and exits with 0 whatever further signals come while it stops', async () => {
  for (let round = 0; round < 12; round++) {
    const daemon = await startDaemon();
    process.kill(daemon.pid, 'SIGTERM');
    for (let n = 0; n < 1 + round; n++) {
      await new Promise((done) => setTimeout(done, 2 + (round % 4)));
      if (daemon.process.exitCode === null) daemon.process.kill(n % 2 === 0 ? 'SIGTERM' : 'SIGINT');
    }
    const code = await within(5000, daemon.ended, 'the daemon did not end');
    assert.not(isMounted(daemon.path), `round ${round}: the mount is left`);
    assert.equal([code, daemon.log()], [0, '']);
  }
});

daemonSuite('goes on at SIGHUP', async () => {
  const daemon = await startDaemon();
  const cat = await blockedCat(`${daemon.path}/stream`);
  process.kill(daemon.pid, 'SIGHUP');
  assert.is((await run(['cat', `${daemon.path}/log/.status`])).code, 0);
  assert.is(await daemon.stop(), 0);
  assert.is((await cat.ended).code, 0);
});

daemonSuite(
  'ends with 0 when umount(8) takes its mount away, which fails while a file is open',
  async () => {
    const daemon = await startDaemon();
    const connection = mountedAt(daemon.path)!.minor;
    const cat = await blockedCat(`${daemon.path}/stream`);
    const busy = await run(['umount', daemon.path]);
    assert.is(busy.code, 32);
    assert.match(busy.err, 'busy');
    assert.is(reach(`${daemon.path}/stream`), 'ok');
    process.kill(cat.pid);
    await cat.ended;
    await until(async () => (await run(['umount', daemon.path])).code === 0, 'it stayed busy');
    assert.is(await within(5000, daemon.ended, 'the daemon did not end'), 0);
    assert.is(daemon.log(), '');
    await untilGone(daemon.path, connection);
  },
);

daemonSuite(
  'serves who has a file open after umount -l, and ends with 0 when the last is closed',
  async () => {
    const daemon = await startDaemon();
    const reader = new Actor();
    const fd = await reader.get(`opennb ${daemon.path}/stream`);
    assert.equal(await run(['umount', '-l', daemon.path]), { out: '', err: '', code: 0 });
    assert.is(await reader.ask(`read ${fd}`), 'EAGAIN');
    assert.is(await reader.ask(`close ${fd}`), 'ok');
    assert.is(await within(5000, daemon.ended, 'the daemon did not end'), 0);
    assert.is(daemon.log(), '');
    await reader.kill();
  },
);

daemonSuite('leaves alone what somebody else has mounted in its place or over it', async () => {
  const first = await startDaemon();
  const reader = new Actor();
  const fd = await reader.get(`opennb ${first.path}/stream`);
  await run(['umount', '-l', first.path]);
  const second = await startDaemon(undefined, first.path);
  process.kill(first.pid, 'SIGTERM');
  assert.is(await within(5000, first.ended, 'the first daemon did not end'), 0);
  assert.is(reach(`${second.path}/stream`), 'ok');
  assert.match(await reader.ask(`read ${fd}`), CUT_OFF);
  await reader.kill();
  mountFilesystem('none', second.path, 'tmpfs', 0, '');
  process.kill(second.pid, 'SIGTERM');
  assert.is(await within(5000, second.ended, 'the second daemon did not end'), 0);
  assert.is(mountedAt(second.path)?.type, 'tmpfs');
  unmount(second.path, 0);
  const third = await startDaemon(undefined, second.path);
  assert.match(third.log(), 'detached the mount');
  await third.stop();
});

daemonSuite('takes its mount away when its connection is aborted', async () => {
  const daemon = await startDaemon();
  const connection = mountedAt(daemon.path)!.minor;
  const cat = await blockedCat(`${daemon.path}/stream`);
  writeFileSync(`${CONNECTIONS}/${connection}/abort`, '1');
  assert.is((await within(5000, cat.ended, 'cat did not end')).code, 1);
  await within(5000, daemon.ended, 'the daemon did not end');
  await untilGone(daemon.path, connection);
});

daemonSuite(
  'leaves no mount behind when SIGTERM comes as soon as there is one, or before',
  async () => {
    const path = mountPoint();
    for (let round = 0; round < 30; round++) {
      const child = spawn(process.execPath, [EVENTFS, 'mount', path, '--source', 'none'], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      const ended = new Promise<number | null>((done) => child.on('close', done));
      const comesEarly = round % 3 === 0;
      while (!comesEarly && !isMounted(path)) await new Promise((done) => setImmediate(done));
      child.kill('SIGTERM');
      assert.is(await within(10_000, ended, 'it did not end'), comesEarly ? null : 0);
      assert.not(isMounted(path));
    }
  },
  60_000,
);

// ---- readiness

daemonSuite(
  'writes a newline to the readiness descriptor and closes it, and not before a client can come',
  async () => {
    const path = mountPoint();
    const child = spawn(
      process.execPath,
      [EVENTFS, 'mount', path, '--source', 'none', '--ready-fd', '5'],
      {
        stdio: ['ignore', 'inherit', 'inherit', 'ignore', 'ignore', 'pipe'],
      },
    );
    let said = '';
    const ready = new Promise<string>((done) => {
      const pipe = (child.stdio as readonly (Readable | null)[])[5]!;
      pipe.on('data', (chunk: Buffer) => (said += chunk.toString()));
      pipe.on('end', () => done(reach(`${path}/stream`)));
    });
    assert.is(await within(5000, ready, 'the end of the descriptor did not come'), 'ok');
    assert.is(said, '\n');
    assert.is(child.exitCode, null);
    const ended = new Promise((done) => child.on('close', done));
    child.kill();
    assert.is(await within(5000, ended, 'it did not end'), 0);
  },
);

for (const [what, address] of [
  ['a path', (path: string) => `${path}.socket`],
  ['an abstract name', (path: string) => `@${path}.socket`],
] as const) {
  daemonSuite(`tells systemd at ${what} that it is ready and that it stops`, async () => {
    const path = mountPoint();
    const socket = address(path);
    const listener = spawn(client('notify'), [socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = new Promise((done) => listener.on('close', done));
    let said = '';
    listener.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said === 'bound\n', 'nobody listens');
    const daemon = await startDaemon(undefined, path, { env: { NOTIFY_SOCKET: socket } });
    await until(() => said === 'bound\nREADY=1\n', `READY=1 did not come: ${said}`);
    assert.is(await daemon.stop(), 0);
    await until(() => said === 'bound\nREADY=1\nSTOPPING=1\n', `STOPPING=1 did not come: ${said}`);
    listener.kill();
    await gone;
  });
}

daemonSuite('serves though nobody listens where NOTIFY_SOCKET points', async () => {
  for (const socket of ['/nowhere/socket', '@eventfs-test-nobody', 'x'.repeat(200), 'vsock:2:1']) {
    const daemon = await startDaemon(undefined, undefined, { env: { NOTIFY_SOCKET: socket } });
    assert.is(reach(`${daemon.path}/stream`), 'ok');
    assert.is(await daemon.stop(), 0);
    assert.is(daemon.log(), '');
  }
});

// ---- killed

daemonSuite(
  'that was killed leaves an error to blocked readers and a stale mount to the next, which says so in one line',
  async () => {
    const daemon = await startDaemon();
    const connection = mountedAt(daemon.path)!.minor;
    const shell = await shellWithDirectory(daemon);
    const blocked = await Promise.all(
      ['stream', 'match/SUBSYSTEM=none', `${shell.pid}/.stream`].map(async (file) => {
        const reader = new Actor();
        const fd = await reader.get(`open ${daemon.path}/${file}`);
        return { reader, ...(await reader.block(`read ${fd}`, observer)) };
      }),
    );
    await daemon.kill();
    for (const { answer } of blocked) assert.match(await answer, CUT_OFF);
    await Promise.all(blocked.map(({ reader }) => reader.kill())); // they hold the dead connection
    assert.is(reach(daemon.path), 'ENOTCONN');
    assert.ok(isMounted(daemon.path));
    const next = await startDaemon(undefined, daemon.path);
    assert.is(
      next.log(),
      `eventfs: mount: ${daemon.path}: detached the mount of a killed daemon\n`,
    );
    assert.is(reach(`${next.path}/${shell.pid}`), 'ENOENT');
    assert.equal(await shell.run(`mkdir ${next.path}/$$`), { out: '', code: 0 });
    await shell.kill();
    assert.is(await next.stop(), 0);
    await untilGone(daemon.path, connection);
  },
);

daemonSuite('clears a pile of stale mounts, a line for each', async () => {
  const path = mountPoint();
  const dead = await startDaemon(undefined, path);
  await run(['mount', '--bind', path, path]);
  await dead.kill();
  const next = await startDaemon(undefined, path);
  const line = `eventfs: mount: ${path}: detached the mount of a killed daemon\n`;
  assert.is(next.log(), line + line);
  assert.is(await next.stop(), 0);
  assert.not(isMounted(path));
});

daemonSuite(
  'leaves no process that cannot be killed when it is killed under 100 blocked readers',
  async () => {
    const daemon = await startDaemon();
    const cats = await Promise.all(
      Array.from({ length: 100 }, async () => blockedCat(`${daemon.path}/stream`)),
    );
    await daemon.kill();
    for (const { ended } of cats) {
      const end = await within(5000, ended, 'a reader is stuck');
      assert.is(end.code, 1);
      assert.match(end.err, /^cat: [^\n]+\n$/);
    }
    assert.is((await eventfs('umount', daemon.path)).code, 0);
  },
  60_000,
);

daemonSuite('that does not run keeps its killed readers only until it is killed too', async () => {
  const daemon = await startDaemon();
  const cats = await Promise.all(
    Array.from({ length: 20 }, async () => blockedCat(`${daemon.path}/stream`)),
  );
  process.kill(daemon.pid, 'SIGSTOP');
  for (const { pid } of cats) process.kill(pid, 'SIGKILL');
  await daemon.kill();
  for (const { ended } of cats) await within(5000, ended, 'a reader is stuck');
  assert.is((await eventfs('umount', daemon.path)).code, 0);
});

daemonSuite(
  'lets 100 blocked readers be killed, and knows that they are gone',
  async () => {
    const daemon = await startDaemon();
    const cats = await Promise.all(
      Array.from({ length: 100 }, async () => blockedCat(`${daemon.path}/stream`)),
    );
    for (const { pid } of cats) process.kill(pid, 'SIGKILL');
    for (const { ended } of cats) await within(5000, ended, 'a reader is stuck');
    await until(
      async () => /^STREAMS=0$/m.test((await run(['cat', `${daemon.path}/log/.status`])).out),
      'it thinks they read on',
    );
    assert.is(await daemon.stop(), 0);
  },
  60_000,
);

daemonSuite(
  `leaves nothing behind in ${ROUNDS} rounds of start, use, SIGKILL and start again`,
  async () => {
    const path = mountPoint();
    const children = new Set(childrenOf(process.pid));
    const fds = readdirSync('/proc/self/fd').length;
    const connections = new Set<number>();
    const started = Date.now();
    for (let round = 0; round < ROUNDS; round++) {
      const daemon = await startDaemon(undefined, path);
      connections.add(mountedAt(path)!.minor);
      assert.is(daemon.log() === '', round === 0, daemon.log());
      const reader = new Actor();
      const fd = await reader.get(`open ${path}/stream`);
      assert.is(await reader.ask(`mkdir ${path}/${reader.pid}`), 'ok');
      const published = await run(['dd', `of=${path}/publish`, 'status=none'], {
        input: 'add@/test\nACTION=add\nDEVPATH=/test\n',
      });
      assert.equal(published, { out: '', err: '', code: 0 });
      assert.ok((await reader.get(`read ${fd}`)) > 0);
      assert.is(readdirSync(`${path}/${reader.pid}`).length, 1);
      const { answer } = await reader.block(`read ${fd}`, observer);
      await daemon.kill();
      const cut = await answer;
      assert.match(cut, CUT_OFF, `round ${round}: ${cut}`);
      await reader.kill();
    }
    const last = await startDaemon(undefined, path);
    assert.is(await last.stop(), 0);
    const ms = (Date.now() - started) / ROUNDS;
    assert.not(isMounted(path));
    await until(
      () => childrenOf(process.pid).every((pid) => children.has(pid)),
      'processes are left',
    );
    await until(() => readdirSync('/proc/self/fd').length === fds, 'descriptors are left');
    await until(() => ![...connections].some(isConnected), 'connections are left');
    console.log(
      `\n  figure: ${ROUNDS} rounds of start, mount, use, SIGKILL: 0 mounts, 0 processes, 0 descriptors left; ${ms.toFixed(0)} ms a round`,
    );
  },
  60_000 + ROUNDS * 1000,
);

// ---- eventfs umount

const umount = suite('eventfs umount');
umount.before(prepare);
umount.after(cleanUp);

umount('ends the daemon with 0, and blocked readers with the end of the file', async () => {
  const daemon = await startDaemon();
  const cat = await blockedCat(`${daemon.path}/stream`);
  assert.equal(await eventfs('umount', daemon.path), { out: '', err: '', code: 0 });
  assert.not(isMounted(daemon.path));
  assert.equal(await cat.ended, { out: '', err: '', code: 0 });
  assert.is(await within(5000, daemon.ended, 'the daemon did not end'), 0);
});

umount('takes away what a killed daemon has left', async () => {
  const daemon = await startDaemon();
  await daemon.kill();
  assert.equal(await eventfs('umount', daemon.path), { out: '', err: '', code: 0 });
  assert.not(isMounted(daemon.path));
  assert.is(reach(daemon.path), 'ok');
});

umount('aborts the connection of a daemon that does not answer', async () => {
  const daemon = await startDaemon();
  const cat = await blockedCat(`${daemon.path}/stream`);
  process.kill(daemon.pid, 'SIGSTOP');
  try {
    assert.equal(await eventfs('umount', daemon.path), { out: '', err: '', code: 0 });
    assert.not(isMounted(daemon.path));
    assert.is((await within(5000, cat.ended, 'cat did not end')).code, 1);
  } finally {
    process.kill(daemon.pid, 'SIGCONT');
  }
  assert.is(await within(5000, daemon.ended, 'the daemon did not end'), 0);
});

umount("aborts the connection too where the daemon's PID would be another process's", async () => {
  const daemon = await startDaemon();
  const cat = await blockedCat(`${daemon.path}/stream`);
  // In a PID namespace of its own, but with the outer one's /proc.
  const ended = await run([
    'unshare',
    '-pf',
    '--kill-child',
    process.execPath,
    EVENTFS,
    'umount',
    daemon.path,
  ]);
  assert.equal(ended, { out: '', err: '', code: 0 });
  assert.not(isMounted(daemon.path));
  assert.is((await within(5000, cat.ended, 'cat did not end')).code, 1);
  assert.is(await within(5000, daemon.ended, 'the daemon did not end'), 0);
});

umount('says that nothing of ours is there', async () => {
  const path = mountPoint();
  const missing = join(path, 'missing');
  assert.equal(await eventfs('umount', path), {
    out: '',
    err: `eventfs: umount: ${path}: eventfs is not mounted here\n`,
    code: 1,
  });
  assert.equal(await eventfs('umount', missing), {
    out: '',
    err: `eventfs: umount: ${missing}: eventfs is not mounted here\n`,
    code: 1,
  });
});

umount('leaves another filesystem alone', async () => {
  const path = mountPoint();
  mountFilesystem('none', path, 'tmpfs', 0, '');
  try {
    mkdirSync(join(path, 'kept'));
    assert.equal(await eventfs('umount', path), {
      out: '',
      err: `eventfs: umount: ${path}: tmpfs is not eventfs (try umount)\n`,
      code: 1,
    });
    assert.is(reach(join(path, 'kept')), 'ok');
  } finally {
    unmount(path, 0);
  }
});

umount('tells who may not what to try', async () => {
  const daemon = await startDaemon();
  const ended = await run([...asUser(NOBODY, 0), ...eventfsForOthers(), 'umount', daemon.path]);
  assert.equal(ended, {
    out: '',
    err: `eventfs: umount: ${daemon.path}: Operation not permitted (try as root)\n`,
    code: 111,
  });
  assert.is(reach(`${daemon.path}/stream`), 'ok');
  assert.is(await daemon.stop(), 0);
});

for (const driver of ['devfuse', 'fuse-native']) {
  daemonSuite(
    `whose mount others have taken away leaves one alone that has its device number by then (${driver})`,
    async () => {
      for (let tries = 0; ; tries++) {
        const first = await startDaemon(['--source', 'none', '--driver', driver]);
        const { minor } = mountedAt(first.path)!;
        process.kill(first.pid, 'SIGSTOP'); // the next mount is there before it hears of the end
        unmount(first.path, MNT_DETACH);
        const second = await startDaemon(['--source', 'none']);
        // Another filesystem of the machine may have got the number.
        const isReused = mountedAt(second.path)?.minor === minor;
        process.kill(first.pid, 'SIGCONT');
        await within(5000, first.ended, 'it stays, without a mount');
        assert.ok(mountedAt(second.path) !== undefined, 'the mount of the second is gone too');
        assert.is(await second.stop(), 0);
        if (isReused) return;
        assert.ok(tries < 10, 'the kernel never gives the number again');
      }
    },
  );
}

daemonSuite.run();
umount.run();
