/** The root: its permanent files, and the list of directories. */
import * as assert from 'uvu/assert';
import { chmodSync, constants, readdirSync, statSync } from 'node:fs';
import { Calls } from '../../support/clients/clients.js';
import { run } from '../../support/mount/daemon.js';
import { daemon, mounted, shell } from '../../support/mount/mounted.js';
import { enter, directory, fails, lines } from './common.js';

const root = mounted('the root');

root('lists the permanent files, with their types and modes', async () => {
  const { out } = await run([
    'find',
    daemon.path,
    '-maxdepth',
    '1',
    '-printf',
    '%P %y %m %U:%G\\n',
  ]);
  assert.equal(lines(out).sort(), [
    ' d 1777 0:0',
    'log d 555 0:0',
    'match d 555 0:0',
    'publish f 200 0:0',
  ]);
});

root('lists directories in the order of their mkdir', async () => {
  const names = ['z', 'b', 'a', 'y'].map((label) => `${shell.pid}.${label}`);
  await shell.run(`cd ${daemon.path}; mkdir ${names.join(' ')}`);
  const { out } = await run(['ls', '-f', daemon.path]);
  assert.equal(
    lines(out).filter((name) => names.includes(name)),
    names,
  );
  await shell.run(`rmdir ${names.join(' ')}`);
});

root('lists each of 3,000 directories once', async () => {
  const names = Array.from({ length: 3000 }, (_, i) => `${shell.pid}.many-${i}`);
  await shell.run(`cd ${daemon.path}; mkdir ${shell.pid}.many-{0..2999}`);
  const listed = readdirSync(daemon.path).filter((name) => name.includes('many'));
  assert.equal(listed.sort(), names.sort());
  assert.is(statSync(daemon.path).nlink, 4 + names.length);
  const { out, code } = await shell.run(`rmdir ${shell.pid}.many-*`);
  assert.is(code, 0, out);
});

root('returns the same inode numbers and types by readdir as by stat', async () => {
  await directory();
  const calls = new Calls();
  await calls.open(1, daemon.path, constants.O_RDONLY | constants.O_DIRECTORY);
  const { rest } = await calls.call('getdents', 1);
  assert.is(rest.length, 6);
  for (const entry of rest) {
    const [name, inode, type] = entry.split('/');
    const info = statSync(`${daemon.path}/${name}`);
    if (name !== '..') assert.is(Number(inode), info.ino, name);
    assert.is(Number(type), info.isDirectory() ? 4 : 8, name);
  }
  await calls.end();
});

root('refuses to remove or replace permanent files with EPERM', async () => {
  enter(daemon.path);
  assert.match(await fails('rmdir log'), 'Operation not permitted');
  assert.match(await fails('rm publish'), 'Operation not permitted');
  assert.match(await fails('rm stream'), 'Operation not permitted');
  assert.match(await fails('rmdir match'), 'Operation not permitted');
  assert.match(await fails('mkdir stream'), 'File exists');
  assert.match(await fails('echo > file'), 'Operation not permitted');
});

root('keeps the mode that root sets by chmod', () => {
  chmodSync(daemon.path, 0o1770);
  assert.is(statSync(daemon.path).mode & 0o7777, 0o1770);
  chmodSync(daemon.path, 0o1777);
  assert.is(statSync(daemon.path).mode & 0o7777, 0o1777);
});

root.run();
