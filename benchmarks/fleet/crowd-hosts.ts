/**
 * Many hosts in one process: each is a connection with a will, and publishes one event a second. A
 * line on standard input kills half of them at once.
 *
 *   crowd-hosts ADDRESS PORT COUNT
 */
import { type Socket, connect } from 'node:net';
import { parser, writeToStream } from 'mqtt-packet';

const [address, port, count] = process.argv.slice(2);
const VERSION = { protocolVersion: 5 } as const;
const AT_ONCE = 50;
const SECOND_MS = 1000;

class SimulatedHost {
  #seq = 0;
  readonly socket: Socket;

  constructor(readonly name: string) {
    this.socket = connect({ host: address, port: Number(port), noDelay: true });
    this.socket.on('error', () => undefined);
  }

  #state(online: boolean): string {
    const session = 'crowd-1';
    const next = this.#seq + 1;
    return JSON.stringify({ online, session, connection: 1, machine: this.name, first: 1, next });
  }

  /** Resolves once the host is online. */
  start(): Promise<void> {
    const packets = parser(VERSION);
    this.socket.on('data', (bytes: Buffer) => void packets.parse(bytes));
    const topic = `eventfs/1/${this.name}/state`;
    writeToStream(
      {
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 5,
        clean: true,
        clientId: this.name,
        keepalive: 60,
        will: { topic, payload: Buffer.from(this.#state(false)), qos: 1, retain: true },
      },
      this.socket,
    );
    return new Promise((done) => {
      packets.on('packet', ({ cmd }) => {
        if (cmd === 'connack') this.#publish(topic, this.#state(true), true);
        else if (cmd === 'puback') done();
      });
    });
  }

  #publish(topic: string, payload: string, retain: boolean, seq?: number): void {
    const userProperties = { session: 'crowd-1', seq: String(seq), count: '1' };
    writeToStream(
      {
        cmd: 'publish',
        topic,
        payload,
        retain,
        qos: 1,
        dup: false,
        messageId: (this.#seq % 65_000) + 1,
        ...(seq !== undefined && { properties: { userProperties } }),
      },
      this.socket,
      VERSION,
    );
  }

  event(): void {
    const seq = ++this.#seq;
    const text = `change@/n/${seq}\nACTION=change\nDEVPATH=/n/${seq}\nSUBSYSTEM=crowd\nX=${'x'.repeat(200)}\n\n`;
    this.#publish(`eventfs/1/${this.name}/event`, text, false, seq);
  }
}

const hosts = Array.from({ length: Number(count) }, (_, n) => new SimulatedHost(`crowd${n}`));
for (let at = 0; at < hosts.length; at += AT_ONCE)
  await Promise.all(hosts.slice(at, at + AT_ONCE).map((host) => host.start()));
console.log('ready');
// Spread over the second, as the events of real hosts are.
for (const [n, host] of hosts.entries())
  setTimeout(() => setInterval(() => host.event(), SECOND_MS), (n * SECOND_MS) / hosts.length);
process.stdin.once('data', () => {
  for (const { socket } of hosts.slice(0, hosts.length / 2)) socket.destroy();
});
