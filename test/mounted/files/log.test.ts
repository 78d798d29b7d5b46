/** `log/`: the last events, and the daemon's status. */
import * as assert from 'uvu/assert';
import { closeSync, fstatSync, openSync, readFileSync, readdirSync, statSync } from 'node:fs';
import {
  Reader,
  eventText,
  publish,
  publishNumbered,
  statusOf,
} from '../../support/clients/clients.js';
import { daemon, mounted, nothingIsOpen } from '../../support/mount/mounted.js';
import { enter, directory, fails, own, sh } from './common.js';

const log = mounted('log/');

log('shows the last 1,024 events', async () => {
  enter(`${daemon.path}/log`);
  publishNumbered(daemon.path, 1500);
  assert.is(readdirSync(own).length, 1024);
  assert.match(await sh('cat head'), 'N=476\n');
  assert.match(await sh('cat tail'), 'N=1499\n');
  publishNumbered(daemon.path, 1, 1500);
  assert.match(await sh('cat tail'), 'N=1500\n');
});

log('keeps at most 1 MiB of text', () => {
  enter(`${daemon.path}/log`);
  publish(
    daemon.path,
    ...Array.from({ length: 30 }, (_, n) =>
      eventText('/large', { N: n, VALUE: 'v'.repeat(60_000) }),
    ),
  );
  const bytes = readdirSync(own).reduce((sum, name) => sum + statSync(`${own}/${name}`).size, 0);
  assert.ok(bytes <= 1024 * 1024 && bytes > 1024 * 1024 - 61_000, String(bytes));
});

log('refuses every removal and creation with EPERM, even to root', async () => {
  enter(`${daemon.path}/log`);
  publishNumbered(daemon.path, 3);
  for (const command of [
    'rm tail',
    'rm head',
    'rm $(ls | head -1)',
    'echo > mine',
    'mkdir mine',
    'rm .status',
    'echo x >> tail',
  ]) {
    assert.match(await fails(command), 'Operation not permitted', command);
  }
  assert.match(await fails('cat .stream'), 'No such file');
  assert.match(await fails('cat .filter'), 'No such file');
});

log('shows the counts of the daemon in .status', async () => {
  const before = statusOf(`${daemon.path}/log`);
  publishNumbered(daemon.path, 7);
  const after = statusOf(`${daemon.path}/log`);
  assert.is(after.DAEMON, String(daemon.pid));
  assert.is(Number(after.PUBLISHED) - Number(before.PUBLISHED), 7);
  assert.equal(
    [after.KERNEL, after.DIRECTORIES, after.OWNERS, after.STREAMS, after.HANDLES],
    ['0', '0', '0', '0', '0'],
  );
  await directory();
  const reader = await Reader.on(`${daemon.path}/match/SUBSYSTEM=net`);
  const { DIRECTORIES, OWNERS, STREAMS, STREAM_0 } = statusOf(`${daemon.path}/log`);
  assert.equal([DIRECTORIES, OWNERS, STREAMS], ['1', '1', '1']);
  assert.is(
    STREAM_0,
    `pid=${reader.process.pid} id=0 pending=0 lost=0 added=0 filter=SUBSYSTEM==net`,
  );
  await reader.kill();
});

log('has a size of .status that is not below its text, whenever stat(2) asked for it', async () => {
  const path = `${daemon.path}/log/.status`;
  const readers: Reader[] = [];
  // The daemon keeps the length of such a long text for a second.
  while (readFileSync(path).length <= 4096)
    readers.push(await Reader.on(`${daemon.path}/match/N==${'v'.repeat(200)}`));
  for (const name of ['N==1', 'N==22', 'N==333']) {
    statSync(path);
    readers.push(await Reader.on(`${daemon.path}/match/${name}`));
    const opened = openSync(path, 'r');
    // readFileSync() reads no more than the size that it finds.
    assert.match(readFileSync(opened, 'latin1'), new RegExp(`filter=${name}\n$`));
    assert.ok(fstatSync(opened).size > 4096);
    closeSync(opened);
  }
  for (const { process } of readers) process.kill();
  await nothingIsOpen();
});

log.run();
