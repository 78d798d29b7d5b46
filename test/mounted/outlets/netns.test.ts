/** Tests `--netns`: programs of Debian in other network namespaces hear the kernel's events. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InjectionWord, NamespaceWord, injectUevents, openNamespaceSender } from '#native';
import { eventfs } from '../../support/mount/command.js';
import { about, refused, sendNetlink, startApart } from '../../support/mount/apart.js';
import {
  Reader,
  eventText,
  killClients,
  publish,
  statusOf,
} from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { Container } from '../../support/mount/container.js';
import {
  type Daemon,
  killDaemons,
  makeMarkedUevent,
  makeUevent,
  mountPoint,
  run,
  startDaemon,
  until,
  hasSaid,
} from '../../support/mount/daemon.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { descriptors } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const netns = suite('an event in another network namespace');

netns.after(async () => {
  await killClients();
  await killDaemons();
});

/** Starts a daemon that sends into the namespaces. */
const sendingTo = (...places: readonly string[]): Promise<Daemon> =>
  startDaemon(['--source', 'kernel', ...places.flatMap((place) => ['--netns', place])]);

const NULL = '/devices/virtual/mem/null';
/** Returns the status of the daemon's namespaces. */
const status = ({ path }: Pick<Daemon, 'path'>): Record<string, string> => statusOf(`${path}/log`);

/** Starts a listener in a container, and waits until it listens. */
async function listenIn(container: Container): Promise<Reader> {
  const reader = new Reader('listen', [...container.enter, compiled('stream-netlink')]);
  await reader.has(1, 10_000);
  return reader;
}

/** Prints the port, uid and gid of each message's sender, then its first line and its SEQNUMs. */
const SENDERS = `
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind((0, 1))
while True:
    data, control, _, sender = s.recvmsg(65536, 1024)
    pid, uid, gid = struct.unpack('3i', control[0][2])
    lines = data.decode().split('\\0')
    print(sender[0], uid, gid, lines[0], sum(line.startswith('SEQNUM=') for line in lines), flush=True)
`;
/** Prints the devpath of each event that libudev hears from the kernel. */
const PYUDEV = `
import pyudev
monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source='kernel')
for device in iter(monitor.poll, None): print(device.action, device.device_path, flush=True)
`;
/**
 * Runs mdev with a /dev of its own, which it changes, and a rule that logs each event. At first it
 * finds the devices in /sys, and acts as if each were added.
 */
const MDEV = `
mount -t tmpfs etc /etc
echo 'null 0:0 666 @echo $ACTION $SEQNUM >>/etc/mdev.log' >/etc/mdev.conf
unshare --mount sh -ec 'mount -t tmpfs dev /dev; exec busybox mdev -df >/etc/mdev.err 2>&1' &
`;
const PYTHON = ['/usr/bin/python3', '-uc'];
const hasPyudev = existsSync('/usr/lib/python3/dist-packages/pyudev');

for (const [whose, under] of [
  ["root's", []],
  ["an ordinary user's", AS_NOBODY],
] as const) {
  netns(
    `is the kernel's to udevadm, libudev, mdev and a bare socket in ${whose} container`,
    async () => {
      const container = await Container.start(under);
      const daemon = await sendingTo(`${container.network}=SUBSYSTEM==mem`);
      const inside = (...command: string[]): Reader =>
        new Reader(command.pop()!, [...container.enter, ...command]);
      const readers = [
        inside('udevadm', 'monitor', '--kernel', '--property'),
        inside(...PYTHON, SENDERS),
        ...(hasPyudev ? [inside(...PYTHON, PYUDEV)] : []),
      ];
      assert.is((await container.shell.run(MDEV)).code, 0);
      let mdev = '';
      await until(async () => {
        await makeUevent('add');
        await sleep(50);
        mdev = (await container.shell.run('cat /etc/mdev.log')).out;
        return readers.every(({ text }) => text.includes(NULL)) && /^add \d/m.test(mdev);
      }, 'not all have heard').catch((error: unknown) => {
        const heard = readers.map(({ text, err }) => text.slice(-300) + err.slice(-300));
        assert.unreachable(`${String(error)}: ${[...heard, mdev].join('|')}`);
      });
      assert.match(readers[1].text, `0 0 0 add@${NULL} 1\n`);
      await killClients();
      await container.kill();
      assert.is(await daemon.stop(), 0);
    },
    60_000,
  );
}

