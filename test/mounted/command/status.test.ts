/** Tests `eventfs status`: its numbers in known situations. */
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { Reader, publishNumbered, spawnClient } from '../../support/clients/clients.js';
import { EVENTFS, Shell, run } from '../../support/mount/daemon.js';
import { daemon, mounted, nothingIsOpen, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';

interface Subscriber {
  /** An array of bytes if the text is not UTF-8. */
  readonly what: string | readonly number[];
  readonly pid: number;
  readonly command: string | readonly number[];
  readonly pending: number;
  readonly lost: number;
  readonly filter: string | readonly number[];
}
type Status = Readonly<Record<string, number>> & {
  readonly mount: string;
  readonly subscribers: readonly Subscriber[];
};

async function status(program: readonly string[] = [process.execPath, EVENTFS]): Promise<Status> {
  const { out, err, code } = await run([...program, 'status', '--json', '--mount', daemon.path]);
  assert.equal([code, err], [0, '']);
  assert.is(out.split('\n').length, 2);
  return JSON.parse(Buffer.from(out, 'latin1').toString()) as Status;
}

const command = mounted('eventfs status');

command('shows zeros for an empty mount', async () => {
  await nothingIsOpen();
  const {
    mount,
    daemon: pid,
    published,
    kernel,
    lost,
    directories,
    owners,
    streams,
    handles,
    subscribers,
  } = await status();
  assert.equal([mount, pid, published, kernel, lost], [daemon.path, daemon.pid, 0, 0, 0]);
  assert.equal([directories, owners, streams, handles, subscribers], [0, 0, 0, 0, []]);
});

command('shows each subscriber with its waiting and lost events', async () => {
  const name = `${shell.pid}.of-mine`;
  await shell.run(
    `mkdir ${daemon.path}/${name}; echo 'N==*7; N==*8' > ${daemon.path}/${name}/.filter; mkdir ${daemon.path}/$$`,
  );
  const reader = await Reader.on(`${daemon.path}/stream`);
  const match = await Reader.on(`${daemon.path}/match/N==1`);
  match.process.kill('SIGSTOP');
  publishNumbered(daemon.path, 5000);
  const { published, directories, owners, streams, kept, subscribers } = await status();
  assert.equal([published, directories, owners, streams, kept], [5000, 2, 1, 2, 4096]);
  assert.equal(subscribers.slice(0, 2), [
    {
      what: String(shell.pid),
      pid: shell.pid,
      command: 'bash',
      pending: 4096,
      lost: 904,
      filter: '',
    },
    { what: name, pid: shell.pid, command: 'bash', pending: 1000, lost: 0, filter: 'N==*7; N==*8' },
  ]);
  // The first stream may have read or lost any number by now; the second is stopped.
  const streamOf = ({ process: { pid } }: Reader, filter: string): unknown => ({
    what: 'stream',
    pid,
    command: 'cat',
    filter,
  });
  assert.equal(
    subscribers.slice(2).map(({ what, pid, command, filter }) => ({ what, pid, command, filter })),
    [streamOf(reader, ''), streamOf(match, 'N==1')],
  );
  assert.equal([subscribers[3].pending, subscribers[3].lost], [0, 1]);
  match.process.kill('SIGCONT');
});

command('prints a table', async () => {
  const { out, err, code } = await run([EVENTFS, 'status', '--mount', daemon.path]);
  assert.equal([code, err], [0, '']);
  const text = Buffer.from(out, 'latin1').toString();
  assert.match(text, new RegExp(`^DAEMON=${daemon.pid}\n`));
  assert.match(text, /^PUBLISHED=5000$/m);
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('│'))
    .map((line) =>
      line
        .split('│')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
  assert.equal(rows[0], ['what', 'pid', 'command', 'pending', 'lost', 'filter']);
  assert.equal(rows[1], [String(shell.pid), String(shell.pid), 'bash', '4096', '904', '']);
});

command('shows directories of any name, and escapes control characters', async () => {
  await shell.run(
    `cd ${daemon.path}; rm -rf $$*; mkdir $$.$'\\xff' $$.$'\\e[2J' "$$. blank"; cd /`,
  );
  const { subscribers } = await status();
  const names = subscribers.map(({ what }) =>
    (typeof what === 'string' ? Buffer.from(what) : Buffer.from(what as number[])).toString(
      'latin1',
    ),
  );
  assert.equal(
    names.map((name) => name.slice(String(shell.pid).length)).sort(),
    ['. blank', '.\x1b[2J', '.\xff'].sort(),
  );
  const { out } = await run([EVENTFS, 'status', '--mount', daemon.path]);
  assert.match(out, `${shell.pid}.\\x1b[2J`);
  assert.not.match(out, '\x1b');
  await shell.run(`cd ${daemon.path}; rmdir $$.*; cd /`);
});

command('prints every name, command and filter of any bytes with --json', async () => {
  const odd = ['caf\xe9', '\xef\xbf\xbd', '\xff', 'caf\xc3\xa9'];
  const script = `
import os, sys, time
mount, odd = os.fsencode(sys.argv[1]), [bytes(ord(char) for char in name) for name in sys.argv[2:]]
for name in odd:
    own = mount + b"/%d." % os.getpid() + name
    os.mkdir(own)
    open(own + b"/.filter", "wb").write(b'NAME==' + name)
open("/proc/self/comm", "wb").write(odd[0])
print("ready", flush=True)
time.sleep(1000)`;
  const owner = spawnClient(
    ['python3', '-c', script, daemon.path, ...odd],
    ['ignore', 'pipe', 'inherit'],
  );
  await once(owner.stdout!, 'data');
  const { subscribers } = await status();
  const bytesOf = (text: string | readonly number[]): string =>
    Buffer.from(text as string).toString('latin1');
  const ours = subscribers.filter(({ pid }) => pid === owner.pid);
  const lines = ours.map(({ what, command: name, filter }) =>
    [what, name, filter].map(bytesOf).join(' '),
  );
  assert.equal(
    lines.sort(),
    odd.map((name) => `${owner.pid}.${name} ${odd[0]} NAME==${name}`).sort(),
  );
  assert.is(new Set(ours.map(({ what }) => JSON.stringify(what))).size, odd.length);
  owner.kill('SIGKILL');
  await once(owner, 'close');
});

command('shows a user the directories that he may look into', async () => {
  const owner = new Shell();
  await owner.run(`mkdir -m 700 ${daemon.path}/$$; mkdir -m 755 ${daemon.path}/$$.open`);
  const { subscribers, directories } = await status([...AS_NOBODY, ...eventfsForOthers()]);
  assert.equal(
    subscribers.map(({ what }) => what),
    [`${owner.pid}.open`],
  );
  assert.is(directories, 2);
  await owner.kill();
  assert.is((await status()).directories, 0);
});

command('exits with 0 when the reader of its pipe ends, as --help and --version do', async () => {
  for (const args of ['status', 'status --json', '--help', 'help watch', '--version']) {
    const { err, code } = await run([
      'bash',
      '-c',
      `${process.execPath} ${EVENTFS} ${args} ${args.startsWith('status') ? `--mount ${daemon.path}` : ''} | true; exit \${PIPESTATUS[0]}`,
    ]);
    assert.equal([code, err], [0, ''], args);
  }
});

command('fails if nothing is mounted there', async () => {
  const { err, code } = await run([EVENTFS, 'status', '--mount', '/nowhere']);
  assert.equal(
    [code, err],
    [
      1,
      'eventfs: status: /nowhere: eventfs is not mounted here (try eventfs mount /nowhere, or --mount DIR)\n',
    ],
  );
});

command.run();
