/** Tests `eventfs watch`. */
import * as assert from 'uvu/assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, rmdirSync, symlinkSync } from 'node:fs';
import { eventText, publish, publishNumbered, statusOf } from '../../support/clients/clients.js';
import {
  EVENTFS,
  EVENTFS_SCRIPT,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

/** Defines the shell function `eventfs`. */
const SHELL = `eventfs() { ${process.execPath} ${EVENTFS_SCRIPT} "$@"; }; `;

const PLAIN = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined };

/** A running `eventfs watch` whose stream is open. */
class Watch {
  out = '';
  err = '';
  readonly ended: Promise<number | NodeJS.Signals | null>;

  private constructor(readonly process: ChildProcess) {
    this.process.stdout!.on('data', (chunk: Buffer) => (this.out += chunk.toString('latin1')));
    this.process.stderr!.on('data', (chunk: Buffer) => (this.err += chunk.toString('latin1')));
    this.ended = new Promise((done) =>
      this.process.on('close', (code, signal) => done(code ?? signal)),
    );
  }

  static async start(...args: readonly string[]): Promise<Watch> {
    return Watch.watching(
      spawn(process.execPath, [EVENTFS_SCRIPT, 'watch', '--mount', daemon.path, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: PLAIN,
      }),
    );
  }

  /** Starts it in a shell, for pipelines and redirections. */
  static async inShell(commands: string): Promise<Watch> {
    return Watch.watching(
      spawn('bash', ['-c', `${SHELL}${commands}`], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: PLAIN,
      }),
    );
  }

  private static async watching(child: ChildProcess): Promise<Watch> {
    const before = Number(statusOf(`${daemon.path}/log`).STREAMS);
    const watch = new Watch(child);
    await until(
      () =>
        Number(statusOf(`${daemon.path}/log`).STREAMS) > before ||
        existsSync(`${daemon.path}/${child.pid}.watch`),
      'it does not watch',
    );
    return watch;
  }

  async prints(count: number): Promise<string[]> {
    await until(
      () => this.out.split('\n').length > count,
      () => `${count} lines did not come, but ${this.out}`,
    );
    return this.out.split('\n').slice(0, -1);
  }

  async stop(): Promise<void> {
    this.process.kill('SIGINT');
    assert.is(await within(20_000, this.ended, 'it did not end by Ctrl-C'), 'SIGINT');
  }
}

/** Returns the object of a line of `--json` without the facts that the text lacks. */
function textOf(line: string): unknown {
  const { action, devpath, properties, more } = JSON.parse(
    Buffer.from(line, 'latin1').toString(),
  ) as Record<string, unknown>;
  return { action, devpath, properties, ...(more !== undefined && { more }) };
}

const command = mounted('eventfs watch');

command('prints a line for each event at once', async () => {
  const watch = await Watch.start();
  publish(
    daemon.path,
    eventText('/devices/one', { SUBSYSTEM: 'block', SEQNUM: 41 }),
    eventText('/devices/two', {}, 'remove'),
  );
  assert.equal(await watch.prints(2), [
    '    41 add      block      /devices/one',
    '     - remove   -          /devices/two',
  ]);
  publish(
    daemon.path,
    eventText(
      '/devices/three',
      { SUBSYSTEM: 'a-long-subsystem', SEQNUM: 1234567 },
      'a-long-action',
    ),
  );
  assert.is((await watch.prints(3))[2], '1234567 a-long-action a-long-subsystem /devices/three');
  await watch.stop();
  assert.is(watch.err, '');
});

command('prints colours on a terminal only', async () => {
  for (const [environment, line] of [
    ['FORCE_COLOR=1', '     - \x1b[32madd     \x1b[39m \x1b[1mnet       \x1b[22m /x'],
    ['TERM=xterm', '     - add      net        /x'],
  ]) {
    const watch = await Watch.inShell(
      `unset NO_COLOR; ${environment} exec ${process.execPath} ${EVENTFS_SCRIPT} watch --mount ${daemon.path}`,
    );
    publish(daemon.path, eventText('/x', { SUBSYSTEM: 'net' }));
    assert.is((await watch.prints(1))[0], line);
    await watch.stop();
  }
});

command('prints all properties with --properties', async () => {
  const watch = await Watch.start('--properties');
  publish(daemon.path, eventText('/x', { SUBSYSTEM: 'net', VALUE: 'a=b c' }));
  assert.equal(await watch.prints(4), [
    '     - add      net        /x',
    '       ACTION=add',
    '       SUBSYSTEM=net',
    '       VALUE=a=b c',
  ]);
  await watch.stop();
});

