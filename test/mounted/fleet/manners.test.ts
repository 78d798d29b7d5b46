/** `eventfs bridge` as a new user meets it: wrong options and files, signals, and its status. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Bridge, knows, scratch, endFleet } from '../../support/fleet/bridges.js';
import { startBroker } from '../../support/fleet/broker.js';
import { type Host, startHost } from '../../support/fleet/network.js';
import { eventfs } from '../../support/mount/command.js';
import { type Daemon, run, startDaemon, until } from '../../support/mount/daemon.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('eventfs bridge');

/** A port on which no broker listens. */
const NO_BROKER = 'mqtt://127.0.0.1:1';
const NO_BROKER_TLS = 'mqtts://127.0.0.1:1';

let local: Daemon;
let fleet: Daemon;
let host: Host;
const folder = scratch();

tests.before(async () => {
  host = await startHost('manners');
  [local, fleet] = await Promise.all([startDaemon(), startDaemon(['--fleet'])]);
});

tests.after(() => endFleet(local, fleet));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

tests('refuses a wrong start in one line, with what to do', async () => {
  const plain = file('plain', 'no certificate\n');
  const empty = file('empty', '\n');
  const both = ['--fleet', fleet.path];
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[], 100, /--broker is missing \(name one, /],
    [['--broker', 'mqtt://x:99999', ...both], 100, /no address \(use mqtts:\/\/HOST\[:PORT\]/],
    [['--broker', 'mqtt://u:p@x', ...both], 100, /every user can read a command line/],
    [['--broker', NO_BROKER], 100, /nothing to do \(use --publish FILTER, /],
    [['--broker', NO_BROKER, '--subscribe', 'a b', ...both], 100, /"a b": it is no pattern/],
    [['--broker', NO_BROKER, '--ready-fd', '0', ...both], 100, /Use a descriptor number/],
    [['--broker', NO_BROKER, '--publish', '', '--fleet', local.path], 100, /round for ever/],
    [['--broker', NO_BROKER_TLS, '--ca', plain, ...both], 1, /it has no certificate/],
    [['--broker', NO_BROKER_TLS, '--ca', '/nowhere', ...both], 111, /--ca \/nowhere: No such file/],
    [
      ['--broker', NO_BROKER, '--user', 'u', '--password-file', '/nowhere', ...both],
      111,
      /--password-file \/nowhere: No such file or directory \(check the file's name\)/,
    ],
    [
      ['--broker', NO_BROKER, '--user', 'u', '--password-file', empty, ...both],
      1,
      /its first line is empty/,
    ],
    [['--broker', NO_BROKER, '--fleet', '/'], 102, /\(try eventfs mount --fleet \/, or another/],
    [['--broker', NO_BROKER, ...both, '--state', plain], 111, /it is no directory: use --state/],
    [['--broker', NO_BROKER, ...both, '--state', '/proc/x'], 111, /\/proc\/x: .*use --state DIR/],
    [['--status', '--state', folder], 1, /no bridge runs with the state in /],
  ];
  for (const [args, code, message] of cases) {
    const state = args.includes('--state') ? [] : ['--state', join(folder, 'state')];
    const all = ['bridge', '--mount', local.path, ...args, ...state];
    const { out, err, code: exit } = await eventfs(all);
    assert.equal([out, exit], ['', code], `${args.join(' ')}: ${err}`);
    assert.match(err, message);
    assert.match(err, /^eventfs: [^\n]+\n$/);
  }
});

tests('says what to do about a broker that it does not reach', async () => {
  const broker = await startBroker();
  const tls = broker.url.replace('mqtt:', 'mqtts:');
  for (const [url, message] of [
    [NO_BROKER, /Connection refused \(start the broker, or check the host and the port/],
    ['mqtt://nowhere.invalid', /\(check (the host of --broker, and DNS|the network, and \/etc)/],
    [tls, /its log has the reason; ports with TLS need mqtts:\/\/, all others mqtt:/],
  ] as const) {
    const own = ['--broker', url, '--host', 'web1', '--fleet', fleet.path, '--state', scratch()];
    const one = new Bridge(own, host.enter);
    await one.says(message);
    await one.says(/; the bridge connects again\n/);
    assert.is(await one.stop('SIGINT'), 0);
  }
  await broker.stop();
});

tests('checks without a trace, and warns of a key in lower case', async () => {
  const state = join(scratch(), 'state');
  const common = ['--broker', NO_BROKER, '--mount', local.path, '--state', state];
  const { out, code } = await eventfs(['bridge', '--check', '--publish', '', ...common]);
  assert.is(code, 1, out);
  assert.match(out, `ok    ${state}: the state can be saved there\n`);
  assert.not(existsSync(state), 'the check made the directory');
  const one = new Bridge(['--publish', 'subsystem==usb', ...common, '--metrics', '/nowhere/x']);
  await one.says(/key subsystem is in lower case.*did you mean SUBSYSTEM\?/);
  await one.says(/the metrics are not written: \/nowhere\/x: No such file or directory \(make its/);
  await until(async () => {
    const { out: text } = await eventfs(['bridge', '--status', '--state', state]);
    return /not connected: .*, [2-9] failures/.test(text);
  }, 'it does not connect again');
  assert.is(one.log.match(/the metrics/g)?.length, 1);
  const status = [...AS_NOBODY, ...eventfsForOthers(), 'bridge', '--status', '--state', state];
  chmodSync(state, 0o755);
  const denied = await run(status);
  assert.is(denied.code, 111);
  assert.match(denied.err, /Permission denied \(try as the user of the bridge, or as root\)/);
  assert.is(await one.stop(), 0);
});

tests('is ready without a broker; SIGHUP connects again, and no host disappears', async () => {
  const broker = await startBroker();
  const state = join(scratch(), 'a/b');
  const ready = join(folder, 'ready');
  const own = ['--broker', broker.url, '--host', 'web1', '--mount', local.path, '--publish', ''];
  const words = [...own, '--fleet', fleet.path, '--state', state, '--ready-fd', '3'];
  await broker.stop();
  const one = new Bridge(words, [...host.enter, 'sh', '-c', `exec "$@" 3>${ready}`, 'sh']);
  await until(() => existsSync(ready) && readFileSync(ready, 'latin1') === '\n', 'it is not ready');
  await broker.start();
  one.process.kill('SIGHUP');
  await knows(fleet.path, 'web1');
  const before = statSync(join(fleet.path, 'web1')).ino;
  const connections = (): number => one.log.match(/connected to /g)?.length ?? 0;
  const soFar = connections(); // it may have connected by itself before the signal
  one.process.kill('SIGHUP');
  await until(() => connections() > soFar, 'it does not connect again');
  await eventfs(['emit', '--mount', local.path, 'ACTION=add', 'DEVPATH=/x']);
  await until(() => existsSync(join(fleet.path, 'web1/head')), 'the event is missing');
  assert.is(statSync(join(fleet.path, 'web1')).ino, before, 'the directory was made anew');
  const { out } = await eventfs(['bridge', '--status', '--state', state]);
  assert.match(out, /connected; [23] connections, \d+ failures?\n/, out);
  assert.match(out, /^published {2}1 event of \S+ in 1 message$/m);
  assert.is(await one.stop(), 0);
  await broker.stop();
});

tests.run();
