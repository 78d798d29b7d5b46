/** udev's group as a source: what root sends there in libudev's format, and what nobody should. */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync } from 'node:fs';
import { OWN_NETWORK, about, listenNetlink, refused, sendNetlink } from '../../support/apart.js';
import { Reader, statusOf, valuesOf } from '../../support/clients.js';
import { makeUevent, until } from '../../support/daemon.js';
import { libudevMessage } from '../../support/libudev.js';
import { daemon, directory, mounted } from '../../support/mounted.js';
import { AS_NOBODY, AS_NOBODY_FOR_EVER } from '../../support/other-user.js';

const UDEV_MASK = 2;
const SETTING = { under: OWN_NETWORK };

const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);
const lastSeqnum = (): number => Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));

/** As udevd would send it. */
const send = (properties: string, times = 1): Promise<string> =>
  sendNetlink(daemon, 'multicast', UDEV_MASK, libudevMessage(properties), { times });
const properties = (devpath: string, seqnum: number, more = ''): string =>
  `ACTION=add\0DEVPATH=${devpath}\0SUBSYSTEM=block\0SEQNUM=${seqnum}\0USEC_INITIALIZED=1\0${more}`;

const udev = mounted("an event of udev's", ['--source', 'udev'], SETTING);

udev('comes to every queue with all of its properties, and is named by its SEQNUM', async () => {
  const own = await directory();
  const readers = await Promise.all(
    ['stream', 'match/ID_BUS==usb,TAGS==systemd'].map((path) =>
      Reader.on(`${daemon.path}/${path}`),
    ),
  );
  const seqnum = lastSeqnum() + 5;
  assert.is(
    await send(properties('/devices/u/1', seqnum, 'ID_BUS=usb\0TAGS=:seat:systemd:\0')),
    '',
  );
  const text = `add@/devices/u/1\nACTION=add\nDEVPATH=/devices/u/1\nSUBSYSTEM=block\nSEQNUM=${seqnum}\nUSEC_INITIALIZED=1\nID_BUS=usb\nTAGS=:seat:systemd:`;
  for (const reader of readers)
    await until(
      () => about(reader.records, '/devices/u/1')[0] === text,
      `${reader.path} did not get it`,
    );
  assert.is(readFileSync(`${own}/${seqnum}`, 'latin1'), `${text}\n`);
  assert.is(readFileSync(`${daemon.path}/log/${seqnum}`, 'latin1'), `${text}\n`);
  assert.is(status('UDEV'), 1);
  assert.ok(status('UDEV_GAPS') >= 1, 'the numbers that were skipped do not show');
  assert.is(status('LOST'), 0, 'a gap alone is no loss');
});

udev("is not the kernel's own", async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  await makeUevent('change');
  await send(properties('/devices/u/after', lastSeqnum() + 1));
  await until(
    () => about(reader.records, '/devices/u/after').length === 1,
    'the event after it did not come',
  );
  assert.equal(about(reader.records, '/devices/virtual/mem/null'), []);
});

