/** `eventfs reload` and the standby: another daemon takes over from one that lives. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { Actor } from '../../support/clients/actor.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import {
  type Daemon,
  hasSaid,
  isMounted,
  mountPoint,
  run,
  until,
  within,
} from '../../support/mount/daemon.js';
import { configured } from '../../support/mount/config.js';
import { isDead, childrenOf, waitsForReply } from '../../support/processes.js';
import { sideBySide, suite } from '../../support/runner/suite.js';
import {
  InstalledVersion,
  daemonPid,
  Reader,
  killDaemon,
  shortDeadline,
  startGuarded,
  statusOf,
  untilStandby,
  withoutModule,
} from './common.js';

/** These tests wait for most of their time, and each has a version of its own. */
const reload = sideBySide(suite('reload'), 3);
const standby = sideBySide(suite('a standby'), 3);
reload.before(prepare);
standby.before(prepare);
standby.after(cleanUp);

async function startVersion(
  args: readonly string[] = [],
): Promise<{ guarded: Daemon; version: InstalledVersion }> {
  const version = new InstalledVersion();
  const guarded = await startGuarded(args, undefined, { eventfs: version.command });
  return { guarded, version };
}

/** Waits until a reload has started the next daemon. */
async function untilNext({ pid }: Daemon): Promise<void> {
  await until(() => childrenOf(pid).length === 2, 'no other daemon has started');
}

reload('replaces the daemon by one of the installed version', async () => {
  const { guarded, version } = await startVersion();
  const { path } = guarded;
  const before = await daemonPid(path);
  const reader = await Reader.blocked(path);
  version.install("process.stderr.write('the new version\\n');");
  const { out, code } = await eventfs('reload', path);
  const after = await daemonPid(path);
  assert.is(code, 0);
  assert.is(out, `process ${after} serves ${path}\n`);
  assert.is.not(after, before);
  await until(() => isDead(before), 'the old daemon did not end');
  assert.is(await statusOf(path, 'RELOADS'), '1');
  assert.is(await statusOf(path, 'RESTARTS'), '0');
  assert.is(guarded.log(), 'the new version\n');
  await reader.getsNext(path);
  await eventfs('reload', path);
  await killDaemon(path);
  assert.is(await statusOf(path, 'RELOADS'), '2');
  await reader.getsNext(path);
  assert.is(await guarded.stop(), 0);
});

const NATIVE = new URL('../../../../native/index.js', import.meta.url).href;

/** Versions that fail at some step, and how the failure reads. */
const FAILURES: readonly (readonly [string, RegExp])[] = [
  ['process.exit(3);', /the new daemon ended with exit code 3$/m],
  ["process.kill(process.pid, 'SIGKILL');", /the new daemon was killed by signal 9 \(Killed\)$/],
  [
    'await new Promise(() => setInterval(() => {}, 1000));',
    /the new daemon did not start in time$/,
  ],
  [
    // It restores nothing and says nothing
    `const native = await import(${JSON.stringify(NATIVE)});
    native.sendMessage(Number(process.env.EVENTFS_GUARD), 'WARM', -1);
    await new Promise(() => setInterval(() => {}, 1000));`,
    /the new daemon did not restore the tree in time$/,
  ],
  [
    `const native = await import(${JSON.stringify(NATIVE)});
    native.sendMessage(Number(process.env.EVENTFS_GUARD), 'HELLO 2', -1);
    await new Promise(() => setInterval(() => {}, 1000));`,
    /the daemon has protocol 2, the guardian 1 \(start the guardian again: .*\)$/m,
  ],
  [
    `const native = await import(${JSON.stringify(NATIVE)});
    native.sendMessage(Number(process.env.EVENTFS_GUARD), 'WARM', -1);
    setTimeout(() => native.sendMessage(Number(process.env.EVENTFS_GUARD), 'NACK the state is of another version', -1), 100);
    await new Promise(() => setInterval(() => {}, 1000));`,
    /the state is of another version$/,
  ],
];

reload(
  'leaves the old daemon in place on every failure of the new one',
  async () => {
    const deadline = await shortDeadline();
    const { guarded, version } = await startVersion(['--guard-deadline', String(deadline)]);
    const { path } = guarded;
    const before = await daemonPid(path);
    const reader = await Reader.blocked(path);
    for (const [begin, why] of FAILURES) {
      version.install(begin);
      const { err, code } = await eventfs('reload', path);
      assert.is(code, 1, err);
      assert.ok(err.startsWith(`eventfs: reload: ${path}: the old daemon goes on: `), err);
      assert.match(err.trim(), why);
      assert.is(await daemonPid(path), before);
      await reader.getsNext(path);
    }
    version.install('');
    assert.is((await eventfs('reload', path)).err, '');
    await reader.getsNext(path);
    assert.is(await guarded.stop(), 0);
  },
  120_000,
);

