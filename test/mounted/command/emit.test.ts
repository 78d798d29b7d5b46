/** Tests `eventfs emit`, as a user, mdev or udev runs it. */
import * as assert from 'uvu/assert';
import { Reader, publish } from '../../support/clients/clients.js';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { DEVICE_VARIABLES, isDeviceVariable } from '../../../fs/cli/device-variables.js';
import {
  EMIT_HELPER,
  EVENTFS,
  EVENTFS_NODE,
  PROJECT,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers, forOthers } from '../../support/mount/other-user.js';
import { sideBySide } from '../../support/runner/suite.js';

/** The two forms of `eventfs emit`: the program in TypeScript, and the helper in C. */
const FORMS = { node: [...EVENTFS_NODE, 'emit'], helper: [EMIT_HELPER] };
let form: readonly string[] = FORMS.node;

/** Runs emit. @returns its standard error, its exit code and the events that it made */
async function emit(
  args: readonly string[],
  options: { input?: Buffer; env?: NodeJS.ProcessEnv; program?: readonly string[] } = {},
): Promise<{ err: string; code: number | null; records: string[] }> {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const { input = Buffer.alloc(0), env = {}, program = form } = options;
  const { out, err, code } = await run([...program, '--mount', daemon.path, ...args], {
    input,
    env: { PATH: process.env.PATH, ...env },
  });
  assert.is(out, '');
  publish(daemon.path, 'end@/end\nACTION=end\n');
  await until(
    () => reader.text.endsWith('end@/end\nACTION=end\n\n'),
    'the last event did not come',
  );
  await reader.kill();
  return { err, code, records: reader.records.slice(0, -1) };
}

const command = mounted('eventfs emit');

/** The refusal of an event that is too large: a pattern. */
const TOO_LARGE = [
  'File too large \\(an event has at most 64 KiB,',
  'and ulimit -f bounds a write too\\)',
].join(' ');
/** The first of these tests begins both: the other takes ten seconds, on a mount of its own. */
const early = sideBySide(command, 2);

/** Adds a test of each form. */
function both(sentence: string, body: () => Promise<void>): void {
  for (const [name, prefix] of Object.entries(FORMS)) {
    command(`(${name}) ${sentence}`, async () => {
      form = prefix;
      await body();
    });
  }
}

early('runs the helper, and Node for --help and for wrong options', async () => {
  const reader = await Reader.on(`${daemon.path}/match/DEVPATH==\\/byname`.replaceAll('\\/', '?'));
  const { code, err } = await run([
    EVENTFS,
    'emit',
    '--mount',
    daemon.path,
    'ACTION=add',
    'DEVPATH=/byname',
  ]);
  assert.equal([code, err], [0, '']);
  assert.equal(await reader.has(1), ['add@/byname\nACTION=add\nDEVPATH=/byname']);
  await reader.kill();
  assert.match((await run([EVENTFS, 'emit', '--help'])).out, /^Usage: eventfs emit /);
  assert.is((await run([EVENTFS, 'emit', '--bogus'])).code, 100);
});

both('makes an event of its arguments, in their order', async () => {
  const { records, err, code } = await emit([
    'ACTION=change',
    'DEVPATH=/my/thing',
    'SUBSYSTEM=mine',
    'EMPTY=',
    'EQUALS=a=b',
    'TEXT=caf\u00e9 "x" $y',
  ]);
  assert.equal([err, code], ['', 0]);
  assert.equal(records, [
    'change@/my/thing\nACTION=change\nDEVPATH=/my/thing\nSUBSYSTEM=mine\nEMPTY=\nEQUALS=a=b\nTEXT=caf\xc3\xa9 "x" $y',
  ]);
});

both('writes a newline in a value as \\x0a', async () => {
  assert.equal((await emit(['ACTION=add', 'DEVPATH=/x', 'TEXT=two\nlines'])).records, [
    'add@/x\nACTION=add\nDEVPATH=/x\nTEXT=two\\x0alines',
  ]);
});

both("reads an event from standard input with -, as text or in the kernel's form", async () => {
  for (const input of [
    'add@/x\nACTION=add\n',
    'add@/x\nACTION=add',
    'add@/x\nACTION=add\n\n',
    'add@/x\0ACTION=add\0',
  ]) {
    const { records, err, code } = await emit(['-'], { input: Buffer.from(input) });
    assert.equal([err, code, records], ['', 0, ['add@/x\nACTION=add']], JSON.stringify(input));
  }
  assert.equal((await emit(['-'], { input: Buffer.from('add@/x') })).records, ['add@/x']);
});

