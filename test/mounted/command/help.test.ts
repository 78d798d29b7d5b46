/** Tests the help of the commands, and the messages for wrong command lines. */
import * as assert from 'uvu/assert';
import { EVENTFS, EVENTFS_NODE, run } from '../../support/mount/daemon.js';
import { eventfsForOthers } from '../../support/mount/other-user.js';
import { suite } from '../../support/runner/suite.js';
import { Terminal } from '../../support/clients/terminal.js';
import { commandLine } from '../../../tools/manual/product.js';

const eventfs = (...args: readonly string[]): ReturnType<typeof run> =>
  run([...EVENTFS_NODE, ...args]);
/** All commands of the parser, but for those that only a clone has or that print help. */
const COMMANDS = commandLine.commands
  .map(({ name }) => name)
  .filter((name) => !['compare', 'help'].includes(name));

const help = suite('eventfs');

help('lists its commands with --help, -h and help', async () => {
  for (const args of [['--help'], ['-h'], ['help']]) {
    const { out, err, code } = await eventfs(...args);
    assert.equal([err, code], ['', 0]);
    for (const command of COMMANDS) assert.match(out, new RegExp(`^  ${command} `, 'm'));
  }
});

help(
  'prints the same help of a command with --help and with help COMMAND',
  async () => {
    const check = async (command: string): Promise<void> => {
      const { out, err, code } = await eventfs(command, '--help');
      assert.equal([err, code], ['', 0]);
      assert.match(out, new RegExp(`^Usage: eventfs ${command} `));
      const [usage, example] = out.split('\nExample:\n');
      assert.ok(
        usage.split('\n').every((line) => line.length <= 80),
        out,
      );
      assert.match(example, new RegExp(`eventfs ${command} `));
      assert.is((await eventfs('help', command)).out, out);
    };
    await Promise.all(COMMANDS.map(check));
  },
  120_000,
);

help('has lines of 40 columns on such a terminal', async () => {
  const check = async (command: string): Promise<void> => {
    const terminal = new Terminal([...EVENTFS_NODE, 'help', command], {
      columns: 40,
      rows: 200,
      env: { TERM: 'dumb' },
    });
    assert.is(await terminal.ended, 0);
    const [text, example = ''] = terminal.raw.replaceAll('\r', '').split('\nExample:\n');
    assert.equal(
      text.split('\n').filter((line) => line.length > 40),
      [],
      command,
    );
    // Pasted into a shell, the example is one command: only quoted words may be longer.
    assert.match(example.replaceAll(/ \\\n +/g, ' '), new RegExp(`^  eventfs [^\n]*${command}`));
  };
  for (const command of ['watch', 'run', 'mount', 'top']) await check(command);
});

help('prints its version with --version', async () => {
  const { out, code } = await eventfs('--version');
  assert.is(code, 0);
  assert.match(out, /^\d+\.\d+\.\d+\n$/);
});

help('prints its usage on standard error and exits with 100 without a command', async () => {
  const { out, err, code } = await eventfs();
  assert.equal([out, code], ['', 100]);
  assert.match(err, /^Usage: eventfs /);
});

help('refuses unknown commands, options and values with one line, a hint and 100', async () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [['bogus'], "unknown command 'bogus'"],
    [['help', 'statu'], "unknown command 'statu' (Did you mean status?)"],
    [['statu'], "unknown command 'statu' (Did you mean status?)"],
    [['--bogus'], "unknown option '--bogus'"],
    [['watch', '--bogus'], "unknown option '--bogus'"],
    [['watch', '--jsn'], "unknown option '--jsn' (Did you mean --json?)"],
    [['status', '--mount'], "option '--mount <dir>' argument missing"],
    [
      ['mount', '--source', 'nowhere', '/tmp'],
      "option '--source <source>' argument 'nowhere' is invalid. Use kernel, udev or none.",
    ],
    [
      ['mount', '--ready-fd', 'x', '/tmp'],
      "option '--ready-fd <fd>' argument 'x' is invalid. Use a descriptor number, 1 or more.",
    ],
    [['umount', '/a', '/b'], "too many arguments for 'umount'. Expected 1 argument but got 2."],
  ];
  for (const [args, message] of cases) {
    const { out, err, code } = await eventfs(...args);
    const help = COMMANDS.includes(args[0]) ? `eventfs ${args[0]} --help` : 'eventfs --help';
    assert.equal([out, err, code], ['', `eventfs: ${message} (try ${help})\n`, 100]);
  }
});

