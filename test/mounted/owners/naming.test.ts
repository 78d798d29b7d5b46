/** The names of process directories, and the owners that a caller may name. */
import * as assert from 'uvu/assert';
import { statSync } from 'node:fs';
import { Actor, reach, statusOf } from '../../support/clients/actor.js';
import { run } from '../../support/mount/daemon.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import {
  SIGKILL,
  daemon,
  mount,
  observer,
  pidfds,
  processDirectories,
  withShell,
} from './common.js';

const directory = processDirectories();

directory('named $$ by mkdir(1) belongs to the shell, and vanishes with it', async () => {
  await withShell(async (shell) => {
    assert.is((await shell.run(`mkdir ${mount}/$$`)).code, 0);
    assert.is(await statusOf(`${mount}/${shell.pid}`, 'OWNER'), `${shell.pid}`);
    await shell.kill();
    assert.is(reach(`${mount}/${shell.pid}`), 'ENOENT');
  });
});

directory('may have a label after the PID, and a process may own several', async () => {
  await withShell(async (shell) => {
    const names = ['', '.fifo', '.with a blank', '.', '.a.b'].map(
      (label) => `${shell.pid}${label}`,
    );
    for (const name of names)
      assert.equal(await shell.run(`mkdir '${mount}/${name}'`), { out: '', code: 0 });
    for (const name of names)
      assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${shell.pid}`);
    await shell.kill();
    for (const name of names) assert.is(reach(`${mount}/${name}`), 'ENOENT');
  });
});

directory('can be made for an ancestor two generations up', async () => {
  await withShell(async (shell) => {
    const { out, code } = await shell.run(
      `top=$$ bash -c 'bash -c "mkdir ${mount}/\\$top.up; true"; true'; stat -c %n ${mount}/$$.up`,
    );
    assert.is(code, 0, out);
    await shell.kill();
    assert.is(reach(`${mount}/${shell.pid}.up`), 'ENOENT');
  });
});

directory('belongs to the caller of mkdir(2) under any other name', async () => {
  const owner = new Actor();
  assert.is(await owner.ask(`mkdir ${mount}/mine`), 'ok');
  assert.is(await statusOf(`${mount}/mine`, 'OWNER'), `${owner.pid}`);
  await owner.kill();
  assert.is(reach(`${mount}/mine`), 'ENOENT');
});

directory('of another name that mkdir(1) has made vanishes at once, with mkdir(1)', async () => {
  assert.is((await run(['mkdir', `${mount}/short`])).code, 0);
  assert.is(reach(`${mount}/short`), 'ENOENT');
});

directory('named by a number with leading zeros or a sign belongs to the caller', async () => {
  const owner = new Actor(AS_NOBODY);
  for (const name of ['01', '007.x', '-1', '+1', '1a', '0x1', '.1', '1,2']) {
    assert.is(await owner.ask(`mkdir ${mount}/${name}`), 'ok', name);
    assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${owner.pid}`, name);
  }
  await owner.kill();
});

directory('is refused with ESRCH if no process has that PID', async () => {
  const child = await observer.get('fork');
  await observer.ask(`signal ${child} ${SIGKILL}`);
  await observer.ask(`wait ${child}`);
  const none = [
    `${child}`,
    `${child}.label`,
    '0',
    '0.x',
    `${2 ** 31}`,
    `${2 ** 32 + 1}`,
    `${2 ** 53 + 1}`,
    '9'.repeat(200),
    `${2 ** 22 + 1}`,
  ];
  for (const name of none) {
    assert.is(await observer.ask(`mkdir ${mount}/${name}`), 'ESRCH', name);
    assert.is(reach(`${mount}/${name}`), 'ENOENT', name);
  }
});

directory('is refused with EEXIST if the name is taken', async () => {
  const owner = new Actor();
  assert.is(await owner.ask(`mkdir ${mount}/taken`), 'ok');
  assert.is(await observer.ask(`mkdir ${mount}/taken`), 'EEXIST');
  assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}`), 'ok');
  assert.is(await observer.ask(`mkdir ${mount}/${owner.pid}`), 'EEXIST');
  for (const name of ['log', 'match', 'stream', 'publish'])
    assert.is(await owner.ask(`mkdir ${mount}/${name}`), 'EEXIST', name);
  await owner.kill();
  assert.is(await observer.ask(`mkdir ${mount}/taken`), 'ok');
  assert.is(await observer.ask(`rmdir ${mount}/taken`), 'ok');
});

directory('can be removed and made again, and the daemon keeps no pidfd meanwhile', async () => {
  const owner = new Actor();
  const before = pidfds();
  for (let round = 0; round < 3; round++) {
    assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}`), 'ok');
    assert.is(pidfds(), before + 1);
    assert.is(await owner.ask(`rmdir ${mount}/${owner.pid}`), 'ok');
    assert.is(pidfds(), before);
  }
  await owner.kill();
});

// ---- permission

directory('is refused with EPERM for a process that the caller may not signal', async () => {
  const nobody = new Actor(AS_NOBODY);
  for (const name of ['1', '1.label', `${observer.pid}`, `${daemon.pid}`]) {
    assert.is(await nobody.ask(`mkdir ${mount}/${name}`), 'EPERM', name);
    assert.is(reach(`${mount}/${name}`), 'ENOENT', name);
  }
  await nobody.kill();
});

directory('can be made by root for any process, and belongs to the user root', async () => {
  const nobody = new Actor(AS_NOBODY);
  assert.is(await observer.ask(`mkdir ${mount}/${nobody.pid}`), 'ok');
  assert.is(statSync(`${mount}/${nobody.pid}`).uid, 0);
  await nobody.kill();
  assert.is(reach(`${mount}/${nobody.pid}`), 'ENOENT');
});

directory('can be made for another process of the same user that is not an ancestor', async () => {
  const [one, other] = [new Actor(AS_NOBODY), new Actor(AS_NOBODY)];
  await other.get('pid'); // by its answer the process has dropped its rights
  assert.is(await one.ask(`mkdir ${mount}/${other.pid}`), 'ok');
  await one.kill();
  assert.is(reach(`${mount}/${other.pid}`), 'ok');
  await other.kill();
  assert.is(reach(`${mount}/${other.pid}`), 'ENOENT');
});

directory(
  "is refused with EPERM for root's process if the caller is root in a user namespace only",
  async () => {
    const fake = new Actor([...AS_NOBODY, 'unshare', '-Ur']);
    assert.is(await fake.ask(`mkdir ${mount}/${observer.pid}`), 'EPERM');
    assert.is(await fake.ask(`mkdir ${mount}/${fake.pid}`), 'ok');
    assert.is(statSync(`${mount}/${fake.pid}`).uid, 65534);
    await fake.kill();
    assert.is(reach(`${mount}/${fake.pid}`), 'ENOENT');
  },
);

directory.run();
