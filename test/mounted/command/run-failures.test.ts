/** Tests `eventfs run` with commands that do not start, do not end, or leave children behind. */
import * as assert from 'uvu/assert';
import { chmodSync, closeSync, copyFileSync, mkdtempSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventText, publish } from '../../support/clients/clients.js';
import { Background } from '../../support/mount/command.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { isDead, exists } from '../../support/processes.js';

/** Starts run, and resolves once it takes events. */
async function runner(...args: readonly string[]): Promise<Background> {
  const child = new Background(['run', '--mount', daemon.path, ...args]);
  await child.runsOn(daemon.path);
  return child;
}

const command = mounted('eventfs run, with commands that fail');
command.after(() => Background.killAll());

command('goes on after an event whose environment no command can have', async () => {
  const child = await runner('', '--', 'sh', '-c', 'echo "$DEVPATH"');
  publish(
    daemon.path,
    eventText('/caf\xc3\xa9\xc2\x9b', { BIG: '\xff'.repeat(40_000) }),
    eventText('/next'),
  );
  await child.prints(/^\/next\n$/);
  assert.match(
    Buffer.from(child.err, 'latin1').toString(),
    /^eventfs: run: sh for add \/café\\x9b \(\S+\): it cannot be started: Argument list too long\n$/,
  );
  assert.is(await child.stop(), 0);
});

command('goes on after an event that came while the program was replaced', async () => {
  const program = join(mkdtempSync(join(tmpdir(), 'run-')), 'echo');
  copyFileSync('/bin/echo', program);
  chmodSync(program, 0o755);
  const child = await runner('', '--', program, 'done');
  const writing = openSync(program, 'r+');
  publish(daemon.path, eventText('/busy'));
  await until(() => child.err.endsWith('\n'), 'it reports nothing');
  closeSync(writing);
  publish(daemon.path, eventText('/free'));
  await child.prints(/^done\n$/);
  assert.match(
    child.err,
    /^eventfs: run: \S+ for add \/busy \(\S+\): it cannot be started: [^\n]*busy \(another process writes its file: [^\n]*\)\n$/i,
  );
  assert.is(await child.stop(), 0);
});

command('kills a child that outlives its command at the time-out', async () => {
  const script = '(trap "" TERM; exec sleep 60) & echo $!; exec sleep 61';
  const child = await runner('--timeout', '0.2', '', '--', 'sh', '-c', script);
  publish(daemon.path, eventText('/x'));
  await until(() => child.err.includes('ended by SIGTERM'), 'the command goes on', 10_000);
  const left = Number(child.out);
  assert.not(isDead(left), 'the child has ended by SIGTERM');
  await until(() => isDead(left), 'the child goes on', 10_000);
  assert.is(await child.stop(), 0);
});

command('waits for its command after SIGHUP, and ends a stubborn one at the second', async () => {
  const script = 'trap "" TERM; echo $$; while :; do sleep 0.05; done';
  const child = await runner('', '--', 'bash', '-c', script);
  publish(daemon.path, eventText('/x'));
  await child.prints(/^\d+\n$/);
  child.process.kill('SIGHUP');
  const pid = Number(child.out);
  await sleep(300);
  assert.ok(!isDead(pid) && exists(child.pid), 'it has left its command alone');
  assert.is(await child.stop('SIGHUP'), 0);
  assert.ok(isDead(pid), 'the command goes on');
});

command.run();