reload('refuses a second one at the same time, and ends with an unmount', async () => {
  const { guarded, version } = await startVersion();
  const { path } = guarded;
  version.install('await new Promise((done) => setTimeout(done, 2000));');
  const first = eventfs('reload', path);
  await untilNext(guarded);
  assert.is(await guarded.stop(), 0);
  const { err, code } = await first;
  assert.is(code, 1);
  assert.match(err, /the daemon stops$/m);
});

reload('goes on with the new daemon if the old one dies meanwhile', async () => {
  const { guarded, version } = await startVersion();
  const { path } = guarded;
  const before = await daemonPid(path);
  const reader = await Reader.blocked(path);
  version.install('await new Promise((done) => setTimeout(done, 500));');
  const reloading = eventfs('reload', path);
  await untilNext(guarded);
  process.kill(before, 'SIGKILL');
  const { out, code } = await reloading;
  assert.is(code, 0);
  assert.is(out, `process ${await daemonPid(path)} serves ${path}\n`);
  await reader.getsNext(path);
  assert.is(await guarded.stop(), 0);
});

reload(
  'has no old daemon after a death: a version that can not take over ends the mount',
  async () => {
    for (const [begin, why] of [
      ['process.exit(3);', /2 daemons have ended in 60 s, the last one ended with exit code 3$/m],
      [
        `const native = await import(${JSON.stringify(NATIVE)});
      native.sendMessage(Number(process.env.EVENTFS_GUARD), 'HELLO 2', -1);
      await new Promise(() => setInterval(() => {}, 1000));`,
        /the daemon has protocol 2, the guardian 1 \(start the guardian again: .*\)$/m,
      ],
    ] as const) {
      const { guarded, version } = await startVersion(['--guard-limit', '2:60']);
      version.install(begin);
      process.kill(await daemonPid(guarded.path), 'SIGKILL');
      assert.is(await within(10_000, guarded.ended, 'the guardian did not end'), 1);
      await hasSaid(guarded, /the guardian gives up and unmounts/);
      await hasSaid(guarded, why);
      assert.not(isMounted(guarded.path));
    }
  },
);

/** The modules that a daemon of a guardian loads once it is connected. */
const LATE_MODULES = ['daemon/daemon.js', 'daemon/prepare.js'];
/** The reason that their preload gives, and the hint: a pattern. */
const FULL = 'Too many open files \\(raise ulimit -n\\)';

reload('says at once which file the new daemon can not load', async () => {
  const { guarded, version } = await startVersion();
  const { path } = guarded;
  for (const module of LATE_MODULES) {
    version.install(withoutModule(module));
    const { err, code } = await within(20_000, eventfs('reload', path), 'the reload waits');
    assert.match(err, new RegExp(`the old daemon goes on: /${module}: ${FULL}$`, 'm'));
    assert.is(code, 1);
  }
  assert.is(await guarded.stop(), 0);
});

reload('is not needed by a first daemon that can not load a file: the guardian ends', async () => {
  const version = new InstalledVersion();
  version.install(withoutModule(LATE_MODULES[0]));
  const path = mountPoint();
  const command = [...version.command, 'mount', '--guard', '--source', 'none', path];
  const { err, code } = await within(20_000, run(command), 'the guardian did not end');
  assert.match(err, new RegExp(`^eventfs: mount: /${LATE_MODULES[0]}: ${FULL}\n$`));
  assert.is(code, 111);
  assert.not(isMounted(path));
  version.remove();
});

standby('takes over, and the guardian starts the next one', async () => {
  const { guarded, version } = await startVersion(['--standby']);
  const { path } = guarded;
  await untilStandby(path);
  version.install('process.exit(3);'); // only a standby that has started before can serve
  const client = new Actor();
  const reader = await Reader.blocked(path);
  const next = await killDaemon(path);
  await reader.getsNext(path);
  assert.match(await client.ask(`mkdir ${path}/${client.pid}`), /^ok/);
  assert.is(await statusOf(path, 'STANDBY'), '0');
  version.install('');
  await untilStandby(path);
  assert.is(await daemonPid(path), next);
  await client.kill();
  assert.is(await guarded.stop(), 0);
});

