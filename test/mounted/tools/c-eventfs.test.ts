/** The failures of the C eventfs of 2015, and a server that leaves a socket behind. */
import { spawn } from 'node:child_process';
import * as assert from 'uvu/assert';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { Shell, run, until, within } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { sequence } from './sequences.js';

const NAME_MAX = 255;

const old = mounted('the failures of the C eventfs');

old('are gone: readdir returns d_type', async () => {
  const path = await directory();
  await shell.run(`cd ${path}; echo > event; mkfifo fifo`);
  const types = readdirSync(path, { withFileTypes: true }).map((entry) => [
    entry.name,
    entry.isFile(),
    entry.isFIFO(),
  ]);
  assert.equal(types, [
    ['event', true, false],
    ['fifo', false, true],
  ]);
  const root = readdirSync(daemon.path, { withFileTypes: true });
  assert.ok(root.find(({ name }) => name === basename(path))!.isDirectory());
});

old('are gone: creating and unlinking again and again costs no quota', async () => {
  const path = await directory();
  for (let n = 0; n < 1000; n++) {
    writeFileSync(`${path}/e`, 'x');
    unlinkSync(`${path}/e`);
  }
  for (let n = 0; n < 10; n++) writeFileSync(`${path}/${n}`, 'x');
  assert.is(readdirSync(path).length, 10);
});

old('are gone: create, rm and create of one name in one queue', async () => {
  const path = await directory();
  const { out, code } = await shell.run(
    `cd ${path}; echo 1 > a; rm a; echo 2 > a; cat a head tail; rm head; echo 3 > a; cat tail`,
  );
  assert.is(code, 0);
  assert.is(out, '2\n2\n2\n3\n');
});

old(
  'are gone: a file that is unlinked while it is open stays readable, without .fuse_hidden',
  async () => {
    const path = await directory();
    const { out } = await shell.run(
      `cd ${path}; echo hello > e; exec 5< e; rm e; ls -A; stat -Lc '%s %h' /dev/fd/5; cat <&5; exec 5<&-`,
    );
    assert.is(out, '6 0\nhello\n');
    assert.equal(readdirSync(path), []);
  },
);

old('are gone: a file that is replaced by rename while it is open stays readable', async () => {
  const path = await directory();
  const { out } = await shell.run(
    `cd ${path}; echo old > e; echo new > f; exec 5< e; mv f e; ls -A; cat - e <&5; exec 5<&-`,
  );
  assert.is(out, 'e\nold\nnew\n');
});

old(
  "are gone: a thread's directory outlives the thread, and vanishes with the process",
  async () => {
    const path = `${daemon.path}/of-a-thread`;
    assert.equal(await sequence('thread', path), []);
    assert.not.ok(existsSync(path));
  },
);

old('are gone: a directory survives an exec of its owner', async () => {
  const path = `${daemon.path}/of-an-exec`;
  assert.equal(await sequence('exec', path), ['through', 'directory']);
  assert.not.ok(existsSync(path));
});

old('are gone: names have up to 255 bytes', async () => {
  const name = 'n'.repeat(NAME_MAX);
  const long = `${daemon.path}/${`${shell.pid}.`.padEnd(NAME_MAX, 'd')}`;
  await shell.run(`mkdir ${long}`);
  writeFileSync(`${long}/${name}`, 'x');
  assert.equal(readdirSync(long), [name]);
  assert.is(readFileSync(`${long}/head`, 'latin1'), 'x');
  const { out, code } = await shell.run(
    `cd ${long}; mv ${name} ${name.replace('n', 'm')}; ln ${name.replace('n', 'm')} ${name}; readlink head tail`,
  );
  assert.is(code, 0, out);
  assert.is(out, `${name.replace('n', 'm')}\n${name}\n`);
  assert.throws(() => writeFileSync(`${long}/${name}n`, 'x'), /ENAMETOOLONG/);
  assert.throws(() => mkdirSync(`${long}d`), /ENAMETOOLONG/);
  for (const each of readdirSync(long)) unlinkSync(`${long}/${each}`);
  rmdirSync(long);
});

old('are gone: no file of a dead owner can be reached', async () => {
  let stale = 0;
  for (let n = 0; n < 20; n++) {
    const owner = new Shell();
    const path = `${daemon.path}/${owner.pid}`;
    await owner.run(`mkdir ${path}; echo x > ${path}/e`);
    assert.is(readFileSync(`${path}/e`, 'latin1'), 'x\n');
    await owner.kill();
    for (const each of [path, `${path}/e`, `${path}/head`, `${path}/.status`])
      if (existsSync(each)) stale++;
  }
  assert.is(stale, 0);
});

old.run();

const servers = mounted('a server');

servers(
  'that is killed leaves no stale socket in its own directory',
  async () => {
    for (let round = 0; round < 5; round++) {
      const path = `${daemon.path}/server`;
      const lines = [
        'import os, socket, sys',
        'os.mkdir(sys.argv[1]); s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + "/ctl.sock"); s.listen()',
        'while True: c, _ = s.accept(); c.send(b"hello"); c.close()',
      ];
      const server = spawn('python3', ['-c', lines.join('\n'), path], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const gone = new Promise((done) => server.once('exit', done));
      await until(() => existsSync(`${path}/ctl.sock`), 'no socket', 20_000);
      const client =
        'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(10))';
      await until(
        async () => (await run(['python3', '-c', client, `${path}/ctl.sock`])).out === "b'hello'\n",
        'the server does not answer',
        20_000,
      );
      assert.equal(readdirSync(path), ['ctl.sock']);
      server.kill('SIGKILL');
      await within(20_000, gone, 'the server did not end');
      for (const each of [path, `${path}/ctl.sock`]) assert.not.ok(existsSync(each));
      assert.match(
        (await run(['python3', '-c', client, `${path}/ctl.sock`])).err,
        'FileNotFoundError',
      );
    }
  },
  120_000,
);

servers.run();
