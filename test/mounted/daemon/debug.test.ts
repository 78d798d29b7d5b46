/**
 * Tests the daemon's log and trace: --debug, EVENTFS_DEBUG, SIGUSR1, --log-level and --log-json.
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { OPERATIONS } from '../../../benchmarks/figures/operations.js';
import { Reader, killClients, statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { eventfs } from '../../support/mount/command.js';
import {
  type Daemon,
  EVENTFS,
  Shell,
  makeUevent,
  mountPoint,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { suite } from '../../support/runner/suite.js';

const NONE = ['--source', 'none'];

/** Returns the lines of a daemon's log. */
function linesOf(daemon: Daemon): string[] {
  return daemon.log().split('\n').slice(0, -1);
}

/** Resolves to the first line that matches. */
async function line(daemon: Daemon, pattern: RegExp): Promise<string> {
  return (await until(
    () => linesOf(daemon).find((each) => pattern.test(each)),
    `no line ${String(pattern)}`,
  ))!;
}

/** Looks up a name that does not exist and that no other process looks up. */
function probe(daemon: Daemon, name: string): void {
  assert.not.ok(existsSync(join(daemon.path, name)));
}

async function ended(daemon: Daemon): Promise<string[]> {
  assert.is(await daemon.stop(), 0);
  for (const each of linesOf(daemon))
    assert.match(
      each,
      /^(eventfs: (mount|requests|deaths|events|outlets|inotify): [\x20-\x7e]+| {4}at .*)$/,
    );
  return linesOf(daemon);
}

const requests = suite('--debug=requests');
requests.after(killClients);

