/** Tests `eventfs exec` through the C program that replaces Node's start in the usual case. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { isRingOffered } from '../../../fs/shared/kernel/ring-parameter.js';
import { eventText, publish } from '../../support/clients/clients.js';
import { directories, whilePublishing } from '../../support/clients/exec.js';
import { EMIT_HELPER, EVENTFS, run, startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY, commandForOthers } from '../../support/mount/other-user.js';
import { withRing } from '../../support/mount/transport.js';
import { skip } from '../../support/runner/suite.js';

const HELPER = join(dirname(EMIT_HELPER), 'eventfs-exec');

/** Runs the C program. It prints `node` and ends with 9 if it leaves the work to Node. */
const helper = (...args: readonly string[]): ReturnType<typeof run> =>
  run([HELPER, 'sh', '-c', 'echo node; exit 9', 'exec', '--mount', daemon.path, ...args]);

/** Runs bin/eventfs, which starts the C program. */
const exec = (...args: readonly string[]): ReturnType<typeof run> =>
  run([EVENTFS, 'exec', '--mount', daemon.path, ...args]);

const command = mounted('eventfs exec without Node');

command('becomes the command, which owns the directory and sets the exit code', async () => {
  const { out, code } = await helper(
    '--',
    'sh',
    '-c',
    'echo $$ $EVENTS_DIR; ls -A $EVENTS_DIR; exit 7',
  );
  assert.match(out, new RegExp(`^(\\d+) ${daemon.path}/\\1\\n$`));
  assert.is(code, 7);
  assert.equal(directories(), []);
});

command('sets the filter, the label and the start of the queue', async () => {
  publish(daemon.path, eventText('/h', { SEQNUM: 8001, H: 1 }), eventText('/h', { SEQNUM: 8002 }));
  const script = 'cat $EVENTS_DIR/.filter; echo ${EVENTS_DIR##*/}; ls $EVENTS_DIR';
  const args = ['--since', '0', '--filter=H==1', '--label', 'mine', 'sh', '-c', script];
  const { out } = await helper(...args);
  assert.match(out, /^H==1\n\d+\.mine\n8001\n$/);
  const nested = ['--label', 'a', '--', HELPER, 'x', 'y', 'exec', '--mount', daemon.path];
  const twice = await helper(...nested, '--label', 'a', '--', 'sh', '-c', 'echo ${EVENTS_DIR##*/}');
  assert.match(twice.out, /^\d+\.a\.1\n$/);
});

command(
  'never has an event that came before its filter, nor a directory of an earlier attempt',
  async () => {
    const listed = 'ls $EVENTS_DIR; cd ${EVENTS_DIR%/*}; ls -d $$*';
    await whilePublishing(async () => {
      for (let round = 0; round < 40; round++) {
        const { out } = await helper('--filter', 'N==yes', '--', 'sh', '-c', listed);
        assert.match(out, /^(\d+|node)\n$/);
      }
    });
  },
  60_000,
);

command('leaves everything that needs a message to Node, and no directory', async () => {
  for (const args of [
    ['--bogus', '--', 'true'],
    ['--help'],
    [],
    ['--filter', 'A==', '--', 'true'],
    ['--filter', 'A==1, b==2', '--', 'true'],
    ['--label', 'a/b', '--', 'true'],
    ['--since', 'x', '--', 'true'],
    ['--mount', '/nowhere', '--', 'true'],
    ['--mount', '/tmp', '--', 'true'],
    ['--mount', `${daemon.path}/log`, '--', 'true'],
  ]) {
    const { out, code } = await helper(...args);
    assert.equal([out, code], ['node\n', 9], args.join(' '));
    assert.equal(directories(), [], args.join(' '));
  }
  const { err, code } = await exec('--filter', 'A==', '--', 'true');
  assert.is.not(code, 0);
  assert.match(err, /^eventfs: exec: bad filter: column 4: [^\n]*\n$/);
});

command('says that a command is missing or cannot be run, as Node does', async () => {
  for (const [name, expected, why] of [
    ['/nowhere/at-all', 127, 'No such file or directory (check its name and PATH)'],
    ['/etc/passwd', 126, 'Permission denied (it must be an executable file)'],
  ] as const) {
    const { code, err } = await exec('--', name);
    assert.equal([code, err], [expected, `eventfs: exec: ${name}: ${why}\n`]);
  }
});

command('passes on bytes, descriptors and signals', async () => {
  const script = `exec 7</etc/passwd; X=$'\\xff' ${EVENTFS} exec --mount ${daemon.path} -- bash -c 'printf %s "$1$X" | od -An -tx1; grep -E "^Sig(Blk|Ign)" /proc/self/status; ls -l /proc/$$/fd' bash $'\\xe9 -x' | cat`;
  const { out, err } = await run(['bash', '-c', script]);
  const signals = await run(['bash', '-c', 'grep -E "^Sig(Blk|Ign)" /proc/self/status']);
  assert.is(err, '');
  assert.ok(out.startsWith(` e9 20 2d 78 ff\n${signals.out}`), out);
  assert.match(out, / 7 -> \/etc\/passwd\n/);
  assert.not.match(out, /fuse|eventfs-exec/);
});

command('gives up a daemon that does not answer, and leaves the message to Node', async () => {
  process.kill(daemon.pid, 'SIGSTOP');
  try {
    const started = performance.now();
    const { out, code } = await helper('--', 'true');
    assert.equal([out, code], ['node\n', 9]);
    assert.ok(performance.now() - started < 5000);
  } finally {
    process.kill(daemon.pid, 'SIGCONT');
  }
  await until(() => directories().length === 0, 'a directory is left');
});

/** By io_uring the child of the helper that has asked a stopped daemon can't be killed. */
command('keeps no descriptor of the caller open while a daemon does not answer', async () => {
  if (isRingOffered() === undefined) skip('this kernel has no FUSE over io_uring');
  const options = ['--source', 'none', '--transport', 'io-uring'];
  const stopped = await withRing(() => startDaemon(options));
  process.kill(stopped.pid, 'SIGSTOP');
  try {
    const args = [HELPER, 'sh', '-c', '', 'exec', '--mount', stopped.path, '--', 'true'];
    const { code } = await run(['bash', '-c', 'exec 9>&1 >/dev/null; "$@"', 'bash', ...args], {
      timeoutMs: 8000,
    });
    assert.is(code, 0);
  } finally {
    process.kill(stopped.pid, 'SIGCONT');
  }
  await stopped.stop();
});

command('works for a user without privileges', async () => {
  const { out, code } = await run([
    ...AS_NOBODY,
    commandForOthers(),
    'exec',
    '--mount',
    daemon.path,
    '--',
    'sh',
    '-c',
    'stat -c %u.%a $EVENTS_DIR; cat /proc/$$/comm',
  ]);
  assert.equal([code, out], [0, '65534.700\nsh\n']);
});

command('is what bin/eventfs starts', () => {
  assert.match(readFileSync(EVENTFS, 'utf8'), 'exec "$programs/eventfs-exec"');
});

command.run();