help('says what an argument too many may have been meant for', async () => {
  const refused = async (...args: string[]): Promise<string> => {
    const { out, err, code } = await eventfs(...args);
    assert.equal([out, code], ['', 100]);
    return err;
  };
  for (const command of ['watch', 'wait', 'coldplug'])
    assert.match(
      await refused(command, 'A', '==', 'b'),
      `got 3. (a filter with blanks needs quotes; try eventfs ${command} --help)\n`,
    );
  for (const command of ['status', 'top', 'doctor', 'settle'])
    assert.match(
      await refused(command, '/dev/events'),
      `got 1. (a directory stands behind --mount; try eventfs ${command} --help)\n`,
    );
});

help('refuses an empty path of each option with one line and 100', async () => {
  const mount = ['--config', '--fifodir'];
  const cases = [
    ...mount.map((option) => ['mount', option, '', '/nowhere']),
    ['mount', '/nowhere', '--mount', ''],
    ['watch', '--mount', ''],
    ['watch', '--record='],
    ['emit', '--replay', ''],
    ['exec', '--mount', '', 'true'],
    ['doctor', '--config='],
    ['--mount', '', 'status'],
    ['bridge', '--state', ''],
  ];
  for (const args of cases) {
    const { out, err, code } = await eventfs(...args);
    assert.ok(err.startsWith('eventfs'), args.join(' ') + err);
    assert.match(err, /^eventfs: \w+: --\w+: it is empty \(give a (directory|file|path)\)\n$/, err);
    assert.equal([out, code], ['', 100], args.join(' '));
  }
});

help('shows an argument of any length and bytes in one line that fits a terminal', async () => {
  const uses = (text: string): readonly (readonly string[])[] => [
    [text],
    ['watch', '--count', text],
    ['watch', `--${text}`],
    ['mount', `/nowhere/${text}`],
    ['status', '--mount', `/nowhere/${text}`],
    ['doctor', '--mount', `/nowhere/${text}`],
    ['run', 'A==b', '--', text],
    ['coldplug', `A${text}`],
    ['emit', '--replay', `/nowhere/${text}`],
  ];
  const words = ['x'.repeat(5000), '\x1b[31mred\nline\x07'];
  const check = async (args: readonly string[]): Promise<void> => {
    const { out, err } = await run([EVENTFS, ...args]);
    for (const line of `${out}${err}`.split('\n'))
      // eslint-disable-next-line no-control-regex
      assert.match(line, /^[^\x00-\x1f]{0,1100}$/, args[0]);
    if (args[0] !== 'doctor') assert.is(err.split('\n').length, 2, err);
  };
  await Promise.all(words.flatMap((text) => uses(text).map(check)));
});

help('exits with 100 for wrong usage, also if standard error is a full disk', async () => {
  for (const args of ['bogus', 'watch --bogus', 'emit foo', 'mount a b']) {
    const { code } = await run(['sh', '-c', `${EVENTFS} ${args} 2>/dev/full`]);
    assert.is(code, 100, args);
  }
});

help('names no other command in the error of its own output', async () => {
  for (const args of ['--help', '--version', 'help watch']) {
    const { err, code } = await run(['sh', '-c', `${EVENTFS} ${args} >/dev/full`]);
    assert.equal([err, code], ['eventfs: help: write: No space left on device\n', 111], args);
  }
});

help('runs compare from a clone, and fails with one line without the program', async () => {
  const { out, code } = await eventfs('compare', '--help');
  assert.is(code, 0);
  assert.match(out, /^Usage: eventfs compare \[options\]\n/);
  assert.is((await eventfs('help', 'compare')).out, out);
  for (const option of ['--full', '--designs', '--subscribers', '--bytes', '--out'])
    assert.match(out, new RegExp(`^  ${option} `, 'm'));
  const wrong = await eventfs('compare', '--full', '--subscribers', 'x');
  assert.equal([wrong.out, wrong.code], ['', 100]);
  assert.match(
    wrong.err,
    /^eventfs: option '--subscribers <numbers>' argument 'x' is invalid\.[^\n]*\(try eventfs compare --help\)\n$/,
  );
  const unknown = await eventfs('compare', '--designs', 'bogus');
  assert.equal([unknown.out, unknown.code], ['', 100]);
  assert.match(unknown.err, /^eventfs: compare: there is no design bogus [^\n]*\n$/);
  // The copy holds the product's files only.
  const without = await run([...eventfsForOthers(), 'compare', '--full']);
  assert.equal([without.out, without.code], ['', 1]);
  assert.match(without.err, /^eventfs: compare: [^\n]*a clone of the project[^\n]*\n$/);
});

help.run();