for (const transport of ['read', 'io-uring']) {
  requests(`shows two lines a request, through ${transport}`, async () => {
    const daemon = await startDaemon([...NONE, '--debug=requests', '--transport', transport]);
    probe(daemon, '2147483000');
    const asked = await line(daemon, /LOOKUP parent=1 "2147483000"/);
    const [, unique] =
      /^eventfs: requests: -> #(\d+) LOOKUP parent=1 "2147483000" pid=\d+ uid=\d+/.exec(asked)!;
    assert.is(
      await line(daemon, new RegExp(`<- #${unique} `)),
      `eventfs: requests: <- #${unique} ENOENT (no process 2147483000)`,
    );
    const lines = await ended(daemon);
    const answered = new Set(lines.flatMap((each) => /<- #(\d+) /.exec(each)?.[1] ?? []));
    for (const each of lines) {
      const [, one] = /-> #(\d+) /.exec(each) ?? [];
      assert.ok(one === undefined || answered.has(one), each);
    }
  });
}

requests('shows the reason of an EPERM of mkdir(2)', async () => {
  const daemon = await startDaemon([...NONE, '--debug=requests']);
  const { err, code } = await run([...AS_NOBODY, 'mkdir', `${daemon.path}/1`]);
  assert.is(code, 1);
  assert.match(err, 'Operation not permitted');
  const asked = await line(daemon, /MKDIR/);
  const [, unique] = /-> #(\d+) MKDIR parent=1 mode=0\d+ umask=0\d+ "1" pid=\d+ uid=65534$/.exec(
    asked,
  )!;
  assert.is(
    await line(daemon, new RegExp(`<- #${unique} `)),
    `eventfs: requests: <- #${unique} EPERM (the caller may not signal process 1)`,
  );
  await ended(daemon);
});

requests('shows the requests of the operations that the benchmark lists', async () => {
  const daemon = await startDaemon([...NONE, '--debug=requests']);
  const own = join(daemon.path, `${process.pid}.listed`);
  mkdirSync(own);
  const event = join(own, '1041');
  writeFileSync(event, 'add@/x\n');
  const calls = {
    open: () => {
      const fd = openSync(event, constants.O_RDONLY);
      readSync(fd, Buffer.alloc(100));
      closeSync(fd);
    },
    stat: () => statSync(event),
  };
  // statx(2) makes a request that the kernel sends once.
  calls.stat();
  for (const { name, requests: listed } of OPERATIONS) {
    probe(daemon, `${name}-begins`);
    calls[name]();
    probe(daemon, `${name}-ends`);
    await line(daemon, new RegExp(`${name}-ends`));
    const [, traced] = daemon.log().split(new RegExp(`LOOKUP parent=1 "${name}-(?:begins|ends)"`));
    const opcodes = [...traced.matchAll(/-> #\d+ (\w+) /g)].map(([, opcode]) => opcode);
    assert.equal(opcodes, listed, name);
  }
  rmSync(own, { recursive: true });
  await ended(daemon);
});

/** Calls whose requests the kernel sends once, until one has got ENOSYS. */
const RARE_CALLS = `
import fcntl, os, sys
def attempt(call, *arguments):
    try: call(*arguments)
    except OSError: pass
a, b = (os.open(name, os.O_RDWR | os.O_CREAT) for name in ('a', 'b'))
os.write(a, b'text')
attempt(os.copy_file_range, a, b, 4, 0)
attempt(os.posix_fallocate, a, 0, 8)
attempt(os.lseek, a, 0, os.SEEK_HOLE)
attempt(fcntl.ioctl, a, 0x5401, bytes(64))
attempt(fcntl.flock, a, fcntl.LOCK_EX)
attempt(os.open, '.', os.O_TMPFILE | os.O_RDWR)
attempt(os.access, 'a', os.X_OK)
`;

requests('has the name of every opcode that the kernel sends', async () => {
  const daemon = await startDaemon([...NONE, '--debug=requests']);
  const own = join(daemon.path, `${process.pid}.rare`);
  mkdirSync(own);
  // stat(1) asks for the time of birth, by statx(2).
  const script = `cd ${own} && python3 -c "$0" && stat -c %W a . && sync -f a`;
  const { code, err } = await run(['sh', '-c', script, RARE_CALLS]);
  assert.is(code, 0, err);
  rmdirSync(own);
  for (const each of await ended(daemon)) assert.not.match(each, / opcode-/);
});

requests('shows a blocked read when it is parked and when it is answered', async () => {
  const daemon = await startDaemon([...NONE, '--debug=requests']);
  const reader = await Reader.on(`${daemon.path}/stream`);
  const parked = await line(daemon, /\(parked\)$/);
  const [, unique] = /<- #(\d+) /.exec(parked)!;
  writeFileSync(`${daemon.path}/publish`, 'add@/x\nACTION=add\n');
  assert.match(await line(daemon, new RegExp(`<- #${unique} OK`)), /OK \d+ bytes \(was parked\)$/);
  // It reads again, so that there is a read to interrupt.
  await line(daemon, new RegExp(`<- #(?!${unique} )\\d+ \\(parked\\)$`));
  await reader.kill();
  await line(daemon, /EINTR \(a signal interrupted the reader\)$/);
  await ended(daemon);
});

requests('escapes names, so that no user can forge a line', async () => {
  const daemon = await startDaemon([...NONE, '--debug=requests,deaths']);
  const hostile = Buffer.from('x\neventfs: requests: -> #1 FORGED\x1b[2J\xff\u2028"', 'latin1');
  const own = Buffer.concat([Buffer.from(`${daemon.path}/${process.pid}.`), hostile]);
  mkdirSync(own);
  assert.throws(() => statSync(Buffer.concat([own, Buffer.from('/'), hostile])));
  rmdirSync(own);
  const asked = await line(daemon, /FORGED/);
  assert.match(asked, /"\d+\.x\\x0aeventfs: requests: -> #1 FORGED\\x1b\[2J\\xff\(\\""/);
  for (const each of await ended(daemon))
    assert.not.match(each, /^eventfs: requests: -> #1 FORGED/);
});

requests('is switched on and off by SIGUSR1 while the daemon runs', async () => {
  const daemon = await startDaemon(NONE);
  probe(daemon, 'before');
  process.kill(daemon.pid, 'SIGUSR1');
  await line(
    daemon,
    /^eventfs: mount: SIGUSR1: the daemon traces requests until the next SIGUSR1$/,
  );
  probe(daemon, 'while');
  await line(daemon, /<- .*ENOENT/);
  process.kill(daemon.pid, 'SIGUSR1');
  await line(daemon, /^eventfs: mount: SIGUSR1: the daemon no longer traces requests$/);
  probe(daemon, 'after');
  const names = (await ended(daemon)).flatMap(
    (each) => /"(before|while|after)"/.exec(each)?.[1] ?? [],
  );
  assert.equal(new Set(names), new Set(['while']));
});

requests(
  'does not hold up a daemon whose standard error is not read',
  async () => {
    // The reader of the log is a client of the mount, and does not read before its answer comes.
    const path = mountPoint();
    const script = `exec 3>&1; $0 mount --source none --debug=requests ${path} 2>&1 | {
    until [ -e ${path}/log ]; do sleep 0.05; done
    i=0; while [ $i -lt 3000 ]; do [ -e ${path}/$i ]; i=$((i+1)); done
    echo asked >&3; kill $(sed -n s/^DAEMON=//p ${path}/log/.status)
    tail -n 1; }`;
    const { out, code } = await run(['sh', '-c', script, EVENTFS], { timeoutMs: 40_000 });
    assert.is(code, 0);
    assert.match(out, /^asked\n/);
  },
  60_000,
);

requests('shows the calls of the driver fuse-native too', async () => {
  const daemon = await startDaemon([...NONE, '--debug=requests', '--driver', 'fuse-native']);
  probe(daemon, '2147483000');
  const asked = await line(daemon, /getattr "\/2147483000"/);
  const [, id] = /-> #(\d+) getattr/.exec(asked)!;
  assert.is(
    await line(daemon, new RegExp(`<- #${id} `)),
    `eventfs: requests: <- #${id} ENOENT (no process 2147483000)`,
  );
  const reader = await Reader.on(`${daemon.path}/stream`);
  const parked = await line(daemon, /\(parked\)$/);
  const [, parkedId] = /<- #(\d+) /.exec(parked)!;
  writeFileSync(`${daemon.path}/publish`, 'add@/x\nACTION=add\n');
  assert.match(await line(daemon, new RegExp(`<- #${parkedId} OK`)), /OK \d+ \(was parked\)$/);
  await reader.kill();
  assert.is(await daemon.stop(), 0);
});

requests.run();

const kinds = suite('the trace');
kinds.after(killClients);

kinds('has all kinds if EVENTFS_DEBUG is `all`', async () => {
  const daemon = await startDaemon(
    [
      '--source',
      'kernel',
      '--socket',
      join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'debug-')), 's'),
    ],
    undefined,
    { env: { EVENTFS_DEBUG: 'all' } },
  );
  const shell = new Shell();
  await shell.run(`mkdir ${daemon.path}/$$`);
  await makeUevent('change');
  await line(
    daemon,
    /^eventfs: events: "\d+" "change" "\/devices\/virtual\/mem\/null" \d+ bytes from the kernel: directories=1 streams=0$/,
  );
  const { pid } = shell;
  await shell.kill();
  assert.match(
    await line(daemon, /^eventfs: deaths: /),
    new RegExp(
      `owner ${pid} is dead \\(killed by SIGKILL\\): "${pid}" ends: events=[1-9]\\d* bytes=\\d+ special_files=0 open_streams=0 blocked_reads=0 freed_memory=[1-9]\\d*$`,
    ),
  );
  await line(daemon, /^eventfs: inotify: the notifier is process \d+$/);
  await line(daemon, /^eventfs: requests: -> #\d+ INIT version=7\.\d+ /);
  await ended(daemon);
});

kinds('shows the clients of a socket, and the reason of a refusal', async () => {
  const socket = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'debug-')), 's');
  const daemon = await startDaemon([...NONE, '--debug=outlets', '--socket', socket]);
  await run([compiled('subscriber'), '!empty', socket], { timeoutMs: 500 });
  await run([compiled('subscriber'), 'SUBSYSTEM', socket]);
  await line(daemon, /^eventfs: outlets: socket client 1 \(pid=\d+ uid=0\) connected$/);
  await line(
    daemon,
    /^eventfs: outlets: socket client 2 \(pid=\d+ uid=0\) is refused: column \d+: /,
  );
  await line(
    daemon,
    /^eventfs: outlets: socket client 2 \(pid=\d+ uid=0\) disconnected: 0 events were pending, 0 were lost$/,
  );
  for (const each of await ended(daemon)) assert.match(each, /^eventfs: outlets: /);
});

