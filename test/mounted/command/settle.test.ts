/** Tests `eventfs settle`: it waits until the events from before its start are read. */
import * as assert from 'uvu/assert';
import { existsSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader, eventText, publish, statusOf } from '../../support/clients/clients.js';
import { Background, eventfs } from '../../support/mount/command.js';
import { EVENTFS_NODE, run, startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';

const settle = (seconds: string): ReturnType<typeof eventfs> =>
  eventfs(['settle', '--mount', daemon.path, '--timeout', seconds]);

const command = mounted('eventfs settle', ['--source', 'none', '--sticky', 'global:1777']);
command.after(() => Background.killAll());

command('ends at once if all queues are empty', async () => {
  await directory();
  const { code, out, err } = await settle('60');
  assert.equal([code, out, err], [0, '', '']);
});

command('finds the mount through symlinks, also relative ones', async () => {
  const folder = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'settle-'));
  symlinkSync(daemon.path, join(folder, 'first'));
  symlinkSync('first', join(folder, 'second'));
  assert.equal(await eventfs(['settle', '--mount', join(folder, 'second')]), {
    out: '',
    err: '',
    code: 0,
  });
});

command('names the processes that lag and their number of events at its time-out', async () => {
  const path = await directory();
  publish(daemon.path, eventText('/a'), eventText('/b'));
  const { code, err } = await settle('0.2');
  const others = err.split(': 2, ').length; // The directory of the test before has both events too.
  assert.is(others, 2);
  assert.is(code, 1);
  assert.match(
    err,
    new RegExp(
      `^eventfs: settle: after 0.2 s, events from before the call still wait for [^\\n]*bash \\(pid ${shell.pid}\\), ${path.split('/').pop()}: 2\\n$`,
    ),
  );
  await shell.run(`rm -r ${daemon.path}/${shell.pid}.*`);
});

command(
  'ends once the events from before its start are read, and ignores later events',
  async () => {
    const path = await directory();
    publish(daemon.path, eventText('/old'));
    const waiting = new Background(['settle', '--mount', daemon.path, '--timeout', '60']);
    await until(
      () => existsSync(`${daemon.path}/${waiting.pid}.settle`),
      'it does not wait',
      20_000,
    );
    publish(daemon.path, eventText('/new'), eventText('/new'));
    await until(() => statusOf(path).PENDING === '3', 'the events did not come');
    assert.is(waiting.process.exitCode, null);
    await shell.run(`rm ${path}/head`);
    assert.equal([await waiting.ended, waiting.err], [0, '']);
    assert.is(statusOf(path).PENDING, '2');
    await shell.run(`rm -r ${path}`);
  },
);

command('ends when the owner of the last waiting queue dies', async () => {
  const owner = new Background(['exec', '--mount', daemon.path, '--', 'sleep', '1000']);
  await until(
    () => existsSync(`${daemon.path}/${owner.pid}`),
    'the owner has no directory',
    20_000,
  );
  publish(daemon.path, eventText('/x'));
  const waiting = new Background(['settle', '--mount', daemon.path]);
  await until(() => existsSync(`${daemon.path}/${waiting.pid}.settle`), 'it does not wait', 20_000);
  await owner.stop('SIGKILL');
  assert.is(await waiting.ended, 0);
});

command('waits for the events that eventfs run has taken', async () => {
  const runner = new Background(
    [
      'run',
      '--mount',
      daemon.path,
      '',
      '--',
      'sh',
      '-c',
      'echo begun; read -r _ <"$0"',
      '/dev/stdin',
    ],
    process.env,
  );
  await runner.runsOn(daemon.path);
  runner.process.kill('SIGSTOP');
  publish(daemon.path, eventText('/x'));
  const { code, err } = await settle('0.2');
  assert.is(code, 1);
  assert.match(err, `(pid ${runner.pid}), ${runner.pid}.run: 1`);
  runner.process.kill('SIGCONT');
  assert.is((await settle('60')).code, 0);
  assert.match(runner.out, /begun/);
  await runner.stop();
});

command('does not wait for sticky directories, which have no owner', async () => {
  publish(daemon.path, eventText('/x'));
  assert.is(statusOf(`${daemon.path}/global`).PENDING !== '0', true);
  assert.is((await settle('60')).code, 0);
});

