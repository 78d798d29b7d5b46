/**
 * Uevents on a mount, compared with those of a bare netlink listener; forged and malformed ones.
 */
import * as assert from 'uvu/assert';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader, statusOf, valuesOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { makeUevent, run, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY_FOR_EVER } from '../../support/mount/other-user.js';
import { skip } from '../../support/runner/suite.js';

const NULL_DEVICE = '/sys/class/mem/null/uevent';

/** Starts a bare netlink listener. Resolves once it listens: its first record reports that. */
async function listen(): Promise<Reader> {
  const reader = new Reader('listen', [compiled('stream-netlink')]);
  await reader.has(1);
  return reader;
}

/** @returns the records with that SYNTH_UUID */
const about = (records: readonly string[], uuid: string): string[] =>
  records.filter((record) => valuesOf('SYNTH_UUID', [record])[0] === uuid);

let serial = 0;
/** @returns a UUID that no other event has: `echo "add <uuid>" > uevent` sets SYNTH_UUID to it */
function newUuid(): string {
  return `${process.pid.toString(16).padStart(8, '0')}-0000-4000-8000-${(++serial).toString(16).padStart(12, '0')}`;
}

const kernel = mounted('a uevent', ['--source', 'kernel']);

kernel(
  'appears in a directory, stream, match/, .stream and log/ with the bytes of the datagram',
  async () => {
    const bare = await listen();
    const [own, second] = [await directory(), await directory()];
    const readers = await Promise.all(
      [
        'stream',
        'match/SUBSYSTEM==mem',
        `match/DEVNAME==null,ACTION==add`,
        `${second.slice(daemon.path.length + 1)}/.stream`,
      ].map((path) => Reader.on(`${daemon.path}/${path}`)),
    );
    const uuid = newUuid();
    writeFileSync(NULL_DEVICE, `add ${uuid} KEY=value`);
    await until(() => about(bare.records, uuid).length > 0, 'the bare listener got no event');
    const [text] = about(bare.records, uuid);
    assert.match(
      text,
      /^add@\/devices\/virtual\/mem\/null\nACTION=add\n[^]*SYNTH_ARG_KEY=value\n[^]*SEQNUM=\d+$/,
    );
    for (const reader of readers) {
      await until(() => about(reader.records, uuid).length > 0, `${reader.path} got no event`);
      assert.is(about(reader.records, uuid)[0], text, reader.path);
    }
    const [seqnum] = valuesOf('SEQNUM', [text]);
    assert.is(readFileSync(`${own}/${seqnum}`, 'latin1'), `${text}\n`);
    assert.is(readFileSync(`${daemon.path}/log/${seqnum}`, 'latin1'), `${text}\n`);
  },
);

