import * as assert from 'uvu/assert';
import { readFileSync, readdirSync } from 'node:fs';
import { type Daemon, Shell, makeUevent, startDaemon, until } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const directory = suite('a process directory');
let daemon: Daemon;
directory.before(async () => {
  daemon = await startDaemon(['--source', 'kernel']);
});
directory.after(async () => {
  await daemon.stop();
});

directory('shows a kernel event that has just come, and vanishes with its owner', async () => {
  const shell = new Shell();
  const own = `${daemon.path}/${shell.pid}`;
  assert.is((await shell.run(`mkdir ${own}`)).code, 0);
  await makeUevent();
  const [name] = (await until(() => {
    const names = readdirSync(own);
    return names.length > 0 && names;
  }, 'no event came')) as string[];
  assert.match(readFileSync(`${own}/${name}`, 'latin1'), `SEQNUM=${name}\n`);
  await shell.kill();
  assert.throws(() => readdirSync(own), /ENOENT/);
});

directory.run();