/** Gives its arguments a standard input that does not block, and that is empty for a while. */
const LATE = `
import os, subprocess, sys, time
reading, writing = os.pipe()
os.set_blocking(reading, False)
child = subprocess.Popen(sys.argv[1:], stdin=reading)
time.sleep(1)
os.write(writing, b'add@/late')
os.close(writing)
sys.exit(child.wait())
`;

both('waits for a standard input that does not block', async () => {
  const program = ['python3', '-c', LATE, ...form];
  const { records, err, code } = await emit(['-'], { program });
  assert.equal([err, code, records], ['', 0, ['add@/late']]);
});

both('publishes several events of standard input, each once and whole', async () => {
  for (const lastEnd of ['', '\n', '\n\n', '\n\n\n']) {
    const { records, err, code } = await emit(['-'], {
      input: Buffer.from(`add@/x\nN=1\n\n\nadd@/y\nN=2${lastEnd}`),
    });
    assert.equal(
      [err, code, records],
      ['', 0, ['add@/x\nN=1', 'add@/y\nN=2']],
      JSON.stringify(lastEnd),
    );
  }
  const all = Array.from(
    { length: 1500 },
    (_, n) => `add@/x\nN=${n}\nX=${'y'.repeat(n % 7 === 0 ? 1000 : 33)}`,
  );
  const { records, err, code } = await emit(['-'], { input: Buffer.from(all.join('\n\n')) });
  assert.equal(
    [err, code, records.length, records.filter((record, n) => record !== all[n])],
    ['', 0, 1500, []],
  );
});

both(
  'prints how many of several events were published if one is malformed or too large',
  async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      [
        'nonsense\n',
        /Invalid argument \(the event is malformed: [^\n]*\); (\d+) of 4 events were published\n$/,
      ],
      [
        'add@/z\nnonsense\n',
        /Invalid argument \(the event is malformed: [^\n]*\); (\d+) of 4 events were published\n$/,
      ],
      [
        `add@/z\nV=${'v'.repeat(70_000)}\n`,
        new RegExp(`${TOO_LARGE}; (\\d+) of 4 events were published\n$`, 'i'),
      ],
      [
        `add@/z\nV=${'v'.repeat(300_000)}\n`,
        new RegExp(`${TOO_LARGE}; (\\d+) of 4 events were published\n$`, 'i'),
      ],
    ];
    const good = ['add@/x\nN=1', 'add@/y\nN=2', 'add@/y\nN=3'];
    for (const [bad, message] of cases) {
      for (let at = 0; at <= good.length; at++) {
        const input = [
          ...good.slice(0, at).map((text) => `${text}\n`),
          bad,
          ...good.slice(at).map((text) => `${text}\n`),
        ].join('\n');
        const { records, err, code } = await emit(['-'], { input: Buffer.from(input) });
        assert.equal([code, records], [111, good.slice(0, at)]);
        assert.is(Number(message.exec(err)?.[1]), at, err);
      }
    }
  },
);

both('refuses a malformed, an empty and a too large standard input', async () => {
  const cases: readonly (readonly [Buffer, number, RegExp])[] = [
    [
      Buffer.from('nonsense\n'),
      111,
      /^eventfs: emit: \S+\/publish: Invalid argument \(the event is malformed: [^\n]*\)\n$/,
    ],
    [Buffer.from('add@/x\nnonsense\n'), 111, /malformed/],
    [Buffer.alloc(0), 100, /^eventfs: emit: standard input is empty \([^\n]*\)\n$/],
    [
      Buffer.from(`add@/x\nV=${'v'.repeat(65536)}\n`),
      111,
      new RegExp(`^eventfs: emit: \\S+/publish: ${TOO_LARGE}\n$`, 'i'),
    ],
  ];
  for (const [input, expected, message] of cases) {
    const { records, err, code } = await emit(['-'], { input });
    assert.equal([code, records], [expected, []]);
    assert.match(err, message);
  }
});

