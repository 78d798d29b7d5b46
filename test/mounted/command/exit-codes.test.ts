/** The exit codes that scripts tell apart, and `--mount` before each command and behind it. */
import * as assert from 'uvu/assert';
import { existsSync } from 'node:fs';
import { statusOf } from '../../support/clients/clients.js';
import { Background, eventfs } from '../../support/mount/command.js';
import {
  EVENTFS,
  EVENTFS_NODE,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const codes = mounted('the exit code');
codes.after(() => Background.killAll());

codes(
  'of wait tells an event, the time-out, a bad filter, no mount and the end of the daemon apart',
  async () => {
    const wait = (mount: string, ...args: readonly string[]): ReturnType<typeof eventfs> =>
      eventfs(['wait', '--mount', mount, ...args]);
    const outcomes = await Promise.all([
      wait(daemon.path, '--existing', 'DEVNAME==null'),
      wait(daemon.path, 'N==never', '--timeout', '0.1'),
      wait(daemon.path, 'N='),
      wait(mountPoint(), '--timeout', '0.1'),
    ]);
    assert.equal(
      outcomes.map(({ code }) => code),
      [0, 1, 100, 102],
    );
    const other = await startDaemon();
    const waiting = new Background(['wait', '--mount', other.path]);
    await until(() => statusOf(`${other.path}/log`).STREAMS === '1', 'it does not wait', 20_000);
    await other.stop();
    assert.is(await waiting.ended, 103);
    assert.match(
      waiting.err,
      /^eventfs: wait: \S+: its daemon has ended \(try eventfs doctor\)\n$/,
    );
  },
);

codes('is 100 for each wrong use', async () => {
  const uses = [
    ['watch', 'A'],
    ['run', 'A=', '--', 'true'],
    ['exec', '--filter', 'A', '--', 'true'],
    ['exec', '--label', 'a/b', '--', 'true'],
    ['coldplug', 'A'],
    ['coldplug', '--synth-arg', 'A=b'],
    ['emit', 'foo'],
    ['mount', '', '--source', 'none'],
    ['mount', '/a', '--mount', '/b'],
    ['--mount', '/a', 'umount', '/b'],
  ];
  const outcomes = await Promise.all(uses.map((args) => eventfs(args)));
  for (const [place, { code, err, out }] of outcomes.entries()) {
    assert.equal([code, out], [100, ''], `${uses[place].join(' ')}: ${err}`);
    assert.match(
      err,
      new RegExp(`^eventfs: ${uses[place].find((word) => /^[a-z]/.test(word))}: [^\n]+\n$`),
    );
  }
});

codes('is in the help of the program and of wait', async () => {
  const { out } = await eventfs(['--help']);
  for (const code of [0, 1, 100, 102, 103, 111, 126, 127])
    assert.match(out, new RegExp(`^  ${code} +[A-Z]`, 'm'));
  assert.match((await eventfs(['wait', '--help'])).out, /\b1 after the\s+time-out/);
});

codes('--mount names the mount before each command', async () => {
  const status = await eventfs([`--mount=${daemon.path}`, 'status', '--json']);
  assert.is(status.code, 0, status.err);
  const emit = ['emit', 'ACTION=add', 'DEVPATH=/before', 'N=1'];
  for (const program of [[EVENTFS], EVENTFS_NODE])
    assert.is((await run([...program, '--mount', daemon.path, ...emit])).code, 0);
  const args = ['wait', '--since', '0', 'DEVPATH==/before', '--timeout', '20'];
  assert.is((await eventfs(['--mount', daemon.path, ...args])).code, 0);
  const behind = await eventfs(['--mount', '/nowhere', ...args, '--mount', daemon.path]);
  assert.is(behind.code, 0, behind.err);
  assert.is((await eventfs(['--mount', daemon.path, 'coldplug', '--dry-run', 'A==b'])).code, 0);
  const gone = await eventfs(['--mount', '/nowhere', 'settle']);
  assert.is(gone.code, 102);
  assert.match(gone.err, /^eventfs: settle: \/nowhere: /);
});

codes('--mount names the directory of mount and umount', async () => {
  for (const args of [
    ['--mount', mountPoint(), 'mount'],
    ['mount', '--mount', mountPoint()],
  ]) {
    const path = args.find((word) => word.startsWith('/'))!;
    const serving = new Background([...args, '--source', 'none']);
    await until(
      () => existsSync(`${path}/publish`),
      () => `nothing is mounted: ${serving.err}`,
      20_000,
    );
    const remounted = await eventfs(['none', path, '-o', 'remount']);
    assert.equal([remounted.code, remounted.err], [0, '']);
    const ended = await eventfs(['--mount', path, 'umount']);
    assert.equal([ended.code, ended.err], [0, '']);
    assert.is(await serving.ended, 0);
    assert.not(isMounted(path));
  }
});

codes.run();
