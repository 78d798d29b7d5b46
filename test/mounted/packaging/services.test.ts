/**
 * Tests the service files: systemd reads its unit, s6 starts and stops its service. .ci/packages
 * starts each of them under its own service manager on a clean machine.
 */
import * as assert from 'uvu/assert';
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  PROJECT,
  mountPoint,
  removeMountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { eventfsForOthers } from '../../support/mount/other-user.js';
import { suite } from '../../support/runner/suite.js';

const service = (name: string): string => join(PROJECT, 'packaging', name);
const scratch = (): string =>
  mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'services-'));
const SHELL_FILES = ['eventfs', 'eventfs-bridge'].flatMap((name) => [
  `openrc/${name}`,
  `runit/${name}/run`,
  `runit/${name}/check`,
  `runit/${name}/finish`,
  `s6/${name}/run`,
  `s6/${name}/finish`,
]);

/** Returns a service file as `make install` writes it. */
function installed(name: string, prefix: string): string {
  return readFileSync(service(name), 'utf8').replaceAll('@PREFIX@', prefix);
}

const services = suite('a service file');

services(
  'for systemd is a unit that systemd understands',
  async () => {
    const folder = scratch();
    const units = ['eventfs.service', 'eventfs-fleet.service', 'eventfs-bridge.service'];
    for (const unit of units)
      writeFileSync(join(folder, unit), installed(`systemd/${unit}`, PROJECT));
    const paths = units.map((unit) => join(folder, unit));
    const { out, err } = await run(['systemd-analyze', 'verify', '--man=no', ...paths], {
      timeoutMs: 60_000,
    });
    assert.not.match(out + err, /eventfs(-fleet|-bridge)?\.service/);
  },
  90_000,
);

services('for systemd confines the daemon as far as the manual says', async () => {
  const unit = join(scratch(), 'eventfs.service');
  writeFileSync(unit, installed('systemd/eventfs.service', PROJECT));
  const { out } = await run(['systemd-analyze', 'security', '--offline=yes', '--no-pager', unit], {
    timeoutMs: 60_000,
  });
  const rating = /exposure level for eventfs\.service: (\d+\.\d)/.exec(out)?.[1];
  const guide = readFileSync(join(PROJECT, 'docs/guide.md'), 'utf8');
  assert.is(rating, /exposure level for eventfs\.service: (\d+\.\d)/.exec(guide)?.[1]);
});

services('of a user makes its directory, and does not wait for the mount of a death', async () => {
  const unit = readFileSync(service('systemd/user/eventfs.service'), 'utf8');
  const home = scratch();
  const events = join(home, 'events');
  const command = /^ExecStartPre=\/bin\/sh -c '(.*)'$/m.exec(unit)![1].replaceAll('%h', home);
  const prepared = { out: '', err: '', code: 0 };
  assert.equal(await run(['sh', '-c', command]), prepared);
  const daemon = await startDaemon(['--source', 'none'], events);
  daemon.process.kill('SIGSTOP');
  assert.equal(await run(['sh', '-c', command], { timeoutMs: 10_000 }), prepared);
  await daemon.kill();
  assert.equal(await run(['sh', '-c', command]), prepared);
  await run(['umount', '-l', events]);
});

/** Waits until s6-supervise has started a service, and the service is ready. */
async function isReady(directory: string): Promise<void> {
  await until(
    () => existsSync(`${directory}/supervise/control`),
    's6-supervise does not supervise it',
  );
  const wait = ['s6-svwait', '-U', '-t', '20000', directory];
  assert.is((await run(wait, { timeoutMs: 30_000 })).code, 0);
}

services('for s6 starts the daemon, notifies readiness, and stops it', async () => {
  const directory = join(scratch(), 'eventfs');
  const events = mountPoint();
  execFileSync('cp', ['-r', service('s6/eventfs'), directory]);
  writeFileSync(join(directory, 'run'), installed('s6/eventfs/run', PROJECT));
  const supervise = spawn('s6-supervise', [directory], {
    stdio: 'ignore',
    env: { ...process.env, EVENTS: events },
  });
  const gone = new Promise((done) => supervise.once('exit', done));
  try {
    await isReady(directory);
    assert.ok(statSync(`${events}/publish`).isFile());
  } finally {
    await run(['s6-svc', '-dx', directory]);
    await within(20_000, gone, 's6-supervise did not end');
  }
  removeMountPoint(events);
});

/** Runs its arguments in a mount namespace with a user, options and a state directory. */
const BRIDGE_MACHINE = `
sed '$aeventfs-bridge:x:4242:4242::/:/bin/sh' /etc/passwd >"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs tmpfs /etc/default
printf '%s\\n' "OPTIONS='$2'" >/etc/default/eventfs-bridge
mount -t tmpfs tmpfs /var/lib
shift 2
exec "$@"`;

services(
  'for s6 runs the bridge as its user without a broker, reloads and stops it',
  async () => {
    const daemon = await startDaemon();
    const folder = scratch();
    const directory = join(folder, 'eventfs-bridge');
    execFileSync('cp', ['-r', service('s6/eventfs-bridge'), directory]);
    // The bridge's user may not read the clone.
    const text = readFileSync(service('s6/eventfs-bridge/run'), 'utf8');
    const command = eventfsForOthers().join(' ');
    writeFileSync(join(directory, 'run'), text.replaceAll('@PREFIX@/bin/eventfs', command));
    const options = `--broker mqtt://127.0.0.1:1 --mount ${daemon.path} --publish "SUBSYSTEM==a, NAME==b"`;
    const machine = ['unshare', '--mount', 'sh', '-ec', BRIDGE_MACHINE, 'sh', folder, options];
    const supervise = spawn(machine[0], [...machine.slice(1), 's6-supervise', directory], {
      stdio: 'ignore',
    });
    const gone = new Promise((done) => supervise.once('exit', done));
    const directories = (): string[] =>
      readdirSync(daemon.path).filter((name) => name.endsWith('.bridge'));
    try {
      await isReady(directory);
      const [own] = directories();
      assert.is(statSync(join(daemon.path, own)).uid, 4242);
      assert.is(readFileSync(join(daemon.path, own, '.filter'), 'utf8'), 'SUBSYSTEM==a, NAME==b\n');
      await run(['s6-svc', '-h', directory]);
      await sleep(500);
      assert.equal(directories(), [own], 'SIGHUP ends it');
    } finally {
      await run(['s6-svc', '-dx', directory]);
      await within(20_000, gone, 's6-supervise did not end');
    }
    assert.equal(directories(), []);
    await daemon.stop();
  },
  60_000,
);

services('in shell is correct in each shell', async () => {
  for (const name of SHELL_FILES) {
    for (const shell of [['dash'], ['bash'], ['busybox', 'ash']])
      assert.equal(await run([...shell, '-n', service(name)]), { out: '', err: '', code: 0 }, name);
    assert.ok((statSync(service(name)).mode & 0o111) !== 0, name);
  }
});

services.run();
