/** How the daemon ends: by signals, by umount(8), by an aborted connection. */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mount as mountFilesystem, unmount } from '#native';
import { mountedAt } from '../../../fs/shared/kernel/mountinfo.js';
import { Actor, reach } from '../../support/clients/actor.js';
import {
  EVENTFS_SCRIPT,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
  hasSaid,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import {
  CONNECTIONS,
  CUT_OFF,
  blockedCat,
  cleanUp,
  prepare,
  shellWithDirectory,
  untilGone,
} from './common.js';

const daemonSuite = suite('the daemon');
daemonSuite.before(prepare);
daemonSuite.after(cleanUp);

const MNT_DETACH = 2;

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  daemonSuite(
    `returns the end of the file to blocked readers on ${signal}, unmounts and exits with 0`,
    async () => {
      const daemon = await startDaemon();
      const connection = mountedAt(daemon.path)!.minor;
      const shell = await shellWithDirectory(daemon);
      const files = [
        'stream',
        'match/SUBSYSTEM=none',
        'match/SUBSYSTEM=none',
        `${shell.pid}/.stream`,
        `${shell.pid}/.stream`,
      ];
      const cats = await Promise.all(files.map((file) => blockedCat(`${daemon.path}/${file}`)));
      process.kill(daemon.pid, signal);
      for (const { ended } of cats)
        assert.equal(await within(20_000, ended, 'cat did not end'), { out: '', err: '', code: 0 });
      assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
      assert.is(daemon.log(), '');
      await untilGone(daemon.path, connection);
      assert.is(reach(`${daemon.path}/stream`), 'ENOENT');
      await shell.kill();
    },
  );
}

daemonSuite('unmounts and exits with 0 although further signals come while it stops', async () => {
  for (let round = 0; round < 12; round++) {
    const daemon = await startDaemon();
    process.kill(daemon.pid, 'SIGTERM');
    for (let n = 0; n < 1 + round; n++) {
      await sleep(2 + (round % 4));
      if (daemon.process.exitCode === null) daemon.process.kill(n % 2 === 0 ? 'SIGTERM' : 'SIGINT');
    }
    const code = await within(20_000, daemon.ended, 'the daemon did not end');
    assert.not(isMounted(daemon.path), `round ${round}: the mount is left`);
    assert.equal([code, daemon.log()], [0, '']);
  }
});

daemonSuite('continues after SIGHUP', async () => {
  const daemon = await startDaemon();
  const cat = await blockedCat(`${daemon.path}/stream`);
  process.kill(daemon.pid, 'SIGHUP');
  assert.is((await run(['cat', `${daemon.path}/log/.status`])).code, 0);
  assert.is(await daemon.stop(), 0);
  assert.is((await cat.ended).code, 0);
});

daemonSuite(
  'exits with 0 when umount(8) removes its mount, which fails while a file is open',
  async () => {
    const daemon = await startDaemon();
    const connection = mountedAt(daemon.path)!.minor;
    const cat = await blockedCat(`${daemon.path}/stream`);
    const busy = await run(['umount', daemon.path]);
    assert.is(busy.code, 32);
    assert.match(busy.err, 'busy');
    assert.is(reach(`${daemon.path}/stream`), 'ok');
    process.kill(cat.pid);
    await cat.ended;
    await until(
      async () => (await run(['umount', daemon.path])).code === 0,
      'the mount stayed busy',
    );
    assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
    assert.is(daemon.log(), '');
    await untilGone(daemon.path, connection);
  },
);

daemonSuite(
  'serves open files after umount -l, and exits with 0 when the last is closed',
  async () => {
    const daemon = await startDaemon();
    const reader = new Actor();
    const fd = await reader.get(`opennb ${daemon.path}/stream`);
    assert.equal(await run(['umount', '-l', daemon.path]), { out: '', err: '', code: 0 });
    assert.is(await reader.ask(`read ${fd}`), 'EAGAIN');
    assert.is(await reader.ask(`close ${fd}`), 'ok');
    assert.is(await within(20_000, daemon.ended, 'the daemon did not end'), 0);
    assert.is(daemon.log(), '');
    await reader.kill();
  },
);

daemonSuite('leaves mounts of other processes in its place or over it alone', async () => {
  const first = await startDaemon();
  const reader = new Actor();
  const fd = await reader.get(`opennb ${first.path}/stream`);
  await run(['umount', '-l', first.path]);
  const second = await startDaemon(undefined, first.path);
  process.kill(first.pid, 'SIGTERM');
  assert.is(await within(20_000, first.ended, 'the first daemon did not end'), 0);
  assert.is(reach(`${second.path}/stream`), 'ok');
  assert.match(await reader.ask(`read ${fd}`), CUT_OFF);
  await reader.kill();
  mountFilesystem('none', second.path, 'tmpfs', 0, '');
  process.kill(second.pid, 'SIGTERM');
  assert.is(await within(20_000, second.ended, 'the second daemon did not end'), 0);
  assert.is(mountedAt(second.path)?.type, 'tmpfs');
  unmount(second.path, 0);
  const third = await startDaemon(undefined, second.path);
  await hasSaid(third, 'detached the mount');
  await third.stop();
});

daemonSuite('removes its mount when its connection is aborted', async () => {
  const daemon = await startDaemon();
  const connection = mountedAt(daemon.path)!.minor;
  const cat = await blockedCat(`${daemon.path}/stream`);
  writeFileSync(`${CONNECTIONS}/${connection}/abort`, '1');
  assert.is((await within(20_000, cat.ended, 'cat did not end')).code, 1);
  await within(20_000, daemon.ended, 'the daemon did not end');
  await untilGone(daemon.path, connection);
});

daemonSuite(
  'leaves no mount when SIGTERM comes before it mounts, or just after',
  async () => {
    const path = mountPoint();
    for (let round = 0; round < 30; round++) {
      const child = spawn(process.execPath, [EVENTFS_SCRIPT, 'mount', path, '--source', 'none'], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      const ended = new Promise<number | null>((done) => child.on('close', done));
      const comesEarly = round % 3 === 0;
      while (!comesEarly && !isMounted(path)) await new Promise((done) => setImmediate(done));
      child.kill('SIGTERM');
      assert.is(await within(10_000, ended, 'it did not end'), comesEarly ? null : 0);
      assert.not(isMounted(path));
    }
  },
  60_000,
);

for (const driver of ['devfuse', 'fuse-native']) {
  daemonSuite(
    `leaves a mount alone that got the device number of its removed mount (${driver})`,
    async () => {
      for (let tries = 0; ; tries++) {
        const first = await startDaemon(['--source', 'none', '--driver', driver]);
        const { minor } = mountedAt(first.path)!;
        // The second daemon mounts before the first one hears of the end of its own mount.
        process.kill(first.pid, 'SIGSTOP');
        unmount(first.path, MNT_DETACH);
        const second = await startDaemon(['--source', 'none']);
        // The kernel may have given the number to another filesystem.
        const isReused = mountedAt(second.path)?.minor === minor;
        process.kill(first.pid, 'SIGCONT');
        await within(20_000, first.ended, 'the daemon did not end, although its mount was removed');
        assert.ok(
          mountedAt(second.path) !== undefined,
          "the first daemon has removed the second one's mount",
        );
        assert.is(await second.stop(), 0);
        if (isReused) return;
        assert.ok(tries < 10, 'the kernel never reused the device number');
      }
    },
  );
}

daemonSuite.run();