both("takes a device's properties from the environment, and no other variables", async () => {
  const env = {
    ACTION: 'add',
    DEVPATH: '/x',
    SUBSYSTEM: 'usb',
    ID_VENDOR: 'acme',
    MDEV: 'sda',
    HOME: '/root',
    SHELL: 'sh',
    SEQNUM: '77',
  };
  for (const args of [['--environment'], []]) {
    const { records, err, code } = await emit(args, { env });
    assert.equal([err, code, records.length], ['', 0, 1]);
    const [header, ...properties] = records[0].split('\n');
    assert.is(header, 'add@/x');
    assert.equal(properties.sort(), [
      'ACTION=add',
      'DEVPATH=/x',
      'ID_VENDOR=acme',
      'MDEV=sda',
      'SEQNUM=77',
      'SUBSYSTEM=usb',
    ]);
  }
  const { records } = await emit(['--environment', 'ACTION=change', 'MORE=1'], { env });
  assert.match(records[0], /^change@\/x\n/);
  assert.match(records[0], 'ACTION=change\n');
  assert.match(records[0], 'MORE=1');
  assert.equal((await emit(['ACTION=add', 'DEVPATH=/y'], { env })).records, [
    'add@/y\nACTION=add\nDEVPATH=/y',
  ]);
});

both('keeps the bytes of the environment unchanged', async () => {
  const script = `export ACTION=add DEVPATH=/x ID_MODEL=$'caf\\xe9 \\xff'; exec "$@"`;
  const { records, code } = await emit(['--environment'], {
    program: ['bash', '-c', script, 'bash', ...form],
  });
  assert.is(code, 0);
  assert.match(records[0], 'ID_MODEL=caf\xe9 \xff');
});

both('refuses missing or wrong arguments with one line', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^eventfs: emit: ACTION and DEVPATH are required [^\n]*\n$/],
    [['ACTION=add'], /^eventfs: emit: ACTION and DEVPATH are required [^\n]*\n$/],
    [['DEVPATH=/x'], /^eventfs: emit: ACTION and DEVPATH are required [^\n]*\n$/],
    [['ACTION=add', 'DEVPATH=x'], /^eventfs: emit: DEVPATH=x: it must begin with \/\n$/],
    [
      ['ACTION=add', 'DEVPATH=/x', 'nonsense'],
      /^eventfs: emit: nonsense: an argument must be KEY=VALUE, or - alone\n$/,
    ],
    [
      ['ACTION=add', 'DEVPATH=/x', '=x'],
      /^eventfs: emit: =x: an argument must be KEY=VALUE, or - alone\n$/,
    ],
    [['ACTION=add', ''], /^eventfs: emit: '': an argument must be KEY=VALUE, or - alone\n$/],
    [
      ['ACTION=', 'DEVPATH=/x'],
      /^eventfs: emit: ACTION=: it must be a text without @ and line ends\n$/,
    ],
    [['ACTION=a@b', 'DEVPATH=/x'], /^eventfs: emit: ACTION=a@b: it must be a text without @ /],
    [['ACTION=add', 'DEVPATH=/x\n'], /^eventfs: emit: DEVPATH=\/x\\x0a: it has a line end\n$/],
    [['--mount='], /^eventfs: emit: --mount: it is empty \(give a directory\)\n$/],
    [['--bogus'], /^eventfs: [^\n]*unknown option '--bogus' \([^\n]*try eventfs emit --help\)\n$/],
  ];
  for (const [args, message] of cases) {
    const { err, code, records } = await emit(args);
    assert.equal([code, records], [100, []], args.join(' '));
    assert.match(err, message);
  }
  const { err, code, records } = await emit(['ACTION=add', 'DEVPATH=/x', 'SEQNUM=x']);
  assert.equal([code, records], [111, []]);
  assert.match(err, /^eventfs: emit: [^\n]*Invalid argument [^\n]*\n$/);
});

both('takes -- before the properties', async () => {
  const { code, records } = await emit(['--', 'ACTION=add', 'DEVPATH=/x']);
  assert.equal([code, records], [0, ['add@/x\nACTION=add\nDEVPATH=/x']]);
});

