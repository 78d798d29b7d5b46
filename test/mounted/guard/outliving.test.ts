/** Parts that outlive a daemon beside the tree: namespaces, sockets, the notifier, counts. */
import { createServer } from 'node:net';
import {
  existsSync,
  mkdtempSync,
  mkdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Actor } from '../../support/clients/actor.js';
import { killClients } from '../../support/clients/clients.js';
import { Watcher } from '../../support/clients/watcher.js';
import { OWN_MOUNTS, enter } from '../../support/mount/apart.js';
import { configured } from '../../support/mount/config.js';
import {
  Shell,
  hasSaid,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { AS_NOBODY, NOBODY } from '../../support/mount/other-user.js';
import { isDead, childrenOf, childrenNamed } from '../../support/processes.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import {
  InstalledVersion,
  Reader,
  daemonPid,
  inGuardian,
  killDaemon,
  startGuarded,
  statusOf,
} from './common.js';

const SIGKILL = 9;

const alone = suite('the part that outlives a daemon');
/** These tests wait for most of their time, and each has a mount of its own. */
const outliving = sideBySide(alone, 3);
const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'outliving-'));
outliving.before(prepare);
outliving.after(async () => {
  await killClients();
  rmSync(scratch, { recursive: true });
  await cleanUp();
});

// First and alone: it needs a PID that no other process takes meanwhile.
alone('is no namespace of another process with the same PID', async () => {
  const container = new Actor(['unshare', '--net']);
  const pid = await container.get(`forkmkdir 0 ${scratch}/%`);
  assert.type(pid, 'number');
  const place = `/proc/${pid}/ns/net`;
  const guarded = await startDaemon(['--guard', '--source', 'kernel', '--netns', place]);
  const { path } = guarded;
  await killDaemon(path);
  assert.is(await statusOf(path, 'NETNS_OPEN'), '1');
  const before = await daemonPid(path);
  guarded.process.kill('SIGSTOP');
  process.kill(before, 'SIGKILL');
  await container.ask(`signal ${pid} ${SIGKILL}`);
  await container.ask(`wait ${pid}`);
  const other = new Actor(['unshare', '--net']);
  assert.is(await other.get(`forkmkdir ${pid} ${scratch}/%.2`), pid);
  guarded.process.kill('SIGCONT');
  await hasSaid(guarded, new RegExp(`${place}: the process ${pid} has ended, and its number may`));
  assert.is(await statusOf(path, 'NETNS_OPEN'), '0');
  // Nor does a later daemon take it
  await killDaemon(path);
  assert.is(await statusOf(path, 'NETNS_OPEN'), '0');
  for (const actor of [container, other]) await actor.kill();
  assert.is(await guarded.stop(), 0);
});

outliving('is no file of another server at the place of its socket', async () => {
  const place = join(scratch, 'socket');
  const guarded = await startGuarded(['--socket', place]);
  unlinkSync(place);
  const server = createServer();
  await new Promise<void>((done) => server.listen(place, done));
  await killDaemon(guarded.path);
  assert.is(await guarded.stop(), 0);
  assert.ok(existsSync(place));
  server.close();
});

outliving('is the file of its socket, which the last daemon removes', async () => {
  const place = join(scratch, 'own');
  const guarded = await startGuarded(['--socket', place]);
  for (let n = 0; n < 2; n++) await killDaemon(guarded.path);
  assert.ok(existsSync(place));
  assert.is(await guarded.stop(), 0);
  assert.not(existsSync(place));
});

