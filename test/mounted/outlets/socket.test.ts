/** Tests --socket: events over a Unix socket, and the socket's file. */
import * as assert from 'uvu/assert';
import { existsSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refused } from '../../support/mount/apart.js';
import { Reader } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { EVENTFS_NODE, mountPoint, run, startDaemon, until } from '../../support/mount/daemon.js';
import { mounted } from '../../support/mount/mounted.js';
import { SOCKETS, scratch, testSubscribers } from './subscribers.js';

testSubscribers('socket');

const file = mounted("a socket's file", ['--source', 'none', '--socket', SOCKETS.socket]);

file('is replaced if its daemon was killed, and is refused if its daemon lives', async () => {
  const path = join(scratch, 'left');
  const first = await startDaemon(['--source', 'none', '--socket', path]);
  assert.match(
    await refused(['--source', 'none', '--socket', path]),
    `${path}: another server listens on this socket; eventfs refuses to start (stop that server`,
  );
  assert.ok(existsSync(path), 'the refused daemon has removed the file');
  await first.kill();
  await run(['umount', '-l', first.path]);
  assert.ok(existsSync(path));
  const second = await startDaemon(['--source', 'none', '--socket', path]);
  const client = new Reader(path, [compiled('subscriber'), '\n']);
  await client.has(1);
  await second.stop();
  await until(
    () => client.records.some((record) => record.startsWith('end@')),
    'the client got no end@/eventfs',
  );
  assert.not(existsSync(path), 'the file was left');
});

file('is not removed by a stopping daemon after another daemon has taken the path', async () => {
  const path = join(scratch, 'successor');
  const first = await startDaemon(['--source', 'none', '--socket', path]);
  renameSync(path, `${path}.old`);
  const second = await startDaemon(['--source', 'none', '--socket', path]);
  assert.is(await first.stop(), 0);
  assert.ok(existsSync(path), "the successor's file is gone");
  const client = new Reader(path, [compiled('subscriber'), '\n']);
  await client.has(1);
  await second.stop();
  assert.not(existsSync(path), 'the file was left');
  unlinkSync(`${path}.old`);
});

file('is refused with a mode that is no octal mode', async () => {
  for (const mode of ['0999', '08', '8', '', '00600', '66']) {
    for (const option of ['--socket', '--fd-socket']) {
      const path = join(scratch, 'mode');
      assert.match(
        await refused(['--source', 'none', option, `${path}:${mode}`]),
        'Use PATH or PATH:MODE',
        mode,
      );
      assert.not(existsSync(`${path}:${mode}`) || existsSync(path));
    }
  }
});

file(
  'is refused on a plain file, in a missing directory, with a long path and below the mount',
  async () => {
    const plain = join(scratch, 'plain');
    writeFileSync(plain, 'mine');
    assert.match(
      await refused(['--source', 'none', '--socket', plain]),
      'the file is not a socket',
    );
    assert.match(
      await refused(['--source', 'none', '--socket', join(scratch, 'no/such')]),
      'its directory does not exist',
    );
    assert.match(
      await refused(['--source', 'none', '--socket', join(scratch, 'x'.repeat(120))]),
      'at most 107 bytes',
    );
    assert.match(await refused(['--source', 'none', '--socket', '']), 'PATH or PATH:MODE');
    const other = await startDaemon();
    assert.match(
      await refused(['--source', 'none', '--socket', `${other.path}/s`]),
      'Operation not permitted (its filesystem has no sockets, as a mount of eventfs',
    );
    await other.stop();
    const below = mountPoint();
    const { err, code } = await run([
      ...EVENTFS_NODE,
      'mount',
      below,
      '--source',
      'none',
      '--fd-socket',
      `${below}/s`,
    ]);
    assert.match(err, 'the path is below the mount');
    assert.is(code, 100);
  },
);

file.run();
