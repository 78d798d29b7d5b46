/** Tests `eventfs status`: its numbers in known situations. */
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { Reader, publishNumbered, spawnClient, statusOf } from '../../support/clients/clients.js';
import { eventfs } from '../../support/mount/command.js';
import { EVENTFS, EVENTFS_NODE, EVENTFS_SCRIPT, Shell, run } from '../../support/mount/daemon.js';
import { daemon, mounted, nothingIsOpen, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';
import { Terminal } from '../../support/clients/terminal.js';

interface Subscriber {
  /** An array of bytes if the text is not UTF-8. */
  readonly what: string | readonly number[];
  readonly pid: number;
  readonly command: string | readonly number[];
  readonly pending: number;
  readonly lost: number;
  readonly added: number;
  readonly oldest?: number;
  readonly most: number;
  readonly lags: boolean;
  readonly filter: string | readonly number[];
}
type Status = Readonly<Record<string, number>> & {
  readonly mount: string;
  readonly subscribers: readonly Subscriber[];
};

async function status(program: readonly string[] = EVENTFS_NODE): Promise<Status> {
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
  const owned = { pid: shell.pid, command: 'bash', most: 4096 };
  assert.equal(
    subscribers.slice(0, 2).map(({ oldest, ...others }) => {
      assert.ok(Math.abs(oldest! - Date.now() / 1000) < 30, String(oldest));
      return others;
    }),
    [
      {
        what: String(shell.pid),
        ...owned,
        pending: 4096,
        lost: 904,
        added: 5000,
        lags: true,
        filter: '',
      },
      {
        what: name,
        ...owned,
        pending: 1000,
        lost: 0,
        added: 1000,
        lags: false,
        filter: 'N==*7; N==*8',
      },
    ],
  );
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

command('says who lags, and by how much, in sentences and in a table', async () => {
  const { out, err, code } = await run([EVENTFS, 'status', '--mount', daemon.path]);
  assert.equal([code, err], [0, '']);
  const [title, ...lines] = out.split('\n');
  assert.is(title, `eventfs on ${daemon.path}`);
  const facts = Object.fromEntries(
    lines.filter((line) => /^[a-z]+ +/.test(line)).map((line) => line.split(/ {2,}/, 2)),
  ) as Readonly<Record<string, string>>;
  assert.match(facts.daemon, new RegExp(`^process ${daemon.pid}, for \\d+ s`));
  assert.is(facts.source, 'none: only programs publish events here');
  assert.is(facts.published, '5,000 events by programs');
  assert.match(facts.rate, /^\d[\d.k]* events\/s in the last minute$/);
  assert.is(facts.readers, '2 process directories');
  assert.is(facts.waiting, '5,096 events for all readers together');
  assert.match(facts.lost, /^\d,?\d+ events, because readers were too slow$/);
  assert.is(facts.lagging, '1 reader (eventfs status --lagging)');
  const table = lines.slice(lines.findIndex((line) => line.startsWith('NAME')));
  assert.match(
    table[1],
    new RegExp(`^${shell.pid} +${shell.pid} +bash +4,096 +\\d+[sm] +904 +\\(all\\)$`),
  );
  assert.match(table[2], new RegExp(`^${shell.pid}.of-mine .* 1,000 +\\d+[sm] +0 +N==`));
});

command('lists only those that lag with --lagging', async () => {
  const args = ['status', '--lagging', '--mount', daemon.path];
  const { out, code } = await eventfs(args);
  assert.is(code, 0);
  const [title, row, totals, end] = out.split('\n');
  assert.match(title, /^NAME +PID +COMMAND/);
  assert.match(row, new RegExp(`^${shell.pid} `));
  assert.is(totals, '1 of 2 subscribers lag: 4,096 events wait for them, 904 were lost');
  assert.is(end, '');
  const { subscribers } = JSON.parse((await eventfs([...args, '--json'])).out) as Status;
  assert.equal(
    subscribers.map(({ what, lags }) => [what, lags]),
    [[String(shell.pid), true]],
  );
});

command('prints every line of log/.status with its meaning with --all', async () => {
  const { out } = await eventfs(['status', '--all', '--mount', daemon.path]);
  const keys = Object.keys(statusOf(`${daemon.path}/log`)).filter(
    (key) => !/^(STREAM|QUOTA_UID|QUOTA_GID)_\d/.test(key),
  );
  assert.ok(keys.length > 30);
  for (const key of keys) assert.match(out, new RegExp(`^${key}=\\S+  +[a-zA-Z]`, 'm'), key);
});

command(
  'shows 200 subscribers on a screen: those that lag first, and the number of the others',
  async () => {
    const owner = new Shell();
    await owner.run(`for n in $(seq 200); do mkdir ${daemon.path}/$$.$n; done`, 30_000);
    const terminal = new Terminal([...EVENTFS_NODE, 'status', '--mount', daemon.path]);
    assert.is(await terminal.ended, 0);
    const shown = terminal.screen.filter((line) => line !== '');
    assert.match(shown[0], 'eventfs on');
    assert.match(shown.at(-1)!, /^and \d+ more, none of them lags \(eventfs status --all\)$/);
    const first = shown.findIndex((line) => line.startsWith('NAME')) + 1;
    assert.match(shown[first], new RegExp(`^${shell.pid} .* 904 `));
    const rows = shown.length - 1 - first;
    assert.is(Number(/\d+/.exec(shown.at(-1)!)![0]) + rows, 202);
    const whole = await eventfs(['status', '--mount', daemon.path]);
    assert.is(whole.out.split('\n').filter((line) => line.startsWith(`${owner.pid}.`)).length, 200);
    await owner.kill();
  },
);

command(
  'fits a terminal of 20 columns, without colors on a dumb one, and in ASCII outside UTF-8',
  async () => {
    const at = async (columns: number, env: Readonly<Record<string, string>>): Promise<string> => {
      const args = ['status', '--all', '--mount', daemon.path];
      const terminal = new Terminal([...EVENTFS_NODE, ...args], {
        columns,
        rows: 100,
        env,
      });
      assert.is(await terminal.ended, 0);
      return terminal.raw.replaceAll('\r', '');
    };
    const narrow = await at(20, { TERM: 'dumb' });
    assert.not.match(narrow, '\x1b');
    assert.match(narrow, /^NAME +WAIT +LOST$/m);
    const long = narrow.split('\n').filter((line) => line.length > 20 && line.includes(' '));
    assert.equal(long, []);
    await shell.run(`mkdir ${daemon.path}/$$.caf\u00e9-${'x'.repeat(150)}`);
    assert.match(await at(100, {}), /caf\u00e9[^]*\u2026/);
    const ascii = await at(100, { LC_ALL: 'C' });
    assert.match(ascii, 'caf\\u00e9');
    assert.ok(/^[\x1b\n -~]*$/.test(ascii), ascii); // eslint-disable-line no-control-regex
    await shell.run(`rmdir ${daemon.path}/$$.caf*`);
  },
);

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
      `${process.execPath} ${EVENTFS_SCRIPT} ${args} ${args.startsWith('status') ? `--mount ${daemon.path}` : ''} | true; exit \${PIPESTATUS[0]}`,
    ]);
    assert.equal([code, err], [0, ''], args);
  }
});

command('fails if nothing is mounted there', async () => {
  const { err, code } = await run([EVENTFS, 'status', '--mount', '/nowhere']);
  assert.equal(
    [code, err],
    [
      102,
      'eventfs: status: /nowhere: eventfs is not mounted here (try eventfs mount /nowhere, or --mount DIR)\n',
    ],
  );
});

command.run();