outliving('is the directory of udev, which the last daemon removes', async () => {
  const under = ['unshare', '--net', '--mount', 'sh', '-ec', `${OWN_MOUNTS}; exec "$@"`, 'sh'];
  const args = ['--guard', '--source', 'kernel', '--udev'];
  const guarded = await startDaemon(args, mountPoint(), { under });
  const inside = new Shell([...enter(guarded.pid), 'bash']);
  assert.is((await inside.run('test -S /run/udev/control')).code, 0);
  await inside.run(
    `kill -9 $(sed -n 's/^DAEMON=//p' ${guarded.path}/log/.status); ` +
      `until grep -q RESTARTS=1 ${guarded.path}/log/.status; do sleep 0.05; done`,
  );
  assert.is(await guarded.stop(), 0);
  assert.is((await inside.run('test -e /run/udev')).code, 1);
  await inside.kill();
});

outliving('is no mount that was moved, once the guardian gives up', async () => {
  const above = join(scratch, 'above');
  const moved = join(scratch, 'a moved\nplace');
  mkdirSync(join(above, 'mount'), { recursive: true });
  const version = new InstalledVersion();
  // It is moved before the guardian hears that there is a mount.
  version.install(
    inGuardian(
      'ready',
      `async function () {
        (await import('node:fs')).renameSync(${JSON.stringify(above)}, ${JSON.stringify(moved)});
        return before.call(this);
      }`,
    ),
  );
  const options = ['--guard', '--guard-limit', '1:60', '--source', 'none'];
  const guarded = run([...version.command, 'mount', ...options, join(above, 'mount')]);
  const mount = join(moved, 'mount');
  await until(() => isMounted(mount), 'the mount is not moved');
  process.kill(await daemonPid(mount), 'SIGKILL');
  const { code, err } = await within(20_000, guarded, 'the guardian did not end');
  assert.is(code, 1, err);
  assert.not(isMounted(mount));
  assert.ok(statSync(mount).isDirectory());
});

outliving('is no notifier: it ends before another daemon may serve', async () => {
  const version = new InstalledVersion();
  const args = ['--guard', '--source', 'none'];
  const guarded = await startDaemon(args, undefined, { eventfs: version.command });
  const { path } = guarded;
  const owner = new Actor();
  assert.match(await owner.ask(`mkdir ${path}/${owner.pid}`), /^ok/);
  const watcher = await Watcher.inotifywait(`${path}/${owner.pid}`, 'create');
  const publish = async (name: string): Promise<void> => {
    const input = `add@/${name}\nACTION=add\nDEVPATH=/${name}\n`;
    await run(['tee', `${path}/publish`], { input });
  };
  await publish('first');
  await until(() => watcher.created.length === 1, 'the first event raised nothing');
  const old = await daemonPid(path);
  const notifiers = (): number[] => childrenNamed(old, 'eventfs-notify');
  assert.is(notifiers().length, 1);
  const reached = join(scratch, 'reached');
  version.install(
    inGuardian(
      'ready',
      `async function () {
        (await import('node:fs')).writeFileSync('${reached}', '');
        await new Promise((done) => setTimeout(done, 500));
        process.exit(1);
      }`,
    ),
  );
  const reloading = eventfs('reload', path);
  await until(() => existsSync(reached), 'the new daemon does not wait', 15_000);
  assert.equal(notifiers(), []);
  assert.is((await reloading).code, 1);
  await until(() => notifiers().length === 1, 'no notifier runs after a reload that has failed');
  await publish('second');
  await until(() => watcher.created.length === 2, 'the second event raised nothing');
  assert.is(await statusOf(path, 'NOTICES'), '2');
  assert.not(/notifier/.test(guarded.log()), guarded.log());
  version.install('');
  assert.is((await eventfs('reload', path)).code, 0);
  await until(() => isDead(old), 'the old daemon did not end');
  await publish('third');
  await until(() => watcher.created.length === 3, 'the third event raised nothing');
  await owner.kill();
  assert.is(await guarded.stop(), 0);
  version.remove();
});