kernel('sets SEQNUM in log/.status, by which published events are named', async () => {
  await makeUevent();
  const { SEQNUM } = (await until(() => {
    const status = statusOf(`${daemon.path}/log`);
    return status.KERNEL !== '0' && status;
  }, 'no event came')) as Record<string, string>;
  assert.ok(Number(SEQNUM) > 0);
  assert.ok(Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1')) >= Number(SEQNUM));
});

kernel('is not delivered to a directory whose filter it does not match', async () => {
  const own = await directory();
  writeFileSync(`${own}/.filter`, 'SUBSYSTEM==nothing\n');
  const before = readdirSync(own); // Other programs may cause events at any time.
  const reader = await Reader.on(`${daemon.path}/stream`);
  await makeUevent();
  await reader.has(1);
  assert.equal(readdirSync(own), before);
});

kernel(
  'reaches every reader in order, as 2,000 fast ones reach the bare listener',
  async () => {
    const bare = await listen();
    const own = await directory();
    const readers = await Promise.all(
      [
        'stream',
        'match/SUBSYSTEM=mem',
        `${(await directory()).slice(daemon.path.length + 1)}/.stream`,
      ].map((path) => Reader.on(`${daemon.path}/${path}`)),
    );
    const uuids = Array.from({ length: 2000 }, newUuid);
    for (const uuid of uuids) writeFileSync(NULL_DEVICE, `change ${uuid}`);
    const ours = new Set(uuids);
    const mine = (records: readonly string[]): string[] =>
      records.filter((record) => ours.has(valuesOf('SYNTH_UUID', [record])[0]));
    await until(
      () => mine(bare.records).length === uuids.length,
      'the bare listener did not get all events',
      10_000,
    );
    const texts = mine(bare.records);
    for (const reader of readers) {
      await until(
        () => mine(reader.records).length >= uuids.length,
        `${reader.path} did not get all events`,
        10_000,
      );
      assert.equal(mine(reader.records), texts);
      assert.not.match(reader.text, 'overflow@');
    }
    const files = mine(
      readdirSync(own, 'latin1').map((name) =>
        readFileSync(`${own}/${name}`, 'latin1').slice(0, -1),
      ),
    );
    assert.equal(files.sort(), [...texts].sort());
    const seqnums = valuesOf('SEQNUM', texts).map(Number);
    assert.equal(
      seqnums,
      [...seqnums].sort((a, b) => a - b),
    );
    assert.is(statusOf(`${daemon.path}/log`).LOST, '0');
  },
  60_000,
);

const LOOP = '/dev/loop-control';
kernel('comes from a loop device that is set up and taken down', async () => {
  if (!existsSync(LOOP)) skip(`${LOOP} is not there`);
  const reader = await Reader.on(`${daemon.path}/match/SUBSYSTEM==block,KERNEL==loop*`);
  const image = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'loop-')), 'image');
  writeFileSync(image, '');
  truncateSync(image, 1 << 20);
  const { out, err } = await run(['losetup', '--find', '--show', image]);
  const name = /^\/dev\/(loop\d+)\n$/.exec(out)?.[1];
  assert.ok(name, err);
  const changes = (): number =>
    reader.records.filter(
      (record) => record.startsWith('change@') && record.includes(`\nDEVNAME=${name}\n`),
    ).length;
  await until(() => changes() > 0, 'no event came from the set-up');
  const before = changes();
  await run(['losetup', '--detach', `/dev/${name}`]);
  await until(() => changes() > before, 'no event came from the take-down');
});

const ZRAM = '/sys/class/zram-control';
kernel('comes from a zram device that is made and removed', async () => {
  if (!existsSync(ZRAM)) skip(`${ZRAM} is not there`);
  const own = await directory();
  writeFileSync(`${own}/.filter`, 'SUBSYSTEM==block, KERNEL==zram*\n');
  const number = readFileSync(`${ZRAM}/hot_add`, 'latin1').trim();
  const texts = (): string[] =>
    readdirSync(own).map((name) => readFileSync(`${own}/${name}`, 'latin1'));
  const has = (action: string): boolean =>
    texts().some((text) => text.startsWith(`${action}@/devices/virtual/block/zram${number}\n`));
  try {
    await until(() => has('add'), 'no add');
  } finally {
    writeFileSync(`${ZRAM}/hot_remove`, number);
  }
  await until(() => has('remove'), 'no remove');
});

kernel.run();

/** @returns the port of the daemon's netlink socket */
function portOf(pid: number): number {
  const inodes = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
    } catch {
      return undefined;
    }
  });
  // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; 15 is NETLINK_KOBJECT_UEVENT
  const rows = readFileSync(`/proc/${pid}/net/netlink`, 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const row = rows.find(
    ([, protocol, , , , , , , , inode]) => protocol === '15' && inodes.includes(inode),
  );
  assert.ok(row, 'the daemon has no netlink socket');
  return Number(row[2]);
}

/**
 * Sends a datagram with test/programs/clients/stream-netlink.c, in the daemon's network namespace.
 */
async function send(
  how: 'unicast' | 'multicast' | 'kernel',
  to: number,
  datagram: string | Buffer,
  times = 1,
  under: readonly string[] = [],
): Promise<string> {
  const command = [...under, compiled('stream-netlink'), how, String(to), String(times)];
  const { err } = await run(['nsenter', `--net=/proc/${daemon.pid}/ns/net`, ...command], {
    input: typeof datagram === 'string' ? Buffer.from(datagram, 'latin1') : datagram,
  });
  return err;
}

