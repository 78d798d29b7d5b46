/** Tests the netlink outlet of --udev, with udevadm and python3-pyudev of Debian. */
import * as assert from 'uvu/assert';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Apart, refused, sendNetlink, startApart } from '../../support/mount/apart.js';
import { Reader, eventText, killClients, publish } from '../../support/clients/clients.js';
import { makeUevent, run, until } from '../../support/mount/daemon.js';
import { AS_NOBODY_FOR_EVER } from '../../support/mount/other-user.js';
import { skip, suite } from '../../support/runner/suite.js';

/** Returns the text of an event that libudev takes for a device's. */
const deviceText = (
  name: string,
  subsystem: string,
  more: Readonly<Record<string, string>> = {},
): string =>
  eventText(`/devices/virtual/${subsystem}/${name}`, {
    DEVPATH: `/devices/virtual/${subsystem}/${name}`,
    SUBSYSTEM: subsystem,
    ...more,
  });

const udev = suite("an event in libudev's format");
let apart: Apart;

udev.before(async () => {
  apart = await startApart(['--source', 'kernel', '--udev']);
});
udev.after(async () => {
  await killClients();
  await apart.stop();
});

/** A running `udevadm monitor` and its output without the probes. */
class Monitor {
  readonly #reader: Reader;

  constructor(args: readonly string[], command = ['udevadm', 'monitor', '--udev', '--property']) {
    // A Reader appends its path as the last argument.
    this.#reader = new Reader(args.at(-1)!, [...apart.enter, ...command, ...args.slice(0, -1)]);
  }

  /** Publishes probes until the monitor prints one. @param more the properties of its filter */
  async hears(
    subsystem: string,
    more: Readonly<Record<string, string>> = {},
    ms = 30_000,
  ): Promise<this> {
    await until(
      async () => {
        publish(apart.path, deviceText('probe', subsystem, more));
        await sleep(30);
        return this.#reader.text.includes('/probe');
      },
      () => `the monitor prints no probe: ${this.#reader.text}${this.#reader.err}`,
      ms,
    );
    return this;
  }

  /** Resolves once udevadm has printed its first lines. */
  async listens(): Promise<void> {
    await until(
      () => this.#reader.text.includes('UDEV - the event'),
      'udevadm monitor did not begin',
      30_000,
    );
  }

