/** Many owners, and the daemon's descriptors. */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync } from 'node:fs';
import { Actor, reach } from '../../support/clients/actor.js';
import { compiled } from '../../support/clients/compiled.js';
import { Shell, startDaemon, until } from '../../support/mount/daemon.js';
import { SIGKILL, mount, observer, pidfds, processDirectories, withShell } from './common.js';

const directory = processDirectories();

directory(
  'of each of 2,000 processes vanishes when all are killed, and the daemon keeps no pidfd',
  async () => {
    const before = pidfds();
    await withShell(
      async (spawner) => {
        let said = '';
        spawner.process.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
        await until(() => said.startsWith('ready'), 'not all owners have started', 30_000);
        assert.is(pidfds(), before + 2000);
        assert.is(readdirSync(mount).filter((name) => /^\d+$/.test(name)).length, 2000);
        spawner.process.stdin!.end();
        await until(() => said.endsWith('gone\n'), 'not all owners have ended', 30_000);
        assert.equal(
          readdirSync(mount).filter((name) => /^\d+$/.test(name)),
          [],
        );
        await until(() => pidfds() === before, 'the daemon holds pidfds of dead processes');
      },
      [compiled('spawn-owners'), mount, '2000'],
    );
  },
  60_000,
);

directory(
  'of thousands of processes never makes the daemon wait for a larger table of descriptors',
  async () => {
    const daemon = await startDaemon();
    const room = (): number =>
      Number(/^FDSize:\s+(\d+)$/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'latin1'))![1]);
    // Another thread has the kernel enlarge it: first at the start, then when half of it is in use
    await until(() => room() >= 4096, 'the table is small');
    const spawner = new Shell([compiled('spawn-owners'), daemon.path, '2100']);
    await until(
      () => room() >= 16384,
      () => `the table has room for ${room()}`,
      30_000,
    );
    await spawner.kill();
    await daemon.stop();
  },
  60_000,
);

directory('costs no further descriptor if its owner has another directory', async () => {
  const owner = new Actor();
  const before = pidfds();
  for (let n = 0; n < 100; n++)
    assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}.${n}`), 'ok');
  assert.is(pidfds(), before + 1);
  for (let n = 0; n < 99; n++) assert.is(await owner.ask(`rmdir ${mount}/${owner.pid}.${n}`), 'ok');
  assert.is(pidfds(), before + 1);
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}.99`), 'ENOENT');
  await until(() => pidfds() === before, 'the daemon holds the pidfd of a dead process');
});

directory(
  'is refused with ENFILE if the daemon has no descriptors left, until owners die',
  async () => {
    const small = await startDaemon(undefined, undefined, { under: ['prlimit', '--nofile=96:96'] });
    try {
      const owners: number[] = [];
      let answer: string;
      while ((answer = await observer.ask(`forkmkdir 0 ${small.path}/%`)).startsWith('ok '))
        owners.push(Number(answer.slice(3)));
      assert.is(answer, 'ENFILE');
      assert.ok(owners.length > 20, `${owners.length} owners`);
      assert.is(readdirSync(small.path).filter((name) => /^\d+$/.test(name)).length, owners.length);
      for (const pid of owners.splice(0, 2)) {
        await observer.ask(`signal ${pid} ${SIGKILL}`);
        await observer.ask(`wait ${pid}`);
      }
      owners.push(await observer.get(`forkmkdir 0 ${small.path}/%`));
      for (const pid of owners) {
        assert.is(reach(`${small.path}/${pid}`), 'ok');
        await observer.ask(`signal ${pid} ${SIGKILL}`);
        await observer.ask(`wait ${pid}`);
      }
      assert.is(small.log(), '');
    } finally {
      await small.stop();
    }
  },
);

directory.run();
