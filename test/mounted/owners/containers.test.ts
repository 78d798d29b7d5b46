/**
 * Containers with mount, PID, user and network namespaces of their own, into which the mount or one
 * process directory is bind-mounted.
 */
import * as assert from 'uvu/assert';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { reach } from '../../support/clients/actor.js';
import { statusOf } from '../../support/clients/clients.js';
import { Container } from '../../support/mount/container.js';
import {
  type Daemon,
  Shell,
  makeUevent,
  mountPoint,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { childrenOf } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const container = suite('a container');
let daemon: Daemon;
/** The place inside, as a container's root directory would have it. */
let events: string;

container.before(async () => {
  daemon = await startDaemon(['--source', 'kernel']);
  events = join(mountPoint(), 'dev-events');
  mkdirSync(events);
});
container.after(() => daemon.stop().then(() => undefined));

/** Starts a container with a directory bind-mounted at `events`. */
async function startWith(directory: string): Promise<Container> {
  const started = await Container.start();
  const { code, out } = await started.shell.run(`mount --bind ${directory} ${events}`);
  assert.is(code, 0, out);
  return started;
}

/** Runs commands in a container. @returns their output */
async function runIn({ shell }: Container, commands: string): Promise<string> {
  return (await shell.run(commands)).out;
}

container('with the whole mount has shells with directories of their own', async () => {
  const box = await startWith(daemon.path);
  const shell = new Shell([...box.enter, '--pid', 'bash']);
  const ask = async (command: string): Promise<string> => (await shell.run(command)).out;
  const inner = (await ask('echo $$')).trim();
  assert.is.not(inner, '1');
  assert.is(
    await ask(`mkdir ${events}/$$ && echo 'KERNEL==null, ACTION==change' >${events}/$$/.filter`),
    '',
  );
  const outside = `${daemon.path}/${inner}`;
  const owner = Number(statusOf(outside).OWNER);
  assert.equal([owner], childrenOf(shell.pid));
  await makeUevent('add');
  await makeUevent('change');
  assert.is(
    await ask(`head -n 1 ${events}/$$/head; rm ${events}/$$/head`),
    'change@/devices/virtual/mem/null\n',
  );
  assert.is(await ask(`ls ${events}/$$`), '');
  assert.is(
    await ask(
      `printf 'add@/mine\nACTION=add\n\n' >${events}/publish && head -n 1 ${events}/log/tail`,
    ),
    'add@/mine\n',
  );
  process.kill(owner, 'SIGKILL');
  await until(() => reach(outside) === 'ENOENT', 'the directory is there outside');
  assert.match((await box.shell.run(`ls -d ${events}/${inner}`)).out, 'No such file or directory');
  await box.kill();
});

container('hears by files what netlink does not deliver there', async () => {
  const box = await startWith(daemon.path);
  await runIn(
    box,
    `timeout 20 udevadm monitor --kernel >${events}.netlink & mkdir ${events}/$$; echo KERNEL==null >${events}/$$/.filter; sleep 0.5`,
  );
  await makeUevent('change');
  assert.match(
    await runIn(
      box,
      `until test -e ${events}/$$/head; do sleep 0.02; done; head -n 1 ${events}/$$/head`,
    ),
    'change@/devices/virtual/mem/null',
  );
  assert.not.match(await runIn(box, `kill %1; wait; cat ${events}.netlink`), 'mem/null');
  assert.ok(existsSync(`${daemon.path}/1`));
  await box.kill();
  await until(() => !existsSync(`${daemon.path}/1`), 'the directory of the first process stays');
});

container('with one filtered directory has its events and nothing else of the mount', async () => {
  const manager = new Shell();
  const own = `${daemon.path}/${manager.pid}.box`;
  const { code, out } = await manager.run(`mkdir ${own} && echo 'KERNEL==null' >${own}/.filter`);
  assert.is(code, 0, out);
  const box = await startWith(own);
  await makeUevent('change');
  assert.match(await runIn(box, `head -n 1 ${events}/head`), 'change@/devices/virtual/mem/null');
  assert.match(await runIn(box, `ls -A ${events}/..`), /dev-events/);
  assert.not.match(await runIn(box, `ls ${events}/../log ${events}/log`), /^\d+$/m);
  await manager.kill();
  await until(() => reach(own) === 'ENOENT', 'the directory stays');
  assert.match(await runIn(box, `ls ${events}`), /No such file|Stale/);
  await box.kill();
});

container.run();
