/** The rights of another user. */
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { publishNumbered } from '../../support/clients/clients.js';
import { Shell, run } from '../../support/mount/daemon.js';
import { daemon, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { enter, directory, own } from './common.js';

const others = mounted('another user');

/** Runs a command as the user 65534. */
const asNobody = (command: string): ReturnType<typeof run> =>
  run([...AS_NOBODY, 'sh', '-c', `cd ${own}; ${command}`]);

others(
  'cannot read events of a directory, set its filter, remove events or make files',
  async () => {
    await directory();
    publishNumbered(daemon.path, 2);
    const [name] = readdirSync(own);
    for (const command of [
      `cat ${name}`,
      'cat head',
      'echo A=b > .filter',
      'cat .stream',
      `rm ${name}`,
      'rm head',
      'echo x > mine',
      `rmdir ${own}`,
      `rm -rf ${own}`,
    ]) {
      const { err, code } = await asNobody(command);
      assert.is.not(code, 0, command);
      assert.match(err, /Permission denied|Operation not permitted/, command);
    }
    assert.is(readdirSync(own).length, 2);
    assert.is((await asNobody('ls; readlink head; cat .filter; cat .status')).code, 0);
  },
);

others('cannot list a directory of mode 0700', async () => {
  await directory('0700');
  const { err } = await asNobody(`ls ${own}`);
  assert.match(err, 'Permission denied');
});

others('cannot publish, or make directories for processes of others', async () => {
  enter(daemon.path);
  assert.match((await asNobody('echo add@/x > publish')).err, 'Permission denied');
  assert.match((await asNobody('cat publish')).err, 'Permission denied');
  assert.match((await asNobody(`mkdir ${shell.pid}.stolen`)).err, 'Operation not permitted');
  assert.match((await asNobody('mkdir 1')).err, 'Operation not permitted');
});

others('can read the events of log/, and not change them', async () => {
  enter(`${daemon.path}/log`);
  publishNumbered(daemon.path, 1);
  const { out, code } = await asNobody('stat -Lc "%a %u:%g" tail; cat tail');
  assert.is(code, 0, out);
  assert.match(out, /^444 0:0\nadd@\/devices\/n\nACTION=add\nN=0\n$/);
  assert.match((await asNobody('echo x >> tail')).err, 'Permission denied');
  assert.match((await asNobody('rm tail')).err, 'Permission denied');
});

others('can make a directory, and read streams', async () => {
  enter(daemon.path);
  const { out, code } = await asNobody(
    'mkdir $$ && cd $$ && stat -c %u . && echo mine > mine && cat mine .status && echo A=b > .filter && cat .filter && rm mine && timeout 0.2 cat ../stream; ls; rmdir ../$$',
  );
  assert.is(code, 0, out);
  assert.match(out, /^65534\nmine\nOWNER=\d+\n/);
  assert.match(out, 'A==b\n');
});

others('can read and remove the events of its own directory', async () => {
  enter(daemon.path);
  const nobody = new Shell([...AS_NOBODY, 'bash']);
  await nobody.run(`mkdir -m 700 ${daemon.path}/$$ && cd ${daemon.path}/$$`);
  publishNumbered(daemon.path, 1);
  const { out, code } = await nobody.run('stat -c "%a %u:%g" $(ls); cat head && rm head && ls -A');
  assert.is(code, 0, out);
  assert.match(out, /^440 65534:65534\nadd@\/devices\/n\nACTION=add\nN=0\n$/);
  await nobody.kill();
});

others.run();
