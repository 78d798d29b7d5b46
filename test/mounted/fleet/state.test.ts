/** The state directory of a bridge: who has it, and what a full disk does to it. */
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { mount, unmount } from '#native';
import * as assert from 'uvu/assert';
import type { Saved } from '../../../fs/bridge/files/saved.js';
import { FleetMount } from '../../../fs/bridge/fleet-mount.js';
import { LineLogger } from '../../../fs/shared/log/logger.js';
import {
  Bridge,
  PATIENCE_MS,
  Reader,
  forgets,
  knows,
  publish,
  scratch,
} from '../../support/fleet/bridges.js';
import { broker, fleet, fleetSuite, local, web } from '../../support/fleet/suite.js';
import { eventfs } from '../../support/mount/command.js';
import { run, until, within } from '../../support/mount/daemon.js';

const MNT_DETACH = 2;

const tests = fleetSuite('the state of a bridge');

function savedState(state: string): Saved {
  return JSON.parse(readFileSync(join(state, 'bridge.json'), 'utf8')) as Saved;
}

function savedSession(state: string): string {
  const saved = savedState(state);
  return `${saved.boot}-${saved.number}`;
}

/** Waits until a later process can go on with the session behind this many events. */
async function savesPlace(state: string, seq: number): Promise<void> {
  const file = join(state, 'bridge.json');
  await until(
    () => existsSync(file) && savedState(state).place?.seq === seq,
    `no place ${seq} is saved`,
    PATIENCE_MS,
  );
}

/** Starts a bridge that publishes as web1. */
function host(state: string, filter = 'SUBSYSTEM==mine'): Bridge {
  const own = ['--host', 'web1', '--mount', local.path, '--publish', filter];
  return new Bridge(['--broker', broker.url, ...own, '--state', state], web.enter);
}

async function sessionOf(state: string): Promise<string> {
  const { out } = await eventfs(['bridge', '--status', '--state', state]);
  return /^name +.*, session (\S+)/m.exec(out)![1];
}

tests('belongs to one bridge, also of two that start at once after a SIGKILL', async () => {
  const state = scratch();
  const first = host(state);
  await first.says(/connected/);
  await first.stop('SIGKILL');
  assert.ok(readdirSync(state).includes('status.sock'), 'the dead socket is there');
  for (let round = 0; round < 5; round++) {
    const rivals = Array.from({ length: 3 }, () => host(state));
    await until(() => rivals.some(({ log }) => log.includes('connected')), 'none has connected');
    const refused = rivals.filter(({ log }) => !log.includes('connected'));
    for (const each of refused) {
      assert.is(await within(PATIENCE_MS, each.ended, 'two run'), 1, each.log);
      assert.match(each.log, /another bridge uses this state/);
    }
    const [winner, ...others] = rivals.filter((each) => !refused.includes(each));
    assert.is(others.length, 0, 'two run');
    await winner.stop('SIGKILL');
  }
});

/** Starts a bridge that follows all hosts, and notices their ends soon. */
function follower(): Bridge {
  const own = ['--host', 'watcher', '--fleet', fleet.path, '--state', scratch()];
  return new Bridge(['--broker', broker.url, ...own, '--keep-alive', '1'], web.enter);
}

/** Mounts a small filesystem, and returns its path. */
async function smallDisk(): Promise<string> {
  const disk = scratch();
  const mounted = await run(['mount', '-t', 'tmpfs', '-o', 'size=64k,mode=700', 'full', disk]);
  assert.is(mounted.code, 0, mounted.err);
  return disk;
}

function fill(disk: string): void {
  assert.throws(() => writeFileSync(join(disk, 'fill'), Buffer.alloc(1024 * 1024)), /ENOSPC/);
}