netns("comes only if it is the kernel's and the filter matches, and is counted", async () => {
  const [one, other] = [await Container.start(), await Container.start()];
  const daemon = await sendingTo(`${one.network}=KERNEL==null, ACTION==change`, other.network);
  const readers = [await listenIn(one), await listenIn(other)];
  await makeUevent('add');
  publish(daemon.path, eventText('/devices/published', { SUBSYSTEM: 'mem' }, 'change'));
  await makeUevent('change');
  await until(() => readers[1].text.includes(`change@${NULL}`), 'the last event did not come');
  await until(() => readers[0].text.includes(`change@${NULL}`), 'the last event did not come');
  assert.equal(about(readers[0].records, NULL).map(actionOf), ['change']);
  assert.equal(about(readers[1].records, NULL).map(actionOf), ['add', 'change']);
  assert.not.match(readers[1].text, '/devices/published');
  const { NETNS_OPEN, NETNS_SENT, NETNS_REFUSED, NETNS_0 } = status(daemon);
  assert.is(NETNS_OPEN, '2');
  assert.ok(Number(NETNS_SENT) >= 3);
  assert.is(NETNS_REFUSED, '0');
  assert.is(
    NETNS_0,
    `open sent=1 refused=0 path=${one.network} filter=KERNEL==null, ACTION==change`,
  );
  await one.kill();
  await other.kill();
  await daemon.stop();
});

