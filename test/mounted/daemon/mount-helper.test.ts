/** Tests `eventfs SOURCE DIR -o OPTIONS`, as mount(8), fstab and systemd's mount units call it. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { statusOf } from '../../support/clients/clients.js';
import { EVENTFS, isMounted, mountPoint, run, until, within } from '../../support/mount/daemon.js';
import { Background } from '../../support/mount/command.js';
import { statOf, isDead, childrenOf, exists, descriptors } from '../../support/processes.js';
import { sideBySide, suite } from '../../support/runner/suite.js';

const daemons = new Set<number>();

/** These tests start programs for most of their time, each for a mount of its own. */
const helper = sideBySide(suite('eventfs SOURCE DIR -o OPTIONS'), 2);
helper.after(async () => {
  await Background.killAll();
  // These daemons have sessions of their own, so the runner does not see them.
  for (const pid of daemons) if (exists(pid)) process.kill(pid, 'SIGTERM');
});

/** Makes a directory for files, which other users may read. @returns its path */
function scratch(): string {
  const path = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'helper-'));
  chmodSync(path, 0o755);
  return path;
}

const eventfs = (...args: readonly string[]): ReturnType<typeof run> => run([EVENTFS, ...args]);

/** Returns the PID of a mount's daemon. */
function daemonAt(path: string): number {
  const pid = Number(statusOf(`${path}/log`).DAEMON);
  daemons.add(pid);
  return pid;
}

async function untilEnded(pid: number): Promise<void> {
  await until(() => isDead(pid), 'the daemon did not end', 10_000);
}

helper(
  'returns once it is mounted; its daemon has a session of its own and no file of the caller',
  async () => {
    const path = mountPoint();
    const options =
      'rw,nosuid,nodev,source=none,sticky=kept:1733,list_links,busy-poll=0,nofail,_netdev,noauto,user,x-systemd.automount,defaults';
    // `run` ends only when no process has its pipes open.
    const call = [EVENTFS, 'my source', path, '-o', options, '-oexec,noatime', '-n', '-v'];
    const env = { ...process.env, NOTIFY_SOCKET: '/nowhere' };
    assert.equal(await run(call, { env }), { out: '', err: '', code: 0 });
    const pid = daemonAt(path);
    // systemd expects its messages from the caller, which may say READY=1 later.
    assert.not.match(readFileSync(`/proc/${pid}/environ`, 'latin1'), 'NOTIFY_SOCKET');
    assert.is(statSync(join(path, 'kept')).mode & 0o7777, 0o1733);
    const line = readFileSync('/proc/self/mountinfo', 'latin1')
      .split('\n')
      .find((mounted) => mounted.includes(` ${path} `))!;
    assert.match(line, ' - fuse.eventfs my\\040source ');
    const { group, session, terminal } = statOf(pid)!;
    assert.equal([group, session, terminal], [pid, pid, 0]);
    assert.is(descriptors(pid, new RegExp(`^(${process.cwd()}|/dev/pts|/dev/tty)`)).length, 0);
    assert.is((await run(['umount', path])).code, 0);
    await untilEnded(pid);
  },
);