outliving('is the place from which a watcher gets notices of events', async () => {
  const guarded = await startGuarded();
  const { path } = guarded;
  const owner = new Actor();
  assert.match(await owner.ask(`mkdir ${path}/${owner.pid}`), /^ok/);
  const publish = async (name: string): Promise<void> => {
    const input = `add@/${name}\nACTION=add\nDEVPATH=/${name}\n`;
    await run(['tee', `${path}/publish`], { input });
  };
  for (const name of ['a', 'b', 'c']) await publish(name);
  const watchers = [
    await Watcher.inotifywait(`${path}/${owner.pid}`, 'create'),
    await Watcher.inotifywait(`${path}/log`, 'create'),
  ];
  await killDaemon(path);
  assert.is((await eventfs('reload', path)).code, 0);
  await publish('next');
  for (const watcher of watchers) {
    await until(() => watcher.created.length > 0, 'the next event raised nothing');
    assert.equal(watcher.created, ['0.4']);
  }
  await owner.kill();
  assert.is(await guarded.stop(), 0);
});

outliving('is each blocked read, also if the guardian ends after RESEND', async () => {
  // The old daemon gets no QUIT, and the new one is slow to take over
  const [version, reached] = [new InstalledVersion(), join(scratch, 'served')];
  version.install(
    inGuardian(
      'allowReplacement',
      'function (parts) { before.call(this, { ...parts, quit: () => undefined }); }',
    ),
  );
  const args = ['--guard', '--source', 'none'];
  const guarded = await startDaemon(args, undefined, { eventfs: version.command });
  const { path } = guarded;
  const readers = [await Reader.blocked(path), await Reader.blocked(path)];
  const old = await daemonPid(path);
  version.install(
    inGuardian(
      'ready',
      `async function () {
        await before.call(this);
        (await import('node:fs')).writeFileSync('${reached}', '');
        await new Promise((done) => setTimeout(done, 1000));
      }`,
    ),
  );
  assert.is((await eventfs('reload', path)).code, 0);
  await until(() => existsSync(reached), 'the new daemon gets no SERVE', 15_000);
  guarded.process.kill('SIGKILL');
  assert.is(await daemonPid(path), old);
  for (const reader of readers) await reader.getsNext(path);
  await until(async () => (await statusOf(path, 'PARKED')) === '2', 'a read is parked twice');
  assert.not(/rejected/.test(guarded.log()), guarded.log());
  assert.is((await eventfs('umount', path)).code, 0);
  await until(() => isDead(old), 'the daemon did not end');
  version.remove();
});

outliving('is the count of the owners that have ended, and each is counted once', async () => {
  const guarded = await startGuarded(['--sticky', 'kept']);
  const { path } = guarded;
  const counts = async (): Promise<(string | undefined)[]> =>
    Promise.all(['EXITED', 'SIGNALLED', 'UNKNOWN'].map((key) => statusOf(path, `OWNERS_${key}`)));
  const makes = new Shell();
  await makes.run(`sh -c 'mkdir ${path}/$$'; sh -c 'mkdir ${path}/$$; kill -9 $$'`);
  let now = '';
  await until(
    async () => (now = (await counts()).join()) === '1,1,0',
    () => `the counts are ${now}`,
  );
  const owner = new Actor();
  assert.match(await owner.ask(`mkdir ${path}/${owner.pid}`), /^ok/);
  assert.match(await owner.ask(`mkdir ${path}/${owner.pid}.2`), /^ok/);
  const daemon = await daemonPid(path);
  guarded.process.kill('SIGSTOP');
  process.kill(daemon, 'SIGKILL');
  await owner.kill();
  guarded.process.kill('SIGCONT');
  for (let n = 0; n < 2; n++) {
    await until(async () => (await daemonPid(path)) > 0, 'no daemon serves');
    assert.equal(await counts(), ['1', '1', '1']);
    await killDaemon(path);
  }
  assert.is((await eventfs('reload', path)).code, 0);
  assert.equal(await counts(), ['1', '1', '1']);
  await makes.kill();
  assert.is(await guarded.stop(), 0);
});

