/**
 * A broker that attacks its client, as a child process. It answers as brokers do until the client
 * has used its name, and then does one of {@link ATTACKS}.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import * as mqtt from 'mqtt-packet';

const V5 = { protocolVersion: 5 } as const;
/** The packets of one write. */
const AT_ONCE = 1000;

/** The name of the host that is attacked. */
export const VICTIM = 'web1';

/** Answers a packet as a broker does. */
function answer(socket: Socket, packet: mqtt.Packet): void {
  const { messageId } = packet;
  const write = (bytes: Buffer): void => void socket.write(bytes);
  if (packet.cmd === 'connect') write(Buffer.from('2003000000', 'hex'));
  else if (packet.cmd === 'pingreq') write(Buffer.from('d000', 'hex'));
  else if (packet.cmd === 'publish') {
    write(mqtt.generate({ cmd: 'puback', messageId, reasonCode: 0 } as mqtt.Packet, V5));
    if (packet.topic.includes('/ask/')) write(message(packet.topic, String(packet.payload)));
  } else if (packet.cmd === 'subscribe' || packet.cmd === 'unsubscribe') {
    const length = (packet.cmd === 'subscribe' ? packet.subscriptions : packet.unsubscriptions)
      .length;
    const header = [packet.cmd === 'subscribe' ? 0x90 : 0xb0];
    for (let rest = 3 + length; ; rest >>= 7) {
      header.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
      if (rest <= 0x7f) break;
    }
    write(Buffer.from([...header, messageId! >> 8, messageId! & 0xff, 0]));
    write(Buffer.alloc(length));
  }
}

function message(topic: string, payload: string, qos: 0 | 1 = 0): Buffer {
  const fixed = { cmd: 'publish', dup: false, retain: false } as const;
  return mqtt.generate({ ...fixed, topic, payload, qos, messageId: 7 }, V5);
}

/** A state that the broker asks an acknowledgement for. */
function stateOf(host: string, online: boolean, connection: number): Buffer {
  const state = { online, session: 'x-1', connection, machine: 'e', first: 1, next: 1 };
  return message(`eventfs/1/${host}/state`, JSON.stringify(state), 1);
}

/** Writes as fast as the client reads. */
function flood(socket: Socket, make: (n: number) => Buffer): void {
  let n = 0;
  const write = (): void => {
    while (!socket.destroyed) {
      const some = Array.from({ length: AT_ONCE }, () => make(n++));
      if (!socket.write(Buffer.concat(some))) return void socket.once('drain', write);
    }
  };
  write();
}

const call = message(`eventfs/1/${VICTIM}/ask/${VICTIM}`, '{"machine":"other"}');

/** Packets without end. The broker acknowledges nothing from then on. */
const ATTACKS = {
  /** Each call asks for the state. */
  calls: (socket: Socket) => flood(socket, () => call),
  /** Hosts that come and go, in messages whose acknowledgements the broker does not read. */
  flips: (socket: Socket) => {
    socket.pause();
    flood(socket, (n) => stateOf(`h${n % 500}`, n % 1000 < 500, Math.floor(n / 500) + 1));
  },
} as const;

export type Attack = keyof typeof ATTACKS;

/** A running broker. */
export class HostileBroker {
  static readonly #all = new Set<HostileBroker>();

  private constructor(
    private readonly process: ChildProcess,
    readonly url: string,
  ) {
    HostileBroker.#all.add(this);
  }

  static async start(attack: Attack): Promise<HostileBroker> {
    const child = fork(fileURLToPath(import.meta.url), [attack]);
    const [port] = (await once(child, 'message')) as [number];
    return new HostileBroker(child, `mqtt://127.0.0.1:${port}`);
  }

  /** Returns how many states have come since the attack began. */
  async states(): Promise<number> {
    this.process.send('states');
    const [states] = (await once(this.process, 'message')) as [number];
    return states;
  }

  stop(): void {
    HostileBroker.#all.delete(this);
    this.process.kill('SIGKILL');
  }

  static stopAll(): void {
    for (const each of HostileBroker.#all) each.stop();
  }
}

function serve(attack: Attack): void {
  let states = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    let isAttacked = false;
    const parser = mqtt.parser(V5).on('packet', (packet) => {
      const isState = packet.cmd === 'publish' && packet.topic.endsWith('/state');
      if (isAttacked) return void (states += isState ? 1 : 0);
      answer(socket, packet);
      if (!isState) return;
      isAttacked = true;
      ATTACKS[attack](socket);
    });
    socket.on('data', (bytes) => parser.parse(bytes));
  }).listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port));
  process.on('message', () => process.send!(states));
  process.on('disconnect', () => process.exit());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve(process.argv[2] as Attack);
