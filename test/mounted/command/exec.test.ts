/** Tests `eventfs exec`: it runs a command that owns a process directory. */
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { eventText, publish } from '../../support/clients/clients.js';
import { directories, whilePublishing } from '../../support/clients/exec.js';
import { Background, eventfs } from '../../support/mount/command.js';
import { EVENTFS_NODE, EVENTFS_SCRIPT, run, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';

const exec = (
  args: readonly string[],
  options?: Parameters<typeof eventfs>[1],
): ReturnType<typeof eventfs> => eventfs(['exec', '--mount', daemon.path, ...args], options);

const command = mounted('eventfs exec');
command.after(() => Background.killAll());

command(
  'becomes the command, which keeps the PID, owns the directory and sets the exit code',
  async () => {
    const child = new Background([
      'exec',
      '--mount',
      daemon.path,
      '--',
      'sh',
      '-c',
      'echo $$ $EVENTS_DIR; exec sleep 1000',
    ]);
    await child.prints(/\n/);
    assert.is(child.out, `${child.pid} ${daemon.path}/${child.pid}\n`);
    assert.equal(directories(), [String(child.pid)]);
    await child.stop('SIGKILL');
    assert.equal(directories(), []);
    const { code, err } = await exec(['--', 'sh', '-c', 'exit 7']);
    assert.equal([code, err], [7, '']);
  },
);

command('queues only the events of the filter', async () => {
  const child = new Background([
    'exec',
    '--mount',
    daemon.path,
    '--filter',
    'N==1|3',
    '--',
    'sh',
    '-c',
    'echo ready; read -r _ < $EVENTS_DIR/.stream; cat $EVENTS_DIR/.filter; exec sleep 1000',
  ]);
  await child.prints(/ready/);
  publish(daemon.path, ...[1, 2, 3, 4].map((n) => eventText('/x', { N: n })));
  await child.prints(/N==1\|3/);
  // The shell's `read` took the first.
  assert.is(readdirSync(`${daemon.path}/${child.pid}`).length, 1);
  await child.stop('SIGKILL');
});

command(
  'drops the events that came before its filter was set',
  async () => {
    await whilePublishing(async () => {
      for (let round = 0; round < 6; round++) {
        const { out, code } = await exec([
          '--filter',
          'N==yes',
          '--',
          'sh',
          '-c',
          'ls $EVENTS_DIR',
        ]);
        assert.equal([code, out], [0, '']);
      }
    });
  },
  60_000,
);

command('replays kept events with --since', async () => {
  publish(
    daemon.path,
    eventText('/since', { SEQNUM: 7001, S: 0 }),
    eventText('/since', { SEQNUM: 7002, S: 1 }),
    eventText('/since', { SEQNUM: 7003, S: 0 }),
  );
  const { out } = await exec([
    '--since',
    '0',
    '--filter',
    'S==1',
    '--',
    'sh',
    '-c',
    'ls $EVENTS_DIR',
  ]);
  assert.is(out, '7002\n');
});

command('names the directory by its label, and adds a number if the name is taken', async () => {
  const { out } = await exec([
    '--label',
    'mine',
    '--',
    ...EVENTFS_NODE,
    'exec',
    '--label',
    'mine',
    '--mount',
    daemon.path,
    '--',
    'sh',
    '-c',
    'echo ${EVENTS_DIR##*/}; grep -zc ^EVENTS_DIR= /proc/$$/environ; ls $EVENTS_DIR/..',
  ]);
  const [name, variables, ...others] = out.split('\n');
  assert.is(variables, '1');
  assert.match(name, /^\d+\.mine\.1$/);
  assert.ok(others.includes(name.slice(0, -2)));
});

command(
  'passes on arguments, environment and descriptors unchanged, and no descriptor of its own',
  async () => {
    const script = `exec 7</etc/passwd; X=$'\\xff' ${process.execPath} ${EVENTFS_SCRIPT} exec --mount ${daemon.path} -- bash -c 'printf %s "$1$X" | od -An -tx1; ls -l /proc/$$/fd' bash $'\\xe9 -x --mount' 9>&1 | cat`;
    const { out, err } = await run(['bash', '-c', script]);
    assert.is(err, '');
    assert.match(out, /^ e9 20 2d 78 20 2d 2d 6d 6f 75 6e 74 ff\n/);
    assert.match(out, / 7 -> \/etc\/passwd\n/);
    assert.match(out, / 9 -> pipe:/);
    assert.not.match(out, /anon_inode/);
  },
);

command('starts the command with no signal blocked, and ignores no signal', async () => {
  const { out } = await exec(['--', 'grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status']);
  // The C library ignores the signal of the 8.
  assert.match(out, /^SigBlk:\t0{16}\nSigIgn:\t0{8}[08]0{7}\n$/);
});

command(
  'exits with 127 for a missing command, and with 126 for a command that cannot be run',
  async () => {
    const cases: readonly (readonly [string, number, string])[] = [
      ['/nowhere/at-all', 127, 'No such file or directory (check its name and PATH)'],
      ['no-such-command-at-all', 127, 'No such file or directory (check its name and PATH)'],
      ['/etc/passwd', 126, 'Permission denied (it must be an executable file)'],
      ['/', 126, 'Permission denied (it must be an executable file)'],
    ];
    for (const [name, expected, why] of cases) {
      const { code, err } = await exec(['--', name]);
      assert.equal([code, err], [expected, `eventfs: exec: ${name}: ${why}\n`]);
    }
    assert.equal(directories(), []);
  },
);

command('refuses wrong arguments before it makes a directory', async () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [
      ['--filter', 'A==', '--', 'true'],
      100,
      /^eventfs: exec: bad filter: column 4: expected [^\n]*\n$/,
    ],
    [
      ['--label', 'a/b', '--', 'true'],
      100,
      /^eventfs: exec: --label a\/b: a label can not contain \/\n$/,
    ],
    [
      ['--since', 'x', '--', 'true'],
      100,
      /^eventfs: option '--since <seqnum>' argument 'x' is invalid[^\n]*\n$/,
    ],
    [[], 100, /^eventfs: missing required argument 'COMMAND'[^\n]*\n$/],
  ];
  for (const [args, expected, message] of cases) {
    const { code, err } = await exec(args);
    assert.is(code, expected);
    assert.match(err, message);
  }
});

command('works for a user without privileges', async () => {
  const { out, code } = await run([
    ...AS_NOBODY,
    ...eventfsForOthers(),
    'exec',
    '--mount',
    daemon.path,
    '--',
    'sh',
    '-c',
    'stat -c %u.%a $EVENTS_DIR',
  ]);
  assert.equal([code, out], [0, '65534.700\n']);
});

command('leaves no Node process behind a command that daemonizes', async () => {
  const { out } = await exec(['--', 'sh', '-c', 'cat /proc/$$/comm; sleep 0.01 & echo started']);
  assert.is(out, 'sh\nstarted\n');
  await until(() => directories().length === 0, 'the directory is left');
});

command.run();