kinds('shows how many queues got an event, and how many lost another event by it', async () => {
  const config = join(
    mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'debug-')),
    'config.toml',
  );
  writeFileSync(config, 'debug = "events"\n[queue]\nevents = 1\n');
  const daemon = await startDaemon([...NONE, '--config', config]);
  mkdirSync(`${daemon.path}/${process.pid}`);
  const reader = await Reader.on(`${daemon.path}/match/SUBSYSTEM==mine`);
  for (const subsystem of ['other', 'mine'])
    writeFileSync(`${daemon.path}/publish`, `add@/x\nACTION=add\nSUBSYSTEM=${subsystem}\n`);
  await line(daemon, /"add" "\/x" \d+ bytes from publish:0: directories=1 streams=0$/);
  await line(daemon, /"add" "\/x" \d+ bytes from publish:0: directories=1 streams=1 lost_by=1$/);
  await reader.kill();
  assert.is((await ended(daemon)).length, 2);
});

kinds(
  'of an unknown kind, and a log of an unknown level, end the command with one line and 100',
  async () => {
    const path = mountPoint();
    for (const [args, env, message] of [
      [
        ['--debug=requests,deads'],
        {},
        /^eventfs: option '--debug \[kinds\]' argument 'requests,deads' is invalid\. "deads" is not a kind\. Use requests, deaths, events, outlets, inotify\. .*\n$/,
      ],
      [
        ['--log-level', 'loud'],
        {},
        /^eventfs: option '--log-level <level>' argument 'loud' is invalid\. Allowed choices are error, warn, info, debug\. .*\n$/,
      ],
      [
        [],
        { EVENTFS_DEBUG: 'x' },
        /^eventfs: option '--debug \[kinds\]' value 'x' from env 'EVENTFS_DEBUG' is invalid\. "x" is not a kind\. .*\n$/,
      ],
    ] as const) {
      const { out, err, code } = await eventfs(['mount', ...args, path], {
        env: { ...process.env, ...env },
      });
      assert.equal([out, code], ['', 100], err);
      assert.match(err, message);
    }
    assert.equal(readdirSync(path), []);
    // --debug takes its kinds after `=` only: the next word is the directory.
    assert.match(
      (await eventfs(['mount', '--source', 'none', '--debug', '/nowhere/at/all'])).err,
      /^eventfs: mount: \/nowhere\/at\/all: /,
    );
    const config = join(
      mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'debug-')),
      'config.toml',
    );
    writeFileSync(config, 'log_level = "loud"\n');
    const { err, code } = await eventfs(['mount', '--config', config, path]);
    assert.is(code, 100);
    assert.match(err, /^eventfs: mount: .*:1: log_level: "loud" is not valid: .*\n$/);
  },
);

