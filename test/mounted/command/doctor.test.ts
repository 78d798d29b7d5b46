/** Tests `eventfs doctor`: each test breaks something that the command must find. */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
  renameSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader, publishNumbered, statusOf } from '../../support/clients/clients.js';
import { eventfs } from '../../support/mount/command.js';
import {
  EVENTFS_NODE,
  PROJECT,
  Shell,
  mountPoint,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';

interface Finding {
  readonly level: 'ok' | 'warn' | 'fail';
  readonly what: string;
  readonly mend?: string;
}

/** Runs doctor under a command that breaks something first. */
async function doctor(
  args: readonly string[],
  under: readonly string[] = [],
  program: readonly string[] = EVENTFS_NODE,
): Promise<{ code: number | null; find: (what: RegExp) => Finding }> {
  const { code, out, err } = await run(
    [...under, ...program, 'doctor', '--json', '--mount', daemon.path, ...args],
    { timeoutMs: 60_000 },
  );
  assert.is(err, '');
  const findings = JSON.parse(Buffer.from(out, 'latin1').toString()) as Finding[];
  const find = (what: RegExp): Finding => {
    const found = findings.find((finding) => what.test(finding.what));
    assert.ok(found, `${String(what)} is not among ${out}`);
    return found;
  };
  return { code, find };
}

/** The words of a shell that runs `commands` in a mount namespace, then the command behind them. */
const inside = (commands: string): string[] => [
  'unshare',
  '--mount',
  'sh',
  '-ec',
  `${commands}; exec "$@"`,
  'sh',
];

const command = mounted('eventfs doctor');

command('finds nothing to mend on a working mount', async () => {
  const { code, find } = await doctor(['--config', '/nowhere/eventfs.toml']);
  assert.is(code, 0);
  for (const what of [
    /addon is built/,
    /^Linux \d/,
    /\/dev\/fuse can be opened/,
    /\/proc shows/,
    /can receive the kernel's events/,
    /\/nowhere\/eventfs.toml does not exist/,
    new RegExp(`served by process ${daemon.pid}$`),
    /^requests (come through io_uring|are read from \/dev\/fuse)/,
    /none lags/,
    /processes own directories, of at most \d+/,
    /\/foo, made by the command mkdir, ends at once/,
  ]) {
    assert.is(find(what).level, 'ok', String(what));
  }
});

command('advises nothing that a mount with a guardian can not have', async () => {
  const guarded = await startDaemon(['--guard', '--source', 'none']);
  const { out } = await eventfs(['doctor', '--mount', guarded.path]);
  assert.match(
    out,
    /^ok {4}requests are read from \/dev\/fuse: a mount that outlives its daemon /m,
  );
  assert.not.match(out, /enable_uring/);
  assert.is(await guarded.stop(), 0);
});

command('prints a line for each finding, and the command that mends it below', async () => {
  const { code, out } = await eventfs(['doctor', '--mount', '/nowhere']);
  assert.is(code, 1);
  assert.match(
    out,
    /^fail {2}\/nowhere: eventfs is not mounted here\n {6}eventfs mount \/nowhere\n/m,
  );
  assert.not.match(out, '\x1b');
});

command('finds a /dev/fuse that is missing or not permitted', async () => {
  const missing = await doctor([], inside('mount -t tmpfs tmpfs /dev; : >/dev/null'));
  assert.equal(
    [missing.code, missing.find(/^\/dev\/fuse: No such file or directory/i).level],
    [1, 'fail'],
  );
  assert.match(missing.find(/^\/dev\/fuse/).mend!, /mknod -m 666 \/dev\/fuse c 10 229/);
  const closed =
    'd=$(mktemp -d); mount -t tmpfs tmpfs $d; : >$d/fuse; chmod 0 $d/fuse; mount --bind $d/fuse /dev/fuse';
  const forbidden = await doctor([], [...inside(closed), ...AS_NOBODY], eventfsForOthers());
  assert.equal(
    [forbidden.code, forbidden.find(/^\/dev\/fuse: Permission denied/i).level],
    [1, 'fail'],
  );
});

command('finds a /proc of another namespace', async () => {
  const { code, find } = await doctor([], ['unshare', '--pid', '--fork']);
  assert.equal(
    [code, find(/^\/proc: it shows another PID namespace/).mend],
    [1, 'mount -t proc proc /proc'],
  );
});

command('finds a broken configuration file, and names the line', async () => {
  const file = join(
    mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'doctor-')),
    'eventfs.toml',
  );
  writeFileSync(file, 'list_links = true\nbad = = 2\n');
  const { code, find } = await doctor(['--config', file]);
  assert.equal([code, find(/eventfs\.toml\b.*\b2\b/).level], [1, 'fail']);
  writeFileSync(file, 'list_links = true\n');
  assert.is((await doctor(['--config', file])).find(/eventfs.toml is valid/).level, 'ok');
});