tests('has a new session for each process that could not save it on a full disk', async () => {
  const disk = await smallDisk();
  const other = follower();
  try {
    const state = join(disk, 'state');
    mkdirSync(state);
    const before = host(state);
    await before.says(/connected/);
    await before.stop();
    const sessions = new Set([savedSession(state)]);
    fill(disk);
    const reader = await Reader.of(fleet, 'web1');
    for (let round = 0; round < 3; round++) {
      const one = host(state);
      await one.says(/the state is not saved: .*No space left on device \(make room\)/);
      await knows(fleet.path, 'web1');
      sessions.add(await sessionOf(state));
      publish(local, round * 10, round * 10 + 10);
      await reader.reaches(round * 10 + 10);
      await one.stop('SIGKILL');
    }
    assert.is(sessions.size, 4, [...sessions].join());
    assert.is(reader.lost, 0);
    reader.end();
  } finally {
    await other.stop();
    await run(['umount', '-l', disk]);
  }
});

tests('is seen at once by others though its connections are not saved', async () => {
  const disk = await smallDisk();
  const other = follower();
  try {
    const state = join(disk, 'state');
    mkdirSync(state);
    const first = host(state);
    await knows(fleet.path, 'web1');
    const reader = await Reader.of(fleet, 'web1');
    publish(local, 0, 10);
    await reader.reaches(10);
    await savesPlace(state, 10);
    const session = savedSession(state);
    fill(disk);
    for (let connections = 1; connections <= 4; connections++) {
      await until(() => first.log.split('connected').length > connections, first.log, PATIENCE_MS);
      first.process.kill('SIGHUP');
    }
    await until(() => first.log.split('connected').length > 5, first.log, PATIENCE_MS);
    assert.is(first.log.split('the state is not saved').length, 2, 'it says so once');
    await first.stop('SIGKILL');
    await forgets(fleet.path, 'web1');
    const second = host(state);
    await second.says(/the state is not saved/);
    await knows(fleet.path, 'web1');
    assert.is(await sessionOf(state), session, 'the session goes on');
    publish(local, 10, 20);
    await reader.reaches(20);
    assert.is(reader.lost, 0);
    reader.end();
    await second.stop();
  } finally {
    await other.stop();
    await run(['umount', '-l', disk]);
  }
});

tests('repeats no name and no number after the directory was restored', async () => {
  const [state, copy] = [scratch(), join(scratch(), 'copy')];
  const other = follower();
  const sessions = new Set<string>();
  const reader = await Reader.of(fleet, 'web1');
  let published = 0;
  const runs = async (filter: string, ...signals: readonly NodeJS.Signals[]): Promise<void> => {
    for (const signal of signals) {
      const one = host(state, filter);
      await one.says(/connected/);
      await knows(fleet.path, 'web1');
      publish(local, published, (published += 10));
      await reader.reaches(published);
      sessions.add(await sessionOf(state));
      if (!existsSync(copy)) {
        await savesPlace(state, 10);
        cpSync(join(state, 'bridge.json'), copy);
      }
      await one.stop(signal);
      await forgets(fleet.path, 'web1');
    }
  };
  await runs('SUBSYSTEM==mine', 'SIGTERM', 'SIGTERM', 'SIGTERM');
  cpSync(copy, join(state, 'bridge.json'));
  // The session goes on: the follower knows later connections of it.
  await runs('SUBSYSTEM==mine', 'SIGKILL');
  assert.is(sessions.size, 1, [...sessions].join());
  for (const filter of ['ACTION==change', 'SUBSYSTEM==m*']) {
    cpSync(copy, join(state, 'bridge.json'));
    await runs(filter, 'SIGTERM', 'SIGTERM');
  }
  assert.is(sessions.size, 3, [...sessions].join());
  assert.is(reader.lost, 0);
  reader.end();
  cpSync(copy, join(state, 'bridge.json'));
  const last = host(state);
  await knows(fleet.path, 'web1');
  assert.is(await sessionOf(state), [...sessions][0], 'a session before those goes on');
  await last.stop();
  await other.stop();
});

