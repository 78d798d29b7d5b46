/** Where `eventfs mount` mounts, and its message where it cannot. */
import * as assert from 'uvu/assert';
import {
  readdirSync,
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { mount as mountFilesystem, openFuse, unmount } from '#native';
import { mountFuse } from '../../../fs/drivers/common/mount-fuse.js';
import { mountedAt } from '../../../fs/shared/kernel/mountinfo.js';
import { reach, untilAlone } from '../../support/clients/actor.js';
import {
  EVENTFS_NODE,
  isMounted,
  killDaemons,
  mountPoint,
  run,
  startDaemon,
  until,
  hasSaid,
} from '../../support/mount/daemon.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';
import { sideBySide, suite } from '../../support/runner/suite.js';

const Exit = { failed: 1, usage: 100, systemCall: 111 } as const;
const MNT_DETACH = 2;

const alone = suite('eventfs mount');
/** These tests start programs for most of their time, each on a directory of its own. */
const command = sideBySide(alone, 2);
command.after(async () => {
  await killDaemons();
  await untilAlone();
});

command('makes its directory in /dev, which is empty after each boot', async () => {
  const path = `/dev/eventfs-test-${process.pid}`;
  try {
    const daemon = await startDaemon(undefined, path);
    assert.is(reach(`${path}/stream`), 'ok');
    assert.is(await daemon.stop(), 0);
    assert.is(statSync(path).mode & 0o7777, 0o755);
    // A directory that is there stays as it is.
    chmodSync(path, 0o700);
    assert.is(await (await startDaemon(undefined, path)).stop(), 0);
    assert.is(statSync(path).mode & 0o7777, 0o700);
  } finally {
    rmdirSync(path);
  }
});

type Ended = Awaited<ReturnType<typeof run>>;

/** Runs `eventfs mount`, which should fail. */
async function fail(
  args: readonly string[],
  under: readonly string[] = [],
  program: readonly string[] = EVENTFS_NODE,
): Promise<Ended> {
  return run([...under, ...program, 'mount', '--source', 'none', ...args]);
}

/** Asserts one line on stderr, an empty stdout, and the exit code. */
function told(ended: Ended, code: number, line: string | RegExp): void {
  if (typeof line === 'string') assert.is(ended.err, `eventfs: mount: ${line}\n`);
  else assert.match(ended.err, line);
  assert.match(ended.err, /^eventfs: [^\n]+\n$/, 'stderr is one line');
  assert.is(ended.code, code, ended.err);
  assert.is(ended.out, '');
}

// ---- tests that change /dev/fuse for all, or count descriptors

alone('says what to try to a user who may not open /dev/fuse', async () => {
  const path = mountPoint();
  const mode = statSync('/dev/fuse').mode & 0o777;
  try {
    chmodSync('/dev/fuse', 0o600);
    told(
      await fail([path], AS_NOBODY, eventfsForOthers()),
      Exit.systemCall,
      /^eventfs: mount: \/dev\/fuse: Permission denied \(as root: chmod 666 \/dev\/fuse[^)]*\(c 10:229 rwm\)\)\n$/,
    );
  } finally {
    chmodSync('/dev/fuse', mode);
  }
  assert.not(isMounted(path));
});

alone(
  'mounts for the root of a user namespace only; no process outside sees the mount',
  async () => {
    const at = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'own-'));
    const path = join(at, 'events');
    mkdirSync(path);
    chmodSync(at, 0o711);
    const mode = statSync('/dev/fuse').mode & 0o777;
    try {
      chmodSync('/dev/fuse', 0o666);
      const daemon = await startDaemon(undefined, path, {
        under: [...AS_NOBODY, 'unshare', '-rm'],
        eventfs: eventfsForOthers(),
      });
      assert.not(isMounted(path));
      const inside = await run([
        'nsenter',
        '-t',
        `${daemon.pid}`,
        '-U',
        '-m',
        'bash',
        '-c',
        `mkdir ${path}/$$ && ls ${path}/$$ && stat -c %U ${path}/$$; ls -A ${path}`,
      ]);
      assert.match(
        inside.out,
        /^root\n(\d+\n)log\nmatch\npublish\n\1?$|^root\nlog\nmatch\npublish\n\d+\n$/,
        inside.err,
      );
      assert.is(await daemon.stop(), 0);
      assert.is(daemon.log(), '');
    } finally {
      chmodSync('/dev/fuse', mode);
    }
  },
);