  /** The devices that were printed so far, in order, as `subsystem/name`. */
  get devices(): string[] {
    return [...this.#reader.text.matchAll(/^DEVPATH=\/devices\/virtual\/(\S+)$/gm)]
      .map(([, device]) => device)
      .filter((device) => !device.endsWith('/probe'));
  }

  /** Returns the printed properties of a device, sorted. */
  properties(device: string): string[] {
    const found = this.#reader.text
      .split('\n\n')
      .find((part) => part.includes(`DEVPATH=/devices/virtual/${device}\n`));
    const sortTags = (line: string): string =>
      // libudev keeps tags as a set.
      line.startsWith('TAGS=') ? `TAGS=${line.slice(5).split(':').sort().join(':')}` : line;
    return (found ?? '')
      .split('\n')
      .filter((line) => /^[A-Z_]+=/.test(line))
      .map(sortTags)
      .sort();
  }

  async has(device: string): Promise<void> {
    await until(
      () => this.devices.includes(device) && this.#reader.text.endsWith('\n\n'),
      () => `${device} did not come: ${this.#reader.text}`,
      20_000,
    );
  }
}

udev('is printed by udevadm monitor with all of its properties', async () => {
  const monitor = await new Monitor(['--udev']).hears('mem');
  publish(
    apart.path,
    deviceText('one', 'mem', {
      DEVTYPE: 'thing',
      ID_X: 'a b=c',
      TAGS: ':t1:t2:',
      MAJOR: '1',
      MINOR: '77',
      SEQNUM: '4711',
    }),
  );
  await monitor.has('mem/one');
  assert.equal(monitor.properties('mem/one'), [
    'ACTION=add',
    'DEVPATH=/devices/virtual/mem/one',
    'DEVTYPE=thing',
    'ID_X=a b=c',
    'MAJOR=1',
    'MINOR=77',
    'SEQNUM=4711',
    'SUBSYSTEM=mem',
    'TAGS=::t1:t2',
  ]);
});

udev('is sent for a real device of the kernel too', async () => {
  const monitor = await new Monitor(['--udev']).hears('mem');
  await makeUevent('change');
  await monitor.has('mem/null');
  const properties = monitor.properties('mem/null');
  for (const line of ['DEVNAME=/dev/null', 'MAJOR=1', 'MINOR=3', 'SUBSYSTEM=mem'])
    assert.ok(properties.includes(line), line);
});

udev(
  'passes the socket filter of udevadm for its own subsystem and devtype only',
  async () => {
    // The hash works on words of four bytes: these lengths leave all rests.
    const names = [
      'x',
      'tt',
      'net',
      'hdmi',
      'input',
      'hidraw',
      'backlig',
      'scsi_dev',
      'power_supply',
    ];
    const all = await new Monitor(['--udev']).hears('mem');
    const monitors = await Promise.all(
      names.map((name) => new Monitor([`--subsystem-match=${name}`]).hears(name)),
    );
    const typed = await new Monitor(['--subsystem-match=block/disk']).hears('block', {
      DEVTYPE: 'disk',
    });
    const texts = names.flatMap((name) => [
      deviceText('plain', name),
      deviceText('disk', name, { DEVTYPE: 'disk' }),
    ]);
    publish(
      apart.path,
      ...texts,
      deviceText('part', 'block', { DEVTYPE: 'partition' }),
      deviceText('bare', 'block'),
      deviceText('disk', 'block', { DEVTYPE: 'disk' }),
      deviceText('last', 'mem'),
    );
    for (const [at, name] of names.entries()) await monitors[at].has(`${name}/disk`);
    await typed.has('block/disk');
    await all.has('mem/last');
    for (const [at, name] of names.entries())
      assert.equal(monitors[at].devices, [`${name}/plain`, `${name}/disk`]);
    assert.equal(typed.devices, ['block/disk']);
    // Real devices of this machine may have events too.
    assert.is(
      all.devices.filter((device) => /\/(plain|disk|part|bare)$/.test(device)).length,
      2 * names.length + 3,
    );
  },
  60_000,
);

udev(
  'passes the socket filter of udevadm for its own tags only',
  async () => {
    const tags = ['a', 'seat', 'power-switch', 'systemd', 'uaccess'];
    const monitors = await Promise.all(
      tags.map((tag) => new Monitor([`--tag-match=${tag}`]).hears('mem', { TAGS: `:${tag}:` })),
    );
    publish(
      apart.path,
      deviceText('none', 'mem'),
      deviceText('other', 'mem', { TAGS: ':seatbelt:sea:' }),
      ...tags.map((tag) => deviceText(`only-${tag}`, 'mem', { TAGS: `:first:${tag}:` })),
      deviceText('all', 'mem', { TAGS: `:${tags.join(':')}:` }),
    );
    for (const monitor of monitors) await monitor.has('mem/all');
    for (const [at, tag] of tags.entries())
      assert.equal(monitors[at].devices, [`mem/only-${tag}`, 'mem/all']);
  },
  60_000,
);

/** A program for the Python of Debian, which has python3-pyudev. */
const PYUDEV = `
import pyudev, sys
monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source='udev')
kind, what = sys.argv[1].split('=')
if kind == 'subsystem': monitor.filter_by(*what.split('/'))
if kind == 'tag': monitor.filter_by_tag(what)
monitor.start()
for device in iter(monitor.poll, None):
    for key in device: print(key + '=' + device.get(key))
    print('INITIALIZED=%d' % device.is_initialized, flush=True)
    print(flush=True)
`;
const pyudev = (filter: string): Monitor =>
  new Monitor([filter], ['/usr/bin/python3', '-c', PYUDEV]);

udev(
  'is read by pyudev with all of its properties, with and without a filter',
  async () => {
    if (!existsSync('/usr/lib/python3/dist-packages/pyudev')) skip('pyudev is not installed');
    const all = await pyudev('none=').hears('mem');
    const net = await pyudev('subsystem=net').hears('net');
    const bridges = await pyudev('subsystem=net/bridge').hears('net', { DEVTYPE: 'bridge' });
    const tagged = await pyudev('tag=mine').hears('mem', { TAGS: ':mine:' });
    publish(
      apart.path,
      deviceText('p1', 'mem', { ID_Y: 'y' }),
      deviceText('p2', 'net', { INTERFACE: 'p2', IFINDEX: '7' }),
      deviceText('p3', 'net', { DEVTYPE: 'bridge' }),
      deviceText('p4', 'mem', { TAGS: ':yours:mine:' }),
      deviceText('p5', 'mem', { TAGS: ':yours:' }),
      deviceText('p6', 'net', { TAGS: ':mine:', DEVTYPE: 'bridge' }),
    );
    for (const monitor of [all, net, bridges, tagged]) await monitor.has('net/p6');
    assert.equal(
      all.devices.filter((device) => /\/p\d$/.test(device)),
      ['mem/p1', 'net/p2', 'net/p3', 'mem/p4', 'mem/p5', 'net/p6'],
    );
    assert.equal(net.devices, ['net/p2', 'net/p3', 'net/p6']);
    assert.equal(bridges.devices, ['net/p3', 'net/p6']);
    assert.equal(tagged.devices, ['mem/p4', 'net/p6']);
    const properties = all.properties('net/p2');
    for (const line of [
      'ACTION=add',
      'IFINDEX=7',
      'INITIALIZED=1',
      'INTERFACE=p2',
      'SUBSYSTEM=net',
    ])
      assert.ok(properties.includes(line), `${line} of ${properties.join(' ')}`);
  },
  60_000,
);

udev('cannot be sent by a user who is not root', async () => {
  const monitor = await new Monitor(['--udev']).hears('mem');
  assert.match(
    await sendNetlink(apart, 'multicast', 2, 'libudev\0', { under: AS_NOBODY_FOR_EVER }),
    'not permitted',
  );
  publish(apart.path, deviceText('still', 'mem'));
  await monitor.has('mem/still');
});

const CONTROL = '/run/udev/control';
/** Returns a path in the daemon's mount namespace. */
const at = (path: string): string => `/proc/${apart.pid}/root${path}`;

udev(
  'comes with a socket /run/udev/control, which ends with the daemon and delays no udevadm',
  async () => {
    assert.ok(statSync(at(CONTROL)).isSocket());
    assert.is(statSync(at(CONTROL)).mode & 0o777, 0o600);
    const started = Date.now();
    // udevadm does nothing in a chroot without SYSTEMD_IGNORE_CHROOT.
    await run([...apart.enter, 'udevadm', 'control', '--ping', '--timeout=20'], {
      env: { ...process.env, SYSTEMD_IGNORE_CHROOT: '1' },
    });
    assert.ok(Date.now() - started < 15_000, 'udevadm control waited');
    // It keeps the mount namespace alive.
    const holder = new Reader('60', [...apart.enter, 'sleep']);
    await until(() => existsSync(`/proc/${holder.process.pid}/root/run`), 'no holder');
    await until(
      () => statSync(`/proc/${holder.process.pid}/root/run`).ino === statSync(at('/run')).ino,
      'the holder is not in the mount namespace',
    );
    assert.is(await apart.stop(), 0);
    assert.not(
      readdirSync(`/proc/${holder.process.pid}/root/run`).includes('udev'),
      '/run/udev was left',
    );
    await holder.kill();
    apart = await startApart(['--source', 'kernel', '--udev']);
  },
);

udev(
  'comes with a new socket in place of a stale one, and is refused beside a listening udevd',
  async () => {
    // The socket is bound without a listener, as a killed daemon leaves it.
    const stale = await startApart(
      ['--source', 'none', '--udev'],
      `python3 -c 'import os, socket; os.mkdir("/run/udev"); socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind("${CONTROL}")';`,
    );
    assert.is(await stale.stop(), 0);
    const err = await refused(['--source', 'none', '--udev'], [...apart.enter]);
    assert.match(
      err,
      `${CONTROL}: another server listens on this socket; eventfs refuses to start (stop udevd`,
    );
    assert.ok(existsSync(at(CONTROL)), 'the refused daemon has removed the socket');
  },
);

udev(
  'comes beside a plain file /run/udev/control, which stays and is enough for libudev',
  async () => {
    const make = `mkdir /run/udev; echo mine > ${CONTROL}; chmod 604 ${CONTROL};`;
    const other = await startApart(['--source', 'none', '--udev'], make);
    const before = apart;
    apart = other;
    try {
      await new Monitor(['--udev']).hears('mem');
      assert.is(readFileSync(at(CONTROL), 'latin1'), 'mine\n');
      assert.is(other.log(), '');
      // It keeps the mount namespace alive.
      const holder = new Reader('60', [...other.enter, 'sleep']);
      const left = (): string => `/proc/${holder.process.pid}/root${CONTROL}`;
      await until(
        () => existsSync(left()) && statSync(left()).ino === statSync(at(CONTROL)).ino,
        'the holder is not in the mount namespace',
      );
      assert.is(await other.stop(), 0);
      assert.equal(
        [readFileSync(left(), 'latin1'), statSync(left()).mode & 0o777],
        ['mine\n', 0o604],
      );
    } finally {
      apart = before;
      await killClients();
    }
  },
  60_000,
);

udev(
  'does not come without --udev, as in a container',
  async () => {
    const quiet = await startApart(['--source', 'kernel']);
    const before = apart;
    apart = quiet;
    try {
      const monitor = new Monitor(['--udev']);
      await monitor.listens();
      const heard = await monitor.hears('mem', {}, 1500).then(
        () => true,
        () => false,
      );
      assert.is(heard, false);
    } finally {
      apart = before;
      await killClients();
      await quiet.stop();
    }
  },
  60_000,
);

udev.run();
