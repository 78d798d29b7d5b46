/** A connection whose broker sends wrong answers, or none. */
import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import * as mqtt from 'mqtt-packet';
import * as assert from 'uvu/assert';
import { Broker } from '../../../fs/bridge/mqtt/broker.js';
import { Connection } from '../../../fs/bridge/mqtt/connection.js';
import { suite } from '../../support/runner/suite.js';

const connections = suite('a connection to a broker');

const ACCEPTED = '2003000000';

/** A broker that answers CONNECT with these bytes, and a connection to it. */
async function connect(
  bytes: string,
  opened: (connection: Connection) => void = () => undefined,
): Promise<{ readonly reason: string; readonly wasOpen: boolean }> {
  let client: Socket | undefined;
  const server = createServer((socket) => {
    client = socket.on('error', () => undefined);
    socket.once('data', () => socket.write(Buffer.from(bytes, 'hex')));
    socket.resume();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let wasOpen = false;
  const reason = await new Promise<string>((closed) => {
    const connection = new Connection(
      mqtt,
      new Broker({ broker: url }),
      { clientId: 'test', keepAlive: 5 },
      {
        ...{ message: nothing, settled: nothing, drained: nothing, beat: nothing, closed },
        opened: () => {
          wasOpen = true;
          opened(connection);
        },
      },
    );
  });
  client?.destroy();
  server.close();
  return { reason, wasOpen };
}

/** Properties of the answer that accepts a connection, and the reason to leave. */
const UNFIT = [
  ['2500', 'Retain not supported (use a broker that keeps retained messages)'],
  ['2400', 'QoS not supported (use a broker with QoS 1)'],
  ['2800', 'Wildcard subscriptions not supported (use a broker that has them)'],
  ['27000005ff', 'it takes packets of 1535 bytes only (raise that to 1536 at least)'],
  ['2700000000', 'its bounds are malformed'],
  ['210000', 'its bounds are malformed'],
  ['210005210006', 'its bounds are malformed'],
  ['13000513000a', 'its bounds are malformed'],
] as const;

connections('is left at once if the broker lacks what a bridge needs', async () => {
  for (const [properties, words] of UNFIT) {
    const length = properties.length / 2;
    const header = Buffer.from([0x20, 3 + length, 0, 0, length]).toString('hex');
    const { reason, wasOpen } = await connect(header + properties);
    assert.is(reason, `the broker does not fit: ${words}`);
    assert.is(wasOpen, false);
  }
  for (const short of ['2000', '200100', '20020000']) {
    const { reason, wasOpen } = await connect(short);
    assert.match(reason, 'Unsupported protocol version (use a broker with MQTT 5)', short);
    assert.is(wasOpen, false);
  }
});

/** The bytes of a broker, and the reason to end the connection. */
const BREACHES = [
  [ACCEPTED + ACCEPTED, 'the broker accepts the connection twice'],
  [`30050001610061${ACCEPTED}`, 'the broker sends publish before it accepts the connection'],
  ['d000', 'the broker sends pingresp before it accepts the connection'],
  [`${ACCEPTED}340700016100070061`, 'a message with QoS 2'],
  [`${ACCEPTED}320700016100000061`, 'a message with QoS 1 and no number'],
  [`${ACCEPTED}300800016103230001` + '61', 'a topic alias'],
  [`${ACCEPTED}3007000003230001` + '61', 'a topic alias'],
  [`${ACCEPTED}820700010000016101`, 'unexpected packet subscribe'],
  [`${ACCEPTED}f00100`, 'unexpected packet auth'],
  [`${ACCEPTED}50020007`, 'unexpected packet pubrec'],
] as const;

connections('ends if the broker breaks the protocol', async () => {
  for (const [bytes, words] of BREACHES) assert.match((await connect(bytes)).reason, words, bytes);
});

connections('ends if a broker acknowledges nothing, before the numbers are used up', async () => {
  const { reason } = await connect(ACCEPTED, (connection) => {
    for (let n = 0; n < 70_000; n++) connection.subscribe(['a'], () => undefined);
  });
  assert.is(reason, 'the broker acknowledges nothing');
});

/** A broker whose socket keeps the written bytes until it is told to read. */
class StuckBroker extends Broker {
  readonly #unread: (() => void)[] = [];
  readonly socket = new Duplex({
    read: () => undefined,
    writev: (_chunks, taken) => void this.#unread.push(taken),
  });

  override open(read: (bytes: Buffer) => void): Socket {
    setImmediate(() => this.socket.emit('connect'));
    return this.socket.on('data', read) as unknown as Socket;
  }

  reads(): void {
    for (const taken of this.#unread.splice(0)) taken();
  }
}

function nothing(): void {}

/** @param message is told of each message */
function connectTo(broker: Broker, message = nothing): Connection {
  const untold = { settled: nothing, drained: nothing, beat: nothing, closed: nothing };
  const handlers = { ...untold, opened: nothing, message };
  return new Connection(mqtt, broker, { clientId: 'test', keepAlive: 5 }, handlers);
}

/** Opens a connection to it. @returns how many messages have come so far */
async function openStuck(broker: StuckBroker): Promise<[Connection, () => number]> {
  let messages = 0;
  const connection = connectTo(broker, () => void messages++);
  await turn();
  broker.socket.push(Buffer.from(ACCEPTED, 'hex'));
  await turn();
  return [connection, () => messages];
}

const MESSAGE = Buffer.from('320700016100070061', 'hex');

connections('reads nothing while the broker does not read, and goes on when it does', async () => {
  const broker = new StuckBroker({ broker: 'mqtt://x' });
  const [connection, messages] = await openStuck(broker);
  const come = async (): Promise<number> => {
    broker.socket.push(MESSAGE);
    await turn();
    return messages();
  };
  assert.is(await come(), 1);
  const payload = 'x'.repeat(64 * 1024);
  for (let n = 0; n < 70; n++) connection.publish({ topic: 'a', payload }, () => undefined);
  await come();
  const before = await come();
  assert.is(await come(), before, 'it reads nothing');
  broker.reads();
  await turn();
  broker.reads();
  assert.is(await come(), before + 3, 'it reads again');
  connection.disconnect('done');
});

/** A broker that takes all packets, and answers when it is told to. */
class ReadingBroker extends Broker {
  readonly packets: string[] = [];
  readonly #parser = mqtt.parser({ protocolVersion: 5 });
  readonly socket = new Duplex({
    read: () => undefined,
    write: (bytes: Buffer, _encoding, taken) => {
      this.#parser.parse(bytes);
      taken();
    },
  });

  override open(read: (bytes: Buffer) => void): Socket {
    this.#parser.on('packet', ({ cmd }) => this.packets.push(cmd));
    return this.socket.on('data', read) as unknown as Socket;
  }
}

connections(
  'begins with its first packet, and keeps to the messages that a broker takes',
  async () => {
    const broker = new ReadingBroker({ broker: 'mqtt://x' });
    const connection = connectTo(broker);
    const taken: number[] = [];
    const publish = (n: number): void =>
      connection.publish({ topic: 'a', payload: 'x' }, () => taken.push(n));
    // Hosts may end before the network is there.
    connection.unsubscribe(['a']);
    connection.subscribe(['a'], nothing);
    publish(0);
    broker.socket.emit('connect');
    await turn();
    assert.equal(broker.packets, ['connect']);
    broker.socket.push(Buffer.from('2006000003210001', 'hex')); // a receive maximum of 1
    await turn();
    for (const n of [1, 2]) publish(n);
    await turn();
    assert.equal(broker.packets, ['connect', 'publish']);
    broker.socket.push(Buffer.from('40020001', 'hex'));
    await turn();
    assert.equal([broker.packets, taken], [['connect', 'publish', 'publish'], [1]]);
    connection.disconnect('done');
  },
);

connections('lets timers have their turn between the reads', async () => {
  const broker = new StuckBroker({ broker: 'mqtt://x' });
  const [connection, messages] = await openStuck(broker);
  const [reads, each] = [20, 7300];
  for (let n = 0; n < reads; n++) broker.socket.push(Buffer.alloc(each * MESSAGE.length, MESSAGE));
  let most = messages();
  while (messages() < reads * each) {
    const before = messages();
    await turn();
    most = Math.max(most, messages() - before);
  }
  assert.ok(most <= 2 * each, `${most} messages in one turn`);
  connection.disconnect('done');
});

connections.run();
