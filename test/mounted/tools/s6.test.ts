/**
 * Debian's own s6 programs with a fifodir in a process directory. None of them knows of eventfs.
 */
import { spawn } from 'node:child_process';
import * as assert from 'uvu/assert';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { Shell, run, until, within } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { need } from '../../support/runner/programs.js';

const PROGRAMS = ['s6-mkfifodir', 's6-ftrig-wait', 's6-ftrig-notify', 's6-cleanfifodir'];
const s6 = mounted('s6');

/** Registers a test that needs the programs. */
function s6Test(sentence: string, body: () => Promise<void> | void): void {
  s6(sentence, async () => {
    need(...PROGRAMS);
    await body();
  });
}

/** The owners of fifodirs, to be killed if a test fails. */
const owners: Shell[] = [];

s6.after(async () => {
  for (const owner of owners) if (owner.process.signalCode === null) await owner.kill();
});

/** Starts a shell that will own a fifodir. */
function newOwner(): Shell {
  const owner = new Shell();
  owners.push(owner);
  return owner;
}

/** Makes a fifodir that the shell owns. @returns its path */
async function fifodir(owner: Shell, ...options: string[]): Promise<string> {
  const path = `${daemon.path}/${owner.pid}.fifo`;
  const { out, code } = await owner.run(`s6-mkfifodir ${options.join(' ')} ${path}`);
  assert.is(code, 0, out);
  return path;
}

/** @returns the names of the FIFOs on which processes wait in a fifodir */
const waitersIn = (path: string): string[] =>
  readdirSync(path).filter((name) => name.startsWith('ftrig1:'));

s6Test(
  's6-mkfifodir makes a directory that every user may write to, and none but the owner list',
  async () => {
    const owner = newOwner();
    const path = await fifodir(owner);
    assert.is(statSync(path).mode & 0o7777, 0o1733);
    await owner.run(`rmdir ${path}`);
    const group = await fifodir(owner, '-g', '1234');
    assert.is(statSync(group).mode & 0o7777, 0o3730);
    assert.is(statSync(group).gid, 1234);
    await owner.kill();
    assert.not.ok(existsSync(path));
  },
);

s6Test('s6-ftrig-wait wakes by s6-ftrig-notify, and leaves no FIFO', async () => {
  const owner = newOwner();
  const path = await fifodir(owner);
  const waits = run(['s6-ftrig-wait', '-t', '10000', path, 'u.*d']);
  await until(() => waitersIn(path).length === 1, 'no process waits');
  const [fifo] = waitersIn(path);
  assert.ok(statSync(`${path}/${fifo}`).isFIFO());
  assert.is((await run(['s6-ftrig-notify', path, 'uxd'])).code, 0);
  assert.equal(await waits, { out: 'd\n', err: '', code: 0 });
  assert.equal(readdirSync(path), []);
  await owner.kill();
});

s6Test('s6-cleanfifodir removes FIFOs without a reader, and leaves the others', async () => {
  const owner = newOwner();
  const path = await fifodir(owner);
  const waits = run(['s6-ftrig-wait', '-t', '10000', path, 'u']);
  await until(() => waitersIn(path).length === 1, 'no process waits');
  const [own] = waitersIn(path);
  assert.is((await run(['s6-ftrig-notify', path, 'u'])).code, 0);
  await waits;
  // It removes names of one length only: s6 2.13 those that it makes, s6 2.11 others. So the test
  // compares with a tmpfs.
  const reference = `/dev/shm/eventfs-fifodir-${owner.pid}`;
  const names = ['0', '1'].map((digit) => [
    `ftrig1:@${digit.repeat(41)}`,
    own.replace(/[0-9a-zA-Z]/g, (letter, at: number) => (at < 'ftrig1:'.length ? letter : digit)),
  ]);
  try {
    assert.is((await owner.run(`s6-mkfifodir ${reference}`)).code, 0);
    const cleaned: string[][] = [];
    for (const directory of [path, reference]) {
      const [left, read] = names;
      const { out, code } = await owner.run(
        `cd ${directory}; mkfifo ${[...left, ...read].join(' ')}; exec 6<> ${read[0]} 7<> ${read[1]}`,
      );
      assert.is(code, 0, out);
      assert.equal(await run(['s6-cleanfifodir', directory]), { out: '', err: '', code: 0 });
      assert.equal(
        read.filter((name) => !waitersIn(directory).includes(name)),
        [],
        'a FIFO with a reader was removed',
      );
      assert.ok(waitersIn(directory).length < 4, 'no FIFO was removed');
      cleaned.push(waitersIn(directory).sort());
    }
    assert.equal(cleaned[0], cleaned[1]);
  } finally {
    rmSync(reference, { recursive: true, force: true });
  }
  await owner.kill();
});

s6Test(
  's6-mkfifodir leaves no fifodir when its owner is killed, although a process waits in it',
  async () => {
    const owner = newOwner();
    const path = await fifodir(owner);
    const waits = run(['s6-ftrig-wait', '-t', '1000', path, 'u']);
    await until(() => waitersIn(path).length === 1, 'no process waits');
    const [fifo] = waitersIn(path);
    await owner.kill();
    for (const each of [path, `${path}/${fifo}`]) assert.not.ok(existsSync(each));
    assert.not.equal((await run(['s6-ftrig-notify', path, 'u'])).code, 0);
    assert.is.not((await waits).code, 0); // it reaches its time-out, and must not hang
  },
);

s6Test('s6-ftrig-wait leaves no FIFO when it is killed in its own fifodir', async () => {
  const waiter = newOwner();
  const path = await fifodir(waiter);
  waiter.process.stdin!.write(`exec s6-ftrig-wait ${path} u\n`); // the owner survives the exec
  await until(() => waitersIn(path).length === 1, 'no process waits');
  const [fifo] = waitersIn(path);
  await waiter.kill();
  for (const each of [path, `${path}/${fifo}`]) assert.not.ok(existsSync(each));
});

s6Test(
  "s6-ftrig-notify removes the FIFO of a waiter that was killed in another's fifodir",
  async () => {
    const owner = newOwner();
    const path = await fifodir(owner);
    const waiter = spawn('s6-ftrig-wait', [path, 'u'], { stdio: 'ignore' });
    const gone = new Promise((done) => waiter.once('exit', done));
    await until(() => waitersIn(path).length === 1, 'no process waits');
    waiter.kill('SIGKILL');
    await within(20_000, gone, 'the waiter did not end');
    // s6-ftrig-notify removes FIFOs without a reader. The helper of the waiter may read for a
    // moment.
    await until(
      async () =>
        (await run(['s6-ftrig-notify', path, 'u'])).code === 0 && waitersIn(path).length === 0,
      'the FIFO is left',
    );
    await owner.kill();
  },
);

s6.run();