udev(
  'is dropped and counted when it was sent to the daemon alone, or to another group as well',
  async () => {
    const reader = await Reader.on(`${daemon.path}/stream`);
    const before = status('UDEV_FORGED');
    const port = readFileSync(`/proc/${daemon.pid}/net/netlink`, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .find(([, protocol, , groups]) => protocol === '15' && groups === '00000002')?.[2];
    assert.ok(port, 'the daemon has no socket on that group');
    assert.is(
      await sendNetlink(
        daemon,
        'unicast',
        Number(port),
        libudevMessage(properties('/devices/u/forged', lastSeqnum() + 9)),
      ),
      '',
    );
    await until(() => status('UDEV_FORGED') === before + 1, 'it was not counted');
    for (const how of ['unicast', 'multicast'] as const) {
      const to = how === 'unicast' ? Number(port) : UDEV_MASK;
      assert.match(
        await sendNetlink(daemon, how, to, libudevMessage(properties('/devices/u/forged', 1)), {
          under: AS_NOBODY_FOR_EVER,
        }),
        'not permitted',
      );
    }
    await send(properties('/devices/u/genuine', lastSeqnum() + 10));
    await until(
      () => about(reader.records, '/devices/u/genuine').length === 1,
      'the genuine one did not come',
    );
    assert.equal(about(reader.records, '/devices/u/forged'), []);
    assert.is(status('UDEV_FORGED'), before + 1);
  },
);

udev(
  'is dropped and counted when a user with CAP_NET_ADMIN in that network sends it, but who is not root',
  async () => {
    const before = status('UDEV_FORGED');
    const reader = await Reader.on(`${daemon.path}/stream`);
    const admin = [
      ...AS_NOBODY,
      '--inh-caps',
      '-all,+net_admin',
      '--ambient-caps',
      '-all,+net_admin',
    ];
    assert.is(
      await sendNetlink(
        daemon,
        'multicast',
        UDEV_MASK,
        libudevMessage(properties('/devices/u/forged', 1)),
        { under: admin },
      ),
      '',
    );
    await until(() => status('UDEV_FORGED') === before + 1, 'it was not counted');
    await send(properties('/devices/u/real', lastSeqnum() + 11));
    await until(
      () => about(reader.records, '/devices/u/real').length === 1,
      'the real one did not come',
    );
    assert.equal(about(reader.records, '/devices/u/forged'), []);
  },
);

udev("does not come from a network of the sender's own, in which a user may be root", async () => {
  const before = status('UDEV_FORGED');
  const reader = await Reader.on(`${daemon.path}/stream`);
  const rootOfTheirs = [...AS_NOBODY, 'unshare', '--user', '--map-root-user', '--net'];
  for (const to of [UDEV_MASK, 1]) {
    assert.is(
      await sendNetlink(
        daemon,
        'multicast',
        to,
        libudevMessage(properties('/devices/u/forged', 1)),
        { under: rootOfTheirs },
      ),
      '',
    );
  }
  // Root of theirs, but in the daemon's network: there it is nobody.
  const rootOfNothing = rootOfTheirs.slice(0, -1);
  assert.match(
    await sendNetlink(
      daemon,
      'multicast',
      UDEV_MASK,
      libudevMessage(properties('/devices/u/forged', 1)),
      { under: rootOfNothing },
    ),
    'not permitted',
  );
  await send(properties('/devices/u/true', lastSeqnum() + 12));
  await until(
    () => about(reader.records, '/devices/u/true').length === 1,
    'the true one did not come',
  );
  assert.equal(about(reader.records, '/devices/u/forged'), []);
  assert.is(status('UDEV_FORGED'), before);
});

udev(
  'that is malformed is dropped, counted and complained of in one line, and the next one comes',
  async () => {
    const reader = await Reader.on(`${daemon.path}/stream`);
    const good = properties('/devices/u/bad', 5);
    const bad = [
      Buffer.from('add@/x\0ACTION=add\0'),
      libudevMessage(good, { magic: 0xcafe1dea }),
      libudevMessage(good, { off: 0xffffff00 }),
      libudevMessage(good, { len: 0xffffffff }),
      libudevMessage(good, { off: 41 + good.length }),
      libudevMessage(`${good}NOVALUE\0`),
      libudevMessage('ACTION=add\0'),
      libudevMessage('DEVPATH=/x\0'),
      libudevMessage(good).subarray(0, 39),
    ];
    const before = status('UDEV_MALFORMED');
    const length = daemon.log().length;
    for (const datagram of bad)
      assert.is(await sendNetlink(daemon, 'multicast', UDEV_MASK, datagram), '');
    await until(() => status('UDEV_MALFORMED') === before + bad.length, 'not all were counted');
    // What it says comes by another way than what it counts, and may be later
    const lines = (): string[] => daemon.log().slice(length).trimEnd().split('\n');
    await until(() => lines().length >= bad.length, 'not all were complained of');
    assert.is(lines().length, bad.length, lines().join('\n'));
    for (const line of lines())
      assert.match(line, /^eventfs: mount: dropped one of udev's uevents: (its?|a line) /);
    await send(properties('/devices/u/good', lastSeqnum() + 12));
    await until(
      () => about(reader.records, '/devices/u/good').length === 1,
      'the next one did not come',
    );
    assert.equal(about(reader.records, '/devices/u/bad'), []);
  },
);

udev(
  'that the socket had no room for is told of in every queue',
  async () => {
    const never = await Reader.on(`${daemon.path}/match/KERNEL==never`);
    const own = await directory();
    const before = status('UDEV_OVERRUNS');
    daemon.process.kill('SIGSTOP');
    try {
      await send(properties('/devices/u/storm', 1, `V=${'v'.repeat(1900)}\0`), 200_000);
    } finally {
      daemon.process.kill('SIGCONT');
    }
    await until(() => status('UDEV_OVERRUNS') > before, 'there was no overrun', 20_000);
    await until(
      () => never.records.some((record) => record.startsWith('overflow@/eventfs')),
      'the stream was not told',
      20_000,
    );
    const lost = valuesOf('LOST', never.records)
      .map(Number)
      .reduce((a, b) => a + b, 0);
    assert.ok(lost >= 1);
    const texts = readdirSync(own).map((name) => readFileSync(`${own}/${name}`, 'latin1'));
    assert.ok(
      texts.some((text) => text.startsWith('overflow@/eventfs\n')),
      'the directory was not told',
    );
  },
  60_000,
);

udev(
  'that the socket had no room for is counted by the numbers around it',
  async () => {
    const reader = await Reader.on(`${daemon.path}/match/KERNEL==after`);
    const [overruns, lostBefore] = [status('UDEV_OVERRUNS'), status('LOST')];
    const first = lastSeqnum() + 1_000_000; // above all that the kernel will have counted by then
    await send(properties('/devices/u/first', first));
    await until(
      () => statusOf(`${daemon.path}/log`).SEQNUM === String(first),
      'the one before it did not come',
    );
    daemon.process.kill('SIGSTOP');
    try {
      await send(properties('/devices/u/storm', 1, `V=${'v'.repeat(1900)}\0`), 200_000);
    } finally {
      daemon.process.kill('SIGCONT');
    }
    await until(() => status('UDEV_OVERRUNS') > overruns, 'there was no overrun', 20_000);
    await send(properties('/devices/u/after', first + 501));
    await until(
      () => about(reader.records, '/devices/u/after').length === 1,
      'the one after it did not come',
      20_000,
    );
    const lost = valuesOf('LOST', reader.records)
      .map(Number)
      .reduce((a, b) => a + b, 0);
    // 500 when the one after came in time; else the loss was told before, as of at least one.
    assert.ok(lost === 500 || lost === 1, `${lost} lost`);
    assert.is(status('LOST') - lostBefore, lost);
  },
  60_000,
);

udev.run();

const both = mounted(
  'an event that the kernel and udev send',
  ['--source', 'kernel', '--source', 'udev'],
  SETTING,
);

both('comes twice, once from each, under two names', async () => {
  const own = await directory();
  const reader = await Reader.on(`${daemon.path}/stream`);
  const bare = await listenNetlink(daemon, 1);
  assert.is(
    await sendNetlink(
      daemon,
      'kernel',
      0,
      'add@/devices/both\0ACTION=add\0DEVPATH=/devices/both\0SUBSYSTEM=block\0',
    ),
    '',
  );
  await until(
    () => about(bare.records, '/devices/both').length === 1,
    'the kernel did not send it',
  );
  const [seqnum] = valuesOf('SEQNUM', about(bare.records, '/devices/both'));
  await until(
    () => about(reader.records, '/devices/both').length === 1,
    'it did not come from the kernel',
  );
  await send(properties('/devices/both', Number(seqnum)));
  await until(
    () => about(reader.records, '/devices/both').length === 2,
    'it did not come from udev',
  );
  assert.equal(valuesOf('SEQNUM', about(reader.records, '/devices/both')), [seqnum, seqnum]);
  assert.equal(valuesOf('USEC_INITIALIZED', about(reader.records, '/devices/both')), ['', '1']);
  const names = readdirSync(own).filter((name) =>
    readFileSync(`${own}/${name}`, 'latin1').startsWith('add@/devices/both\n'),
  );
  assert.is(names.length, 2);
  assert.ok(names.includes(seqnum));
});

both('is shown in status for each', () => {
  const lines = statusOf(`${daemon.path}/log`);
  for (const key of [
    'KERNEL_FORGED',
    'KERNEL_GAPS',
    'UDEV_FORGED',
    'UDEV_GAPS',
    'KERNEL_BUFFER',
    'UDEV_BUFFER',
  ])
    assert.ok(key in lines, key);
  assert.is(lines.UDEV, '1');
});

both('needs a source that there is, and none stands alone', async () => {
  assert.match(await refused(['--source', 'mdev']), 'It is kernel, udev or none');
  assert.match(await refused(['--source', 'none', '--source', 'udev']), 'none stands alone');
  assert.match(await refused(['--source', 'kernel', '--source', 'none']), 'none stands alone');
});

both.run();
