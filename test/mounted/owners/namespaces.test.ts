/** Process directories and PID namespaces. */
import * as assert from 'uvu/assert';
import { Actor, reach, statusOf } from '../../support/clients/actor.js';
import { startDaemon, until } from '../../support/mount/daemon.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { isDead, childrenOf } from '../../support/processes.js';
import {
  AS_SECOND,
  IN_PID_NAMESPACE,
  IN_USER_NAMESPACE,
  daemon,
  mount,
  observer,
  processDirectories,
  withShell,
} from './common.js';

const directory = processDirectories();

for (const [where, namespace] of [
  ['a PID namespace', IN_PID_NAMESPACE],
  ['a user and PID namespace', IN_USER_NAMESPACE],
  ['a user and PID namespace of an unprivileged user', [...AS_NOBODY, ...IN_USER_NAMESPACE]],
] as const) {
  directory(
    `named $$ in ${where} has the inner PID as its name, and ends with the process`,
    async () => {
      const owner = new Actor([...namespace, ...AS_SECOND]);
      const [inner, outer] = [await owner.get('pid'), await owner.get('outer')];
      assert.is.not(inner, outer);
      for (const name of [`${inner}`, `${inner}.label`, 'plain']) {
        assert.is(await owner.ask(`mkdir ${mount}/${name}`), 'ok', name);
        assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${outer}`, name);
      }
      process.kill(outer, 'SIGKILL');
      await until(() => isDead(outer), 'the owner did not die');
      for (const name of [`${inner}`, `${inner}.label`, 'plain'])
        assert.is(reach(`${mount}/${name}`), 'ENOENT', name);
      await owner.kill();
    },
  );

  directory(
    `named $$ by the first process of ${where} has the name 1, and ends with it`,
    async () => {
      const owner = new Actor(namespace);
      const outer = await owner.get('outer');
      assert.is(await owner.get('pid'), 1);
      assert.is(await owner.ask(`mkdir ${mount}/1`), 'ok');
      assert.is(await statusOf(`${mount}/1`, 'OWNER'), `${outer}`);
      await owner.kill();
      await until(() => isDead(outer), 'the owner did not die');
      assert.is(reach(`${mount}/1`), 'ENOENT');
    },
  );

  directory(`named $$ by a thread in ${where} belongs to its process`, async () => {
    const owner = new Actor([...namespace, ...AS_SECOND]);
    const [inner, outer] = [await owner.get('pid'), await owner.get('outer')];
    assert.is.not(await owner.get('thread'), inner);
    assert.is(await owner.ask(`mkdir ${mount}/${inner}`), 'ok');
    assert.is(await owner.ask('leave'), 'ok');
    assert.is(await statusOf(`${mount}/${inner}`, 'OWNER'), `${outer}`);
    await owner.kill();
  });

  directory(
    `is refused with EPERM in ${where} for a process outside, or one that is not an ancestor`,
    async () => {
      const caller = new Actor([...namespace, ...AS_SECOND]);
      const child = await caller.get('fork');
      for (const name of [observer.pid, daemon.pid, await caller.get('outer'), child]) {
        assert.is(await caller.ask(`mkdir ${mount}/${name}`), 'EPERM', `${name}`);
      }
      for (const name of ['0', `${2 ** 31}`])
        assert.is(await caller.ask(`mkdir ${mount}/${name}`), 'ESRCH', name);
      await caller.kill();
    },
  );
}

directory('can be made by a grandchild in a PID namespace for its ancestors inside', async () => {
  await withShell(
    async (shell) => {
      assert.equal(
        await shell.run(
          `bash -c 'bash -c "mkdir ${mount}/1.by-grandchild ${mount}/$$; true"; echo $$'`,
        ),
        { out: '2\n', code: 0 },
      );
      const init = await statusOf(`${mount}/1.by-grandchild`, 'OWNER');
      assert.not(isDead(Number(init)));
      assert.is(reach(`${mount}/2`), 'ENOENT', 'the owner has ended');
    },
    [...IN_PID_NAMESPACE, 'bash'],
  );
  await until(() => reach(`${mount}/1.by-grandchild`) === 'ENOENT', 'the namespace did not end');
});

directory(
  "is refused with EPERM to a caller outside the daemon's PID namespace, who may read",
  async () => {
    const inside = await startDaemon(undefined, undefined, {
      under: [...IN_PID_NAMESPACE, '--mount-proc'],
    });
    try {
      const [pid] = childrenOf(inside.pid);
      const outsider = new Actor(['nsenter', '-t', `${pid}`, '-m']);
      for (const name of [outsider.pid, pid, 1, 'plain'])
        assert.is(await outsider.ask(`mkdir ${inside.path}/${name}`), 'EPERM', `${name}`);
      const insider = new Actor(['nsenter', '-t', `${pid}`, '-m', '-p']);
      const name = await insider.get('pid');
      assert.is(await insider.ask(`mkdir ${inside.path}/${name}`), 'ok');
      assert.is(await insider.ask(`create ${inside.path}/${name}/file 7`), 'ok 7');
      const fd = await outsider.get(`open ${inside.path}/${name}/file`);
      assert.is(await outsider.ask(`read ${fd}`), 'ok 7');
      assert.is(await outsider.ask(`create ${inside.path}/${name}/outsider 5`), 'ok 5');
      const [owner] = childrenOf(insider.pid); // the child of nsenter(1)
      process.kill(owner, 'SIGKILL');
      await insider.ended;
      assert.is(await outsider.ask(`pread ${fd}`), 'ESTALE');
      assert.is(await outsider.ask(`open ${inside.path}/${name}/file`), 'ENOENT');
      await outsider.kill();
      process.kill(pid, 'SIGTERM');
      assert.is(await inside.ended, 0, inside.log());
    } finally {
      await inside.kill();
    }
  },
);

directory.run();