command(
  'finds a mount whose daemon was killed or is stopped, and a mount of another filesystem',
  async () => {
    const other = await startDaemon();
    other.process.kill('SIGSTOP');
    const stuck = await doctor(['--mount', other.path]);
    assert.equal(
      [stuck.code, stuck.find(/does not answer/).mend],
      [1, `eventfs umount ${other.path}, which aborts the mount; then eventfs mount ${other.path}`],
    );
    other.process.kill('SIGCONT');
    await other.kill();
    const stale = await doctor(['--mount', other.path]);
    assert.equal(
      [stale.code, stale.find(/was killed/).mend],
      [1, `eventfs mount ${other.path} (or eventfs umount ${other.path})`],
    );
    assert.is((await eventfs(['umount', other.path])).code, 0);
    const path = mountPoint();
    const foreign = await doctor(['--mount', path], inside(`mount -t tmpfs tmpfs ${path}`));
    assert.equal([foreign.code, foreign.find(/is not eventfs/).level], [1, 'fail']);
  },
  120_000,
);

command('finds mounts on top of each other', async () => {
  const { code, find } = await doctor([], inside(`mount --bind ${daemon.path} ${daemon.path}`));
  assert.equal(
    [code, find(/2 mounts are stacked here/).mend],
    [0, `umount ${daemon.path}, 1 times`],
  );
});

command('names the processes that do not keep up', async () => {
  const path = await directory();
  const reader = await Reader.on(`${daemon.path}/stream`);
  reader.process.kill('SIGSTOP');
  publishNumbered(daemon.path, 5000);
  await until(() => statusOf(path).LOST === '904', 'the events did not come');
  const { code, find } = await doctor([]);
  assert.equal(
    [
      code,
      find(
        new RegExp(
          `^bash \\(pid ${shell.pid}\\) does not keep up with \\S+: 4096 events wait, 904 were lost$`,
        ),
      ).level,
    ],
    [0, 'warn'],
  );
  assert.is(
    find(new RegExp(`^cat \\(pid ${reader.process.pid}\\) does not keep up with stream: `)).level,
    'warn',
  );
  await reader.kill();
});

command('finds a daemon that is short of descriptors', async () => {
  const other = await startDaemon(undefined, undefined, { under: ['prlimit', '--nofile=96'] });
  const { find } = await doctor(['--mount', other.path]);
  assert.match(
    find(/processes own directories/).what,
    /^0 processes own directories, of at most 96 /,
  );
  await other.stop();
});

// ---- limits

/** Commands that need root. */
const AS_ROOT =
  /^(modprobe|mknod|chmod|mount|umount|echo|sysctl|ulimit|edit|raise|eventfs (u?mount|coldplug))\b/;

async function findings(mount: string, under: readonly string[] = []): Promise<Finding[]> {
  const eventfsThere = under.some((word) => word === '--reuid' || word === '--user')
    ? eventfsForOthers()
    : EVENTFS_NODE;
  const { out } = await run(
    [
      ...under,
      ...eventfsThere,
      'doctor',
      '--json',
      '--mount',
      mount,
      '--config',
      '/nowhere/eventfs.toml',
    ],
    { timeoutMs: 60_000 },
  );
  return JSON.parse(Buffer.from(out, 'latin1').toString()) as Finding[];
}

