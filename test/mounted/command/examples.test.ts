/** Tests the files of examples/: runs each, or has the program read it that it is made for. */
import * as assert from 'uvu/assert';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader, eventText, publish, statusOf } from '../../support/clients/clients.js';
import {
  EMIT_HELPER,
  EVENTFS,
  PROJECT,
  mountPoint,
  removeMountPoint,
  run,
  until,
  within,
} from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const example = (name: string): string => join(PROJECT, 'examples', name);
const scratch = (): string =>
  mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'examples-'));
const SHELLS = [['dash'], ['bash'], ['busybox', 'ash']];
/** The path of the helper on an administrator's machine. */
const INSTALLED = '/usr/local/bin/eventfs-emit';

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
      `the example does not consume: ${this.err}`,
      20_000,
    );
  }

  async prints(text: string): Promise<void> {
    await until(() => this.out === text, `not ${text} but ${this.out}${this.err}`, 20_000);
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

examples('mdev.conf makes busybox mdev publish an event', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const file = join(scratch(), 'mdev.conf');
  writeFileSync(
    file,
    readFileSync(example('mdev.conf'), 'utf8').replaceAll(
      INSTALLED,
      `${EMIT_HELPER} --mount /run/events`,
    ),
  );
  // mdev makes nodes in /dev and reads its rules in /etc: both are private here.
  const script = `mount -t tmpfs tmpfs /run; mkdir /run/events; mount --bind "$1" /run/events; cp "$2" /run/mdev.conf; mount -t tmpfs tmpfs /etc; cp /run/mdev.conf /etc; mount -t tmpfs tmpfs /dev; exec busybox mdev`;
  const env = {
    PATH: process.env.PATH,
    ACTION: 'add',
    DEVPATH: '/devices/virtual/mem/null',
    SUBSYSTEM: 'mem',
    DEVNAME: 'null',
    MAJOR: '1',
    MINOR: '3',
    SEQNUM: '4711',
    HOME: '/root',
  };
  const { code, out, err } = await run(
    ['unshare', '--mount', 'sh', '-ec', script, 'sh', daemon.path, file],
    { env },
  );
  assert.equal([code, out, err], [0, '', '']);
  const [record] = await reader.has(1);
  const [header, ...properties] = record.split('\n');
  assert.is(header, 'add@/devices/virtual/mem/null');
  assert.equal(properties.sort(), [
    'ACTION=add',
    'DEVNAME=null',
    'DEVPATH=/devices/virtual/mem/null',
    'MAJOR=1',
    'MDEV=null',
    'MINOR=3',
    'SEQNUM=4711',
    'SUBSYSTEM=mem',
  ]);
  await reader.kill();
});

examples('mdevd.conf has the same rules as mdev.conf', () => {
  const rules = (name: string): string[] =>
    readFileSync(example(name), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
  assert.equal(rules('mdevd.conf'), rules('mdev.conf'));
  for (const line of rules('mdevd.conf'))
    assert.match(line, /^-?\S+\t+\d+:\d+ [0-7]{3}( \*\/\S+ --environment)?$/);
});

examples('eventfs.act is an action of vdevd that runs the helper', () => {
  const lines = readFileSync(example('eventfs.act'), 'utf8').trim().split('\n');
  assert.is(lines[0], '[vdev-action]');
  for (const line of lines.slice(1)) assert.match(line, /^(event|OS_\w+|command)=/);
  // emit.test.ts tests the variables.
  assert.ok(lines.includes(`command=${INSTALLED} --environment`));
});

examples('99-eventfs.rules makes udev run the helper for an event', async () => {
  const script =
    'mount -t tmpfs tmpfs /run; mkdir -p /run/udev/rules.d; cp "$1" /run/udev/rules.d; exec udevadm test --action=add /sys/class/mem/null';
  const { code, out, err } = await run([
    'unshare',
    '--mount',
    'sh',
    '-ec',
    script,
    'sh',
    example('99-eventfs.rules'),
  ]);
  assert.is(code, 0, err);
  // udev 252 prints run: 'COMMAND', udev 257 prints a list of RUN{program} : COMMAND.
  const queued = [...(out + err).matchAll(/(?:run: '([^'\n]*)'|RUN\{program\} : ([^\n]*))\n/g)].map(
    ([, older, newer]) => older ?? newer,
  );
  assert.ok(queued.includes(`${INSTALLED} --environment`), out + err);
  assert.not.match(out + err, /99-eventfs\.rules:\d+[^\n]*(Invalid|invalid|error|Unknown)/);
});

examples(
  'eventfs.service is a unit that systemd understands',
  async () => {
    const unit = join(scratch(), 'eventfs.service');
    writeFileSync(
      unit,
      readFileSync(example('eventfs.service'), 'utf8')
        .replace('/usr/local/bin/eventfs', EVENTFS)
        .replace('file:///usr/local/lib/eventfs/README.md', 'man:udev(7)'),
    );
    const { out, err } = await run(['systemd-analyze', 'verify', '--man=no', unit], {
      timeoutMs: 60_000,
    });
    assert.not.match(out + err, 'eventfs.service');
  },
  90_000,
);

examples(
  's6/eventfs is a service that s6 starts, that notifies readiness, and that s6 stops',
  async () => {
    const services = scratch();
    const events = mountPoint();
    execFileSync('cp', ['-r', example('s6/eventfs'), services]);
    const bin = join(scratch(), 'bin');
    execFileSync('mkdir', [bin]);
    execFileSync('ln', ['-s', EVENTFS, `${bin}/eventfs`]);
    const supervise = spawn('s6-supervise', [`${services}/eventfs`], {
      stdio: 'ignore',
      env: { ...process.env, EVENTS: events, PATH: `${bin}:${process.env.PATH}` },
    });
    const gone = new Promise((done) => supervise.once('exit', done));
    try {
      await until(
        () => existsSync(`${services}/eventfs/supervise/control`),
        's6-supervise does not supervise it',
      );
      const { code } = await run(['s6-svwait', '-U', '-t', '20000', `${services}/eventfs`], {
        timeoutMs: 30_000,
      });
      assert.is(code, 0);
      assert.ok(statSync(`${events}/publish`).isFile());
    } finally {
      await run(['s6-svc', '-dx', `${services}/eventfs`]);
      await within(20_000, gone, 's6-supervise did not end');
    }
    removeMountPoint(events);
  },
);

examples('eventfs.openrc and the other shell files are correct shell', async () => {
  for (const name of [
    'eventfs.openrc',
    'publish.sh',
    'consume.sh',
    's6/eventfs/run',
    'container/run.sh',
  ]) {
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
    `the container does not start: ${container.err}`,
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
