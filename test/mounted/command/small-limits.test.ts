/** Commands on a machine that gives them too little: bounds of ulimit, and no /proc. */
import * as assert from 'uvu/assert';
import { publish } from '../../support/clients/clients.js';
import { EMIT_HELPER, EVENTFS, EVENTFS_NODE, run } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { projectForOthers } from '../../support/mount/other-user.js';

/** A user without other processes: the bound counts all of a user. */
const UID = String(1_000_000 + process.pid);
const AS_LONE_USER = ['setpriv', '--reuid', UID, '--regid', UID, '--clear-groups'];

const command = mounted('a command with too little');

/** Runs a command, which must fail by one line. */
async function refused(words: readonly string[]): Promise<{ err: string; code: number | null }> {
  const { out, err, code } = await run(words);
  assert.is(out, '', words.join(' '));
  assert.match(err, /^eventfs: [^\n]+\n$/, words.join(' '));
  return { err, code };
}

for (const [limit, option, value, least] of [
  ['--nofile=16:16', 'n', 16, 80],
  ['--nofile=64:64', 'n', 64, 80],
  ['--stack=65536', 's', 64, 128],
  [`--as=${300_000 * 1024}`, 'v', 300_000, 800_000],
  [`--data=${60_000 * 1024}`, 'd', 60_000, 120_000],
] as const) {
  command(`says at ${limit} which bound is too small for Node.js`, async () => {
    const mount = ['--mount', daemon.path];
    for (const args of [
      ['--version'],
      ['status', ...mount],
      ['watch', '--count', '1', '--timeout', '1', ...mount],
      ['mount', '--guard', '/mnt'],
    ])
      assert.equal(await refused(['prlimit', limit, EVENTFS, ...args]), {
        err:
          `eventfs: ulimit -${option} is ${value}, and Node.js needs ${least} ` +
          '(raise it with ulimit, or ask root)\n',
        code: 111,
      });
  });
}

command('says to users other than root that Node.js needs more threads', async () => {
  const version = [`${projectForOthers()}/bin/eventfs`, '--version'];
  const [few, root] = await Promise.all([
    refused(['prlimit', '--nproc=8:8', ...AS_LONE_USER, ...version]),
    run(['prlimit', '--nproc=8:8', EVENTFS, '--version']), // does not hold for root
  ]);
  assert.match(few.err, /: ulimit -u is 8, and Node\.js needs 12 \(/);
  assert.is(few.code, 111);
  assert.is(root.code, 0);
});

command('can do all at the least bounds', async () => {
  const limits = [
    'prlimit',
    '--nofile=80:80',
    `--as=${800_000 * 1024}`,
    '--stack=131072',
    '--nproc=12:12',
  ];
  for (const args of [['status'], ['watch', '--count', '1', '--since', '0'], ['doctor']]) {
    publish(daemon.path, 'add@/least\nACTION=add\n');
    const { err, code } = await run([...limits, EVENTFS, ...args, '--mount', daemon.path]);
    assert.equal([err, code], ['', 0], args[0]);
  }
});

command('names ulimit -f if the kernel refuses a write for it', async () => {
  const event = ['ACTION=add', 'DEVPATH=/none', '--mount', daemon.path];
  for (const words of [
    [EMIT_HELPER, ...event],
    [...EVENTFS_NODE, 'emit', ...event],
    [EVENTFS, 'watch', '--since', '0', '--mount', daemon.path],
    [EVENTFS, 'exec', '--filter', 'A==b', '--mount', daemon.path, '--', 'true'],
    [EVENTFS, 'mount', '--guard', '/mnt'],
  ]) {
    const { err, code } = await refused(['prlimit', '--fsize=0', ...words]);
    assert.match(err, /: File too large \(.*\bulimit -f\b.*\)\n$/i, words.join(' '));
    assert.is(code, 111);
  }
});

command('says how to mount /proc where there is none', async () => {
  const bare = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /proc; exec "$@"', 'sh'];
  for (const args of [
    ['status', '--mount', daemon.path],
    ['watch', '--mount', daemon.path],
    ['settle', '--mount', daemon.path],
    ['doctor', '--mount', daemon.path],
    ['mount', '--check', '/mnt'],
    ['mount', '/mnt'],
  ]) {
    const { err, code } = await refused([...bare, EVENTFS, ...args]);
    assert.match(err, /: \/proc.*\((try )?mount -t proc proc \/proc\)\n$/, args[0]);
    assert.not.match(err, /another PID namespace/);
    assert.is(code, args.join(' ') === 'mount /mnt' ? 1 : 111, args[0]);
  }
});

command.run();