command('prints one JSON object a line with --json', async () => {
  const watch = await Watch.start('--json');
  publish(
    daemon.path,
    eventText('/x', { NAME: 'caf\xc3\xa9 "quoted" \\ \t', SEQNUM: 5 }),
    'add@/empty\n\n',
    eventText('/y', { BAD: '\xff' }),
  );
  const [first, second, third] = (await watch.prints(3)).map(textOf);
  assert.equal(first, {
    action: 'add',
    devpath: '/x',
    properties: { ACTION: 'add', NAME: 'café "quoted" \\ \t', SEQNUM: '5' },
  });
  assert.equal(second, { action: 'add', devpath: '/empty', properties: {} });
  assert.equal(third, { action: 'add', devpath: '/y', properties: { ACTION: 'add', BAD: [0xff] } });
  await watch.stop();
});

command('prints both values of a key that comes twice, as JSON and as lines', async () => {
  const text =
    'change@/two\nACTION=change\nMODALIAS=acpi:A:\nSEQNUM=7\nSUBSYSTEM=old\nMODALIAS=of:N\nSUBSYSTEM=new\n';
  const [json, lines] = [await Watch.start('--json'), await Watch.start('--properties')];
  publish(daemon.path, text);
  assert.equal(textOf((await json.prints(1))[0]), {
    action: 'change',
    devpath: '/two',
    properties: { ACTION: 'change', SEQNUM: '7', MODALIAS: 'of:N', SUBSYSTEM: 'new' },
    more: [
      ['MODALIAS', 'acpi:A:'],
      ['SUBSYSTEM', 'old'],
    ],
  });
  const properties = text
    .split('\n')
    .slice(1, -1)
    .map((line) => `       ${line}`);
  assert.equal(await lines.prints(7), ['     7 change   new        /two', ...properties]);
  await json.stop();
  await lines.stop();
});

command(
  'prints only events that match its filter, also a filter with / or longer than a file name',
  async () => {
    const filters = [
      'SUBSYSTEM==block',
      'SUBSYSTEM=="block"; A==b',
      'DEVPATH==/devices/block/*',
      `SUBSYSTEM==${'x'.repeat(300)}|block`,
      'KERNEL!=sda, ACTION==add|change',
    ];
    for (const filter of filters) {
      const watch = await Watch.start(filter);
      publish(
        daemon.path,
        eventText('/devices/sda', { SUBSYSTEM: 'net' }),
        eventText('/devices/block/sdb', { SUBSYSTEM: 'block' }),
      );
      assert.equal(
        await watch.prints(1),
        ['     - add      block      /devices/block/sdb'],
        filter,
      );
      await watch.stop();
    }
  },
);

command('refuses a bad filter with the column of the mistake', async () => {
  for (const [filter, column] of [
    ['SUBSYSTEM', 10],
    ['SUBSYSTEM==a b', 14],
    ['A==b,', 6],
    ['caf\u00e9==x', 4],
  ] as const) {
    const { out, err, code } = await run([EVENTFS, 'watch', filter, '--mount', daemon.path]);
    assert.equal([out, code], ['', 100]);
    assert.match(
      err,
      new RegExp(`^eventfs: watch: bad filter: column ${column}: expected [^\\n]*\\n$`),
    );
  }
});

command('prints a loss with its number, with and without a filter', async () => {
  for (const args of [[], ['KERNEL==never'], ['DEVPATH==/never/*']]) {
    const watch = await Watch.start(...args);
    watch.process.kill('SIGSTOP');
    publishNumbered(daemon.path, 5000);
    publish(daemon.path, eventText('/x/never', { WHAT: 'end' }), eventText('/never/x'));
    watch.process.kill('SIGCONT');
    const lines = args[0] === 'KERNEL==never' ? await watch.prints(1) : await watch.prints(6);
    if (args[0] === 'KERNEL==never')
      assert.match(lines[0], '/x/never'); // No lost event matched its filter.
    else
      assert.equal(
        [lines[0], lines.slice(1, 5).includes('       LOST=906')],
        ['     - overflow eventfs    /eventfs', true],
        watch.out,
      );
    await watch.stop();
  }
});

command('exits with 0 when the reader of its pipe ends, before another event comes', async () => {
  const watch = await Watch.inShell(
    `eventfs watch --mount ${daemon.path} | head -n 1; echo \${PIPESTATUS[0]}`,
  );
  publishNumbered(daemon.path, 1);
  assert.is(await within(20_000, watch.ended, 'it did not end'), 0);
  assert.is(watch.out, '     - add      -          /devices/n\n0\n');
  assert.is(watch.err, '');
});