netns('stops with the process that names the namespace, and the namespace ends', async () => {
  const container = await Container.start();
  const namespace = readlinkSync(container.network).replace(/\D/g, '');
  const daemon = await sendingTo(container.network);
  const isListed = async (): Promise<boolean> =>
    (await run(['lsns', '--type', 'net', '--noheadings', '--output', 'NS'])).out
      .split(/\s+/)
      .includes(namespace);
  assert.ok(await isListed());
  assert.is(readlinkSync(`/proc/${daemon.pid}/ns/net`), readlinkSync('/proc/self/ns/net'));
  const open = descriptors(daemon.pid, /^socket:/).length;
  await container.kill();
  await until(() => status(daemon).NETNS_OPEN === '0', 'the socket stayed open');
  await hasSaid(daemon, `${container.network}: the process ${container.pid} has ended`);
  assert.not.ok(await isListed());
  assert.is(descriptors(daemon.pid, /^socket:/).length, open - 1);
  assert.equal(descriptors(daemon.pid, /net:\[|pidfd/), []);
  await makeUevent();
  assert.is(status(daemon).NETNS_OPEN, '0');
  await daemon.stop();
});

netns(
  'stops with the process, though others live in the namespace, and hears no more',
  async () => {
    const container = await Container.start();
    const child = new Reader('30', [...container.enter, 'sleep']);
    const pid = child.process.pid!;
    await until(
      () => readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync(container.network),
      'the process has not entered the container',
    );
    const daemon = await sendingTo(`/proc/${pid}/ns/net`);
    const listener = await listenIn(container);
    process.kill(pid, 'SIGKILL');
    await until(() => status(daemon).NETNS_OPEN === '0', 'the socket stayed open');
    const stream = await Reader.on(`${daemon.path}/stream`);
    const mark = makeMarkedUevent();
    await until(() => stream.text.includes(mark), 'the daemon did not get the event');
    assert.not.match(listener.text, mark);
    await killClients();
    await container.kill();
    await daemon.stop();
  },
);

netns('stops with the name in /run/netns, and the namespace ends', async () => {
  const apart = await startApart(
    ['--source', 'kernel', '--netns', 'box'],
    'ip netns add box; ip netns set box auto;',
  );
  const ip = async (...words: readonly string[]): Promise<string> =>
    (await run([...apart.enter, 'ip', ...words])).out;
  await hasSaid(apart, '--netns /run/netns/box: the kernel itself sends events of devices');
  const listener = new Reader('listen', [
    ...apart.enter,
    ...['ip', 'netns', 'exec', 'box', compiled('stream-netlink')],
  ]);
  await listener.has(1, 10_000);
  await makeUevent('change');
  // The kernel sends the events of a network interface to its own namespace only
  await ip('link', 'add', 'd0', 'type', 'bridge');
  await until(
    () => about(listener.records, '/devices/virtual/net/d0').length > 0,
    () => `the interface was not heard of: ${listener.text}`,
  );
  assert.is(about(listener.records, '/devices/virtual/net/d0').length, 1);
  assert.is(about(listener.records, NULL).length, 2);
  await killClients();
  assert.match(await ip('netns', 'list-id'), 'iproute2 netns name: box');
  await ip('netns', 'delete', 'box');
  await until(() => status(apart).NETNS_OPEN === '0', 'the socket stayed open');
  await until(
    () => apart.log().includes('/run/netns/box: its file is gone; it gets no more events'),
    'the log does not say it',
  );
  // The kernel keeps the id of a namespace until the namespace ends
  await until(async () => (await ip('netns', 'list-id')) === '', 'the namespace is alive');
  assert.is(await apart.stop(), 0);
});

netns('can be asked for in the configuration file', async () => {
  const container = await Container.start();
  const file = join(mountPoint(), 'eventfs.toml');
  writeFileSync(file, `netns = ["${container.network}=SUBSYSTEM==mem"]\n`);
  const daemon = await startDaemon(['--config', file]);
  const listener = await listenIn(container);
  await makeUevent();
  await until(() => listener.text.includes(NULL), 'the event did not come');
  await killClients();
  await container.kill();
  await daemon.stop();
});

netns(
  'is never waited for: a full socket there holds up neither the daemon nor others',
  async () => {
    const [container, other] = [await Container.start(), await Container.start()];
    const apart = await startApart([
      ...['--source', 'kernel', '--netns', container.network, '--netns', other.network],
    ]);
    const full = await listenIn(container);
    full.process.kill('SIGSTOP');
    const before = Number(status(apart).KERNEL);
    const datagram = `change@/devices/many\0ACTION=change\0FILL=${'x'.repeat(1800)}\0`;
    assert.is(await sendNetlink(apart, 'kernel', 0, datagram, { times: 20_000 }), '');
    await until(
      () => Number(status(apart).KERNEL) + Number(status(apart).LOST) - before >= 20_000,
      'the daemon is held up',
      20_000,
    );
    const { KERNEL, NETNS_SENT, NETNS_REFUSED } = status(apart);
    assert.is(Number(NETNS_SENT), 2 * Number(KERNEL));
    assert.is(NETNS_REFUSED, '0');
    const late = await listenIn(other);
    await makeUevent();
    await until(() => late.text.includes(NULL), 'the other namespace hears nothing');
    await killClients();
    await container.kill();
    await other.kill();
    assert.is(await apart.stop(), 0);
  },
  60_000,
);

netns('that is too large is counted as refused', async () => {
  const container = await Container.start();
  const fd = openSync(container.network, 'r');
  const found = new Uint32Array(NamespaceWord.count);
  const socket = openNamespaceSender(fd, found);
  closeSync(fd);
  const listener = await listenIn(container);
  const memory = Buffer.from(`add@/a\0X=${'x'.repeat(3000)}\0add@/b\0`);
  const last = memory.length - 7;
  const slices = Uint32Array.of(last, 7, 0, last, last, 7);
  const outcome = new Uint32Array(InjectionWord.count);
  injectUevents(socket, found, memory, slices, 3, outcome);
  assert.equal([...outcome], [2, 1, constants.errno.EINVAL]);
  await listener.has(3);
  injectUevents(socket, found, memory, slices, 1, outcome);
  assert.equal([...outcome], [1, 0, 0]);
  closeSync(socket);
  assert.throws(() => injectUevents(socket, found, memory, slices, 65, outcome), /64/);
  await killClients();
  await container.kill();
});

netns('needs a path to a network namespace: anything else is refused in one line', async () => {
  const place = mountPoint();
  const fifo = join(place, 'fifo');
  execFileSync('mkfifo', [fifo]);
  writeFileSync(join(place, 'file'), '');
  const container = await Container.start();
  const { network } = container;
  const twin = join(place, 'twin');
  symlinkSync(network, twin);
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--netns', '/run/netns/none-such'], /No such file or directory \(nothing has this name/],
    [['--netns', 'none-such'], /\/run\/netns\/none-such: No such file/],
    [['--netns', '/proc/4194304/ns/net'], /4194304\/ns\/net: No such process/],
    [['--netns', '/proc/0/ns/net'], /: Invalid argument \(no process has this number; it is 0 for/],
    [['--netns', '/proc/self/ns/net'], /it does not have the form \/proc\/PID\/ns\/net/],
    [['--netns', `/proc/${process.pid}/ns/net`], /this is the daemon's own network namespace/],
    [
      ['--netns', `/proc/${container.pid}/ns/mnt`],
      /it does not have the form \/proc\/PID\/ns\/net/,
    ],
    [['--netns', fifo], /fifo: the file is no network namespace \(name one of ip netns list/],
    [['--netns', join(place, 'file')], /file: the file is no network namespace/],
    [['--netns', place], /the file is no network namespace/],
    [['--netns', network, '--netns', twin], /it is the same network namespace as \/proc/],
    [['--netns', network, '--source', 'none'], /no source reads them \(add --source kernel\)/],
    [['--netns', `${network}=SUBSYSTEM>=usb`], /column \d+/],
    [['--netns', '=SUBSYSTEM==usb'], /Use PATH or PATH=FILTER/],
    [['--netns', './box'], /Begin the path with \/, or use a name of ip netns list/],
  ];
  await Promise.all(cases.map(async ([args, why]) => assert.match(await refused(args), why)));
  for (const [args, why] of cases) {
    const { out, err, code } = await eventfs(['mount', '--check', ...args, mountPoint()]);
    assert.match(out + err, why, 'mount --check');
    assert.is.not(code, 0);
  }
  await container.kill();
});

netns('is announced with a warning if the filter names a key in lower case', async () => {
  const container = await Container.start();
  const daemon = await sendingTo(`${container.network}=subsystem==usb`);
  assert.match(daemon.log(), /--netns \S+: the filter's key subsystem is in lower case, /);
  assert.is(await daemon.stop(), 0);
  await container.kill();
});

netns.run();

/** Returns the action of a record. */
function actionOf(record: string): string {
  return record.slice(0, record.indexOf('@'));
}
