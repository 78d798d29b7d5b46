/** Tests the network of the fleet's tests: hosts, their cables, and both versions of the broker. */
import * as assert from 'uvu/assert';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Reader, killClients } from '../../support/clients/clients.js';
import { type Broker, startBroker, stopFleet } from '../../support/fleet/broker.js';
import { type Host, cut, delay, restore, startHost } from '../../support/fleet/network.js';
import { run, until, hasSaid } from '../../support/mount/daemon.js';
import { skip, suite } from '../../support/runner/suite.js';

const network = suite('the network of a fleet');
network.after(async () => {
  await killClients();
  await stopFleet();
});

/** Publishes a retained message from a host. Resolves to the exit code, of timeout(1) after 2 s. */
async function publish(
  host: Host,
  broker: Broker,
  topic: string,
  more: string[] = [],
): Promise<number | null> {
  const command = ['timeout', '2', 'mosquitto_pub', ...broker.clientArguments, ...more];
  return (await run([...host.enter, ...command, '-r', '-q', '1', '-t', topic, '-m', topic])).code;
}

/** Subscribes to all topics on a host. */
function subscribe(host: Host, broker: Broker, more: string[] = []): Reader {
  const command = ['mosquitto_sub', ...broker.clientArguments, ...more, '-t'];
  return new Reader('#', [...host.enter, ...command]);
}

for (const version of ['own', 'trixie'] as const) {
  network(`carries messages of mosquitto ${version}, and a killed client's will`, async () => {
    const broker: Broker | null = await startBroker({ version: version as 'trixie' });
    if (broker === null) return skip('no mirror of Debian answers');
    await hasSaid(broker, version === 'own' ? /version 2/ : /version 2\.0\.21 running/);
    const [web, db] = [await startHost(`web-${version}`), await startHost(`db-${version}`)];
    const reader = subscribe(db, broker);
    const dying = new Reader('never', [
      ...[...web.enter, 'mosquitto_sub', ...broker.clientArguments, '-i', 'dying'],
      ...['--will-topic', 'gone', '--will-payload', 'web is gone', '-t'],
    ]);
    const canPublish = async (): Promise<boolean> => (await publish(web, broker, 'here')) === 0;
    await until(canPublish, () => `it could not publish: ${broker.log()}`);
    await until(() => reader.text.includes('here'), 'the message did not come');
    await until(() => broker.log().includes(' as dying '), 'the client did not connect');
    dying.process.kill('SIGKILL');
    await until(() => reader.text.includes('web is gone'), 'the will did not come');
    await cut(web);
    assert.is(await publish(web, broker, 'cut'), 124);
    await restore(web);
    await until(async () => (await publish(web, broker, 'back')) === 0, 'it stayed cut', 10_000);
    assert.not.match(reader.text, 'cut');
    await broker.stop();
  });
}

network(
  'has a broker that forgets retained messages, or keeps them, also when killed',
  async () => {
    const host = await startHost('kept');
    for (const persistence of [true, false]) {
      const broker = await startBroker({ persistence });
      await publish(host, broker, 'kept');
      const database = join(broker.folder, 'state/mosquitto.db');
      const isKept = (): boolean => existsSync(database) && readFileSync(database).includes('kept');
      if (persistence) await until(isKept, 'the broker does not save the message');
      await broker.stop('SIGKILL');
      await broker.start();
      const reader = subscribe(host, broker);
      await publish(host, broker, 'new');
      await until(() => reader.text.includes('new'), 'the new message did not come');
      assert.is(reader.text.includes('kept'), persistence);
      await broker.stop();
    }
  },
);

network('has a broker with users, an ACL and certificates', async () => {
  const host = await startHost('secure');
  const acl = 'pattern write mine/%u\npattern read #\n';
  const broker = await startBroker({ acl, users: { web1: 'secret' }, tls: 'server' });
  const as = (password: string): string[] => ['-u', 'web1', '-P', password];
  assert.is.not(await publish(host, broker, 'mine/web1', as('wrong')), 0);
  assert.is(await publish(host, broker, 'mine/web1', as('secret')), 0);
  const strict = await startBroker({ acl, tls: 'client' });
  const { certificate, key } = await strict.certificate('web2');
  const own = ['--cert', certificate, '--key', key];
  assert.is.not(await publish(host, strict, 'mine/web2'), 0);
  assert.is(await publish(host, strict, 'mine/web2', own), 0);
  await publish(host, strict, 'mine/web1', own);
  const reader = subscribe(host, strict, own);
  await until(() => reader.text.includes('mine/web2'), 'the message did not come');
  assert.not.match(reader.text, 'mine/web1');
});

network('has a broker that accepts connections and never answers, until it goes on', async () => {
  const host = await startHost('patient');
  const broker = await startBroker();
  broker.pause();
  assert.is(await publish(host, broker, 'late'), 124);
  broker.resume();
  assert.is(await publish(host, broker, 'soon'), 0);
});

network('delays packets where the kernel can', async () => {
  const host = await startHost('slow');
  const broker = await startBroker();
  if (!(await delay(host, 100))) skip('the kernel has no netem');
  const began = Date.now();
  await publish(host, broker, 'slow');
  assert.ok(Date.now() - began >= 200);
});

network('leaves nothing behind', async () => {
  await stopFleet();
  const left = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  assert.equal(
    left.filter((name) => name.startsWith(`eventfs-fleet-${process.pid}-`)),
    [],
  );
});

network.run();
