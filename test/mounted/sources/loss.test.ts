/**
 * Tests losses in a source's socket: a waiting event is not lost, and a truncated one is dropped.
 */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { OWN_NETWORK, sendNetlink, stormNetlink } from '../../support/mount/apart.js';
import { Calls, Reader, statusOf, valuesOf } from '../../support/clients/clients.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted } from '../../support/mount/mounted.js';
import { withPreload } from '../../support/project.js';
import { figure } from '../../support/runner/output.js';

const loss = mounted("the kernel's socket", ['--source', 'kernel'], { under: OWN_NETWORK });

const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);
const lastSeqnum = (): number => Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));

loss(
  'does not count an event as lost while it waits in the socket',
  async () => {
    const reader = await Reader.on(`${daemon.path}/match/KERNEL==never`);
    const late = status('KERNEL_LATE');
    for (let round = 0; round < 3; round++) {
      const overruns = status('KERNEL_OVERRUNS');
      const [before, account] = [lastSeqnum(), statusOf(`${daemon.path}/log`)];
      daemon.process.kill('SIGSTOP');
      assert.is(
        await sendNetlink(daemon, 'kernel', 0, `add@/overrun\0VALUE=${'v'.repeat(1900)}\0`, {
          times: 200_000,
        }),
        '',
      );
      daemon.process.kill('SIGCONT');
      await until(() => status('KERNEL_OVERRUNS') > overruns, 'the socket did not overrun', 20_000);
      // The timer of the count expires while these wait, so the daemon counts before it reads.
      daemon.process.kill('SIGSTOP');
      await sendNetlink(daemon, 'kernel', 0, 'add@/waits\0', { times: 500 });
      await sleep(400);
      daemon.process.kill('SIGCONT');
      const sent = lastSeqnum() - before;
      const sum = (): number =>
        status('KERNEL') + status('LOST') - Number(account.KERNEL) - Number(account.LOST);
      await until(() => sum() >= sent, 'the daemon does not account for all events', 20_000);
      await sleep(300);
      assert.ok(sum() <= lastSeqnum() - before, `${sum()} came or were lost, of ${sent}`);
      assert.is(status('KERNEL_LATE'), late, 'an event came that was counted as lost');
    }
    assert.ok(valuesOf('LOST', reader.records).length > 0);
  },
  120_000,
);

/** Returns how many datagrams the kernel has dropped at the daemon's sockets: proc_pid_net(5). */
function drops(): number {
  const [, ...rows] = readFileSync(`/proc/${daemon.pid}/net/netlink`, 'latin1').trim().split('\n');
  return rows.reduce((sum, row) => sum + Number(row.trim().split(/ +/)[8]), 0);
}

loss(
  'keeps no request waiting while a storm overruns it',
  async () => {
    const overruns = status('KERNEL_OVERRUNS');
    const before = drops();
    const calls = new Calls();
    daemon.process.kill('SIGSTOP');
    const storms = [1, 2, 3].map(() =>
      stormNetlink(daemon, `change@/storm\0VALUE=${'v'.repeat(1900)}\0`),
    );
    await until(() => drops() > before, 'the socket is not full');
    daemon.process.kill('SIGCONT');
    let worstMs = 0;
    for (const end = performance.now() + 5000; performance.now() < end;) {
      const begin = performance.now();
      assert.is((await calls.call('stat', `${daemon.path}/log`)).errno, '');
      worstMs = Math.max(worstMs, performance.now() - begin);
    }
    const seen = status('KERNEL_OVERRUNS') - overruns;
    for (const storm of storms) storm.kill('SIGKILL');
    figure(`a stat waited at most ${Math.round(worstMs)} ms, ${seen} overruns`);
    assert.ok(seen > 0, 'the storm did not overrun the socket');
    assert.ok(worstMs < 1000, `a stat waited ${worstMs} ms`);
    await calls.end();
  },
  60_000,
);

loss.run();

const SETTING = {
  under: OWN_NETWORK,
  eventfs: withPreload('event-with-count'),
};
const counted = mounted(
  'an event that comes during the count of a loss',
  ['--source', 'kernel'],
  SETTING,
);

counted(
  'is not counted as one of the lost',
  async () => {
    const reader = await Reader.on(`${daemon.path}/match/DEVNAME==full`);
    daemon.process.kill('SIGSTOP');
    try {
      assert.is(
        await sendNetlink(daemon, 'kernel', 0, `add@/overrun\0VALUE=${'v'.repeat(1900)}\0`, {
          times: 200_000,
        }),
        '',
      );
    } finally {
      daemon.process.kill('SIGCONT');
    }
    await until(() => status('KERNEL_OVERRUNS') > 0, 'the socket did not overrun', 20_000);
    await until(() => status('LOST') > 0, 'the daemon did not count the loss', 20_000);
    await until(
      () => reader.records.some((record) => record.startsWith('change@')),
      'the event did not come',
    );
    assert.is(status('KERNEL_LATE'), 0, 'an event came that was counted as lost');
  },
  120_000,
);

counted.run();

const SLOT_BYTES = 16 * 1024;
const UDEV_GROUP_MASK = 2;
const large = mounted("udev's socket", ['--source', 'udev'], { under: OWN_NETWORK });

large('drops a datagram that is larger than a slot, and logs its length', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const malformed = status('UDEV_MALFORMED');
  const length = SLOT_BYTES + 4321;
  assert.is(
    await sendNetlink(daemon, 'multicast', UDEV_GROUP_MASK, Buffer.alloc(length, 'libudev')),
    '',
  );
  await until(
    () => status('UDEV_MALFORMED') === malformed + 1,
    () => `the daemon did not count it: ${daemon.log()}`,
  );
  await until(
    () => daemon.log().includes(`dropped one of udev's uevents: it has ${length} bytes\n`),
    () => `the daemon did not log its length: ${daemon.log()}`,
  );
  assert.is(reader.text, '');
});

large.run();

const deaf = mounted('a daemon that has just mounted', ['--source', 'kernel'], {
  eventfs: withPreload('no-event-loop'),
});

deaf('has read the event of its own mount before a directory can be made', async () => {
  const { dev } = statSync(daemon.path);
  const device = `${dev >> 8}:${dev & 0xff}`; // the major number of FUSE mounts is 0
  const texts = readdirSync(`${daemon.path}/log`)
    .filter((name) => /^\d/.test(name))
    .map((name) => readFileSync(`${daemon.path}/log/${name}`, 'latin1'));
  assert.ok(
    texts.some((text) => text.startsWith(`add@/devices/virtual/bdi/${device}\n`)),
    `${device}: ${texts.map((text) => text.split('\n')[0]).join(' ')}`,
  );
  const own = await directory();
  assert.equal(
    readdirSync(own).filter((name) => /^\d/.test(name)),
    [],
  );
});

deaf.run();