helper(
  'prints errors on standard error, with the exit codes of eventfs mount',
  async () => {
    const path = mountPoint();
    const cases: readonly (readonly [readonly string[], RegExp, number])[] = [
      [[path, '-o', 'bogus=1'], /^eventfs: mount: unknown option 'bogus=1' \(.*\)\n$/, 100],
      [[path, '-o', 'ready_fd=3'], /unknown option 'ready_fd=3'/, 100],
      [[path, '-o', 'source'], /^eventfs: mount: source: a value is missing/, 100],
      [
        [path, '-o', 'udev=1'],
        /^eventfs: mount: udev: the option takes no value \(write udev alone\)\n$/,
        100,
      ],
      [[path, '-o', 'source=mdev'], /argument 'mdev' is invalid/, 100],
      [[path, '-o', 'ro'], /^eventfs: mount: ro: eventfs can not be mounted read-only/, 100],
      [[path, '-o', 'config=eventfs.toml'], /the path must begin with \//, 100],
      [[path, '-o'], /^eventfs: mount: option '-o' argument missing\n$/, 100],
      [[path, '-f', 'more'], /^eventfs: mount: 3 arguments/, 100],
      [[path, '-o', 'rw', '--bogus'], /unknown option '--bogus'/, 100],
      [
        [join(path, 'missing'), '-o', 'source=none'],
        /missing: No such file or directory \(try mkdir -p .*\)\n$/,
        111,
      ],
      [
        ['/proc', '-o', 'source=none'],
        /^eventfs: mount: \/proc: proc is mounted here, not eventfs/,
        1,
      ],
      [
        [path, '-o', 'source=none,config=/nowhere/eventfs.toml'],
        /^eventfs: mount: \/nowhere\/eventfs.toml: No such file/,
        111,
      ],
      [[path, '-o', 'remount,source=none'], /eventfs is not mounted here/, 102],
    ];
    for (const [args, message, code] of cases) {
      const ended = await eventfs('none', ...args);
      assert.match(ended.err, message, args.join(' '));
      assert.equal([ended.out, ended.code], ['', code], args.join(' '));
      assert.not(isMounted(path));
    }
    assert.is((await eventfs('none', path, '-s', '-o', 'bogus=1,source=none')).code, 0, 'sloppy');
    const again = await eventfs('none', path, '-o', 'source=none');
    assert.equal(
      [again.code, again.err],
      [
        1,
        `eventfs: mount: ${path}: eventfs is mounted here already (try eventfs umount ${path} first)\n`,
      ],
    );
    const pid = daemonAt(path);
    assert.is((await eventfs('umount', path)).code, 0);
    await untilEnded(pid);
  },
  120_000,
);

helper('passes on the messages of a start that succeeds', async () => {
  const path = mountPoint();
  await eventfs('none', path, '-o', 'source=none');
  const killed = daemonAt(path);
  process.kill(killed, 'SIGKILL');
  await untilEnded(killed);
  const { err, code } = await eventfs('none', path, '-o', 'source=none');
  assert.equal(
    [err, code],
    [`eventfs: mount: ${path}: detached the mount of a killed daemon\n`, 0],
  );
  const pid = daemonAt(path);
  assert.is((await eventfs('umount', path)).code, 0);
  await untilEnded(pid);
});

helper('stays in the foreground with -f, until SIGTERM', async () => {
  const path = mountPoint();
  const daemon = new Background(['none', path, '-f', '-o', 'rw,source=none']);
  await until(() => isMounted(path) && exists(daemon.pid), 'it is not mounted', 10_000);
  assert.is(
    await until(() => statusOf(`${path}/log`).DAEMON, 'the daemon does not serve'),
    String(daemon.pid),
  );
  assert.is(await daemon.stop(), 0);
  assert.not(isMounted(path));
});

helper(
  'makes the daemon read its configuration again on remount, and refuses other changes',
  async () => {
    const path = mountPoint();
    const config = join(scratch(), 'eventfs.toml');
    writeFileSync(config, '[limits]\ndirectories = 10\n');
    const options = `source=none,sticky=kept,config=${config}`;
    assert.is((await eventfs('none', path, '-o', options)).code, 0);
    const pid = daemonAt(path);
    const most = (): string => statusOf(`${path}/log`).MOST_DIRECTORIES;
    assert.is(most(), '10');
    writeFileSync(config, '[limits]\ndirectories = 20\n');
    const remount = (more: string): ReturnType<typeof run> =>
      eventfs(
        'none',
        path,
        '-o',
        `rw,remount,user_id=0,group_id=0,default_permissions,allow_other${more}`,
      );
    assert.equal(await remount(`,${options}`), { out: '', err: '', code: 0 });
    await until(() => most() === '20', 'the daemon did not read the configuration again');
    for (const [more, name] of [
      [',sticky=other', 'sticky'],
      [',list_links', 'list-links'],
      [',source=kernel', 'source'],
    ]) {
      const refused = await remount(more);
      assert.equal(refused, {
        out: '',
        err: `eventfs: mount: ${path}: a remount can not change ${name} (try umount, then mount)\n`,
        code: 1,
      });
    }
    writeFileSync(config, '[limits]\ndirectories = = 30\n');
    const broken = await remount('');
    assert.equal([broken.code, broken.out], [100, '']);
    assert.match(broken.err, /eventfs\.toml\b.*\b2\b/);
    assert.is(most(), '20');
    assert.is((await eventfs('umount', path)).code, 0);
    await untilEnded(pid);
  },
);

// ---- the real mount(8), in a mount namespace of its own

/** Mounts a tmpfs on the scratch directory $1, with a copy of /sbin to which files can be added. */
const PRELUDE = `
  tmp=$1; sbin=$(readlink -f /sbin)
  mount -t tmpfs none $tmp; mkdir $tmp/sbin $tmp/orig $tmp/m
  mount --bind $sbin $tmp/orig; ln -s $tmp/orig/* $tmp/sbin/
  rm -f $tmp/sbin/mount.fuse.eventfs
`;
const AS_MOUNT_HELPER = `${PRELUDE} ln -s ${EVENTFS} $tmp/sbin/mount.fuse.eventfs; mount --bind $tmp/sbin $sbin;`;
/**
 * libfuse's helper for all types fuse.NAME runs NAME by the shell's default PATH: mount(8) sets no
 * other.
 */
const BY_LIBFUSE = `${PRELUDE} ln -s ${EVENTFS} $tmp/sbin/eventfs; mount --bind $tmp/sbin $sbin;`;

async function inNamespace(script: string): ReturnType<typeof run> {
  const at = scratch();
  return run(['unshare', '--mount', 'sh', '-euc', script, 'sh', at], { timeoutMs: 60_000 });
}

for (const [how, prelude] of [
  ['as /sbin/mount.fuse.eventfs', AS_MOUNT_HELPER],
  ["by libfuse's mount.fuse", BY_LIBFUSE],
] as const) {
  helper(
    `is run by mount(8) ${how}: fstab, mount -a, remount, umount`,
    async () => {
      const { out, err, code } = await inNamespace(`${prelude}
      printf '[limits]\\ndirectories = 10\\n' > $tmp/eventfs.toml
      echo "none $tmp/m fuse.eventfs noauto,nofail,x-systemd.requires=x,source=none,sticky=kept:1733,config=$tmp/eventfs.toml 0 0" > $tmp/fstab
      mount --bind $tmp/fstab /etc/fstab
      mount $tmp/m
      stat -c '%a' $tmp/m/kept
      sed -i s/noauto,// $tmp/fstab; cat $tmp/fstab > /etc/fstab
      mount -a -t fuse.eventfs
      grep -c " $tmp/m fuse.eventfs " /proc/self/mounts
      pid=$(sed -n s/^DAEMON=//p $tmp/m/log/.status)
      printf '[limits]\\ndirectories = 20\\n' > $tmp/eventfs.toml
      mount -o remount $tmp/m
      for i in $(seq 50); do grep -qx MOST_DIRECTORIES=20 $tmp/m/log/.status && break; sleep .1; done
      grep MOST_DIRECTORIES $tmp/m/log/.status
      mount -o remount,sticky=other $tmp/m && echo changed || echo refused
      umount $tmp/m
      for i in $(seq 50); do [ -e /proc/$pid ] || break; sleep .1; done
      [ -e /proc/$pid ] && echo "$pid is left" || echo gone`);
      assert.is(out, '1733\n1\nMOST_DIRECTORIES=20\nrefused\ngone\n', err);
      assert.match(err, 'a remount can not change sticky');
      assert.is(code, 0);
    },
    60_000,
  );
}

helper(
  'is run by mount(8) with -f, which mounts nothing, and with a wrong option, which fails',
  async () => {
    const { out, err } = await inNamespace(`${AS_MOUNT_HELPER}
    mount -f -t fuse.eventfs none $tmp/m; echo "fake $?"; grep -c " $tmp/m fuse.eventfs " /proc/self/mounts || true
    mount -t fuse.eventfs none $tmp/m -o bogus && echo mounted || echo "failed $?"`);
    assert.is(out, 'fake 0\n0\nfailed 100\n');
    assert.match(err, "eventfs: mount: unknown option 'bogus'");
  },
);

helper("sends the daemon's later messages to /dev/log, and works without /dev/log", async () => {
  const { out, err } = await inNamespace(`${PRELUDE}
    mkdir $tmp/dev; cp -a /dev/fuse /dev/null /dev/urandom $tmp/dev/; mount --bind $tmp/dev /dev
    ${EVENTFS} none $tmp/m -o source=none
    pid=$(sed -n s/^DAEMON=//p $tmp/m/log/.status)
    kill -HUP $pid
    python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(10)
s.bind("/dev/log")
os.kill(int(sys.argv[1]), 1)
print(s.recv(4096).decode())' $pid
    ${EVENTFS} umount $tmp/m`);
  assert.match(
    out,
    /^<28>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d eventfs\[\d+\]: \/etc\/eventfs\.toml: No such file or directory \(the old settings stay\)\n$/,
    err,
  );
});

helper('tells /dev/log of deaths under a guardian, and why the guardian ends', async () => {
  const { out, err } = await inNamespace(`${PRELUDE}
    mkdir $tmp/dev; cp -a /dev/fuse /dev/null /dev/urandom $tmp/dev/; mount --bind $tmp/dev /dev
    ${EVENTFS} none $tmp/m -o source=none,guard,guard_limit=2:100
    python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(10)
s.bind("/dev/log")
for n in range(2):
    status = dict(line.split("=", 1) for line in open(sys.argv[1]).read().splitlines())
    os.kill(int(status["DAEMON"]), 9)
    print(s.recv(4096).decode())' $tmp/m/log/.status`);
  const head = '<%>[A-Z][a-z]{2} [ 123]\\d \\d\\d:\\d\\d:\\d\\d eventfs\\[\\d+\\]: ';
  const lines = [
    `${head.replace('%', '28')}the daemon was killed by signal 9 .* \\(restart 1\\)`,
    `${head.replace('%', '27')}.*/m: the guardian gives up and unmounts: 2 daemons .*`,
  ];
  assert.match(out, new RegExp(`^${lines.join('\n')}\n$`), err);
});

helper('ends its daemon if SIGTERM comes before the daemon is ready', async () => {
  const path = mountPoint();
  const bin = join(scratch(), 'bin');
  mkdirSync(bin);
  // This node delays the start of the daemon, for which mount(8) waits.
  writeFileSync(
    join(bin, 'node'),
    `#!/bin/sh\ncase "$*" in *--ready-fd=3*) sleep 2;; esac\nexec ${process.execPath} "$@"\n`,
    { mode: 0o755 },
  );
  const child = new Background(['none', path, '-o', 'source=none'], {
    ...process.env,
    PATH: `${bin}:${process.env.PATH}`,
  });
  await until(() => childrenOf(child.pid).length > 0, 'no daemon has started', 10_000);
  await within(20_000, child.stop('SIGTERM'), 'the helper did not end');
  await until(
    async () => (await run(['pgrep', '-f', path])).code === 1,
    'a daemon is left',
    10_000,
  );
  assert.not(isMounted(path));
});

helper.run();