const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);
/** A SEQNUM that no machine reaches. */
const FORGED_SEQNUM = 8_000_000_000_000_000;
const FORGED = `add@/forged\0ACTION=add\0DEVPATH=/forged\0SUBSYSTEM=forged\0SEQNUM=${FORGED_SEQNUM}\0`;

// The daemon has its own network namespace, so that no other test gets the datagrams.
const IN_NAMESPACE = { under: ['unshare', '--net'] };

const forged = mounted('a forged uevent', ['--source', 'kernel'], IN_NAMESPACE);

forged(
  "is dropped and counted if it is sent to the daemon alone, or to the kernel's group",
  async () => {
    const reader = await Reader.on(`${daemon.path}/stream`);
    const port = portOf(daemon.pid);
    assert.is(await send('unicast', port, FORGED), '');
    await until(() => status('KERNEL_FORGED') === 1, 'the forged event was not counted');
    assert.is(await send('multicast', 1, FORGED, 3), '');
    await until(() => status('KERNEL_FORGED') === 4, 'the forged events were not counted');
    await makeUevent('change');
    await until(
      () => reader.text.includes('change@/devices/virtual/mem/null'),
      'the real event did not come',
    );
    assert.not.match(reader.text, 'forged');
    assert.ok(status('SEQNUM') < FORGED_SEQNUM);
    assert.not.match(readdirSync(`${daemon.path}/log`).join(' '), String(FORGED_SEQNUM));
  },
);

forged('can be sent by root only', async () => {
  const before = status('KERNEL_FORGED');
  assert.match(
    await send('unicast', portOf(daemon.pid), FORGED, 1, AS_NOBODY_FOR_EVER),
    'not permitted',
  );
  assert.match(await send('multicast', 1, FORGED, 1, AS_NOBODY_FOR_EVER), 'not permitted');
  assert.is(status('KERNEL_FORGED'), before);
});

forged('does not delay real events, although 20,000 come', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const before = status('KERNEL_FORGED');
  const storm = send('multicast', 1, FORGED, 20_000);
  for (let n = 0; n < 20; n++) await makeUevent('change');
  await storm;
  await until(() => status('KERNEL_FORGED') === before + 20_000, 'not all events were counted');
  assert.ok((await reader.has(20)).length >= 20);
  assert.not.match(reader.text, 'forged');
});

forged.run();

const malformed = mounted('a malformed uevent of the kernel', ['--source', 'kernel'], IN_NAMESPACE);

malformed('is dropped, counted and logged in one line, and the next one is delivered', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const bad = [
    '',
    'garbage\0',
    'add@\0',
    'add/x\0',
    '\xff\xfe\0',
    'add@/x\0NOVALUE\0',
    'add@/x\0\0',
    'add@/x\0SEQNUM=x\0',
    '@/x\0',
    '\0\0',
  ];
  for (const datagram of bad) await send('kernel', 0, datagram);
  await until(() => status('KERNEL_MALFORMED') === bad.length, 'not all events were counted');
  await send('kernel', 0, 'add@/good\0ACTION=add\0');
  await until(
    () => /^add@\/good\nACTION=add\nSEQNUM=\d+$/m.test(reader.text),
    'the next event did not come',
  );
  assert.is(
    daemon
      .log()
      .split('\n')
      .filter((line) => line !== '').length,
    bad.length,
    daemon.log(),
  );
});

malformed("does not fill the daemon's log, although many come", async () => {
  const before = status('KERNEL_MALFORMED');
  const length = daemon.log().length;
  await send('kernel', 0, 'garbage\0', 5000);
  await until(() => status('KERNEL_MALFORMED') >= before + 5000, 'not all events were counted');
  assert.ok(daemon.log().length - length < 10_000, `${daemon.log().length - length} bytes of log`);
});

