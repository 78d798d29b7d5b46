/**
 * Tests `eventfs coldplug`: it makes the kernel send `add` again for the devices that are there.
 */
import * as assert from 'uvu/assert';
import { readFileSync, realpathSync } from 'node:fs';
import { Reader } from '../../support/clients/clients.js';
import { eventfs } from '../../support/mount/command.js';
import { EVENTFS_NODE, EVENTFS_SCRIPT, run } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';

const NULL_DEVICE = '/devices/virtual/mem/null';

const command = mounted('eventfs coldplug', ['--source', 'kernel']);

command('makes the kernel send an event for each device that matches', async () => {
  const reader = await Reader.on(`${daemon.path}/match/SUBSYSTEM==mem,ACTION==add`);
  const { code, out, err } = await eventfs(['coldplug', 'SUBSYSTEM==mem, DEVNAME==null|zero']);
  assert.equal([code, out, err], [0, '', 'eventfs: coldplug: triggered 2 of 2 devices\n']);
  const records = await reader.has(2, 20_000);
  for (const name of ['null', 'zero'])
    assert.ok(records.some((record) => record.startsWith(`add@/devices/virtual/mem/${name}\n`)));
  await reader.kill();
});

command('puts its UUID and its arguments into the events that it causes', async () => {
  const uuid = '8b0f2f0a-7d1c-4d0e-9b52-1c6c5a1f0e77';
  const reader = await Reader.on(`${daemon.path}/match/SYNTH_UUID==${uuid}`);
  const { code } = await eventfs([
    'coldplug',
    '--action',
    'change',
    '--synth-uuid',
    uuid,
    '--synth-arg',
    'FOR=me',
    '--synth-arg',
    'N=2',
    'DEVNAME==null',
  ]);
  assert.is(code, 0);
  const [record] = await reader.has(1, 20_000);
  assert.match(record, /^change@\/devices\/virtual\/mem\/null\n/);
  for (const line of [`SYNTH_UUID=${uuid}`, 'SYNTH_ARG_FOR=me', 'SYNTH_ARG_N=2'])
    assert.ok(record.split('\n').includes(line), line);
  await reader.kill();
});

command('only prints with --dry-run: each device once, parents before children', async () => {
  const before = readFileSync('/sys/class/mem/null/uevent', 'latin1');
  const { code, out } = await eventfs(['coldplug', '--dry-run']);
  assert.is(code, 0);
  const paths = out.trim().split('\n');
  assert.is(new Set(paths).size, paths.length);
  assert.ok(paths.includes(`/sys${NULL_DEVICE}`));
  paths.forEach((path, i) => {
    assert.is(realpathSync(path), path);
    assert.not.ok(
      paths.slice(0, i).some((earlier) => earlier.startsWith(`${path}/`)),
      `${path} comes after a child`,
    );
  });
  assert.is(readFileSync('/sys/class/mem/null/uevent', 'latin1'), before);
});

command('finds drivers and buses with --subsystems', async () => {
  const { out } = await eventfs(['coldplug', '--dry-run', '--subsystems', 'SUBSYSTEM==drivers']);
  assert.match(out, /^\/sys\/bus\/[^/]+\/drivers\/[^/]+$/m);
  assert.not.match(out, /^\/sys\/bus\/[^/]+$/m);
  const buses = await eventfs(['coldplug', '--dry-run', '--subsystems', 'SUBSYSTEM==bus']);
  assert.match(buses.out, /^(\/sys\/bus\/[^/]+\n)+$/);
  assert.is((await eventfs(['coldplug', '--dry-run', 'SUBSYSTEM==drivers'])).out, '');
});

command('finds the same devices as udevadm trigger', async () => {
  // udevadm does nothing in a chroot without SYSTEMD_IGNORE_CHROOT.
  const theirs = await run(
    ['udevadm', 'trigger', '--dry-run', '--verbose', '--subsystem-match=mem'],
    { env: { ...process.env, SYSTEMD_IGNORE_CHROOT: '1' } },
  );
  const ours = await eventfs(['coldplug', '--dry-run', 'SUBSYSTEM==mem']);
  assert.ok(theirs.out.includes(NULL_DEVICE));
  assert.equal(ours.out.trim().split('\n').sort(), theirs.out.trim().split('\n').sort());
});

command(
  'fails with 111 and one line for a user who is not root, and for a read-only /sys',
  async () => {
    const nobody = await run([...AS_NOBODY, ...eventfsForOthers(), 'coldplug', 'DEVNAME==null']);
    assert.equal(
      [nobody.code, nobody.err],
      [
        111,
        `eventfs: coldplug: /sys${NULL_DEVICE}/uevent: Permission denied (only root may trigger events: try as root)\n`,
      ],
    );
    const { code, err } = await run([
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -o remount,bind,ro /sys && exec "$@"',
      'sh',
      ...EVENTFS_NODE,
      'coldplug',
      'DEVNAME==null',
    ]);
    assert.is(code, 111);
    assert.match(
      err,
      /^eventfs: coldplug: \S+: Read-only file system \(try mount -o remount,rw \/sys; in a container try outside of it\)\n$/i,
    );
  },
);

