/** How the daemon reports that it is ready: a descriptor, and sd_notify(3). */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { reach } from '../../support/clients/actor.js';
import { compiled } from '../../support/clients/compiled.js';
import {
  EVENTFS_SCRIPT,
  mountPoint,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import { cleanUp, prepare } from './common.js';

const daemonSuite = suite('the daemon');
daemonSuite.before(prepare);
daemonSuite.after(cleanUp);

daemonSuite(
  'writes a newline to the readiness descriptor once it serves, and closes it',
  async () => {
    const path = mountPoint();
    const child = spawn(
      process.execPath,
      [EVENTFS_SCRIPT, 'mount', path, '--source', 'none', '--ready-fd', '5'],
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
    assert.is(await within(20_000, ready, 'the descriptor was not closed'), 'ok');
    assert.is(said, '\n');
    assert.is(child.exitCode, null);
    const ended = new Promise((done) => child.on('close', done));
    child.kill();
    assert.is(await within(20_000, ended, 'it did not end'), 0);
  },
);

for (const [what, address] of [
  ['a path', (path: string) => `${path}.socket`],
  ['an abstract name', (path: string) => `@${path}.socket`],
] as const) {
  daemonSuite(`tells systemd at ${what} that it is ready and that it stops`, async () => {
    const path = mountPoint();
    const socket = address(path);
    const listener = spawn(compiled('notify'), [socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = new Promise((done) => listener.on('close', done));
    let said = '';
    listener.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said === 'bound\n', 'the listener has not bound its socket');
    const daemon = await startDaemon(undefined, path, { env: { NOTIFY_SOCKET: socket } });
    await until(
      () => said === 'bound\nREADY=1\n',
      () => `READY=1 did not come: ${said}`,
    );
    assert.is(await daemon.stop(), 0);
    await until(
      () => said === 'bound\nREADY=1\nSTOPPING=1\n',
      () => `STOPPING=1 did not come: ${said}`,
    );
    listener.kill();
    await gone;
  });
}

/** Starts a daemon with a watchdog, and returns what it tells systemd in half a second. */
async function toldWith(env: Readonly<Record<string, string>>): Promise<string> {
  const path = mountPoint();
  const socket = `@${path}.socket`;
  const listener = spawn(compiled('notify'), [socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise((done) => listener.on('close', done));
  let said = '';
  listener.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until(() => said === 'bound\n', 'the listener has not bound its socket');
  const daemon = await startDaemon(undefined, path, { env: { NOTIFY_SOCKET: socket, ...env } });
  await until(
    () => said.includes('READY=1\n'),
    () => `READY=1 did not come: ${said}`,
  );
  await sleep(500);
  const told = said;
  await daemon.stop();
  listener.kill();
  await gone;
  return told;
}

daemonSuite("pings systemd's watchdog at half of its time-out, after READY=1", async () => {
  const told = await toldWith({ WATCHDOG_USEC: '200000' });
  const pings = /^bound\nREADY=1\n((?:WATCHDOG=1\n)+)$/.exec(told)?.[1].split('\n').length ?? 0;
  // Five in half a second, and the empty string behind the last; a busy machine is late.
  assert.ok(pings >= 3 && pings <= 7, told);
});

daemonSuite('pings no watchdog that is off, or that is meant for another process', async () => {
  for (const env of [
    { WATCHDOG_USEC: '200000', WATCHDOG_PID: '1' },
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: 'soon' },
  ])
    assert.is(await toldWith(env), 'bound\nREADY=1\n');
});

daemonSuite('serves although no process listens on NOTIFY_SOCKET', async () => {
  for (const socket of ['/nowhere/socket', '@eventfs-test-nobody', 'x'.repeat(200), 'vsock:2:1']) {
    const daemon = await startDaemon(undefined, undefined, { env: { NOTIFY_SOCKET: socket } });
    assert.is(reach(`${daemon.path}/stream`), 'ok');
    assert.is(await daemon.stop(), 0);
    assert.is(daemon.log(), '');
  }
});

daemonSuite.run();
