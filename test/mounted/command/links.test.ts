/** Tests commands of root in directories that other users control: they follow no symlink there. */
import * as assert from 'uvu/assert';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventText, publish, statusOf } from '../../support/clients/clients.js';
import { Background, eventfs } from '../../support/mount/command.js';
import { configured } from '../../support/mount/config.js';
import { Shell, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';

const SECRET = 'PENDING=66699666\nDEVPATH=/the/secret\n';

/** Makes a file that only root may read and write. @returns its path */
function secretFile(): string {
  const path = join(
    mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'links-')),
    'secret',
  );
  writeFileSync(path, SECRET, { mode: 0o600 });
  return path;
}

const command = mounted(
  'a symlink of another user',
  configured('sticky = ["global:1777"]\n[queue]\nevents = 8\n'),
);
command.after(() => Background.killAll());

command('cannot have a name that a command opens in a process directory', async () => {
  const secret = secretFile();
  const hostile = new Shell([...AS_NOBODY, 'bash']);
  const path = `${daemon.path}/${hostile.pid}`;
  assert.is((await hostile.run(`mkdir -m 777 ${path}`)).code, 0);
  for (const name of ['.status', '.stream', '.filter', '.since']) {
    assert.match((await hostile.run(`ln -s ${secret} ${path}/${name}`)).out, /File exists/);
    assert.match(
      (
        await hostile.run(
          `ln -s ${secret} ${path}/link; mv -T ${path}/link ${path}/${name}; rm ${path}/link`,
        )
      ).out,
      /not permitted/,
    );
    assert.match((await hostile.run(`rm ${path}/${name}`)).out, /not permitted/);
  }
  for (const name of [`${hostile.pid}.link`, 'link', `${process.pid}`])
    assert.match(
      (await hostile.run(`ln -s ${secret} ${daemon.path}/${name}`)).out,
      /not permitted/,
    );
  await hostile.kill();
});

command('is not followed by status, doctor and settle', async () => {
  const secret = secretFile();
  const hostile = new Shell([...AS_NOBODY, 'bash']);
  const path = `${daemon.path}/${hostile.pid}`;
  const links = ['status', 'stream', 'x', '1', '99999999'].map(
    (name) => `ln -s ${secret} ${path}/${name} && ln -s ${path} ${path}/to-itself-${name}`,
  );
  assert.is(
    (
      await hostile.run(
        `mkdir ${path} && ${links.join(' && ')} && ln -s ${secret} ${daemon.path}/global/link`,
      )
    ).code,
    0,
  );
  for (const args of [
    ['status'],
    ['status', '--json'],
    ['doctor'],
    ['settle', '--timeout', '20'],
  ]) {
    const { out, err } = await eventfs([args[0], '--mount', daemon.path, ...args.slice(1)]);
    assert.not.match(out + err, /66699666|secret/, args.join(' '));
  }
  assert.is(statusOf(path).PENDING, '0');
  assert.is(readFileSync(secret, 'latin1'), SECRET);
  await hostile.kill();
  execFileSync('rm', [`${daemon.path}/global/link`]);
});

command('is ignored by run, as a FIFO is, and run goes on', async () => {
  const secret = secretFile();
  const child = new Background([
    'run',
    '--mount',
    daemon.path,
    '',
    '--',
    'sh',
    '-c',
    'echo "$DEVPATH"; cat',
  ]);
  const queue = `${daemon.path}/${child.pid}.run`;
  await until(
    () => existsSync(`${queue}.taken`) && statusOf(queue).STREAMS === '1',
    'eventfs run did not begin',
    20_000,
  );
  symlinkSync(secret, `${queue}/0`);
  execFileSync('mkfifo', [`${queue}/00`]);
  symlinkSync(secret, `${queue}.taken/overflow.1`);
  publish(daemon.path, eventText('/a'), eventText('/b'));
  await until(
    () => child.out.includes('/b\nadd@/b\nACTION=add\n'),
    () => `run did not start its command: ${child.out}${child.err}`,
    20_000,
  );
  assert.is(child.out, `/a\n${eventText('/a')}/b\n${eventText('/b')}`);
  child.process.kill('SIGSTOP');
  publish(daemon.path, ...Array.from({ length: 20 }, (_, n) => eventText(`/c${n}`)));
  child.process.kill('SIGCONT');
  await until(
    () => /^LOST=\d+$/m.test(child.out) && statusOf(`${queue}.taken`).PENDING === '0',
    () => `run did not report the loss: ${child.out}${child.err}`,
    20_000,
  );
  assert.equal(readdirSync(queue), ['0', '00']);
  assert.is(child.err, '');
  assert.is(readFileSync(secret, 'latin1'), SECRET);
  assert.is(await child.stop(), 0);
});

command('is not followed by exec, which drops the events from before its filter', async () => {
  const secret = secretFile();
  const { out, code } = await eventfs([
    'exec',
    '--mount',
    daemon.path,
    '--filter',
    'A==b',
    '--',
    'sh',
    '-c',
    `ln -s ${secret} $EVENTS_DIR/link; ls $EVENTS_DIR; stat -c %F $EVENTS_DIR/link`,
  ]);
  assert.equal([out, code], ['link\nsymbolic link\n', 0]);
  assert.is(statSync(secret).size, SECRET.length);
});

command.run();
