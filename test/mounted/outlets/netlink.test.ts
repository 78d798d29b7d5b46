/** Tests the netlink outlet of --rebroadcast, for plain listeners, as mdevd -O sends. */
import * as assert from 'uvu/assert';
import {
  OWN_NETWORK,
  about,
  listenNetlink,
  refused,
  sendNetlink,
} from '../../support/mount/apart.js';
import { eventText, publish, statusOf } from '../../support/clients/clients.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const FOUR_AND_FIVE = 0b11000;
const rebroadcast = mounted(
  'a rebroadcast uevent',
  ['--source', 'kernel', '--rebroadcast', String(FOUR_AND_FIVE)],
  { under: OWN_NETWORK },
);

rebroadcast("has the bytes of the kernel's uevent, on every group of the mask", async () => {
  const listeners = await Promise.all(
    [1, 0b1000, 0b10000].map((groups) => listenNetlink(daemon, groups)),
  );
  assert.is(
    await sendNetlink(
      daemon,
      'kernel',
      0,
      'add@/devices/r/1\0ACTION=add\0DEVPATH=/devices/r/1\0VALUE=caf\xe9 \xff=\0',
    ),
    '',
  );
  for (const listener of listeners)
    await until(
      () => about(listener.records, '/devices/r/1').length === 1,
      `no uevent came to group mask ${listener.path}`,
    );
  const [kernel, ...others] = listeners.map(
    (listener) => about(listener.records, '/devices/r/1')[0],
  );
  assert.match(
    kernel,
    /^add@\/devices\/r\/1\nACTION=add\nDEVPATH=\/devices\/r\/1\nVALUE=caf\xe9 \xff=\nSEQNUM=\d+$/,
  );
  assert.equal(others, [kernel, kernel]);
});

rebroadcast('is sent for published events too', async () => {
  const listener = await listenNetlink(daemon, 0b1000);
  publish(daemon.path, eventText('/devices/r/2', { N: 1 }, 'change'));
  await until(
    () => about(listener.records, '/devices/r/2').length === 1,
    'the uevent did not come',
  );
  assert.is(
    `${about(listener.records, '/devices/r/2')[0]}\n`,
    eventText('/devices/r/2', { N: 1 }, 'change'),
  );
});

rebroadcast('is never an event of another host: one that was published with a HOST', async () => {
  const listener = await listenNetlink(daemon, 0b1000);
  const remote = { HOST: 'web1', SUBSYSTEM: 'block' };
  publish(daemon.path, eventText('/devices/r/remote', remote), eventText('/devices/r/local'));
  await until(
    () => about(listener.records, '/devices/r/local').length === 1,
    'the uevent did not come',
  );
  assert.equal(about(listener.records, '/devices/r/remote'), []);
  assert.is(statusOf(`${daemon.path}/log`).REBROADCAST_REMOTE, '1');
});

rebroadcast('comes to the groups of the mask only', async () => {
  const [two, four] = [await listenNetlink(daemon, 0b10), await listenNetlink(daemon, 0b1000)];
  publish(daemon.path, eventText('/devices/r/3'));
  await until(
    () => about(four.records, '/devices/r/3').length === 1,
    'the uevent did not come to group 4',
  );
  assert.is(two.records.length, 1);
});

rebroadcast('comes in order, all 3,000 of any size, and is counted', async () => {
  const listener = await listenNetlink(daemon, 0b1000);
  const before = Number(statusOf(`${daemon.path}/log`).REBROADCAST_SENT);
  const texts = Array.from({ length: 3000 }, (_, n) =>
    eventText('/devices/r/many', { N: n, V: 'v'.repeat((n * 37) % 6000) }),
  );
  publish(daemon.path, ...texts, eventText('/devices/r/large', { V: 'v'.repeat(65_000) }));
  await until(
    () => about(listener.records, '/devices/r/large').length === 1,
    'the last uevent did not come',
    20_000,
  );
  assert.equal(
    about(listener.records, '/devices/r/many').map((record) => `${record}\n`),
    texts,
  );
  const { REBROADCAST_SENT, REBROADCAST_REFUSED } = statusOf(`${daemon.path}/log`);
  assert.ok(Number(REBROADCAST_SENT) - before >= 2 * 3001);
  assert.is(REBROADCAST_REFUSED, '0');
});

rebroadcast(
  'is refused for a group that the daemon reads, and for a mask without a group',
  async () => {
    assert.match(
      await refused(['--rebroadcast', '5']),
      '--rebroadcast 5: a source reads group mask 1',
    );
    assert.match(await refused(['--source', 'udev', '--rebroadcast', '2']), 'group mask 2');
    assert.match(await refused(['--source', 'udev', '--udev']), 'would come back');
    for (const option of [['--udev'], ['--rebroadcast', '4'], ['--netns', '/proc/1/ns/net']])
      assert.match(
        await refused(['--fleet', ...option]),
        `--fleet: with ${option[0]} programs would take devices of other hosts`,
      );
    assert.match(await refused(['--fleet', '--source', 'kernel']), 'leave out --source');
    assert.match(
      await refused(['--udev', '--rebroadcast', '6']),
      'leave group 2 out of --rebroadcast',
    );
    for (const mask of ['0', '-1', '4294967296', 'four', '1.5', ''])
      assert.match(await refused(['--rebroadcast', mask]), 'mask of netlink groups', mask);
  },
);

rebroadcast.run();