alone('leaves no descriptor open if the kernel refuses the mount', async () => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  const refusal = await mountFuse('/nowhere', 'eventfs').then(String, String);
  assert.match(refusal, /\/nowhere: No such file/);
  assert.is(open(), before);
});

// ---- errors

command('refuses a directory that is missing', async () => {
  const path = join(mountPoint(), 'missing');
  told(
    await fail([path]),
    Exit.systemCall,
    `${path}: No such file or directory (try mkdir -p ${path})`,
  );
  assert.not(isMounted(path));
});

command('refuses a path of which a part is missing or not a directory', async () => {
  const at = mountPoint();
  const path = join(at, 'missing/too');
  told(
    await fail([path]),
    Exit.systemCall,
    `${path}: No such file or directory (try mkdir -p ${path})`,
  );
  writeFileSync(join(at, 'file'), '');
  told(
    await fail([join(at, 'file/below')]),
    Exit.systemCall,
    `${join(at, 'file/below')}: Not a directory`,
  );
});

command('refuses a file', async () => {
  const path = join(mountPoint(), 'file');
  writeFileSync(path, '');
  told(await fail([path]), Exit.failed, `${path}: Not a directory (give a directory to mount on)`);
  assert.not(isMounted(path));
});

command('refuses an empty name, and does not take it for the current directory', async () => {
  told(
    await fail(['']),
    Exit.usage,
    "'': No such file or directory (give a directory to mount on)",
  );
});

command(
  'refuses a directory where eventfs is mounted already, and that mount continues',
  async () => {
    const daemon = await startDaemon();
    told(
      await fail([daemon.path]),
      Exit.failed,
      `${daemon.path}: eventfs is mounted here already (try eventfs umount ${daemon.path} first)`,
    );
    assert.is(reach(`${daemon.path}/stream`), 'ok');
    assert.is(await daemon.stop(), 0);
    assert.not(isMounted(daemon.path));
  },
);

command('refuses it through a symbolic link too, and when the daemon does not answer', async () => {
  const daemon = await startDaemon();
  const link = `${daemon.path}.link`;
  symlinkSync(basename(daemon.path), link);
  told(
    await fail([link]),
    Exit.failed,
    `${daemon.path}: eventfs is mounted here already (try eventfs umount ${daemon.path} first)`,
  );
  process.kill(daemon.pid, 'SIGSTOP');
  try {
    told(
      await fail([daemon.path]),
      Exit.failed,
      `${daemon.path}: eventfs is mounted here already (try eventfs umount ${daemon.path} first)`,
    );
  } finally {
    process.kill(daemon.pid, 'SIGCONT');
  }
  assert.is(await daemon.stop(), 0);
  unlinkSync(link);
});

command('refuses a directory where another filesystem is mounted, which stays', async () => {
  const path = mountPoint();
  mountFilesystem('none', path, 'tmpfs', 0, '');
  try {
    writeFileSync(join(path, 'kept'), '');
    told(
      await fail([path]),
      Exit.failed,
      `${path}: tmpfs is mounted here, not eventfs (choose another directory)`,
    );
    assert.is(reach(join(path, 'kept')), 'ok');
  } finally {
    unmount(path, 0);
  }
});

command('leaves the stale mount of another FUSE filesystem alone', async () => {
  const path = mountPoint();
  const fd = openFuse();
  mountFilesystem('other', path, 'fuse.other', 0, `fd=${fd},rootmode=40000,user_id=0,group_id=0`);
  closeSync(fd);
  try {
    assert.is(reach(path), 'ENOTCONN');
    told(
      await fail([path]),
      Exit.failed,
      `${path}: fuse.other is mounted here, not eventfs (choose another directory)`,
    );
    assert.is(mountedAt(path)?.type, 'fuse.other');
  } finally {
    unmount(path, MNT_DETACH);
  }
});

command('refuses to start where /proc shows the processes of another PID namespace', async () => {
  const path = mountPoint();
  const ended = await fail([path], ['unshare', '-pf', '--kill-child']);
  told(
    ended,
    Exit.failed,
    '/proc: it shows another PID namespace than that of this process (try mount -t proc proc /proc)',
  );
  assert.not(isMounted(path));
});

command('refuses a readiness descriptor that is not open, and leaves no mount', async () => {
  const path = mountPoint();
  // Node itself has the second one
  for (const fd of ['77', '10'])
    for (const more of [[], ['--guard']])
      told(
        await fail([path, '--ready-fd', fd, ...more]),
        Exit.systemCall,
        `--ready-fd ${fd}: Bad file descriptor (start the daemon with this descriptor open)`,
      );
  assert.not(isMounted(path));
});