malformed('may have any byte in a value; a newline becomes \\x0a', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  await send('kernel', 0, 'add@/caf\xe9\0VALUE=\x01\xff=\n\ttwo\0');
  await until(
    () => reader.text.includes('add@/caf\xe9\nVALUE=\x01\xff=\\x0a\ttwo\nSEQNUM='),
    'the event did not come unchanged',
  );
});

malformed.run();

const overrun = mounted('an overrun of the socket', ['--source', 'kernel'], IN_NAMESPACE);

const lastSeqnum = (): number => Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));

/**
 * Stops the daemon, and sends more than its socket holds. @returns the number of SEQNUMs that this
 * took
 */
async function overflow(): Promise<number> {
  const before = lastSeqnum();
  daemon.process.kill('SIGSTOP');
  try {
    assert.is(await send('kernel', 0, `add@/overrun\0VALUE=${'v'.repeat(1900)}\0`, 200_000), '');
  } finally {
    daemon.process.kill('SIGCONT');
  }
  return lastSeqnum() - before;
}

interface Account {
  readonly taken: number;
  readonly lost: number;
  /** @returns the last SEQNUM from two reads: other programs may cause events in between */
  readonly before: number;
  readonly after: number;
}

function account(): Account {
  const before = lastSeqnum();
  const { KERNEL, LOST } = statusOf(`${daemon.path}/log`);
  return { taken: Number(KERNEL), lost: Number(LOST), before, after: lastSeqnum() };
}

/** @returns the events lost since `before`, once all of `all` sent events are received or lost */
async function accounted(before: Account, all: number): Promise<number> {
  const now = await until(
    () => {
      const { taken, lost, after } = account();
      const sum = taken + lost - before.taken - before.lost;
      return sum >= all && { sum, lost: lost - before.lost, there: after - before.before };
    },
    `not all of ${all} are accounted for`,
    20_000,
  );
  assert.ok(now && now.sum <= now.there, JSON.stringify(now));
  return now.lost;
}

overrun(
  'is reported to every queue with the exact number, although no event follows',
  async () => {
    const never = await Reader.on(`${daemon.path}/match/KERNEL==never`);
    const own = await directory();
    writeFileSync(`${own}/.filter`, 'DEVPATH==/never\n');
    const before = account();
    const sent = await overflow();
    const lost = await accounted(before, sent);
    assert.ok(lost > 0, `the socket held all ${sent}`);
    assert.is(status('KERNEL_OVERRUNS') > 0, true);
    await never.has(1);
    assert.equal(
      valuesOf('LOST', never.records)
        .map(Number)
        .reduce((a, b) => a + b, 0),
      lost,
    );
    const texts = readdirSync(own)
      .map((name) => readFileSync(`${own}/${name}`, 'latin1'))
      .filter((text) => text.startsWith('overflow@'));
    assert.equal(
      valuesOf('LOST', texts)
        .map(Number)
        .reduce((a, b) => a + b, 0),
      lost,
    );
    assert.match(
      texts[0],
      /^overflow@\/eventfs\nACTION=overflow\nDEVPATH=\/eventfs\nSUBSYSTEM=eventfs\nLOST=\d+\n$/,
    );
  },
  60_000,
);

overrun(
  'is reported before later events',
  async () => {
    const reader = await Reader.on(`${daemon.path}/match/KERNEL==after`);
    const before = account();
    const overruns = status('KERNEL_OVERRUNS');
    const sent = await overflow();
    // The kernel queues no further event until the socket is empty.
    await until(
      () => status('KERNEL_OVERRUNS') > overruns,
      'the socket did not become empty',
      20_000,
    );
    await send('kernel', 0, 'add@/after\0');
    const lost = await accounted(before, sent + 1);
    await until(() => reader.text.includes('add@/after'), 'the next event did not come');
    const [first, ...rest] = reader.records.map((record) => record.split('\n')[0]);
    assert.equal([first, rest.at(-1)], ['overflow@/eventfs', 'add@/after']);
    assert.is(
      valuesOf('LOST', reader.records.slice(0, -1))
        .map(Number)
        .reduce((a, b) => a + b, 0),
      lost,
    );
  },
  60_000,
);

overrun.run();
