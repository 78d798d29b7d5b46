/** A daemon that is killed: its blocked readers, its mount, and the next daemon. */
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { mountedAt } from '../../../fs/shared/kernel/mountinfo.js';
import { Actor, reach } from '../../support/clients/actor.js';
import {
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { childrenOf } from '../../support/processes.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';
import {
  CUT_OFF,
  blockedCat,
  cleanUp,
  eventfs,
  isConnected,
  observer,
  prepare,
  shellWithDirectory,
  untilGone,
} from './common.js';

/** `make bench` asks for 1,000. */
const ROUNDS = Number(process.env.EVENTFS_ROUNDS ?? 50);

const daemonSuite = suite('the daemon');
daemonSuite.before(prepare);
daemonSuite.after(cleanUp);

daemonSuite(
  'ends blocked readers with an error when it is killed; the next daemon removes its mount and logs it',
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
    await Promise.all(blocked.map(({ reader }) => reader.kill())); // they hold the old connection
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

daemonSuite('removes several stale mounts, and logs a line for each', async () => {
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
  'ends all of 100 blocked readers with an error when it is killed',
  async () => {
    const daemon = await startDaemon();
    const cats = await Promise.all(
      Array.from({ length: 100 }, async () => blockedCat(`${daemon.path}/stream`)),
    );
    await daemon.kill();
    for (const { ended } of cats) {
      const end = await within(20_000, ended, 'a reader is stuck');
      assert.is(end.code, 1);
      assert.match(end.err, /^cat: [^\n]+\n$/);
    }
    assert.is((await eventfs('umount', daemon.path)).code, 0);
  },
  60_000,
);

daemonSuite('while stopped keeps killed readers only until it is killed too', async () => {
  const daemon = await startDaemon();
  const cats = await Promise.all(
    Array.from({ length: 20 }, async () => blockedCat(`${daemon.path}/stream`)),
  );
  process.kill(daemon.pid, 'SIGSTOP');
  for (const { pid } of cats) process.kill(pid, 'SIGKILL');
  await daemon.kill();
  for (const { ended } of cats) await within(20_000, ended, 'a reader is stuck');
  assert.is((await eventfs('umount', daemon.path)).code, 0);
});

daemonSuite(
  'lets 100 blocked readers be killed, and then counts no stream',
  async () => {
    const daemon = await startDaemon();
    const cats = await Promise.all(
      Array.from({ length: 100 }, async () => blockedCat(`${daemon.path}/stream`)),
    );
    for (const { pid } of cats) process.kill(pid, 'SIGKILL');
    for (const { ended } of cats) await within(20_000, ended, 'a reader is stuck');
    await until(
      async () => /^STREAMS=0$/m.test((await run(['cat', `${daemon.path}/log/.status`])).out),
      'the daemon still counts streams',
    );
    assert.is(await daemon.stop(), 0);
  },
  60_000,
);

daemonSuite(
  `leaves no mount, process or descriptor in ${ROUNDS} rounds of start, use and SIGKILL`,
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
    figure(
      `${ROUNDS} rounds of start, mount, use, SIGKILL: 0 mounts, 0 processes, 0 descriptors left; ${ms.toFixed(0)} ms a round`,
    );
  },
  60_000 + ROUNDS * 1000,
);

daemonSuite.run();