both(
  'shows an argument in one line of at most 1,100 bytes, without control characters',
  async () => {
    const { err } = await emit(['\x1b[31mred\n\u009b\x07 caf\u00e9']);
    assert.match(
      err,
      // eslint-disable-next-line no-control-regex
      /^eventfs: emit: \\x1b\[31mred\\x0a[^\n\x07\x1b]*\\x9b\\x07 caf[^\n]+: an argument must/,
    );
    const long = await emit(['x'.repeat(5000)]);
    assert.match(
      long.err,
      /^eventfs: emit: x+ \[\.\.\.\] x+: an argument must be KEY=VALUE, or - alone\n$/,
    );
    assert.ok(long.err.length < 1100, `${long.err.length} characters`);
  },
);

both('tells a user without permission who may publish', async () => {
  const { err, code, records } = await emit(['ACTION=add', 'DEVPATH=/x'], {
    program: [
      ...AS_NOBODY,
      ...(form === FORMS.node ? [...eventfsForOthers(), 'emit'] : [forOthers(EMIT_HELPER)]),
    ],
  });
  assert.equal([code, records], [111, []]);
  assert.is(
    err,
    `eventfs: emit: ${daemon.path}/publish: Permission denied (you may not write to publish: try as root, or ask root to chmod it)\n`,
  );
});

both("takes the variables of vdevd's helpers", async () => {
  const env = {
    VDEV_ACTION: 'add',
    VDEV_PATH: 'sda',
    VDEV_OS_DEVPATH: '/x',
    VDEV_OS_SUBSYSTEM: 'block',
    VDEV_OS_SYSFS_MOUNTPOINT: '/sys',
    VDEV_HELPERS: '/lib/vdev',
  };
  const { records, err, code } = await emit([], { env });
  assert.equal([err, code, records.length], ['', 0, 1]);
  assert.equal(records[0].split('\n').sort(), [
    'ACTION=add',
    'DEVPATH=/x',
    'SUBSYSTEM=block',
    'add@/x',
  ]);
  // A manager that vdevd has started, or that stands above it, says what its own event is.
  const nested = await emit([], { env: { ...env, ACTION: 'change', DEVPATH: '/own' } });
  assert.equal(nested.records, ['change@/own\nACTION=change\nDEVPATH=/own']);
});

both('takes newlines in the environment, and an environment of 1 MiB', async () => {
  const env: NodeJS.ProcessEnv = { ACTION: 'add', DEVPATH: '/x', ID_TEXT: 'two\nlines\n' };
  for (let i = 0; i < 16; i++) env[`NOISE_${i}`] = 'n'.repeat(65_000);
  const { records, code } = await emit([], { env });
  assert.is(code, 0);
  assert.match(records[0], 'ID_TEXT=two\\x0alines\\x0a');
  for (let i = 0; i < 16; i++) env[`ID_${i}`] = 'n'.repeat(30_000);
  const refused = await emit([], { env });
  assert.equal([refused.code, refused.records], [111, []]);
  assert.match(refused.err, new RegExp(`${TOO_LARGE}\n$`, 'i'));
});

command('takes the same variables in both forms', () => {
  // The helper's header is generated from the list of DEVICE_VARIABLES.
  execFileSync(process.execPath, [join(PROJECT, 'native/emit/generate-headers.mjs'), '--check']);
  for (const name of DEVICE_VARIABLES)
    assert.ok(isDeviceVariable(name.endsWith('_') ? `${name}X` : name), name);
  for (const name of ['PATH', 'IFS', 'LD_PRELOAD', 'BASH_ENV', 'ID', 'XACTION', 'ACTION2'])
    assert.not.ok(isDeviceVariable(name), name);
});

early(
  'gives up on a daemon that does not answer, in both forms',
  async () => {
    const other = await startDaemon();
    other.process.kill('SIGSTOP');
    const emitting = Object.values(FORMS).map((prefix) =>
      run([...prefix, '--mount', other.path, 'ACTION=add', 'DEVPATH=/x'], { timeoutMs: 60_000 }),
    );
    const outcomes = await Promise.all(emitting);
    other.process.kill('SIGCONT');
    for (const { code, err } of outcomes) {
      assert.equal(
        [code, err],
        [
          102,
          `eventfs: emit: ${other.path}: its daemon does not answer (try eventfs umount ${other.path})\n`,
        ],
      );
    }
    await other.stop();
  },
  120_000,
);

command('fails if nothing is mounted there', async () => {
  const { err, code } = await run([
    EVENTFS,
    'emit',
    'ACTION=add',
    'DEVPATH=/x',
    '--mount',
    '/nowhere',
  ]);
  assert.equal(
    [code, err],
    [
      102,
      'eventfs: emit: /nowhere: eventfs is not mounted here (try eventfs mount /nowhere, or --mount DIR)\n',
    ],
  );
});

command.run();
