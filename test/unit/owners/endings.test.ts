/** How an owner has ended: the status of wait(2), and a kernel that does not tell it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as assert from 'uvu/assert';
import { exitStatus, openPidfd } from '#native';
import { Endings, endingOf, endingText, readEnding } from '../../../fs/owners/endings.js';
import { replaceProcesses, system } from '../../../fs/owners/system.js';
import { until } from '../../support/mount/daemon.js';
import type { Pid } from '../../../fs/owners/process.js';
import { runs } from '../../support/runner/budget.js';
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

ending('is counted if the parent reaps the process after the last look of an attempt', async () => {
  const looks = [-1, -1, 7 << 8];
  const before = { ...system };
  replaceProcesses({
    ...system,
    exitStatus: () => looks.shift() ?? 7 << 8,
    readWhole: () => '1 (a process that /proc hides) S 0',
    closePidfd: () => undefined,
  });
  const endings = new Endings();
  endings.postponeBy((task) => void task.step());
  endings.add({ pid: 1 as Pid, pidfd: -1 });
  await until(() => endings.pending === 0, 'the owner is not counted');
  replaceProcesses(before);
  assert.equal(endings.counts, { exited: 1, signalled: 0, unknown: 0 });
});

/** Returns the text of a zombie's /proc/PID/stat: do_task_stat() of fs/proc/array.c. */
function zombie(wchan: number, exitCode: number): string {
  const fields = Array<number | string>(50).fill(0);
  [fields[0], fields[32], fields[49]] = ['Z', wchan, exitCode];
  return `1 (a program) ${fields.join(' ')}\n`;
}

ending('is known of a zombie that still runs the end of do_exit()', () => {
  const before = { ...system };
  const owner = { pid: 1 as Pid, pidfd: -1 };
  const read = (text: string, namespace: string | undefined): ReturnType<typeof readEnding> => {
    replaceProcesses({
      ...before,
      exitStatus: () => -1,
      readWhole: () => text,
      namespaceOf: () => namespace,
    });
    return readEnding(owner);
  };
  try {
    assert.equal(read(zombie(0, 0), 'pid:[1]'), { exitCode: 0 });
    assert.equal(read(zombie(0, 9), 'pid:[1]'), { signal: 'SIGKILL', dumped: false });
    assert.is(read(zombie(0, 0), undefined), null, 'the kernel hides it');
    assert.equal(read(zombie(1, 7 << 8), undefined), { exitCode: 7 }, 'no PID namespaces');
  } finally {
    replaceProcesses(before);
  }
});

/** For each line, a number, a parent makes so many children; it reaps them at the next line. */
const REAPER = `import os, sys
while line := sys.stdin.readline():
    children = []
    for n in range(int(line)):
        pid = os.fork()
        if pid == 0: os._exit(n % 256)
        children.append(pid)
    for pid in children: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    print(*children, flush=True)
    sys.stdin.readline()
    for pid in children: os.waitpid(pid, 0)`;

ending('is known whenever the parent reaps the process between two looks', async () => {
  const parent = spawn('python3', ['-c', REAPER]);
  const lines = createInterface(parent.stdout)[Symbol.asyncIterator]();
  const children = 200;
  // 4000 children show the race; a busy machine may get to fewer
  const { numRuns } = runs(20);
  for (let round = 0, end = Date.now() + 10_000; round < numRuns && Date.now() < end; round++) {
    parent.stdin.write(`${children}\n`);
    const pids = (await lines.next()).value as string;
    const pidfds = pids.split(' ').map(Number).map(openPidfd);
    parent.stdin.write('\n');
    for (const [n, pidfd] of pidfds.entries()) {
      let status = -1;
      while (status === -1) status = exitStatus(pidfd);
      assert.is(status, (n % 256) << 8, `child ${n}`);
      closeSync(pidfd);
    }
  }
  parent.stdin.end();
  await once(parent, 'exit');
});

ending.run();
