/** The end of a process directory: stops, zombies, exec, threads and children of its owner. */
import * as assert from 'uvu/assert';
import { existsSync } from 'node:fs';
import { Actor, reach, statusOf } from '../../support/clients/actor.js';
import { until } from '../../support/mount/daemon.js';
import { isDead, stateOf } from '../../support/processes.js';
import {
  SIGCONT,
  SIGKILL,
  SIGSTOP,
  mount,
  observer,
  processDirectories,
  withShell,
} from './common.js';

const directory = processDirectories();

directory('stays while its owner is a stopped process', async () => {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  await observer.ask(`signal ${owner} ${SIGSTOP}`);
  await until(() => stateOf(owner) === 'T', 'the owner did not stop');
  assert.is(reach(`${mount}/${owner}`), 'ok');
  await observer.ask(`signal ${owner} ${SIGCONT}`);
  assert.is(reach(`${mount}/${owner}`), 'ok');
  await observer.ask(`signal ${owner} ${SIGKILL}`);
  await observer.ask(`wait ${owner}`);
  assert.is(reach(`${mount}/${owner}`), 'ENOENT');
});

directory('vanishes when its owner becomes a zombie', async () => {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  await observer.ask(`signal ${owner} ${SIGKILL}`);
  await until(() => stateOf(owner) === 'Z', 'the owner is not a zombie');
  assert.is(reach(`${mount}/${owner}`), 'ENOENT');
  assert.is(await observer.ask(`mkdir ${mount}/${owner}`), 'ESRCH');
  assert.is(await observer.ask(`mkdir ${mount}/${owner}.label`), 'ESRCH');
  assert.is(stateOf(owner), 'Z');
  assert.is(await observer.ask(`wait ${owner}`), 'ok');
});

directory('survives an exec of its owner', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  assert.is(await owner.get('exec'), owner.pid);
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}`), 'ENOENT');
});

directory('survives an exec by a thread that is not the first', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  assert.is.not(await owner.get('thread'), owner.pid);
  assert.is(await owner.get('exec'), owner.pid);
  assert.is(await owner.get('tid'), owner.pid);
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}`), 'ENOENT');
});

directory('survives an exec by a thread after the first thread has ended', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  await owner.get('abandon');
  assert.is(await owner.get('exec'), owner.pid);
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}`), 'ENOENT');
});

directory(
  'made by a thread belongs to the process, and survives the end of the thread',
  async () => {
    const owner = new Actor();
    const tid = await owner.get('thread');
    assert.is(await owner.ask(`mkdir ${mount}/by-thread`), 'ok');
    assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}`), 'ok');
    assert.is(await owner.ask(`mkdir ${mount}/${tid}`), 'ok');
    assert.is(await owner.ask('leave'), 'ok');
    await until(() => !existsSync(`/proc/${owner.pid}/task/${tid}`), 'the thread did not end');
    for (const name of ['by-thread', owner.pid, tid]) {
      assert.is(reach(`${mount}/${name}`), 'ok');
      assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${owner.pid}`);
    }
    await owner.kill();
    for (const name of ['by-thread', owner.pid, tid])
      assert.is(reach(`${mount}/${name}`), 'ENOENT');
  },
);

directory("named by a thread's ID belongs to the process of the thread", async () => {
  const owner = new Actor();
  const tid = await owner.get('thread');
  assert.is(await observer.ask(`mkdir ${mount}/${tid}`), 'ok');
  assert.is(await statusOf(`${mount}/${tid}`, 'OWNER'), `${owner.pid}`);
  await owner.kill();
  assert.is(reach(`${mount}/${tid}`), 'ENOENT');
});

directory('stays when the first thread has ended, and vanishes with the last', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  await owner.get('abandon');
  assert.is(stateOf(owner.pid), 'Z');
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  assert.is(await owner.ask(`mkdir ${mount}/later`), 'ok');
  assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}.later`), 'ok');
  assert.is(await observer.ask(`mkdir ${mount}/${owner.pid}.by-other`), 'ok');
  const names = [`${owner.pid}`, 'later', `${owner.pid}.later`, `${owner.pid}.by-other`];
  for (const name of names) assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${owner.pid}`);
  await owner.kill();
  for (const name of names) assert.is(reach(`${mount}/${name}`), 'ENOENT');
});

directory(
  'vanishes although a child of its owner lives, and stays although a child dies',
  async () => {
    const owner = new Actor();
    await owner.ask(`mkdir ${mount}/${owner.pid}`);
    const child = await owner.get('fork');
    await owner.ask(`signal ${child} ${SIGKILL}`);
    await owner.ask(`wait ${child}`);
    assert.is(reach(`${mount}/${owner.pid}`), 'ok');
    await withShell(async (shell) => {
      await shell.run(`mkdir ${mount}/$$; sleep 60 & child=$!`);
      const survivor = Number((await shell.run('echo $child')).out);
      await shell.kill();
      assert.not(isDead(survivor));
      assert.is(reach(`${mount}/${shell.pid}`), 'ENOENT');
      process.kill(survivor, 'SIGKILL');
    });
    await owner.kill();
  },
);

directory.run();
