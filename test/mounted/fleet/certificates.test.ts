/** Files of TLS that are wrong: each line names the file, and what to do. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Bridge, endFleet, scratch } from '../../support/fleet/bridges.js';
import { type Broker, startBroker } from '../../support/fleet/broker.js';
import { Authority, type Certificate } from '../../support/fleet/certificates.js';
import { type Host, startHost } from '../../support/fleet/network.js';
import { eventfs } from '../../support/mount/command.js';
import { type Daemon, run, startDaemon } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('the certificates of a bridge');

let fleet: Daemon;
let broker: Broker;
let web: Host;
let own: Certificate;
let ca: string;
const folder = scratch();

tests.before(async () => {
  broker = await startBroker({ tls: 'client' });
  web = await startHost('web');
  fleet = await startDaemon(['--fleet']);
  own = await broker.certificate('web1');
  ca = broker.authority!.certificate;
});

tests.after(() => endFleet(fleet));

async function made(name: string, ...command: readonly string[]): Promise<string> {
  const file = join(folder, name);
  const { err, code } = await run([...command, file]);
  assert.is(code, 0, err);
  return file;
}

function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** Returns the options of a bridge with these files of TLS. */
function options(url: string, given: Partial<Record<'ca' | 'cert' | 'key', string>>): string[] {
  const files = Object.entries({ ca, cert: own.certificate, key: own.key, ...given });
  const tls = files.flatMap(([name, path]) => [`--${name}`, path]);
  const rest = ['--host', 'web1', '--fleet', fleet.path, '--state', scratch()];
  return ['--broker', url, ...rest, ...tls];
}

tests(
  'are refused at the start in one line that names the file, and may be tried again',
  async () => {
    const pkey = ['openssl', 'pkey', '-in', own.key, '-aes256', '-passout', 'pass:x', '-out'];
    const old = ['openssl', 'ec', '-in', own.key, '-aes256', '-passout', 'pass:x', '-out'];
    const weak = join(folder, 'weak.crt');
    const request = [
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'rsa:512',
      '-nodes',
      '-subj',
      '/CN=weak',
    ];
    const weakKey = await made('weak.key', ...request, '-out', weak, '-keyout');
    const half = readFileSync(own.certificate, 'latin1').slice(0, 200);
    const plain = written('plain', 'no certificate\n');
    const broken = readFileSync(own.key, 'latin1').replace(/^(?=[^-])..../m, 'AAAA');
    const cases = [
      [
        { key: await made('pkcs8', ...pkey) },
        /--key \S+pkcs8: it is encrypted \(openssl pkey -in /,
      ],
      [{ key: await made('old', ...old) }, /--key \S+old: it is encrypted \(openssl pkey -in /],
      [{ key: plain }, /--key \S+plain: it has no private key \(use a file in PEM format\)/],
      [{ key: written('broken', broken) }, /--key \S+broken: .+ \(it is damaged: copy it again/],
      [{ key: await made('fifo', 'mkfifo') }, /--key \S+fifo: it is no regular file \(/],
      [
        { key: (await broker.certificate('db1')).key },
        /--cert \S+ and --key \S+: they are no pair \(/,
      ],
      [{ cert: weak, key: weakKey }, /--cert \S+weak\.crt: ee key too small \(use a larger key: /],
      [{ cert: plain }, /--cert \S+plain: it has no certificate \(use a file in PEM format\)/],
      [{ ca: plain }, /--ca \S+plain: it has no certificate \(use a file in PEM format\)/],
      [{ ca: written('half', half) }, /--ca \S+half: a certificate in it is damaged: .+ \(copy /],
    ] as const;
    for (const [files, message] of cases) {
      const args = options('mqtts://127.0.0.1:1', files);
      const { err, code } = await eventfs(['bridge', ...args]);
      assert.match(err, message);
      assert.match(err, /^eventfs: [^\n]+\n$/);
      assert.is(code, 1, err);
      const { out } = await eventfs(['bridge', '--check', ...args]);
      assert.match(out, message);
    }
  },
);

tests('are not waited for, nor is a state that is a FIFO', async () => {
  const state = scratch();
  assert.is((await run(['mkfifo', join(state, 'bridge.json')])).code, 0);
  const args = ['--broker', 'mqtt://127.0.0.1:1', '--fleet', fleet.path, '--state', state];
  const { err, code } = await eventfs(['bridge', ...args], { timeoutMs: 10_000 });
  assert.match(err, /^eventfs: (bridge: )?\S+bridge\.json: it is no regular file \([^\n]+\n$/);
  assert.is(code, 1);
});

tests('are named by the same line at a later connection', async () => {
  const live = join(folder, 'live.crt');
  copyFileSync(ca, live);
  const one = new Bridge(options(broker.url, { ca: live }), web.enter);
  await one.says(/connected to/);
  writeFileSync(live, '');
  one.process.kill('SIGHUP');
  await one.says(
    /--ca \S+live\.crt: it has no certificate .*; the bridge goes on with its present/,
  );
  copyFileSync(ca, live);
  one.process.kill('SIGHUP');
  await one.says(/(: connected to [^]*){2}/);
  await one.stop();
});

tests('are no reason to name an authority again that is given', async () => {
  const other = await Authority.make(scratch());
  const wrong = new Bridge(options(broker.url, { ca: other.certificate }), web.enter);
  await wrong.says(/\(is --ca the authority that has signed the broker's certificate\?\)/);
  await wrong.stop();
  const stranger = await other.sign('web1');
  const files = { cert: stranger.certificate, key: stranger.key };
  const foreign = new Bridge(options(broker.url, files), web.enter);
  await foreign.says(/refuses this host's certificate: .+ \((use a --cert that|check --cert and)/);
  await foreign.stop();
  const bare = ['--broker', broker.url, '--ca', ca, '--fleet', fleet.path, '--state', scratch()];
  const none = new Bridge(bare, web.enter);
  await none.says(/certificate required \(it asks for this host's certificate: --cert and --key\)/);
  await none.stop();
});

tests.run();
