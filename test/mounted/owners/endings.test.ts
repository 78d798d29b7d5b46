/** How an owner has ended: counted in log/.status, and shown by the trace of deaths. */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { until, hasSaid } from '../../support/mount/daemon.js';
import { statusOf } from '../../support/clients/clients.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { descriptors } from '../../support/processes.js';

const endings = mounted('the end of an owner', ['--source', 'none', '--debug=deaths']);

type Counts = readonly [exited: number, signalled: number, unknown: number];

/** Returns the counts of log/.status. */
function counts(): Counts {
  const status = statusOf(`${daemon.path}/log`);
  return [
    Number(status.OWNERS_EXITED),
    Number(status.OWNERS_SIGNALLED),
    Number(status.OWNERS_UNKNOWN),
  ];
}

/** Runs a shell that makes a directory and then ends; resolves when it has been waited for. */
async function endedBy(command: string): Promise<number> {
  const child = spawn('sh', ['-c', `mkdir ${daemon.path}/$$; ${command}`], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid!;
}

/** Waits until the counts have grown by these numbers. */
async function grown(before: Counts, by: Counts): Promise<void> {
  const expected = before.map((count, place) => count + by[place]);
  await until(
    () => counts().every((count, place) => count === expected[place]),
    () => `the counts are ${counts().join()}, not ${expected.join()}`,
  );
}

async function line(pid: number): Promise<string> {
  const pattern = new RegExp(`^eventfs: deaths: owner ${pid} is dead .*$`, 'm');
  await until(() => pattern.test(daemon.log()), `no line for ${pid}`);
  return pattern.exec(daemon.log())![0];
}

endings('is an exit code or a signal, in the trace and in log/.status', async () => {
  for (const [command, words, by] of [
    ['exit 0', 'exit code 0', [1, 0, 0]],
    ['exit 7', 'exit code 7', [1, 0, 0]],
    ['kill -9 $$', 'killed by SIGKILL', [0, 1, 0]],
    ['ulimit -c 0; kill -ABRT $$', 'killed by SIGABRT', [0, 1, 0]],
    ['kill -RTMIN $$', 'killed by signal 34', [0, 1, 0]],
  ] as const) {
    const before = counts();
    const pid = await endedBy(command);
    assert.match(await line(pid), `owner ${pid} is dead (${words}): "${pid}" ends: `);
    await grown(before, by);
  }
});

endings('is known of a zombie, and of one that is reaped at once', async () => {
  const before = counts();
  const program = `import os, time
for how in (3, 4):
    pid = os.fork()
    if pid == 0:
        os.mkdir("${daemon.path}/%d" % os.getpid())
        os._exit(how)
    if how == 4: os.waitpid(pid, 0)
print("made", flush=True)
time.sleep(100)`;
  const parent = spawn('python3', ['-c', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(parent.stdout, 'data');
  await grown(before, [2, 0, 0]);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  for (const code of [3, 4]) await hasSaid(daemon, `is dead (exit code ${code}): `);
});

endings('of a thousand owners at once is counted for each, and no pidfd stays open', async () => {
  const before = counts();
  const program = `import os
for n in range(1000):
    pid = os.fork()
    if pid == 0:
        os.mkdir("${daemon.path}/%d" % os.getpid())
        os._exit(0) if n % 2 else os.kill(os.getpid(), 9)
while True:
    try: os.wait()
    except ChildProcessError: break`;
  const parent = spawn('python3', ['-c', program], { stdio: 'inherit' });
  await once(parent, 'exit');
  await grown(before, [500, 500, 0]);
  await until(() => descriptors(daemon.pid, /pidfd/).length === 0, 'a pidfd is open');
});

endings.run();