tests('is checked before a start, as is the place of the metrics', async () => {
  const check = (...args: readonly string[]): ReturnType<typeof eventfs> =>
    eventfs([
      ...['bridge', '--check', '--broker', broker.url, '--host', 'web1', '--mount', local.path],
      ...['--publish', '', '--state', scratch(), ...args],
    ]);
  const good = await check('--metrics', join(scratch(), 'bridge.prom'));
  assert.match(good.out, /^ok {4}\S+bridge\.prom: the metrics can be written there$/m);
  const bad = await check('--metrics', '/nowhere/bridge.prom');
  assert.match(bad.out, /^fail {2}\/nowhere\/bridge\.prom: No such file or directory \(make its /m);
  const folder = await check('--metrics', scratch());
  assert.match(folder.out, /^fail {2}\S+: it is a directory \(name a file in it\)$/m);
});

tests('is refused a state directory in which it can not work, by --check too', async () => {
  const wrong = scratch();
  mkdirSync(join(wrong, 'status.sock'));
  const long = join(scratch(), 'x'.repeat(110));
  const damaged = scratch();
  writeFileSync(join(damaged, 'bridge.json'), '{"version":1');
  const bridge = (state: string, ...more: readonly string[]): ReturnType<typeof eventfs> => {
    const where = ['--broker', broker.url, '--host', 'web1', '--mount', local.path];
    return eventfs(['bridge', ...where, '--publish', '', '--state', state, ...more]);
  };
  for (const [state, message] of [
    [wrong, /status\.sock: it is no socket \(remove it, or use --state DIR\)$/m],
    [long, /: the path is too long for a socket \(use a shorter --state\)$/m],
  ] as const) {
    assert.match((await bridge(state, '--check')).out, message);
    const { err, code } = await bridge(state);
    assert.match(err, message);
    assert.is(code, 1);
  }
  const readOnly = scratch();
  mount('tmpfs', readOnly, 'tmpfs', 0, '');
  try {
    // A bridge that was killed has left it.
    const old = createServer().listen(join(readOnly, 'status.sock'));
    await once(old, 'listening');
    linkSync(join(readOnly, 'status.sock'), join(readOnly, 'kept'));
    old.close();
    renameSync(join(readOnly, 'kept'), join(readOnly, 'status.sock'));
    await run(['mount', '-o', 'remount,ro', readOnly]);
    const { err, code } = await bridge(readOnly);
    assert.match(err, /status\.sock: Read-only file system \(use --state DIR\)$/m);
    assert.is(code, 111);
  } finally {
    unmount(readOnly, MNT_DETACH);
  }
  const { out } = await bridge(damaged, '--check');
  assert.match(
    out,
    /^warn {2}\S+bridge\.json: it is damaged, so the bridge begins a new session$/m,
  );
  const full = await smallDisk();
  try {
    fill(full);
    const checked = await bridge(full, '--check');
    assert.match(checked.out, /^fail {2}\S+: No space left on device \(make room\)$/m);
    assert.equal(readdirSync(full), ['fill']);
  } finally {
    await run(['umount', full]);
  }
});

tests('counts an event that the mount refuses as lost, at its place', async () => {
  const reader = await Reader.of(fleet, 'db1');
  const failures: unknown[] = [];
  const logger = new LineLogger('bridge', { level: 'error', isJson: false });
  const mount = new FleetMount(
    fleet.path,
    logger,
    (error) => failures.push(error),
    () => undefined,
  );
  const event = (n: number): Buffer => Buffer.from(`change@/n/${n}\nACTION=change\nN=${n}\n`);
  mount.event('db1', event(0));
  // No bridge passes this on. It stands for an event that only an older mount refuses.
  mount.event('db1', Buffer.from('no header\n'));
  mount.event('db1', event(2));
  mount.flush();
  await reader.reaches(3);
  assert.is(reader.lost, 1);
  assert.equal([mount.counted.refused, mount.counted.lost], [1, 1]);
  assert.is(await mount.close(), true);
  assert.equal(failures, []);
  reader.end();
});

tests.run();
