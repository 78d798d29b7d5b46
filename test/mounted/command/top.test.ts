/** Tests `eventfs top` on a real pseudoterminal, and without one. */
import * as assert from 'uvu/assert';
import { Reader, eventText, publish, publishNumbered } from '../../support/clients/clients.js';
import { eventfs } from '../../support/mount/command.js';
import { EVENTFS_NODE, run, startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';
import { Terminal, type TerminalSetting } from '../../support/clients/terminal.js';
import { childrenOf, exists } from '../../support/processes.js';

const top = mounted('eventfs top');

/** Returns the command that runs `eventfs top` on the test's mount. */
function program(): readonly string[] {
  const options = ['--interval', '0.2', '--mount', daemon.path];
  return [...EVENTFS_NODE, 'top', ...options];
}

function start(setting: TerminalSetting = {}, ...args: readonly string[]): Terminal {
  return new Terminal([...program(), ...args], setting);
}

/** Ends the program by a key, and checks that it gives the terminal back. */
async function quit(terminal: Terminal, key = 'q'): Promise<void> {
  terminal.type(key);
  assert.is(await terminal.ended, 0);
  assert.match(terminal.raw, /\x1b\[\?25h[\r\n]+$/); // eslint-disable-line no-control-regex
}

top('shows rates, depths, losses and the newest events, and redraws them in place', async () => {
  await directory();
  const reader = await Reader.on(`${daemon.path}/match/N=none`);
  const terminal = start();
  await terminal.shows(/^NAME .*\n.* 0 +0 +0 +0 +\(all\)/m);
  publishNumbered(daemon.path, 5000);
  await terminal.shows(/published [1-9]/);
  await terminal.shows(
    new RegExp(`^${shell.pid}\\.\\d+ +${shell.pid} +bash +4,096 +0 +0 +904`, 'm'),
  );
  const { screen } = terminal;
  assert.is(screen.length, 24);
  assert.match(screen[0], `eventfs top: ${daemon.path}, daemon ${daemon.pid}, for`);
  assert.match(screen[2], '2 readers, 1 lags; 4,096 wait, 904 lost');
  assert.match(terminal.text, /^stream +\d+ +cat +0 .* N==none$/m);
  assert.match(terminal.text, /^LATEST +ACTION[^]*\n\d\d:\d\d:\d\d +add +- +\/devices\/n$/m);
  assert.is(screen.filter((line) => line.startsWith('NAME')).length, 1);
  await quit(terminal);
  await reader.kill();
});

top('sorts by the key s, and by the first letter of an order', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const terminal = start({}, '--sort', 'lost');
  await terminal.shows(/sorts \(by lost\)/);
  terminal.type('s');
  await terminal.shows(/sorts \(by name\)/);
  await terminal.shows(/^NAME .*\n\d/m);
  terminal.type('r');
  await terminal.shows(/sorts \(by rate\)/);
  terminal.type('x');
  terminal.type('w');
  await terminal.shows(/sorts \(by waiting\)/);
  await quit(terminal, '\x03');
  await reader.kill();
});

top('fits 20 columns, a low screen, and a change of the size', async () => {
  // Only the change of the size makes it draw again.
  const terminal = start({ columns: 20, rows: 8 }, '--interval', '600');
  await terminal.shows(/^NAME +WAIT +EV\/S +LOST\n\d+/m);
  assert.match(terminal.screen[0], /^top: /);
  assert.match(terminal.screen[7], /^q quits/);
  terminal.resize(100, 30);
  await terminal.shows(/^eventfs top: .*\n[^]*LATEST/);
  terminal.resize(20, 3);
  await until(
    () => /^top: .*\n.*\nq quits.*$/.test(terminal.text),
    () => `three lines: ${terminal.text}`,
  );
  await quit(terminal);
});

top('stops by Ctrl-Z and continues by SIGCONT', async () => {
  const script = 'set -m; "$@"; echo stopped; fg >/dev/null; echo "ended $?"';
  const terminal = new Terminal(['bash', '-c', script, 'bash', ...program()]);
  await terminal.shows(/q quits/);
  terminal.type('\x1a');
  await until(() => terminal.raw.includes('stopped'), 'bash goes on');
  await terminal.shows(/q quits/);
  terminal.type('q');
  await terminal.ended;
  assert.match(terminal.raw, 'ended 0');
});

/** Stops its arguments by SIGTSTP once they have made the terminal raw, and lets them go on. */
const STOP = `
import os, signal, subprocess, sys, termios, time
def lines():
    return 'lines' if termios.tcgetattr(0)[3] & termios.ICANON else 'keys'
child = subprocess.Popen(sys.argv[1:])
while lines() == 'lines':
    time.sleep(0.01)
child.send_signal(signal.SIGTSTP)
os.waitpid(child.pid, os.WUNTRACED)
print('the terminal has ' + lines(), flush=True)
child.send_signal(signal.SIGCONT)
sys.exit(child.wait())
`;

top('leaves a usable terminal when another process stops it by SIGTSTP', async () => {
  const terminal = new Terminal(['python3', '-c', STOP, ...program()]);
  await until(() => terminal.raw.includes('the terminal has'), 'it does not stop');
  assert.match(terminal.raw, 'the terminal has lines');
  await until(() => /terminal has lines[^]*q quits/.test(terminal.raw), 'it does not go on');
  terminal.type('q');
  assert.is(await terminal.ended, 0);
});

top('prints one screen where the cursor cannot be moved, and with --once', async () => {
  const plain = await eventfs(['top', '--interval', '0.1', '--mount', daemon.path]);
  assert.equal([plain.code, plain.err], [0, '']);
  assert.not.match(plain.out, '\x1b');
  assert.match(plain.out, /^NAME .*\n.*bash .* 4,096 +0 +0 +904/m);
  for (const [args, env] of [
    [[], { TERM: 'dumb' }],
    [['--once'], {}],
  ] as const) {
    const terminal = start({ env }, ...args);
    assert.is(await terminal.ended, 0);
    assert.not.match(terminal.raw, '\x1b[H');
    assert.match(terminal.text, /^NAME /m);
  }
});

top('shows every user the newest events', async () => {
  publish(daemon.path, eventText('/devices/old'), eventText('/devices/new'));
  const command = [...eventfsForOthers(), 'top', '--once', '--mount', daemon.path];
  const { out, err, code } = await run([...AS_NOBODY, ...command]);
  assert.equal([code, err], [0, '']);
  assert.match(
    out,
    /^LATEST +ACTION.*\n[\d:]{8} +add +- +\/devices\/new\n[\d:]{8} +add +- +\/devices\/old$/m,
  );
});

top('ends with one line when the daemon ends', async () => {
  const other = await startDaemon();
  const command = ['top', '--interval', '0.2', '--mount', other.path];
  const terminal = new Terminal([...EVENTFS_NODE, ...command]);
  await terminal.shows(/q quits/);
  await other.stop();
  assert.is(await terminal.ended, 103);
  assert.match(
    terminal.raw.replaceAll('\r', ''),
    `\x1b[?25h\neventfs: top: ${other.path}: the daemon has ended (try eventfs mount ${other.path})`,
  );
});

top('still hears q while the daemon does not answer', async () => {
  // By io_uring a process that has asked a stopped daemon can't end (docs/drivers.md).
  const other = await startDaemon(['--source', 'none', '--transport', 'read']);
  const command = ['top', '--interval', '0.2', '--mount', other.path];
  const terminal = new Terminal([...EVENTFS_NODE, ...command]);
  await terminal.shows(/q quits/);
  other.process.kill('SIGSTOP');
  await terminal.shows(/the daemon does not answer; q quits/);
  terminal.type('q');
  assert.is(await terminal.ended, 128 + 15);
  assert.match(
    terminal.raw,
    `eventfs: top: ${other.path}: its daemon does not answer (try eventfs umount ${other.path})`,
  );
  other.process.kill('SIGCONT');
  await other.stop();
});

top('ends when its terminal is gone', async () => {
  const terminal = start();
  await terminal.shows(/q quits/);
  const [pid] = childrenOf(terminal.process.pid!);
  assert.ok(pid !== undefined, 'the program runs');
  terminal.process.kill('SIGKILL'); // its end of the pseudoterminal is closed
  await until(() => !exists(pid), 'the program outlives its terminal');
});

top('refuses a wrong interval or order with one line', async () => {
  const interval = await eventfs(['top', '--interval', '0.01']);
  assert.is(interval.code, 100);
  assert.match(
    interval.err,
    /^eventfs: option '--interval <s>' argument '0.01' is invalid. [^\n]*\n$/,
  );
  const sort = await eventfs(['top', '--sort', 'size']);
  assert.is(sort.code, 100);
  assert.match(sort.err, /^eventfs: option '--sort <order>' argument 'size' is invalid. [^\n]*\n$/);
});

top.run();
