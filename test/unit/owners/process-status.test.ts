/** The status of a process as the addon tells it, compared with the file of /proc. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import * as assert from 'uvu/assert';
import { type SystemError, processStatus } from '#native';
import { skip, suite } from '../../support/runner/suite.js';

const status = suite('the status of a process');

const FIELDS = ['Tgid', 'PPid', 'Uid', 'Gid', 'CapEff', 'NStgid'];

/** Returns the lines of the fields that the daemon needs, in the order of FIELDS. */
function fieldsOf(text: string): string[] {
  return FIELDS.map((field) => new RegExp(`^${field}:\\t.*$`, 'm').exec(text)?.[0] ?? field);
}

/** Compares the status of a process or thread with its file. */
function check(id: number): void {
  const got = processStatus(id);
  if (got === null) skip('Linux older than 6.13');
  assert.equal(fieldsOf(got), fieldsOf(readFileSync(`/proc/${id}/status`, 'latin1')), `${id}`);
}

status('has the fields of the file: of this process, its parent and process 1', () => {
  for (const id of [process.pid, process.ppid, 1]) check(id);
});

status('has the fields of the file: of a thread', async () => {
  const worker = new Worker('setInterval(() => 0, 1000)', { eval: true });
  await once(worker, 'online');
  for (const id of readdirSync('/proc/self/task').map(Number)) check(id);
  await worker.terminate();
});

status('has the fields of the file: of the first process of a PID namespace', async () => {
  const child = spawn('unshare', ['-Urpf', 'sh', '-c', 'echo $$; exec sleep 1000']);
  const [said] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => ['']),
  ])) as [Buffer | string];
  if (String(said) !== '1\n') skip('unshare(1) makes no PID namespace here');
  const { pid } = child;
  const [inner] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ');
  check(Number(inner));
  child.kill('SIGKILL');
  process.kill(Number(inner), 'SIGKILL');
  await once(child, 'exit');
});

status('has the fields of the file: of a process that is dead and not waited for', async () => {
  // A shell would wait for its child: the child ends once another program has replaced the shell.
  const child = '(until [ "$(cat /proc/$$/comm)" = sleep ]; do :; done)';
  const parent = spawn('sh', ['-c', `${child} & echo $!; exec sleep 1000`]);
  const [said] = (await once(parent.stdout, 'data')) as [Buffer];
  const zombie = Number(said);
  const isZombie = (): boolean =>
    / Z /.test(readFileSync(`/proc/${zombie}/stat`, 'latin1').replace(/^.*\)/, ''));
  while (!isZombie()) await new Promise((done) => setTimeout(done, 5));
  check(zombie);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
});

status('of a process that has ended is ESRCH', async () => {
  if (processStatus(process.pid) === null) skip('Linux older than 6.13');
  const child = spawn('true');
  await once(child, 'exit');
  for (const id of [child.pid!, 2 ** 22 + 1]) {
    let code: string | undefined;
    try {
      processStatus(id);
    } catch (error) {
      ({ code } = error as SystemError);
    }
    assert.is(code, 'ESRCH');
  }
});

status.run();