command(
  'lists each limit that refused something, and names to each user a remedy that he may use',
  async () => {
    const file = join(
      mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'doctor-')),
      'eventfs.toml',
    );
    writeFileSync(file, '[limits]\ndirectories = 6\n[quota.uid.65534]\ndirectories = 2\n');
    const other = await startDaemon(['--source', 'none', '--config', file], undefined, {
      under: ['prlimit', '--nofile=96'],
    });
    assert.is(
      (await findings(other.path)).find(({ what }) => what === 'no limit has refused a request')
        ?.level,
      'ok',
    );
    const user = new Shell([...AS_NOBODY, 'bash']);
    await user.run(`for i in 1 2 3 4; do mkdir ${other.path}/$$.$i; done`);
    const root = new Shell();
    await root.run(`for i in $(seq 9); do mkdir ${other.path}/$$.$i; done`);
    writeFileSync(file, '[limits]\ndirectories = 1000\n[quota.uid.65534]\ndirectories = 2\n');
    other.process.kill('SIGHUP');
    await until(
      () => statusOf(`${other.path}/log`).MOST_DIRECTORIES === '1000',
      'the daemon did not read the configuration again',
    );
    await root.run(
      `for i in $(seq 90); do (mkdir ${other.path}/$BASHPID; sleep 100) & done; sleep 2; grep -q REFUSED_DESCRIPTORS ${other.path}/log/.status`,
      20_000,
    );

    const [toRoot, toUser] = [await findings(other.path), await findings(other.path, AS_NOBODY)];
    const expected: readonly (readonly [RegExp, string, string])[] = [
      [
        /^the limit of a user on directories refused 2 times \(EDQUOT\)$/,
        'raise directories in [quota.uid.default]',
        'end processes that own directories',
      ],
      [
        /^the limit of the whole mount on directories refused 5 times \(ENOSPC\)$/,
        'raise directories in [limits]',
        'end processes that own directories',
      ],
      [
        /^the daemon had no descriptor for a new owner, or for the notifier, \d+ times$/,
        'ulimit -Hn',
        'ask the administrator: ulimit',
      ],
      [
        /^uid 65534 holds 2 of 2 directories$/,
        'raise directories in [quota.uid.65534]',
        'end processes that own directories',
      ],
    ];
    for (const [what, asRoot, asUser] of expected) {
      for (const [found, mend] of [
        [toRoot, asRoot],
        [toUser, asUser],
      ] as const) {
        const finding = found.find((each) => what.test(each.what));
        assert.is(finding?.level, 'warn', `${String(what)} is not among ${JSON.stringify(found)}`);
        assert.ok(finding?.mend?.startsWith(mend), finding?.mend);
      }
    }
    for (const { mend } of toUser) assert.not.match(mend ?? '', AS_ROOT);
    await root.run('kill $(jobs -p); wait');
    await Promise.all([user.kill(), root.kill()]);
    await other.stop();
  },
  120_000,
);

command(
  'finds reads that could not wait, and inotify without its notifier',
  async () => {
    const other = await startDaemon(['--source', 'none', '--driver', 'fuse-native']);
    const readers = await Promise.all(
      Array.from({ length: 8 }, () => Reader.on(`${other.path}/stream`)),
    );
    await until(
      async () =>
        (await run(['timeout', '1', 'cat', `${other.path}/stream`])).err.includes(
          'temporarily unavailable',
        ),
      'no read was refused',
      20_000,
    );
    for (const under of [[], AS_NOBODY]) {
      const found = await findings(other.path, under);
      const reads = found.find(({ what }) => /^\d+ reads could not wait/.test(what));
      assert.equal(
        [reads?.level, reads?.mend],
        ['warn', 'block in fewer reads at once, or wait with poll(2)'],
      );
      assert.is(
        found.find(({ what }) => what.startsWith('inotify: eventfs-notify does not run'))?.level,
        'warn',
      );
      for (const { mend } of under.length > 0 ? found : []) assert.not.match(mend ?? '', AS_ROOT);
    }
    for (const reader of readers) await reader.kill();
    await other.stop();
  },
  60_000,
);

// ---- warnings

