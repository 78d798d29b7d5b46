/** pidfd_open(2): a dead process, a thread, and a full table of descriptors. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import * as assert from 'uvu/assert';
import { type SystemError, openPidfd } from '#native';
import { Errno, FsError } from '../../../fs/shared/errors.js';
import { Owners } from '../../../fs/owners/owners.js';
import { asFull, descriptorRefusals } from '../../../fs/owners/process.js';
import { run } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const pidfd = suite('pidfd_open');

/** Returns the error that a call throws. */
function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('it went through');
}

/** Returns the PID of a process that has ended and was waited for. */
async function deadPid(): Promise<number> {
  const child = spawn('true');
  await once(child, 'exit');
  return child.pid!;
}

const us = { uid: process.getuid!(), gid: process.getgid!(), pid: process.pid };

pidfd('fails with ESRCH for a dead process and for an impossible number', async () => {
  for (const pid of [await deadPid(), 2 ** 22 + 1]) {
    const error = thrown(() => openPidfd(pid)) as SystemError;
    assert.equal([error.code, error.errno, error.syscall], ['ESRCH', Errno.ESRCH, 'pidfd_open']);
  }
  assert.is((thrown(() => openPidfd(-1)) as SystemError).code, 'EINVAL');
});

pidfd('refuses a thread: a process owns the directory', async () => {
  const worker = new Worker('setInterval(() => 0, 1000)', { eval: true });
  await once(worker, 'online');
  const thread = readdirSync('/proc/self/task')
    .map(Number)
    .find((tid) => tid !== process.pid)!;
  assert.ok(['EINVAL', 'ENOENT'].includes((thrown(() => openPidfd(thread)) as SystemError).code));
  const owners = new Owners();
  const owner = owners.named(thread, us);
  assert.is(owner.pid, process.pid);
  owners.releaseUnused(owner);
  await worker.terminate();
  owners.close();
});

pidfd('makes mkdir fail with ESRCH for each kind of missing process', async () => {
  const owners = new Owners();
  for (const pid of [await deadPid(), 0, -1, 2 ** 31, 2 ** 22 + 1]) {
    const error = thrown(() => owners.named(pid, us));
    assert.ok(error instanceof FsError && error.errno === Errno.ESRCH, `${pid}: ${String(error)}`);
  }
  owners.close();
});

pidfd(
  'makes mkdir fail with ENFILE if the daemon has no descriptor left, which is counted',
  async () => {
    const before = descriptorRefusals.count;
    for (const code of ['EMFILE', 'ENFILE']) {
      const full = asFull(
        Object.assign(new Error(code), {
          code,
          errno: Errno[code as 'EMFILE'],
          syscall: 'pidfd_open',
        }),
      );
      assert.ok(full instanceof FsError && full.errno === Errno.ENFILE);
    }
    assert.is(descriptorRefusals.count, before + 2);
    const other = new Error('another');
    assert.is(asFull(other), other);
    assert.is(descriptorRefusals.count, before + 2);
    const native = new URL('../../../../native/index.js', import.meta.url).href;
    const program = `import { openPidfd } from '${native}'; try { for (;;) openPidfd(process.pid); } catch (error) { console.log(error.code, error.syscall); }`;
    const { out, err } = await run([
      'prlimit',
      '--nofile=64',
      process.execPath,
      '--input-type=module',
      '-e',
      program,
    ]);
    assert.is(out, 'EMFILE pidfd_open\n', err);
  },
);

pidfd.run();