kinds.run();

const levels = suite('the log');

levels(
  'has no warnings with --log-level error, and takes a new level and form by SIGHUP',
  async () => {
    const config = join(
      mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'debug-')),
      'config.toml',
    );
    const events = (): string => statusOf(`${daemon.path}/log`).MOST_EVENTS;
    /** Makes the daemon read the file, and resolves once it has. */
    const reload = async (text: string, most: number): Promise<void> => {
      writeFileSync(config, `${text}\n[limits]\nevents = ${most}\n`);
      process.kill(daemon.pid, 'SIGHUP');
      await until(() => events() === String(most), 'the daemon did not read the file');
    };
    writeFileSync(config, 'log_level = "error"\n');
    const daemon = await startDaemon([...NONE, '--config', config]);
    // The level hides: for the next mount only
    await reload('log_level = "error"\nbusy_poll = 7', 1001);
    await reload('log_level = "info"\nlog_json = true\nbusy_poll = 7', 1002);
    assert.is(daemon.log(), '');
    await reload('log_level = "warn"\nlog_json = true\nbusy_poll = 7', 1003);
    await reload('log_level = "error"\nlog_json = true\nbusy_poll = 7', 1004);
    assert.is(await daemon.stop(), 0);
    const lines = linesOf(daemon).map(
      (each) => JSON.parse(each) as { level: string; msg: string; pid: number },
    );
    assert.equal(
      lines.map(({ level, msg, pid }) => [level, msg.replace(/.*: /, ''), pid]),
      [
        ['info', 'configuration read again', daemon.pid],
        ['warn', 'only the next mount applies this change', daemon.pid],
        ['warn', 'only the next mount applies this change', daemon.pid],
      ],
    );
  },
);

levels('has one JSON object a line with --log-json, also for a start that fails', async () => {
  const daemon = await startDaemon([...NONE, '--debug', '--log-json', '--log-level', 'debug']);
  mkdirSync(`${daemon.path}/${process.pid}.\n"\xff`);
  rmdirSync(`${daemon.path}/${process.pid}.\n"\xff`);
  process.kill(daemon.pid, 'SIGHUP');
  await line(daemon, /No such file or directory|read again/);
  assert.is(await daemon.stop(), 0);
  const objects = linesOf(daemon).map((each) => JSON.parse(each) as Record<string, unknown>);
  for (const { time, level, msg } of objects)
    assert.equal([typeof time, typeof level, typeof msg], ['string', 'string', 'string']);
  const request = objects.find(({ opcode }) => opcode === 'MKDIR')!;
  assert.equal(
    [request.kind, request.level, request.pid, request.caller, request.uid, request.node],
    ['requests', 'debug', daemon.pid, process.pid, 0, '1'],
  );
  assert.ok(objects.some(({ unique, errno }) => unique === request.unique && errno === undefined));
  assert.ok(objects.some(({ level, kind }) => level !== 'debug' && kind === undefined));
  const { out, err, code } = await eventfs([
    'mount',
    '--log-json',
    '--source',
    'none',
    '/nowhere/at/all',
  ]);
  assert.equal([out, code], ['', 111]);
  assert.match((JSON.parse(err) as { msg: string }).msg, /^\/nowhere\/at\/all: /);
});

levels.run();
