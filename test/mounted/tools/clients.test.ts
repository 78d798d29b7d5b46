/**
 * Programs that were written for other event directories, on ours: what each does, system call by system call
 * (test/programs/sequences.c), or the program itself where Debian has it. None of them knows of eventfs.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { compile, publishNumbered } from '../../support/clients.js';
import { Shell, run, until, within } from '../../support/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mounted.js';

const NAME_MAX = 255;
/** `global`, as vdev's administrator makes it: everybody may put events there, nobody sees them. */
const VDEV = ['--source', 'none', '--sticky', 'global:1733'];

/** Runs a sequence to its end; gives what it said. */
async function sequence(...args: string[]): Promise<string[]> {
  const { out, err, code } = await run([compile('sequences'), ...args]);
  assert.is(code, 0, out + err);
  return out.split('\n').slice(0, -1);
}

/** `event-put`, with the text of an event; gives what it said. */
async function put(name: string, text: string): Promise<string[]> {
  const { out, err, code } = await run([compile('sequences'), 'put', daemon.path, name], {
    input: text,
  });
  assert.is(code, 0, out + err);
  return out.split('\n').slice(0, -1);
}

/** A program with libudev-compat in it, which takes one command after the other. */
class Udev {
  static readonly all = new Set<Udev>();
  readonly process: ChildProcess = spawn(compile('sequences'), ['udev', daemon.path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  #out = '';
  #readies = 0;

  constructor() {
    Udev.all.add(this);
    this.process.stdout!.on('data', (chunk: Buffer) => (this.#out += chunk.toString('latin1')));
    this.process.stdin!.on('error', () => undefined);
  }

  static async started(): Promise<Udev> {
    const udev = new Udev();
    assert.equal(await udev.#said(), [`started ${udev.path}/`]);
    return udev;
  }

  get path(): string {
    return `${daemon.path}/libudev-${this.process.pid}-0`;
  }

  /** What it says until it is ready again. */
  async #said(ms?: number): Promise<string[]> {
    const before = ++this.#readies;
    const parts = await until(
      () => {
        const all = this.#out.split('ready\n');
        return all.length > before ? all : undefined;
      },
      'libudev-compat was not ready',
      ms,
    );
    return parts![before - 1].split('\n').slice(0, -1);
  }

  async ask(command: string, ms?: number): Promise<string[]> {
    this.process.stdin!.write(`${command}\n`);
    return this.#said(ms);
  }

  /** `exit`, the library's end; gives what it complained of. */
  async exit(): Promise<string> {
    const said = this.#out.length;
    const gone = new Promise<void>((done) => this.process.once('close', () => done()));
    this.process.stdin!.write('exit\n');
    await within(5000, gone, 'it did not end');
    Udev.all.delete(this);
    return this.#out.slice(said);
  }

  async kill(): Promise<void> {
    Udev.all.delete(this);
    const gone = new Promise<void>((done) => this.process.once('exit', () => done()));
    this.process.kill('SIGKILL');
    await within(5000, gone, 'it did not end');
  }
}

// ---- libudev-compat and event-put, of vdev

const vdev = mounted('vdev', VDEV);

vdev.after(async () => {
  for (const udev of Udev.all) await udev.kill();
});

vdev(
  'libudev-compat makes its directory, takes events in order of name as inotify says, and removes it',
  async () => {
    const udev = await Udev.started();
    assert.ok(statSync(udev.path).isDirectory());
    assert.equal(await put('107', 'add@/x\n'), expectedOfPut([basename(udev.path)], 7));
    assert.equal(await udev.ask('wait'), ['created 107', 'event 107 7 of 7 type 8: add@/x']);
    assert.equal(readdirSync(udev.path), []);
    await put('108', 'add@/first\n'); // the watch was for one event, and has been added again
    await put('109', 'add@/second\n');
    assert.equal(await udev.ask('wait'), [
      'created 108',
      'event 108 11 of 11 type 8: add@/first',
      'event 109 12 of 12 type 8: add@/second',
    ]);
    await put('110', 'add@/never read\n');
    assert.is(await udev.exit(), '');
    assert.not.ok(existsSync(udev.path));
  },
);

vdev('libudev-compat is woken by what the daemon delivers, and takes it', async () => {
  const udev = await Udev.started();
  for (let n = 0; n < 20; n++) {
    publishNumbered(daemon.path, 1, n);
    const [created, event, ...more] = await udev.ask('wait');
    const name = created.slice('created '.length);
    assert.match(event, new RegExp(`^event ${name} \\d+ of \\d+ type 8: add@/devices/n$`));
    assert.equal(more, ['ACTION=add', `N=${n}`]);
  }
  assert.equal(readdirSync(udev.path), []);
  assert.is(await udev.exit(), '');
});

vdev('libudev-compat drops an event of 8192 bytes', async () => {
  const udev = await Udev.started();
  await put('1', `${'x'.repeat(8191)}\n`);
  assert.equal(await udev.ask('take'), ['dropped 1']);
  assert.equal(readdirSync(udev.path), []);
  assert.is(await udev.exit(), '');
});

vdev(
  "libudev-compat has a directory of its own after a fork, whose end is not the parent's",
  async () => {
    const udev = await Udev.started();
    const said = await udev.ask('fork');
    assert.is(said.length, 2, said.join('\n'));
    assert.match(said[0], /^started .*\/libudev-\d+-0\/$/);
    assert.is.not(said[0], `started ${udev.path}/`);
    assert.is(said[1], "parent's is there");
    assert.not.ok(existsSync(said[0].slice('started '.length)));
    assert.ok(existsSync(udev.path));
    assert.is(await udev.exit(), '');
  },
);

vdev('libudev-compat leaves nothing behind when it is killed', async () => {
  const [killed, other] = [await Udev.started(), await Udev.started()];
  await put('1', 'add@/x\n');
  await killed.kill();
  assert.not.ok(existsSync(killed.path));
  assert.is(statSync(`${other.path}/1`).nlink, 1);
  assert.equal(await put('2', 'add@/y\n'), expectedOfPut([basename(other.path)], 7));
  assert.is(await other.exit(), '');
});

vdev('event-put links an event to every directory, and the bytes are there once', async () => {
  const udevs = [await Udev.started(), await Udev.started(), await Udev.started()];
  assert.equal(
    (await put('1000', 'change@/x\n')).sort(),
    expectedOfPut(
      udevs.map(({ path }) => basename(path)),
      10,
    ).sort(),
  );
  const infos = udevs.map(({ path }) => statSync(`${path}/1000`));
  assert.equal(
    infos.map(({ nlink }) => nlink),
    [3, 3, 3],
  );
  assert.is(new Set(infos.map(({ ino }) => ino)).size, 1);
  for (const udev of udevs)
    assert.equal(await udev.ask('take'), ['event 1000 10 of 10 type 8: change@/x']);
  for (const udev of udevs) assert.is(await udev.exit(), '');
});

vdev(
  'event-put and five clients that take at once: each has each event once',
  async () => {
    const COUNT = 100;
    const udevs = await Promise.all(Array.from({ length: 5 }, () => Udev.started()));
    const collected = udevs.map((udev) => udev.ask('collect 1500', 20_000));
    for (let n = 0; n < COUNT; n++) {
      const [said, expected] = [
        await put(String(2000 + n), 'change@/x\n'),
        expectedOfPut(
          udevs.map(({ path }) => basename(path)),
          10,
        ),
      ];
      assert.equal(said.slice(0, -1).sort(), expected.slice(0, -1).sort()); // but for how many have taken it already
    }
    for (const said of await Promise.all(collected)) {
      const events = said
        .filter((line) => line.startsWith('event '))
        .map((line) => line.split(' ')[1]);
      assert.equal(
        events,
        Array.from({ length: COUNT }, (_, n) => String(2000 + n)),
      );
    }
    for (const udev of udevs) assert.is(await udev.exit(), '');
  },
  60_000,
);

vdev('event-put is refused a name that another event-put is using', async () => {
  writeFileSync(`${daemon.path}/global/5`, 'another');
  const { out } = await run([compile('sequences'), 'put', daemon.path, '5'], { input: 'x' });
  assert.is(out, 'open: EEXIST\n');
  unlinkSync(`${daemon.path}/global/5`);
});

/** What event-put says (`match/107` is no filter, hence EINVAL): who got the event, that `global` had it, that ours are closed, and the end of its own link. */
function expectedOfPut(names: readonly string[], size: number): string[] {
  return [
    'link global: EEXIST',
    ...names.map((name) => `linked ${name}`),
    'link log: EPERM',
    'link match: EINVAL',
    `then nlink ${names.length}, size ${size}`,
  ];
}

vdev.run();

// ---- where the C eventfs of 2015 failed

const old = mounted('what the C eventfs failed at');

old('readdir gives d_type', async () => {
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

old('creating and unlinking again and again costs no quota', async () => {
  const path = await directory();
  for (let n = 0; n < 1000; n++) {
    writeFileSync(`${path}/e`, 'x');
    unlinkSync(`${path}/e`);
  }
  for (let n = 0; n < 10; n++) writeFileSync(`${path}/${n}`, 'x');
  assert.is(readdirSync(path).length, 10);
});

old('create, rm and create in one queue', async () => {
  const path = await directory();
  const { out, code } = await shell.run(
    `cd ${path}; echo 1 > a; rm a; echo 2 > a; cat a head tail; rm head; echo 3 > a; cat tail`,
  );
  assert.is(code, 0);
  assert.is(out, '2\n2\n2\n3\n');
});

old(
  'a file that is unlinked while it is open can be read on, and leaves no .fuse_hidden',
  async () => {
    const path = await directory();
    const { out } = await shell.run(
      `cd ${path}; echo hello > e; exec 5< e; rm e; ls -A; stat -Lc '%s %h' /dev/fd/5; cat <&5; exec 5<&-`,
    );
    assert.is(out, '6 0\nhello\n');
    assert.equal(readdirSync(path), []);
  },
);

old('a file that is replaced by rename while it is open can be read on', async () => {
  const path = await directory();
  const { out } = await shell.run(
    `cd ${path}; echo old > e; echo new > f; exec 5< e; mv f e; ls -A; cat - e <&5; exec 5<&-`,
  );
  assert.is(out, 'e\nold\nnew\n');
});

old("a thread's directory stays when the thread ends, and goes with its process", async () => {
  const path = `${daemon.path}/of-a-thread`;
  assert.equal(await sequence('thread', path), []);
  assert.not.ok(existsSync(path));
});

old('an owner that execs keeps its directory', async () => {
  const path = `${daemon.path}/of-an-exec`;
  assert.equal(await sequence('exec', path), ['through', 'directory']);
  assert.not.ok(existsSync(path));
});

old('names of 255 bytes work everywhere, and of 256 nowhere', async () => {
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

old('nothing of a dead owner is served for a moment longer', async () => {
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

// ---- s6: Debian's own programs

const MISSING = ['s6-mkfifodir', 's6-ftrig-wait', 's6-ftrig-notify', 's6-cleanfifodir'].filter(
  (name) => spawnSync(name, []).error !== undefined,
);
const s6 = mounted('s6');
const s6Test: typeof s6.skip = (sentence, body) =>
  MISSING.length === 0 ? s6(sentence, body) : s6.skip(sentence, body);
if (MISSING.length > 0)
  console.log(`skipped: s6's tests need ${MISSING.join(', ')} (try apt-get install s6)`);

/** The owners of fifodirs, of tests that failed too. */
const owners: Shell[] = [];

s6.after(async () => {
  for (const owner of owners) if (owner.process.signalCode === null) await owner.kill();
});

/** A shell that will own a fifodir. */
function newOwner(): Shell {
  const owner = new Shell();
  owners.push(owner);
  return owner;
}

/** A fifodir of a shell's, which lives as long as that shell. */
async function fifodir(owner: Shell, ...options: string[]): Promise<string> {
  const path = `${daemon.path}/${owner.pid}.fifo`;
  const { out, code } = await owner.run(`s6-mkfifodir ${options.join(' ')} ${path}`);
  assert.is(code, 0, out);
  return path;
}

/** The names of those who wait in a fifodir. */
const waitersIn = (path: string): string[] =>
  readdirSync(path).filter((name) => name.startsWith('ftrig1:'));

s6Test('s6-mkfifodir makes a directory that all may write to and nobody list', async () => {
  const owner = newOwner();
  const path = await fifodir(owner);
  assert.is(statSync(path).mode & 0o7777, 0o1733);
  await owner.run(`rmdir ${path}`);
  const group = await fifodir(owner, '-g', '1234');
  assert.is(statSync(group).mode & 0o7777, 0o3730);
  assert.is(statSync(group).gid, 1234);
  await owner.kill();
  assert.not.ok(existsSync(path));
});

s6Test('s6-ftrig-wait is woken by s6-ftrig-notify, and nothing of it stays', async () => {
  const owner = newOwner();
  const path = await fifodir(owner);
  const waits = run(['s6-ftrig-wait', '-t', '10000', path, 'u.*d']);
  await until(() => waitersIn(path).length === 1, 'nobody waits');
  const [fifo] = waitersIn(path);
  assert.ok(statSync(`${path}/${fifo}`).isFIFO());
  assert.is((await run(['s6-ftrig-notify', path, 'uxd'])).code, 0);
  assert.equal(await waits, { out: 'd\n', err: '', code: 0 });
  assert.equal(readdirSync(path), []);
  await owner.kill();
});

s6Test('s6-cleanfifodir removes the FIFOs that nobody reads, and leaves the others', async () => {
  const owner = newOwner();
  const path = await fifodir(owner);
  const waits = run(['s6-ftrig-wait', '-t', '10000', path, 'u']);
  await until(() => waitersIn(path).length === 1, 'nobody waits');
  const [own] = waitersIn(path);
  assert.is((await run(['s6-ftrig-notify', path, 'u'])).code, 0);
  await waits;
  // It looks at names of one length only: s6 2.11 at one that it does not make itself, s6 2.13 at its own. So on tmpfs too.
  const reference = `/dev/shm/eventfs-fifodir-${owner.pid}`;
  const names = ['0', '1'].map((digit) => [
    `ftrig1:@${digit.repeat(41)}`,
    own.replace(/[0-9a-zA-Z]/g, (letter, at: number) => (at < 'ftrig1:'.length ? letter : digit)),
  ]);
  try {
    assert.is((await owner.run(`s6-mkfifodir ${reference}`)).code, 0);
    const cleaned: string[][] = [];
    for (const directory of [path, reference]) {
      const [left, read] = names;
      const { out, code } = await owner.run(
        `cd ${directory}; mkfifo ${[...left, ...read].join(' ')}; exec 6<> ${read[0]} 7<> ${read[1]}`,
      );
      assert.is(code, 0, out);
      assert.equal(await run(['s6-cleanfifodir', directory]), { out: '', err: '', code: 0 });
      assert.equal(
        read.filter((name) => !waitersIn(directory).includes(name)),
        [],
        'one that is read was removed',
      );
      assert.ok(waitersIn(directory).length < 4, 'none was removed');
      cleaned.push(waitersIn(directory).sort());
    }
    assert.equal(cleaned[0], cleaned[1]);
  } finally {
    rmSync(reference, { recursive: true, force: true });
  }
  await owner.kill();
});

s6Test(
  'nothing is left of a fifodir when its owner is killed, though somebody waits in it',
  async () => {
    const owner = newOwner();
    const path = await fifodir(owner);
    const waits = run(['s6-ftrig-wait', '-t', '1000', path, 'u']);
    await until(() => waitersIn(path).length === 1, 'nobody waits');
    const [fifo] = waitersIn(path);
    await owner.kill();
    for (const each of [path, `${path}/${fifo}`]) assert.not.ok(existsSync(each));
    assert.not.equal((await run(['s6-ftrig-notify', path, 'u'])).code, 0);
    assert.is.not((await waits).code, 0); // it times out, and must not hang
  },
);

s6Test('nothing is left of a waiter that is killed in a fifodir of its own', async () => {
  const waiter = newOwner();
  const path = await fifodir(waiter);
  waiter.process.stdin!.write(`exec s6-ftrig-wait ${path} u\n`); // exec keeps the owner
  await until(() => waitersIn(path).length === 1, 'nobody waits');
  const [fifo] = waitersIn(path);
  await waiter.kill();
  for (const each of [path, `${path}/${fifo}`]) assert.not.ok(existsSync(each));
});

s6Test(
  'nothing is left of a waiter that is killed in the fifodir of somebody else, once that is cleaned',
  async () => {
    const owner = newOwner();
    const path = await fifodir(owner);
    const waiter = spawn('s6-ftrig-wait', [path, 'u'], { stdio: 'ignore' });
    const gone = new Promise((done) => waiter.once('exit', done));
    await until(() => waitersIn(path).length === 1, 'nobody waits');
    waiter.kill('SIGKILL');
    await within(5000, gone, 'the waiter did not end');
    // s6-ftrig-notify takes off what nobody reads any more, which its helper may do for a moment.
    await until(
      async () =>
        (await run(['s6-ftrig-notify', path, 'u'])).code === 0 && waitersIn(path).length === 0,
      'its FIFO is left',
    );
    await owner.kill();
  },
);

s6.run();

// ---- servers

const servers = mounted('a server');

servers(
  'that binds a socket in its own directory and is killed leaves no stale socket',
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
      await within(5000, gone, 'the server did not end');
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
