/**
 * libudev-compat and event-put of vdev, system call by system call
 * (test/programs/clients/sequences.c). Neither knows of eventfs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as assert from 'uvu/assert';
import { existsSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { publishNumbered } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { run, until, within } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

/**
 * `global` as the administrator of vdev makes it: every user may put events there, and only root
 * lists them.
 */
const VDEV = ['--source', 'none', '--sticky', 'global:1733'];

/** Runs the sequence of `event-put` with the text of an event. @returns its output lines */
async function put(name: string, text: string): Promise<string[]> {
  const { out, err, code } = await run([compiled('sequences'), 'put', daemon.path, name], {
    input: text,
  });
  assert.is(code, 0, out + err);
  return out.split('\n').slice(0, -1);
}

/** A program that makes the system calls of libudev-compat, one command after the other. */
class Udev {
  static readonly all = new Set<Udev>();
  readonly process: ChildProcess = spawn(compiled('sequences'), ['udev', daemon.path], {
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

  /** @returns its output lines until it is ready again */
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

  /** Sends `exit`, which ends the library. @returns the errors that it printed */
  async exit(): Promise<string> {
    const said = this.#out.length;
    const gone = new Promise<void>((done) => this.process.once('close', () => done()));
    this.process.stdin!.write('exit\n');
    await within(20_000, gone, 'libudev-compat did not end');
    Udev.all.delete(this);
    return this.#out.slice(said);
  }

  async kill(): Promise<void> {
    Udev.all.delete(this);
    const gone = new Promise<void>((done) => this.process.once('exit', () => done()));
    this.process.kill('SIGKILL');
    await within(20_000, gone, 'libudev-compat did not end');
  }
}

const vdev = mounted('vdev', VDEV);

vdev.after(async () => {
  for (const udev of Udev.all) await udev.kill();
});

vdev(
  'libudev-compat makes its directory, takes events in order of name, and removes it',
  async () => {
    const udev = await Udev.started();
    assert.ok(statSync(udev.path).isDirectory());
    assert.equal(await put('107', 'add@/x\n'), expectedOfPut([basename(udev.path)], 7));
    assert.equal(await udev.ask('wait'), ['created 107', 'event 107 7 of 7 type 8: add@/x']);
    assert.equal(readdirSync(udev.path), []);
    await put('108', 'add@/first\n'); // the watch was for one event, and was added again
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

vdev('libudev-compat wakes for each event that the daemon delivers, and takes it', async () => {
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
  'libudev-compat makes another directory after a fork, and the parent keeps its own',
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

vdev('libudev-compat leaves no directory when it is killed', async () => {
  const [killed, other] = [await Udev.started(), await Udev.started()];
  await put('1', 'add@/x\n');
  await killed.kill();
  assert.not.ok(existsSync(killed.path));
  assert.is(statSync(`${other.path}/1`).nlink, 1);
  assert.equal(await put('2', 'add@/y\n'), expectedOfPut([basename(other.path)], 7));
  assert.is(await other.exit(), '');
});

vdev('event-put links an event to every directory, with one copy of the bytes', async () => {
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
  'event-put gets each event to each of five clients once',
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
      // The last line depends on the number of clients that have taken the event already.
      assert.equal(said.slice(0, -1).sort(), expected.slice(0, -1).sort());
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

vdev('event-put gets EEXIST for a name that another event-put uses', async () => {
  writeFileSync(`${daemon.path}/global/5`, 'another');
  const { out } = await run([compiled('sequences'), 'put', daemon.path, '5'], { input: 'x' });
  assert.is(out, 'open: EEXIST\n');
  unlinkSync(`${daemon.path}/global/5`);
});

/**
 * @returns the output of event-put: EEXIST for `global`, a line for each directory that got the
 * event, the errors for log/ and match/ (`match/107` is not a filter), and the link count at the
 * end
 */
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
