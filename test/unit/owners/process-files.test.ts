/** A daemon without a free descriptor: the pidfds of dead owners are closed before a refusal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { openPidfd } from '#native';
import { Endings } from '../../../fs/owners/endings.js';
import { Estates } from '../../../fs/owners/estates.js';
import { ProcessFiles } from '../../../fs/owners/process-files.js';
import { type Pid, descriptorRefusals } from '../../../fs/owners/process.js';
import { run } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const files = suite('the files of a process');

const LIMITED = 'EVENTFS_TEST_LIMITED';

/** Opens descriptors until none is left. */
function useUp(): number[] {
  const opened: number[] = [];
  for (;;) {
    try {
      opened.push(openSync('/dev/null', 'r'));
    } catch {
      return opened;
    }
  }
}

/** Runs in a process with a low limit: each call finds the descriptor of a dead process. */
async function withoutDescriptors(): Promise<void> {
  const us = process.pid as Pid;
  const calls: readonly ((of: ProcessFiles) => unknown)[] = [
    (of) => of.status(us)?.pid,
    (of) => closeSync(of.openPidfd(us)),
  ];
  for (const call of calls) {
    const child = spawn('sleep', ['1000']);
    const pidfd = openPidfd(child.pid!);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const endings = new Endings();
    const opened = useUp();
    const refusals = descriptorRefusals.count;
    assert.throws(() => call(new ProcessFiles(new Estates(endings))), /ENFILE/);
    assert.is(descriptorRefusals.count, refusals + 1);
    endings.add({ pid: child.pid! as Pid, pidfd });
    call(new ProcessFiles(new Estates(endings)));
    assert.equal([endings.pending, descriptorRefusals.count], [0, refusals + 1]);
    for (const fd of opened) closeSync(fd);
  }
}

if (process.env[LIMITED] === undefined)
  files('can be opened while dead owners are not counted yet', async () => {
    const { code, out, err } = await run(
      ['sh', '-c', 'ulimit -n 200; exec "$0" "$1"', process.execPath, import.meta.filename],
      { env: { ...process.env, [LIMITED]: '1' } },
    );
    assert.is(code, 0, out + err);
  });
else files('are opened in the place of those of dead owners', withoutDescriptors);

files.run();
