/** Tests the files of examples/: runs each. */
import * as assert from 'uvu/assert';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader, eventText, publish, statusOf } from '../../support/clients/clients.js';
import { PROJECT, run, until, within } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const example = (name: string): string => join(PROJECT, 'examples', name);
const scratch = (): string =>
  mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'examples-'));
const SHELLS = [['dash'], ['bash'], ['busybox', 'ash']];

/** A running example that consumes events from a directory of its own. */
class Consumer {
  out = '';
  err = '';
  readonly process: ChildProcess;

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.process = spawn(command[0], command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, EVENTS: daemon.path, ...env },
    });
    this.process.stdout!.on('data', (chunk: Buffer) => (this.out += chunk.toString('latin1')));
    this.process.stderr!.on('data', (chunk: Buffer) => (this.err += chunk.toString('latin1')));
  }

  get directory(): string {
    return `${daemon.path}/${this.process.pid}`;
  }

  async consumes(filter: string, ready: () => boolean): Promise<void> {
    await until(
      () => existsSync(this.directory) && statusOf(this.directory).FILTER === filter && ready(),
      () => `the example does not consume: ${this.err}`,
      20_000,
    );
  }

  async prints(text: string): Promise<void> {
    await until(
      () => this.out === text,
      () => `not ${text} but ${this.out}${this.err}`,
      20_000,
    );
  }

  /** Kills it by SIGKILL, and checks that its directory is gone. */
  async kill(): Promise<void> {
    const gone = new Promise((done) => this.process.once('exit', done));
    this.process.kill('SIGKILL');
    await within(10_000, gone, 'it did not end');
    assert.not.ok(existsSync(this.directory));
  }
}

const examples = mounted('example');

examples('publish.sh publishes one event from each shell, with any values', async () => {
  for (const shell of SHELLS) {
    const reader = await Reader.on(`${daemon.path}/stream`);
    const long = 'x'.repeat(700);
    const { code, err } = await run(
      [
        ...shell,
        example('publish.sh'),
        'change',
        '/my/thing',
        'SUBSYSTEM=mine',
        'T=50% \\n $x `y` "\n2',
        'E=',
        `LONG=${long}`,
      ],
      { env: { ...process.env, EVENTS: daemon.path } },
    );
    assert.equal([code, err], [0, ''], shell.join(' '));
    assert.equal(await reader.has(1), [
      `change@/my/thing\nACTION=change\nDEVPATH=/my/thing\nSUBSYSTEM=mine\nT=50% \\n $x \`y\` "\\x0a2\nE=\nLONG=${long}`,
    ]);
    await reader.kill();
  }
});

examples(
  'consume.sh prints the events of its stream in each shell, and leaves no directory',
  async () => {
    for (const shell of SHELLS) {
      const consumer = new Consumer([...shell, example('consume.sh'), 'N==1|3']);
      await consumer.consumes('N==1|3', () => statusOf(consumer.directory).STREAMS === '1');
      publish(daemon.path, ...[1, 2, 3].map((n) => eventText(`/d${n}`, { N: n })));
      await consumer.prints('add /d1\nadd /d3\n');
      await consumer.kill();
    }
  },
);

examples('consume.sh works on event files, and removes each when it is done', async () => {
  for (const shell of SHELLS) {
    const consumer = new Consumer([...shell, example('consume.sh'), 'N==*'], { inotify: '1' });
    await consumer.consumes('N==*', () => true);
    publish(daemon.path, ...[1, 2, 3].map((n) => eventText(`/d${n}`, { N: n })));
    await consumer.prints('add /d1\nadd /d2\nadd /d3\n');
    await until(() => statusOf(consumer.directory).PENDING === '0', 'consume.sh left events');
    await consumer.kill();
  }
});

examples('consume.py and consume.c print the events, and leave no directory', async () => {
  const program = join(scratch(), 'consume');
  execFileSync('cc', ['-Wall', '-Wextra', '-Werror', '-o', program, example('consume.c')]);
  const cases = [
    { command: ['python3', example('consume.py')], line: (n: number) => `add mine /d${n}\n` },
    { command: [program], line: (n: number) => `add@/d${n}\n` },
  ];
  for (const { command, line } of cases) {
    const consumer = new Consumer([...command, 'SUBSYSTEM==mine']);
    await consumer.consumes('SUBSYSTEM==mine', () => statusOf(consumer.directory).STREAMS === '1');
    publish(
      daemon.path,
      eventText('/d0'),
      ...[1, 2].map((n) => eventText(`/d${n}`, { SUBSYSTEM: 'mine', V: 'a=b' })),
    );
    await consumer.prints(line(1) + line(2));
    await consumer.kill();
  }
});

examples('says so where eventfs is not mounted, and leaves nothing there', async () => {
  const directory = scratch();
  const program = join(scratch(), 'consume');
  execFileSync('cc', ['-o', program, example('consume.c')]);
  const env = { ...process.env, EVENTS: directory };
  for (const command of [
    ['sh', example('publish.sh'), 'add', '/x'],
    ['sh', example('consume.sh')],
    ['python3', example('consume.py')],
    [program],
    ['sh', example('container/run.sh'), 'true'],
  ]) {
    const { err, code } = await run(command, { env });
    assert.is(code, 1, err);
    assert.match(err, /^[^\n]* eventfs is (not )?mounted on [^\n]*\n$/);
  }
  assert.equal(readdirSync(directory), []);
});

examples('the shell files are correct shell', async () => {
  for (const name of ['publish.sh', 'consume.sh', 'container/run.sh']) {
    for (const shell of SHELLS)
      assert.equal(await run([...shell, '-n', example(name)]), { out: '', err: '', code: 0 }, name);
    assert.ok((statSync(example(name)).mode & 0o111) !== 0, name);
  }
});

examples('container/run.sh shows a container events as files, and no other devices', async () => {
  const script =
    'mkdir /dev/events/$$ && echo $$ && ls /dev && echo ready && exec cat /dev/events/$$/.stream';
  const container = new Consumer([example('container/run.sh'), 'sh', '-c', script]);
  await until(
    () => container.out.includes('ready') && statusOf(`${daemon.path}/1`).STREAMS === '1',
    () => `the container does not start: ${container.err}`,
    20_000,
  );
  assert.equal(container.out.split('\n').slice(0, 8), [
    '1',
    'events',
    'full',
    'null',
    'random',
    'urandom',
    'zero',
    'ready',
  ]);
  publish(daemon.path, eventText('/for/all'));
  await until(() => container.out.includes('add@/for/all\n'), 'the event did not come');
  process.kill(Number(statusOf(`${daemon.path}/1`).OWNER), 'SIGKILL');
  await until(() => !existsSync(`${daemon.path}/1`), "the container's directory is left");
});

examples.run();