command(
  'finds events that were lost on the way from the kernel, and names the reason',
  async () => {
    const other = await startDaemon(['--source', 'kernel'], undefined, {
      under: ['setpriv', '--bounding-set', '-net_admin'],
    });
    other.process.kill('SIGSTOP');
    // The kernel grants twice net.core.rmem_max, and charges more than 512 bytes for each event.
    const count = Number(readFileSync('/proc/sys/net/core/rmem_max', 'latin1')) / 256;
    for (let i = 0; i < count; i++) appendFileSync('/sys/class/mem/null/uevent', 'change');
    other.process.kill('SIGCONT');
    await until(
      () => Number(statusOf(`${other.path}/log`).KERNEL_OVERRUNS) > 0,
      'nothing was lost',
    );
    const found = await findings(other.path);
    assert.match(
      found.find(({ what }) => what.startsWith('the kernel has granted a receive buffer'))?.mend ??
        '',
      'CAP_NET_ADMIN',
    );
    assert.match(
      found.find(({ what }) => /^\d+ events of the kernel were lost in \d+ overruns/.test(what))
        ?.mend ?? '',
      /^eventfs coldplug/,
    );
    await other.stop();
  },
  60_000,
);

const WARNINGS: readonly (readonly [
  string,
  readonly string[],
  Finding['level'],
  RegExp,
  RegExp,
])[] = [
  [
    'a machine without /sys',
    inside('umount -l /sys'),
    'warn',
    /^\/sys is not mounted/,
    /^mount -t sysfs sysfs \/sys$/,
  ],
  [
    'a /sys that is read only',
    inside('mount -o remount,bind,ro /sys'),
    'warn',
    /^\/sys is not writable/,
    /^mount -o remount,rw \/sys$/,
  ],
  [
    'an addon that is no shared library',
    inside(`mount --bind /dev/null ${join(PROJECT, 'build/Release/eventfs.node')}`),
    'fail',
    /^the addon can't be loaded/,
    /^run make all/,
  ],
  [
    "a /proc that hides other users' processes",
    [...inside('mount -t proc -o hidepid=2 proc /proc'), ...AS_NOBODY],
    'warn',
    /^\/proc hides other users' processes \(hidepid=/,
    /^ask the administrator/,
  ],
  [
    'a user namespace',
    ['unshare', '--user', '--map-root-user'],
    'ok',
    /^this process is in a user namespace.*EINVAL/,
    /hostUsers: true/,
  ],
];
for (const [what, under, level, finding, mend] of WARNINGS) {
  command(`finds ${what}`, async () => {
    const found = await findings(daemon.path, under);
    const is = found.find((each) => finding.test(each.what));
    assert.is(is?.level, level, JSON.stringify(found));
    assert.match(is?.mend ?? '', mend);
  });
}

command(
  'names each running device manager once, and a daemon in another PID namespace',
  async () => {
    const folder = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'doctor-'));
    const running = ['mdevd', 'vdevd', 'vdevd'].map((name) => {
      copyFileSync('/bin/sleep', join(folder, `${name}.new`));
      chmodSync(join(folder, `${name}.new`), 0o755);
      // cp(1) onto a running program is ETXTBSY.
      renameSync(join(folder, `${name}.new`), join(folder, name));
      return spawn(join(folder, name), ['100']);
    });
    const managers = (await findings(daemon.path)).flatMap(
      ({ what }) => /^(\w+) \(pid \d+\) is running: /.exec(what)?.[1] ?? [],
    );
    for (const name of ['mdevd', 'vdevd'])
      assert.is(managers.filter((other) => other === name).length, 1, name);
    for (const manager of running) manager.kill();
    const apart = await findings(daemon.path, ['unshare', '--pid', '--fork', '--mount-proc']);
    assert.is(
      apart.find(({ what }) => what.startsWith('the daemon is in another PID namespace'))?.level,
      'ok',
    );
  },
);

command('advises io_uring only where --transport auto would use it', async () => {
  const other = await startDaemon(['--source', 'none', '--transport', 'read']);
  const apart = ['unshare', '--pid', '--fork', '--mount-proc'];
  const { out } = await run([...apart, ...EVENTFS_NODE, 'doctor', '--json', '--mount', other.path]);
  const found = JSON.parse(out) as Finding[];
  assert.equal(
    found.filter(({ what }) => what.startsWith('requests are read')),
    [{ level: 'ok', what: 'requests are read from /dev/fuse' }],
  );
  assert.is(await other.stop(), 0);
});

command.run();
