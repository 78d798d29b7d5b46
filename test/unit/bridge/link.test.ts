/** A link to a broker over many connections: it leaves no timer, no socket and no packet behind. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import * as mqtt from 'mqtt-packet';
import * as assert from 'uvu/assert';
import { Broker } from '../../../fs/bridge/mqtt/broker.js';
import { Link } from '../../../fs/bridge/mqtt/link.js';
import { until } from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';

const links = suite('a link to a broker');

const ACCEPTED = Buffer.from('2003000000', 'hex');
const CONNECTIONS = 300;

function nothing(): void {}

/** How many timers, sockets and look-ups this process has. */
function resources(): number {
  const counted = /^(Timeout|TCPSocketWrap|TCPConnectWrap|GetAddrInfoReqWrap)$/;
  return process.getActiveResourcesInfo().filter((each) => counted.test(each)).length;
}

/** The ends of a connection: the broker closes it, breaks the protocol, or never accepts it. */
const ENDS = [[ACCEPTED], [ACCEPTED, ACCEPTED], []] as const;

links('leaves nothing behind after hundreds of connections', async () => {
  let serial = 0;
  const server = createServer((socket) => {
    socket.on('error', nothing).once('data', () => {
      for (const bytes of ENDS[serial++ % ENDS.length]) socket.write(bytes);
      setImmediate(() => socket.destroy());
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const before = resources();
  let ended = 0;
  let isLast = false;
  const link: Link = new Link(
    mqtt,
    new Broker({ broker: `mqtt://localhost:${(server.address() as AddressInfo).port}` }),
    { clientId: 'test', keepAlive: 10 },
    {
      ...{ message: nothing, settled: nothing, drained: nothing, beat: nothing },
      will: () => ({ topic: 'a', payload: 'b' }),
      opened: () => {
        link.connection!.subscribe(['a'], nothing);
        link.connection!.publish({ topic: 'a', payload: 'x' }, nothing);
      },
      closed: () => {
        if (++ended >= CONNECTIONS) isLast = true;
        else setImmediate(() => link.renew());
      },
    },
    { error: nothing, warn: nothing, info: nothing, debug: nothing },
  );
  link.start();
  await until(
    () => isLast,
    () => `${ended} connections`,
    30_000,
  );
  link.close(false);
  await until(
    () => resources() <= before,
    () => process.getActiveResourcesInfo().join(' '),
    5000,
  );
  assert.ok(link.counted.connections >= CONNECTIONS / 2, `${link.counted.connections}`);
  server.close();
});

links.run();
