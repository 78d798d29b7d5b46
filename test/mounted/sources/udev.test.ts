/** Tests the source udev: messages of root in libudev's format, and forged ones. */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync } from 'node:fs';
import {
  OWN_NETWORK,
  about,
  listenNetlink,
  refused,
  sendNetlink,
} from '../../support/mount/apart.js';
import { Reader, statusOf, valuesOf } from '../../support/clients/clients.js';
import { makeUevent, until } from '../../support/mount/daemon.js';
import { libudevMessage } from '../../support/clients/libudev.js';
import { daemon, directory, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY, AS_NOBODY_FOR_EVER } from '../../support/mount/other-user.js';

const UDEV_MASK = 2;
const SETTING = { under: OWN_NETWORK };

const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);
const lastSeqnum = (): number => Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));

/** Sends an event as udevd does. */
const send = (properties: string, times = 1): Promise<string> =>
  sendNetlink(daemon, 'multicast', UDEV_MASK, libudevMessage(properties), { times });
const properties = (devpath: string, seqnum: number, more = ''): string =>
  `ACTION=add\0DEVPATH=${devpath}\0SUBSYSTEM=block\0SEQNUM=${seqnum}\0USEC_INITIALIZED=1\0${more}`;

const udev = mounted("an event of udev's", ['--source', 'udev'], SETTING);

udev('comes to every queue with all of its properties, under its SEQNUM', async () => {
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
  assert.ok(status('UDEV_GAPS') >= 1, 'the skipped numbers are not counted as gaps');
  assert.is(status('LOST'), 0, 'a gap alone is not a loss');
});

udev("comes without the kernel's own event", async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  await makeUevent('change');
  await send(properties('/devices/u/after', lastSeqnum() + 1));
  await until(
    () => about(reader.records, '/devices/u/after').length === 1,
    'the later event did not come',
  );
  assert.equal(about(reader.records, '/devices/virtual/mem/null'), []);
});

udev(
  'is dropped and counted if it was sent to the daemon alone, or to another group as well',
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
    await until(() => status('UDEV_FORGED') === before + 1, 'the daemon did not count it');
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
      'the genuine event did not come',
    );
    assert.equal(about(reader.records, '/devices/u/forged'), []);
    assert.is(status('UDEV_FORGED'), before + 1);
  },
);

udev('is dropped and counted if its sender has CAP_NET_ADMIN but is not root', async () => {
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
  await until(() => status('UDEV_FORGED') === before + 1, 'the daemon did not count it');
  await send(properties('/devices/u/real', lastSeqnum() + 11));
  await until(
    () => about(reader.records, '/devices/u/real').length === 1,
    'the real event did not come',
  );
  assert.equal(about(reader.records, '/devices/u/forged'), []);
});

udev(
  "does not come from a sender's own network namespace, in which a user may be root",
  async () => {
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
    // In the daemon's network namespace this root has no privileges.
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
      'the true event did not come',
    );
    assert.equal(about(reader.records, '/devices/u/forged'), []);
    assert.is(status('UDEV_FORGED'), before);
  },
);

udev(
  'is dropped, counted and logged in one line if it is malformed, and the next event comes',
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
    await until(
      () => status('UDEV_MALFORMED') === before + bad.length,
      'the daemon did not count all',
    );
    // The log comes through a pipe, and may be later than the counts.
    const lines = (): string[] => daemon.log().slice(length).trimEnd().split('\n');
    await until(() => lines().length >= bad.length, 'the daemon did not log all');
    assert.is(lines().length, bad.length, lines().join('\n'));
    for (const line of lines())
      assert.match(line, /^eventfs: mount: dropped one of udev's uevents: (its?|a line) /);
    await send(properties('/devices/u/good', lastSeqnum() + 12));
    await until(
      () => about(reader.records, '/devices/u/good').length === 1,
      'the next event did not come',
    );
    assert.equal(about(reader.records, '/devices/u/bad'), []);
  },
);

udev(
  'is recorded as a loss in every queue if the socket had no room for it',
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
    await until(() => status('UDEV_OVERRUNS') > before, 'the socket did not overrun', 20_000);
    await until(
      () => never.records.some((record) => record.startsWith('overflow@/eventfs')),
      'the stream has no overflow record',
      20_000,
    );
    const lost = valuesOf('LOST', never.records)
      .map(Number)
      .reduce((a, b) => a + b, 0);
    assert.ok(lost >= 1);
    const texts = readdirSync(own).map((name) => readFileSync(`${own}/${name}`, 'latin1'));
    assert.ok(
      texts.some((text) => text.startsWith('overflow@/eventfs\n')),
      'the directory has no overflow record',
    );
  },
  60_000,
);

udev(
  'is counted as lost by the SEQNUMs around it if the socket had no room for it',
  async () => {
    const reader = await Reader.on(`${daemon.path}/match/KERNEL==after`);
    const [overruns, lostBefore] = [status('UDEV_OVERRUNS'), status('LOST')];
    const first = lastSeqnum() + 1_000_000; // Above any number that the kernel reaches meanwhile.
    await send(properties('/devices/u/first', first));
    await until(
      () => statusOf(`${daemon.path}/log`).SEQNUM === String(first),
      'the earlier event did not come',
    );
    daemon.process.kill('SIGSTOP');
    try {
      await send(properties('/devices/u/storm', 1, `V=${'v'.repeat(1900)}\0`), 200_000);
    } finally {
      daemon.process.kill('SIGCONT');
    }
    await until(() => status('UDEV_OVERRUNS') > overruns, 'the socket did not overrun', 20_000);
    await send(properties('/devices/u/after', first + 501));
    await until(
      () => about(reader.records, '/devices/u/after').length === 1,
      'the later event did not come',
      20_000,
    );
    const lost = valuesOf('LOST', reader.records)
      .map(Number)
      .reduce((a, b) => a + b, 0);
    // 500 if the later event came in time; else the daemon has counted at least 1 before it came.
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

both('comes twice, once from each source, under two names', async () => {
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
    'the event did not come from the kernel',
  );
  await send(properties('/devices/both', Number(seqnum)));
  await until(
    () => about(reader.records, '/devices/both').length === 2,
    'the event did not come from udev',
  );
  assert.equal(valuesOf('SEQNUM', about(reader.records, '/devices/both')), [seqnum, seqnum]);
  assert.equal(valuesOf('USEC_INITIALIZED', about(reader.records, '/devices/both')), ['', '1']);
  const names = readdirSync(own).filter((name) =>
    readFileSync(`${own}/${name}`, 'latin1').startsWith('add@/devices/both\n'),
  );
  assert.is(names.length, 2);
  assert.ok(names.includes(seqnum));
});

both('is counted in .status for each source', () => {
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

both('needs known sources: an unknown name, and none beside another, are refused', async () => {
  assert.match(await refused(['--source', 'mdev']), 'Use kernel, udev or none');
  assert.match(
    await refused(['--source', 'none', '--source', 'udev']),
    'Use none without any other source',
  );
  assert.match(
    await refused(['--source', 'kernel', '--source', 'none']),
    'Use none without any other source',
  );
});

both.run();
