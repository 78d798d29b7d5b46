/** Tests --fd-socket: it passes events as descriptors of sealed memfds. */
import * as assert from 'uvu/assert';
import {
  Reader,
  eventText,
  publish,
  publishNumbered,
  valuesOf,
} from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import {
  SOCKETS,
  accounts,
  descriptorsOf,
  status,
  subscribe,
  testSubscribers,
  openClient,
} from './subscribers.js';

testSubscribers('fd');

const passed = mounted('a passed descriptor', ['--source', 'none', '--fd-socket', SOCKETS.fd]);

passed('can be read, and no client can change it', async () => {
  const client = await openClient('fd', '!seals');
  publish(daemon.path, eventText('/devices/sealed'));
  const [record] = await client.has(1);
  const [seals] = valuesOf('SEALS', [record]).map(Number);
  const F_SEAL_SEAL_SHRINK_GROW_WRITE = 0xf;
  assert.is(seals & F_SEAL_SEAL_SHRINK_GROW_WRITE, F_SEAL_SEAL_SHRINK_GROW_WRITE);
  const value = (key: string): number => Number(valuesOf(key, [record])[0]);
  const [EBADF, EINVAL, EACCES, EPERM] = [9, 22, 13, 1];
  assert.equal(
    [value('ACCESS'), value('WRITE'), value('TRUNCATE'), value('MAP')],
    [0, EBADF, EINVAL, EACCES],
  );
  assert.ok([EPERM, EACCES].includes(value('REWRITE')), record);
});

passed('is closed in the daemon', async () => {
  const clients = await Promise.all([subscribe('fd'), subscribe('fd')]);
  const before = descriptorsOf(daemon.pid);
  publishNumbered(daemon.path, 1000);
  await Promise.all(clients.map((client) => client.has(1001)));
  assert.is(descriptorsOf(daemon.pid), before);
});

passed.run();

const exhausted = mounted(
  'a daemon that runs out of descriptors',
  ['--source', 'none', '--socket', SOCKETS.socket, '--fd-socket', SOCKETS.fd],
  {
    under: ['prlimit', '--nofile=96'],
  },
);

exhausted(
  'serves its clients, and accepts waiting clients once others have gone',
  async () => {
    const steady = await subscribe('socket');
    const file = await subscribe('fd');
    const many = Array.from(
      { length: 80 },
      () => new Reader(SOCKETS.socket, [compiled('subscriber'), '!silent']),
    );
    await until(
      () => daemon.log().includes('Too many open files'),
      'the daemon did not run out of descriptors',
      20_000,
    );
    publishNumbered(daemon.path, 100);
    await steady.has(101, 20_000);
    await Promise.all(many.slice(10).map((one) => one.kill()));
    await file.has(101, 20_000);
    await accounts(steady, 100);
    await accounts(file, 100);
    await until(
      () => status('SOCKET_SUBSCRIBERS') === 11,
      'the waiting clients were not accepted',
      20_000,
    );
  },
  60_000,
);

exhausted.run();
