/** Process directories of PIDs that the kernel uses again. */
import * as assert from 'uvu/assert';
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Actor, reach, statusOf } from '../../support/clients/actor.js';
import { run, until } from '../../support/mount/daemon.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { stateOf } from '../../support/processes.js';
import { SIGKILL, daemon, mount, observer, pidfds, processDirectories } from './common.js';

const directory = processDirectories();

directory("does not pass to a new process that has its dead owner's PID", async () => {
  const first = await observer.get(`forkmkdir 0 ${mount}/%`);
  writeFileSync(`${mount}/${first}/old`, 'old');
  const { ino } = statSync(`${mount}/${first}`);
  await observer.ask(`signal ${first} ${SIGKILL}`);
  await observer.ask(`wait ${first}`);
  assert.is(await observer.get(`forkmkdir ${first} ${mount}/%.other`), first);
  assert.is(reach(`${mount}/${first}`), 'ENOENT');
  assert.is(await observer.ask(`mkdir ${mount}/${first}`), 'ok');
  assert.equal(readdirSync(`${mount}/${first}`), []);
  assert.is.not(statSync(`${mount}/${first}`).ino, ino);
  await observer.ask(`signal ${first} ${SIGKILL}`);
  await observer.ask(`wait ${first}`);
  for (const name of [first, `${first}.other`]) assert.is(reach(`${mount}/${name}`), 'ENOENT');
});

directory(
  'does not pass to such a process if the daemon was stopped during the death',
  async () => {
    const first = await observer.get(`forkmkdir 0 ${mount}/%`);
    writeFileSync(`${mount}/${first}/old`, 'old');
    process.kill(daemon.pid, 'SIGSTOP');
    try {
      await until(() => stateOf(daemon.pid) === 'T', 'the daemon did not stop');
      await observer.ask(`signal ${first} ${SIGKILL}`);
      await observer.ask(`wait ${first}`);
      const made = observer.get(`forkmkdir ${first} ${mount}/%`);
      await until(
        () => stateOf(first) === 'S' || stateOf(first) === 'D',
        'the second process did not call mkdir',
      );
      process.kill(daemon.pid, 'SIGCONT');
      assert.is(await made, first);
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
    assert.equal(readdirSync(`${mount}/${first}`), []);
    await observer.ask(`signal ${first} ${SIGKILL}`);
    await observer.ask(`wait ${first}`);
    assert.is(reach(`${mount}/${first}`), 'ENOENT');
  },
);

directory('belongs to the right one of 300 processes that get the same PID in turn', async () => {
  const before = pidfds();
  const pid = await observer.get(`forkmkdir 0 ${mount}/%`);
  for (let round = 0; round < 300; round++) {
    assert.is(await observer.ask(`create ${mount}/${pid}/file ${round}`), `ok ${round}`);
    await observer.ask(`signal ${pid} ${SIGKILL}`);
    await observer.ask(`wait ${pid}`);
    assert.is(await observer.get(`forkmkdir ${pid} ${mount}/%`), pid);
  }
  await observer.ask(`signal ${pid} ${SIGKILL}`);
  await observer.ask(`wait ${pid}`);
  assert.is(reach(`${mount}/${pid}`), 'ENOENT');
  // Fewer, if the owners of the test before were still pending.
  await until(() => pidfds() <= before, `more pidfds than ${before}`);
});

directory('replaces a sticky directory that a dead process of the same PID has left', async () => {
  const attacker = new Actor(AS_NOBODY);
  const pid = await attacker.get(`forkmkdir 0 ${mount}/%`);
  const name = `${mount}/${pid}`;
  assert.is(
    (await run([...AS_NOBODY, 'setfattr', '-n', 'user.eventfs_sticky', '-v', '1', name])).code,
    0,
  );
  assert.is(await attacker.ask(`create ${name}/evil 10`), 'ok 10');
  assert.is(await attacker.ask(`signal ${pid} ${SIGKILL}`), 'ok');
  assert.is(await attacker.ask(`wait ${pid}`), 'ok');
  assert.is(await observer.ask(`open ${name}/evil`).then((answer) => answer.split(' ')[0]), 'ok');
  assert.equal(readdirSync(name), ['evil']);
  const held = await observer.get(`open ${name}/evil`);
  // clone3(2) assigns the PID to a process of root, which makes its directory like mkdir(1) of a
  // shell.
  assert.is(await observer.get(`forkmkdir ${pid} ${name}`), pid);
  assert.equal(readdirSync(name), []);
  assert.is(statSync(name).uid, 0);
  assert.is(await statusOf(name, 'OWNER'), `${pid}`);
  assert.is(await observer.ask(`pread ${held}`), 'ESTALE');
  assert.is(await observer.ask(`signal ${pid} ${SIGKILL}`), 'ok');
  assert.is(await observer.ask(`wait ${pid}`), 'ok');
  assert.is(reach(name), 'ENOENT');
  await attacker.kill();
});

directory('that is sticky is replaced only by a new process of the same PID', async () => {
  const pid = await observer.get(`forkmkdir 0 ${mount}/%`);
  const name = `${mount}/${pid}`;
  assert.is((await run(['setfattr', '-n', 'user.eventfs_sticky', '-v', '1', name])).code, 0);
  assert.is(await observer.ask(`signal ${pid} ${SIGKILL}`), 'ok');
  assert.is(await observer.ask(`wait ${pid}`), 'ok');
  assert.is(await observer.ask(`mkdir ${name}`), 'EEXIST');
  const again = await observer.get(`forkmkdir ${pid} ${mount}/%.label`);
  assert.is(await observer.ask(`mkdir ${name}`), 'EEXIST');
  assert.is(await observer.ask(`signal ${again} ${SIGKILL}`), 'ok');
  assert.is(await observer.ask(`wait ${again}`), 'ok');
  assert.is(await observer.ask(`rmdir ${name}`), 'ok');
});

directory(
  'replaces one that a user made before the process ran a set-user-ID program',
  async () => {
    const place = mkdtempSync(join(tmpdir(), 'eventfs-suid-'));
    try {
      chmodSync(place, 0o755);
      const root = join(place, 'bash');
      copyFileSync('/bin/bash', root);
      chmodSync(root, 0o4755);
      // The user's shell makes the directory, and becomes a shell of root with the same PID. The
      // mkdir(1) of each shell is a child.
      const script = `exec ${root} -p -c 'mkdir ${mount}/$$ && ls -A ${mount}/$$ && stat -c "%u %n" ${mount}/$$; mkdir ${mount}/$$; echo again $?'`;
      const begin = `mkdir ${mount}/$$; echo evil > ${mount}/$$/head1; mkfifo ${mount}/$$/fifo; ${script}`;
      const { out, err, code } = await run([...AS_NOBODY, 'bash', '-c', begin]);
      assert.is(code, 0, err);
      assert.match(out, /^0 \S+\nagain 1\n$/);
      assert.match(err, /File exists/);
    } finally {
      rmSync(place, { recursive: true });
    }
  },
);

directory('that root has made stays when its owner continues with fewer rights', async () => {
  const script = `mkdir ${mount}/$$; chown 65534 ${mount}/$$; exec ${AS_NOBODY.join(' ')} sh -c 'ls -d ${mount}/$$; mkdir ${mount}/$$'`;
  const { out, err } = await run(['bash', '-c', script]);
  assert.match(out, /^\S+\/\d+\n$/);
  assert.match(err, /File exists/);
});

directory.run();