command('waits for a slow reader of its pipe, and loses nothing', async () => {
  const watch = await Watch.inShell(
    `eventfs watch --properties --mount ${daemon.path} | (sleep 1; head -n 4000 | wc -l)`,
  );
  publishNumbered(daemon.path, 3000);
  assert.is(await within(10_000, watch.ended, 'it did not end'), 0);
  assert.equal([watch.out.trim(), watch.err], ['4000', '']);
});

command('ends when a program closes its socket to it, before the next event', async () => {
  // Node's pipes to a child are sockets.
  const before = statusOf(`${daemon.path}/log`).STREAMS;
  const child = spawn(process.execPath, [EVENTFS_SCRIPT, 'watch', '--mount', daemon.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await until(() => statusOf(`${daemon.path}/log`).STREAMS !== before, 'it does not watch');
  const ended = new Promise((done) => child.once('exit', done));
  child.stdout.destroy();
  assert.is(await within(20_000, ended, 'it does not end'), 0);
});

command('fails with one line if it cannot print', async () => {
  const watch = await Watch.inShell(`eventfs watch --mount ${daemon.path} > /dev/full`);
  publishNumbered(daemon.path, 1);
  assert.is(await within(20_000, watch.ended, 'it did not end'), 111);
  assert.match(watch.err, /^eventfs: watch: [^\n]*No space left on device[^\n]*\n$/i);
});

command('escapes control characters of events', async () => {
  const watch = await Watch.start('--properties');
  publish(
    daemon.path,
    eventText('/x\x1b[2J', { NAME: '\x1b]0;title\x07', SUBSYSTEM: '\r\x1b[A' }),
    eventText('/\xc2\x9b2J', { A: '\x9b2J\xff', B: 'caf\xc3\xa9 \xe2\x80\xae' }),
  );
  const text = (await watch.prints(8)).join('\n');
  assert.match(text, 'NAME=\\x1b]0;title\\x07');
  assert.match(text, / \/\\x9b2J\n.*\n *A=\\x9b2J\xff\n *B=caf\xc3\xa9 \\u202e$/);
  assert.not.match(text, /[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/); // eslint-disable-line no-control-regex
  await watch.stop();
});

command('finds a mount through a symlink, and fails if none is there', async () => {
  const [link, none] = [`${mountPoint()}-link`, mountPoint()];
  symlinkSync(daemon.path, link);
  const before = statusOf(`${daemon.path}/log`).STREAMS;
  const child = spawn(process.execPath, [EVENTFS_SCRIPT, 'watch', '--mount', link], {
    stdio: 'ignore',
  });
  await until(() => statusOf(`${daemon.path}/log`).STREAMS !== before, 'it does not watch');
  child.kill();
  for (const path of [none, '/nowhere']) {
    const { err, code } = await run([EVENTFS, 'watch', '--mount', path]);
    assert.is(code, 102);
    assert.is(
      err,
      `eventfs: watch: ${path}: eventfs is not mounted here (try eventfs mount ${path}, or --mount DIR)\n`,
    );
  }
  const dead = await startDaemon();
  await dead.kill();
  const { err, code } = await run([EVENTFS, 'watch', '--mount', dead.path]);
  assert.is(code, 102);
  assert.is(
    err,
    `eventfs: watch: ${dead.path}: its daemon was killed (try eventfs mount ${dead.path})\n`,
  );
  await run(['umount', '-l', dead.path]);
});

command('ends with 103 when its directory is removed', async () => {
  const watch = await Watch.start('--since', '0', 'DEVPATH==/never');
  const own = readdirSync(daemon.path).find((name) => name.endsWith('.watch'))!;
  const directory = `${daemon.path}/${own}`;
  await until(() => statusOf(directory).STREAMS === '1', 'the watch did not open its stream');
  rmdirSync(directory);
  assert.is(await watch.ended, 103);
});

command('prints kept events with --since, then new ones', async () => {
  publish(daemon.path, eventText('/kept', { KEPT: 1 }), eventText('/other'));
  const watch = await Watch.start('--since', '0', 'KEPT==1');
  publish(daemon.path, eventText('/live', { KEPT: 1 }), eventText('/other'));
  await until(
    () => /\/live\n/.test(watch.out),
    () => `the kept and the new event are missing in ${watch.out}`,
  );
  const own = watch.out
    .split('\n')
    .filter((line) => / \/(kept|live|other)$/.test(line))
    .map((line) => line.split('/').pop());
  assert.equal(own, ['kept', 'live']);
  await watch.stop();
});

command.run();