standby('maps the state before it is needed, and leaves it as it is', async () => {
  const { guarded } = await startVersion(['--standby']);
  const { path } = guarded;
  const daemon = await daemonPid(path);
  const client = new Actor();
  assert.match(await client.ask(`mkdir ${path}/${client.pid}`), /^ok/);
  const reader = await Reader.blocked(path);
  await untilStandby(path);
  const next = childrenOf(guarded.pid).filter((pid) => pid !== daemon);
  assert.is(next.length, 1);
  assert.match(readFileSync(`/proc/${next[0]}/maps`, 'latin1'), /rw-s .*memfd:eventfs-state/);
  await reader.getsNext(path);
  assert.is(await killDaemon(path), next[0]);
  const held = await run(['ls', `${path}/${client.pid}`]);
  assert.is(held.out.trim().split('\n').length, 2);
  await reader.getsNext(path);
  await client.kill();
  assert.is(await guarded.stop(), 0);
});

standby('starts anew after SIGHUP and before a reload', async () => {
  const { guarded, version } = await startVersion(['--standby']);
  const { path } = guarded;
  await untilStandby(path);
  version.install("process.stderr.write('the new version\\n');");
  guarded.process.kill('SIGHUP');
  await until(() => guarded.log().includes('the new version'), 'no new standby', 10_000);
  await untilStandby(path);
  version.install("process.stderr.write('a newer version\\n');");
  assert.is((await eventfs('reload', path)).code, 0);
  await hasSaid(guarded, /a newer version/);
  assert.is(await within(10_000, guarded.stop(), 'the guardian did not end'), 0);
});

standby('applies the settings that SIGHUP had applied before a death', async () => {
  const args = configured('');
  const file = args[args.indexOf('--config') + 1];
  const guarded = await startGuarded(['--standby', ...args]);
  const { path } = guarded;
  await untilStandby(path);
  // `mount -o remount` sends SIGHUP to the daemon: the guardian and the standby do not notice
  writeFileSync(file, 'list_links = true\n');
  process.kill(await daemonPid(path), 'SIGHUP');
  const isListed = (): boolean => readdirSync(path).includes('stream');
  await until(isListed, 'SIGHUP has no effect');
  writeFileSync(file, 'no settings at all\n');
  await killDaemon(path);
  await until(isListed, 'the settings are those from before SIGHUP');
  await hasSaid(guarded, /the old settings stay/);
  await killDaemon(path);
  await until(isListed, 'the second death has brought the settings from before SIGHUP back');
  // a reload reads the file, and forgets them
  writeFileSync(file, '');
  assert.is((await eventfs('reload', path)).code, 0);
  writeFileSync(file, 'no settings at all\n');
  const complaints = (): number => guarded.log().split('the old settings stay').length;
  const before = complaints();
  await killDaemon(path);
  await until(() => complaints() > before, 'no complaint');
  assert.not(isListed());
  assert.is(await guarded.stop(), 0);
});

for (const more of [[], ['--standby']]) {
  const next = more.length === 0 ? 'the next daemon' : 'a standby';
  standby(
    `serves the first request after SIGHUP and a death by the new settings: ${next}`,
    async () => {
      const args = configured('[log]\nhistory_events = 2\n[limits]\ndirectories = 1\n');
      const guarded = await startGuarded([...more, ...args]);
      const { path } = guarded;
      if (more.length > 0) await untilStandby(path);
      const pid = await daemonPid(path);
      writeFileSync(args[args.indexOf('--config') + 1], '');
      process.kill(pid, 'SIGHUP');
      await hasSaid(guarded, /configuration read again/);
      for (let n = 0; n < 5; n++)
        await eventfs('emit', '--mount', path, 'ACTION=add', `DEVPATH=/x/${n}`);
      const kept = (await run(['ls', `${path}/log`])).out;
      const [first, second] = [new Actor(), new Actor()];
      assert.match(await first.ask(`mkdir ${path}/${first.pid}`), /^ok/);
      process.kill(pid, 'SIGSTOP');
      const answer = second.ask(`mkdir ${path}/${second.pid}`);
      await until(() => waitsForReply(second.pid), 'the call does not wait');
      process.kill(pid, 'SIGKILL');
      assert.match(await answer, /^ok/);
      assert.is((await run(['ls', `${path}/log`])).out, kept);
      await Promise.all([first.kill(), second.kill()]);
      assert.is(await guarded.stop(), 0);
    },
  );
}

reload.run();
standby.run();
