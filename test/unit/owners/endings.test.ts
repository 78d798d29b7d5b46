/** How an owner has ended: the status of wait(2), and a kernel that does not tell it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { exitStatus, openPidfd } from '#native';
import { Endings, endingOf, endingText, readEnding } from '../../../fs/owners/endings.js';
import type { Pid } from '../../../fs/owners/process.js';
import { suite } from '../../support/runner/suite.js';

const ending = suite('how a process ended');

ending('is decoded as wait(2) has it', () => {
  for (const [status, text] of [
    [0, 'exit code 0'],
    [0x0300, 'exit code 3'],
    [0xff00, 'exit code 255'],
    [9, 'killed by SIGKILL'],
    [6, 'killed by SIGABRT'],
    [0x8b, 'killed by SIGSEGV, core dumped'],
    [40, 'killed by signal 40'],
  ] as const)
    assert.is(endingText(endingOf(status)), text);
  assert.is(endingText(null), 'how it ended is unknown');
});

ending('is unknown if the descriptor does not tell, as on an older kernel', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  const pidfd = openSync('/dev/null', 'r');
  assert.is(readEnding({ pid: child.pid! as Pid, pidfd }), null);
  const endings = new Endings();
  endings.add({ pid: child.pid! as Pid, pidfd });
  assert.is(endings.pending, 1);
  endings.finish();
  assert.equal(endings.statusLines(), [
    ['OWNERS_EXITED', 0],
    ['OWNERS_SIGNALLED', 0],
    ['OWNERS_UNKNOWN', 1],
  ]);
  assert.throws(() => closeSync(pidfd), /EBADF/);
});

ending('is not known while the process lives', async () => {
  const child = spawn('sleep', ['1000']);
  const pidfd = openPidfd(child.pid!);
  assert.is(exitStatus(pidfd), -1);
  assert.is(readEnding({ pid: child.pid! as Pid, pidfd }), null);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(readEnding({ pid: child.pid! as Pid, pidfd }), { signal: 'SIGKILL', dumped: false });
  closeSync(pidfd);
});

ending.run();