outliving('is a directory of --sticky, which the daemon that serves owns', async () => {
  const guarded = await startGuarded(['--sticky', 'kept']);
  const { path } = guarded;
  const sample = 'eventfs_directory_pending_events{directory="kept"}';
  const check = async (): Promise<void> => {
    const { out } = await run(['cat', `${path}/kept/.status`]);
    assert.match(out, new RegExp(`^OWNER=${await daemonPid(path)}$`, 'm'));
    assert.ok((await run(['cat', `${path}/log/.metrics`])).out.includes(sample));
  };
  await check();
  await killDaemon(path);
  await check();
  assert.is((await eventfs('reload', path)).code, 0);
  await until(() => childrenOf(guarded.pid).length === 1, 'the old daemon did not end');
  await check();
  assert.is(await guarded.stop(), 0);
});

outliving('is what a user lists whose memory is used up', async () => {
  const bound = configured('[quota.uid.default]\nmemory = "256 KiB"\n');
  const guarded = await startDaemon(['--guard', ...bound]);
  const user = new Shell([...AS_NOBODY, 'bash']);
  const { path } = guarded;
  await user.run(`cd ${path}; mkdir $$; cd $$; echo text > file`);
  await user.run(`for i in {1..120}; do exec {fd}<file; done; exec 9<${path}`);
  const held = async (): Promise<string> =>
    /memory=\d+/.exec((await statusOf(path, `QUOTA_UID_${NOBODY}`)) ?? '')?.[0] ?? 'nothing';
  const full = await held();
  const lists = async (): Promise<void> => {
    assert.match((await user.run('cat file')).out, 'Disk quota exceeded');
    assert.is((await user.run('ls .')).out, 'file\n');
    const names = `${user.pid}\nlog\nmatch\npublish\n`;
    assert.is((await user.run(`ls ${path}`)).out, names);
    const ofDescriptor = 'import os; print(*sorted(os.listdir(9)), sep="\\n")';
    assert.is((await user.run(`python3 -c '${ofDescriptor}'`)).out, names);
    assert.is(await held(), full);
  };
  await lists();
  await killDaemon(path);
  await lists();
  await user.kill();
  await until(async () => (await held()) === 'nothing', 'something stays charged');
  await guarded.stop();
});

outliving('is the trace of requests that SIGUSR1 switches, until SIGHUP', async () => {
  const file = join(scratch, 'trace.toml');
  writeFileSync(file, '');
  const guarded = await startGuarded(['--config', file]);
  const { path } = guarded;
  /** Returns whether the daemon that serves now traces a lookup. */
  const traces = async (): Promise<boolean> => {
    const before = guarded.log().length;
    await run(['stat', `${path}/traced`]);
    const said = (): string => guarded.log().slice(before);
    await until(() => said().includes('"traced"'), '', 1000).catch(() => undefined);
    return said().includes('"traced"');
  };
  const signal = async (name: 'SIGHUP' | 'SIGUSR1', says: RegExp): Promise<void> => {
    const before = guarded.log().length;
    guarded.process.kill(name);
    await until(() => says.test(guarded.log().slice(before)), `no effect of ${name}`);
  };
  await signal('SIGUSR1', /traces requests until/);
  assert.ok(await traces());
  for (let n = 0; n < 2; n++) {
    await killDaemon(path);
    assert.ok(await traces(), `not after restart ${n + 1}`);
  }
  assert.is((await eventfs('reload', path)).code, 0);
  assert.ok(await traces(), 'not after a reload');
  await signal('SIGUSR1', /no longer traces/);
  await killDaemon(path);
  assert.not(await traces(), 'after the second SIGUSR1');
  await signal('SIGUSR1', /traces requests until/);
  await signal('SIGHUP', /configuration read again/);
  await killDaemon(path);
  assert.not(await traces(), 'after SIGHUP');
  assert.is(await guarded.stop(), 0);
});

outliving.run();
