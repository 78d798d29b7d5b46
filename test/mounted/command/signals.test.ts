/**
 * Tests SIGUSR1, which service managers and log rotation send: it opens Node's debugger in no
 * command and in no daemon.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { EVENTFS, run, startDaemon, until } from '../../support/mount/daemon.js';
import { Reader } from '../../support/clients/clients.js';
import { childrenOf, descriptors } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const DAEMON = fileURLToPath(new URL('../../../fs/daemon/daemon.js', import.meta.url));
const COMMANDS = [
  'mount',
  'umount',
  'watch',
  'emit',
  'status',
  'exec',
  'run',
  'wait',
  'settle',
  'coldplug',
  'doctor',
  'compare',
];

/** Returns the TCP ports that a process listens on: state 0A in /proc/net/tcp, by socket inode. */
function listeningPorts(pid: number): string[] {
  const own = descriptors(pid, /^socket:/).map((target) => /\d+/.exec(target)![0]);
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A' && own.includes(fields[9]))
      .map((fields) => fields[1]),
  );
}

/** Sends SIGUSR1 every millisecond until the command prints, and resolves when it has ended. */
async function signalUntilOutput(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; said: string }> {
  let said = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const timer = setInterval(() => child.kill('SIGUSR1'), 1);
  child.stdout!.once('data', () => clearInterval(timer));
  const ended = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
    (done) => {
      child.once('close', (code, signal) => done({ code, signal }));
    },
  );
  clearInterval(timer);
  return { ...ended, said };
}

/** Resolves once the shell of bin/eventfs ignores the signal, which its first line does. */
async function ignores(child: ChildProcess): Promise<void> {
  await until(() => {
    const mask =
      /^SigIgn:\t([0-9a-f]+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1] ??
      '0';
    const name = readFileSync(`/proc/${child.pid}/comm`, 'latin1').trim();
    return (BigInt(`0x${mask}`) & (1n << 9n)) !== 0n || name === 'node';
  }, 'the shell does not ignore SIGUSR1');
}

const signals = suite('SIGUSR1');

signals(
  'opens no debugger port in any command, from its first line on',
  async () => {
    for (const command of COMMANDS) {
      const child = spawn(EVENTFS, [command, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
      await ignores(child);
      const { code, signal, said } = await signalUntilOutput(child);
      assert.equal([code, signal], [0, null], `${command}: ${said}`);
      assert.not.match(said, 'Debugger listening', command);
    }
  },
  120_000,
);

signals(
  'opens no debugger port in a serving daemon, and ends neither it nor its notifier',
  async () => {
    const daemon = await startDaemon();
    const [notifier] = childrenOf(daemon.pid);
    const reader = await Reader.on(`${daemon.path}/stream`);
    for (let round = 0; round < 20; round++) {
      for (const pid of [daemon.pid, notifier]) process.kill(pid, 'SIGUSR1');
      await sleep(10);
    }
    assert.equal(listeningPorts(daemon.pid), []);
    assert.equal([reader.process.exitCode, daemon.process.exitCode], [null, null]);
    await reader.kill();
    assert.is(await daemon.stop(), 0);
    // Each signal switches the trace of requests; two pending signals are one. No other line is
    // logged.
    const lines = daemon
      .log()
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('eventfs: requests: '));
    assert.ok(lines.length >= 2 && lines.length <= 20, daemon.log());
    lines.forEach((line, index) =>
      assert.match(
        line,
        index % 2 === 0
          ? /^eventfs: mount: SIGUSR1: the daemon traces requests until the next SIGUSR1/
          : /^eventfs: mount: SIGUSR1: the daemon no longer traces requests$/,
      ),
    );
  },
);

signals(
  'goes to the listener of a program that uses the library, and opens no debugger port there',
  async () => {
    const serves = (first: string): string => `
    import { Daemon } from ${JSON.stringify(DAEMON)};
    ${first}
    const { DEFAULT_CONFIG } = await import(${JSON.stringify(DAEMON.replace('daemon.js', 'config/config.js'))});
    new Daemon({ path: '/nowhere', sources: [], outlets: { socket: [], fdSocket: [], fifodir: [] }, driver: 'devfuse', transport: 'auto', sticky: [], busyPollUs: 0, requestBoundMs: 0, linePrefix: '', config: DEFAULT_CONFIG, listsLinks: false, logger: console });
    process.kill(process.pid, 'SIGUSR1');
    setTimeout(() => process.exit(0), 200);`;
    const program = (first: string): ReturnType<typeof run> =>
      run([process.execPath, '--input-type=module', '-e', serves(first)]);
    assert.equal(await program(''), { out: '', err: '', code: 0 });
    assert.equal(await program("process.on('SIGUSR1', () => console.log('mine'));"), {
      out: 'mine\n',
      err: '',
      code: 0,
    });
  },
);

signals('leaves the debugger alone that NODE_OPTIONS asks for', async () => {
  const env = { ...process.env, NODE_OPTIONS: '--inspect=127.0.0.1:0' };
  const { err, code } = await run([EVENTFS, '--version'], { env });
  assert.is(code, 0);
  assert.match(err, /Debugger listening on ws:\/\/127\.0\.0\.1:/);
});

signals('leaves certificates to the commands that have a use for them', async () => {
  // Node 24 reads them when it needs them, so that its own warning does not tell.
  const says = `data:text/javascript,console.error(process.env.NODE_EXTRA_CA_CERTS)`;
  const variables = { NODE_EXTRA_CA_CERTS: '/nonexistent', NODE_OPTIONS: `--import=${says}` };
  const env = { ...process.env, ...variables };
  for (const [command, reads] of [
    ['watch', false],
    ['mount', false],
    ['bridge', true],
    ['run', true],
  ] as const) {
    const { err, code } = await run([EVENTFS, command, '--help'], { env });
    assert.is(code, 0);
    assert.is(/^\/nonexistent$/m.test(err), reads, `${command}: ${err}`);
  }
});

signals('leaves SIGHUP ignored where nohup(1) has it ignored', async () => {
  const daemon = await startDaemon();
  const commands = [
    ['watch', '--mount', daemon.path],
    ['run', '--mount', daemon.path, '', '--', 'cat'],
  ];
  for (const args of commands) {
    const child = spawn('nohup', [EVENTFS, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await until(() => {
      writeFileSync(`${daemon.path}/publish`, 'add@/before\n\n');
      return text !== '';
    }, `${args[0]} does not run`);
    child.kill('SIGHUP');
    await sleep(200);
    writeFileSync(`${daemon.path}/publish`, 'add@/after\n\n');
    await until(() => text.includes('/after'), `${args[0]} has ended`);
    child.kill();
  }
  await daemon.stop();
});

signals.run();