for (const [what, args] of [
  ['an unknown option', ['--bogus']],
  ['an unknown source', ['--source', 'mdev']],
  ['a readiness descriptor that is not a number', ['--ready-fd', 'x']],
  ['a readiness descriptor that is standard input', ['--ready-fd', '0']],
  ['an option without its value', ['--ready-fd']],
  ['two directories', ['/tmp']],
] as const) {
  command(`refuses ${what} with exit code 100`, async () => {
    const path = mountPoint();
    told(await fail([path, ...args]), Exit.usage, /\(try eventfs( mount)? --help\)\n$/);
    assert.not(isMounted(path));
  });
}

// ---- mounts

command('mounts with nosuid, nodev and noexec', async () => {
  const daemon = await startDaemon();
  const line = readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .find((mounted) => mounted.includes(` ${daemon.path} `))!;
  const [, , , , , options] = line.split(' ');
  for (const option of ['rw', 'nosuid', 'nodev', 'noexec'])
    assert.ok(options.split(',').includes(option), line);
  assert.match(line, / - fuse\.eventfs eventfs rw,.*default_permissions,allow_other/);
  assert.is(statSync(daemon.path).mode, 0o41777);
  await daemon.stop();
});

for (const [what, name] of [
  ['blanks', 'two  blanks '],
  ['a newline', 'a\nnewline'],
  ['a tab and a backslash', 'a\tb\\040c'],
  ['letters of all scripts', 'žluťoučký 馬 🐎'],
  ['a dash between blanks', 'a - b - fuse.eventfs'],
  ['a number sign', '#1'],
  ['a leading dash', '-d'],
  ['a comma and quotes', `a,b=c'd"e`],
] as const) {
  command(`recognises its mount on a directory whose name has ${what}`, async () => {
    const path = join(mountPoint(), name);
    mkdirSync(path);
    const daemon = await startDaemon(undefined, path);
    assert.is(mountedAt(path)?.type, 'fuse.eventfs');
    const again = await fail(['--', path]);
    assert.is(again.code, Exit.failed);
    assert.match(again.err, 'is mounted here already');
    await daemon.kill();
    const next = await startDaemon(undefined, path);
    await hasSaid(next, 'detached the mount of a killed daemon');
    assert.equal(await run([...EVENTFS_NODE, 'umount', '--', path]), {
      out: '',
      err: '',
      code: 0,
    });
    assert.is(await next.ended, 0);
    assert.not(isMounted(path));
    rmdirSync(path);
  });
}

command('resolves relative names, doubled and trailing slashes, and symbolic links', async () => {
  const at = mountPoint();
  const path = join(at, 'real');
  mkdirSync(path);
  symlinkSync('real', join(at, 'link'));
  symlinkSync('link', join(at, 'link-to-link'));
  symlinkSync(at, join(at, 'above'));
  for (const name of [
    relative(process.cwd(), path),
    `${dirname(path)}//./real//`,
    join(at, 'link'),
    join(at, 'link-to-link'),
    join(at, 'above/above/link'),
  ]) {
    const daemon = await startDaemon(undefined, name);
    assert.ok(isMounted(path), name);
    await daemon.kill();
    const next = await startDaemon(undefined, name);
    await hasSaid(next, `${path}: detached the mount`);
    assert.is((await run([...EVENTFS_NODE, 'umount', name])).code, 0);
    assert.is(await next.ended, 0);
    assert.not(isMounted(path), name);
  }
});

command('refuses a symbolic link that leads nowhere, or in a circle', async () => {
  const at = mountPoint();
  symlinkSync('nowhere', join(at, 'broken'));
  symlinkSync('circle', join(at, 'circle'));
  told(
    await fail([join(at, 'broken')]),
    Exit.systemCall,
    `${at}/nowhere: No such file or directory (try mkdir -p ${at}/nowhere)`,
  );
  told(
    await fail([join(at, 'circle')]),
    Exit.systemCall,
    /^eventfs: mount: [^\n]*: Too many symbolic links encountered\n$/,
  );
});

command('can mount on a directory again at once', async () => {
  const path = mountPoint();
  for (let round = 0; round < 3; round++) {
    const daemon = await startDaemon(undefined, path);
    assert.is(await daemon.stop(), 0);
    assert.is(daemon.log(), '');
    await until(() => !isMounted(path), 'the mount stayed');
  }
});

command.run();