command('names a stream that is not read', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  reader.process.kill('SIGSTOP');
  publish(daemon.path, eventText('/wakes-it'), eventText('/waits'));
  publish(daemon.path, eventText('/waits'));
  const { code, err } = await settle('0.2');
  assert.is(code, 1);
  assert.match(err, new RegExp(`wait for cat \\(pid ${reader.process.pid}\\), stream: [123]\\n$`));
  reader.process.kill('SIGCONT');
  assert.is((await settle('60')).code, 0);
  await reader.kill();
});

command('does not name a stopped stream for which only newer events wait', async () => {
  const blocker = await directory();
  publish(daemon.path, eventText('/old'));
  const reader = await Reader.on(`${daemon.path}/stream`);
  reader.process.kill('SIGSTOP');
  const waiting = new Background(['settle', '--mount', daemon.path, '--timeout', '20']);
  await until(() => existsSync(`${daemon.path}/${waiting.pid}.settle`), 'it does not wait', 20_000);
  publish(daemon.path, ...Array.from({ length: 5 }, () => eventText('/newer')));
  await until(
    () => /pending=[1-5] /.test(statusOf(`${daemon.path}/log`).STREAM_0),
    'no event waits for the stream',
  );
  await shell.run(`rm -r ${blocker}`);
  assert.equal([await waiting.ended, waiting.err], [0, '']);
  assert.match(statusOf(`${daemon.path}/log`).STREAM_0, /pending=[1-5] /);
  reader.process.kill('SIGCONT');
  await reader.kill();
});

command('waits for a directory whose name is not UTF-8', async () => {
  await shell.run(`cd ${daemon.path}; mkdir $$.$'\\xff'; cd /`);
  publish(daemon.path, eventText('/x'));
  const { code, err } = await settle('0.2');
  assert.is(code, 1);
  assert.match(err, new RegExp(`wait for bash \\(pid ${shell.pid}\\), ${shell.pid}\\.\\S+: 1\n$`));
  await shell.run(`cd ${daemon.path}; rm -r $$.$'\\xff'; cd /`);
  assert.is((await settle('60')).code, 0);
});

command('works without /sys', async () => {
  const other = await startDaemon(['--source', 'kernel', '--debug=requests']);
  const inside = (timeout: string): ReturnType<typeof run> =>
    run([
      'unshare',
      '--mount',
      'sh',
      '-ec',
      'mount -t tmpfs none /sys; exec "$@"',
      'sh',
      ...EVENTFS_NODE,
      'settle',
      '--mount',
      other.path,
      '--timeout',
      timeout,
    ]);
  assert.equal(await inside('60'), { out: '', err: '', code: 0 });
  // It can not know what the kernel has sent, so it looks again and again whether events come.
  const looks = other.log().match(/ LOOKUP parent=\d+ "\.status" /g)?.length ?? 0;
  assert.ok(looks >= 6, `${looks} looks`);
  await shell.run(`mkdir ${other.path}/$$`);
  publish(other.path, eventText('/x'));
  assert.match(
    (await inside('.2')).err,
    new RegExp(
      `^eventfs: settle: after 0.2 s, events from before the call still wait for bash \\(pid ${shell.pid}\\), ${shell.pid}: \\d+\\n$`,
    ),
  );
  await other.stop();
});

command('tells other users that a process lags, but not which', async () => {
  await shell.run(`mkdir -m 700 ${daemon.path}/$$.secret`);
  const nobody = [
    ...AS_NOBODY,
    ...eventfsForOthers(),
    'settle',
    '--mount',
    daemon.path,
    '--timeout',
    '0.2',
  ];
  await shell.run(`rm -rf ${daemon.path}/global/*`);
  assert.is((await run(nobody)).code, 0);
  publish(daemon.path, eventText('/x'));
  await shell.run(`rm -rf ${daemon.path}/global/*`);
  const { code, err } = await run(nobody);
  assert.is(code, 1);
  assert.match(err, /wait for directories that you may not read \(try as root\): \d+\n$/);
  await shell.run(`rm -r ${daemon.path}/$$.secret`);
});

command.run();