/** Runs eventfs in a mount namespace of its own, after the shell commands of `prepare`. */
const prepared = (prepare: string, ...args: readonly string[]): ReturnType<typeof run> =>
  run(['unshare', '--mount', 'sh', '-ec', `${prepare}; exec "$@"`, 'sh', ...EVENTFS_NODE, ...args]);

command('fails if /sys is not mounted, as wait --existing does', async () => {
  const hint =
    '/sys: sysfs is not mounted here, so no device can be found (try mount -t sysfs sysfs /sys)\n';
  for (const args of [
    ['coldplug'],
    ['coldplug', '--dry-run'],
    ['coldplug', '--subsystems', 'SUBSYSTEM==drivers'],
    ['wait', '--mount', daemon.path, '--existing', 'DEVNAME==null', '--timeout', '5'],
  ]) {
    const { code, out, err } = await prepared('mount -t tmpfs none /sys', ...args);
    assert.equal([code, out, err], [1, '', `eventfs: ${args[0]}: ${hint}`]);
  }
});

/** Shell commands that mount a /sys of four devices, `d1` to `d4`, with empty files `uevent`. */
const OWN_SYS =
  'mount -t tmpfs none /sys; mkdir -p /sys/devices /sys/class/c; for d in d1 d2 d3 d4; do mkdir /sys/devices/$d; : > /sys/devices/$d/uevent; ln -s /sys/devices/$d /sys/class/c/$d; done';

command(
  'goes on after a device that is gone or refuses, and fails with the number of refusals',
  async () => {
    const written = 'grep -c add /sys/devices/d*/uevent';
    const script = `${OWN_SYS}; mount -t tmpfs -o size=4k none /sys/devices/d2; cd /sys/devices/d2; : > uevent; head -c 4096 /dev/zero > full; set +e; "$@"; echo $?; ${written}`;
    const { out, err } = await run([
      'unshare',
      '--mount',
      'sh',
      '-ec',
      script,
      'sh',
      ...EVENTFS_NODE,
      'coldplug',
    ]);
    assert.equal(err.toLowerCase().split('\n'), [
      'eventfs: coldplug: /sys/devices/d2: no space left on device',
      'eventfs: coldplug: triggered 3 of 4 devices',
      'eventfs: coldplug: 1 devices rejected the write (the lines above have the reasons)',
      '',
    ]);
    assert.match(
      out,
      /^1\n\/sys\/devices\/d1\/uevent:1\n\/sys\/devices\/d2\/uevent:0\n\/sys\/devices\/d3\/uevent:1\n\/sys\/devices\/d4\/uevent:1\n$/,
    );
    const gone = await prepared(
      `${OWN_SYS}; rm /sys/devices/d1/uevent; rm -r /sys/devices/d4`,
      'coldplug',
    );
    assert.equal([gone.code, gone.err], [0, 'eventfs: coldplug: triggered 2 of 2 devices\n']);
  },
);

command('ends at the first device if the kernel does not understand the action', async () => {
  // oom_score_adj(5) refuses a text that is no number with EINVAL.
  const { code, err } = await prepared(
    `${OWN_SYS}; mount --bind /proc/1/oom_score_adj /sys/devices/d1/uevent`,
    'coldplug',
  );
  assert.equal(
    [code, err.toLowerCase()],
    [
      111,
      "eventfs: coldplug: /sys/devices/d1/uevent: invalid argument (the kernel rejects 'add': check --action and --synth-arg)\n",
    ],
  );
});

command('shows its progress on a terminal', async () => {
  const { out } = await run([
    'script',
    '-qec',
    `${process.execPath} ${EVENTFS_SCRIPT} coldplug SUBSYSTEM==mem`,
    '/dev/null',
  ]);
  assert.match(out, /\d+\/\d+ \/sys\/devices\/virtual\/mem\//);
});

command(
  'refuses an action, a UUID and arguments that the kernel would not understand',
  async () => {
    for (const args of [
      ['--action', 'frobnicate'],
      ['--synth-uuid', 'x'],
      ['--synth-arg', 'a-b=1'],
      ['--synth-arg', 'a'],
    ]) {
      const { code, err } = await eventfs(['coldplug', ...args]);
      assert.is(code, 100, args.join(' '));
      assert.match(err, /^eventfs: option [^\n]* is invalid[^\n]*\n$/);
    }
    assert.equal(
      (await eventfs(['coldplug', '--synth-arg', 'A=1', '--dry-run'])).err,
      'eventfs: coldplug: --synth-arg needs --synth-uuid (uuidgen prints one)\n',
    );
  },
);

command('warns of a key in lower case, which matches nothing', async () => {
  const { out, err, code } = await eventfs(['coldplug', 'subsystem==mem', '--dry-run']);
  assert.equal([out, code], ['', 0]);
  assert.match(err, /^eventfs: coldplug: the filter's key subsystem is in lower case, /);
});

command.run();
