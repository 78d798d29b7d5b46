/**
 * `eventfs doctor` and `eventfs status` show requests without an answer, and tell how to end them.
 */
import * as assert from 'uvu/assert';
import { spawnSync } from 'node:child_process';
import { Calls, Reader, killClients, statusOf } from '../../support/clients/clients.js';
import { eventfs } from '../../support/mount/command.js';
import {
  EVENTFS_NODE,
  killDaemons,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { withPreload } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';
import { connectionAt } from '../../../fs/shared/kernel/connection.js';

interface Finding {
  readonly level: string;
  readonly what: string;
  readonly mend?: string;
}

const stuck = suite('a request without an answer');

stuck.after(async () => {
  await killClients();
  await killDaemons();
});

/** Runs `eventfs doctor` and returns its finding about requests. */
async function finding(path: string, under: readonly string[] = []): Promise<Finding | undefined> {
  const { out } = await run([...under, ...EVENTFS_NODE, 'doctor', '--json', '--mount', path], {
    timeoutMs: 30_000,
  });
  const findings = JSON.parse(out) as Finding[];
  return findings.find(({ what }) =>
    /no other request waits|got no answer|stuck requests|wait for it/.test(what),
  );
}

stuck('is told from blocked reads, by doctor and status, and ends by the remedy', async () => {
  const daemon = await startDaemon(['--source', 'none'], mountPoint(), {
    eventfs: withPreload('hanging-handlers'),
  });
  const { path } = daemon;
  await Reader.on(`${path}/stream`);
  await until(() => statusOf(`${path}/log`).PARKED === '1', 'it does not block');
  assert.equal(await finding(path), {
    level: 'ok',
    what: '1 blocked read, and no other request waits',
  });
  assert.not.match((await eventfs(['status', '--mount', path])).out, 'stuck');

  const calls = new Calls();
  await calls.open(1, `${path}/stream`);
  await calls.call('getxattr', `${path}/log`, 'user.lost');
  const read = calls.begin('read', 1, 4096);
  await calls.sleeps();
  assert.is(statusOf(`${path}/log`).PARKED, '1');
  const { minor } = connectionAt(path);
  const abort = `echo 1 > /sys/fs/fuse/connections/${minor}/abort`;
  assert.equal(await finding(path), {
    level: 'warn',
    what: '1 request got no answer for most of a second, besides 1 blocked read',
    mend: `${abort}, which ends all requests and the mount; then eventfs mount ${path}`,
  });
  assert.match(
    (await eventfs(['status', '--mount', path])).out,
    /^stuck +1 request without an answer/m,
  );
  const json = JSON.parse((await eventfs(['status', '--json', '--mount', path])).out) as object;
  assert.is((json as Record<string, unknown>).stuck_requests, 1);

  assert.is(spawnSync('sh', ['-c', abort]).status, 0);
  assert.match(
    (await within(20_000, read, 'the abort does not end it')).errno,
    /ECONNABORTED|ENOTCONN/,
  );
  await within(20_000, daemon.ended, 'the daemon does not end');
  await calls.end();
});

stuck('is counted for a daemon that is stopped; without fusectl doctor says so', async () => {
  const daemon = await startDaemon();
  const reader = await Reader.on(`${daemon.path}/stream`);
  await until(() => statusOf(`${daemon.path}/log`).PARKED === '1', 'it does not block');
  const hidden = await finding(daemon.path, [
    'unshare',
    '--mount',
    'sh',
    '-c',
    'umount /sys/fs/fuse/connections; exec "$@"',
    'sh',
  ]);
  assert.equal(hidden, {
    level: 'ok',
    what: "fusectl is not mounted on /sys/fs/fuse/connections, so stuck requests can't be counted",
    mend: 'mount -t fusectl fusectl /sys/fs/fuse/connections',
  });
  daemon.process.kill('SIGSTOP');
  const { level, what } = (await finding(daemon.path))!;
  daemon.process.kill('SIGCONT');
  assert.is(level, 'fail');
  // The reader, and the call with which doctor looked whether the daemon answers
  assert.match(
    what,
    /its daemon does not answer; [12] requests? wait for it, blocked reads included$/,
  );
  await reader.kill();
  await daemon.stop();
});

stuck.run();
