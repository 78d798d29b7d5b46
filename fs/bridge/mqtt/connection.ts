/**
 * One connection to a broker: MQTT 5, with mqtt-packet for the bytes.
 *
 * The connection ends itself if the broker does not answer: neither to the connect request, nor to
 * a message, nor to a ping. It wakes up for nothing else than the ping of each keep-alive time.
 */
import type { Socket } from 'node:net';
import type { IConnackPacket, IPublishPacket, Packet } from 'mqtt-packet';
import { breachOf } from './packets/breaches.js';
import type { Broker } from './broker.js';
import { type BrokerBounds, boundsOf } from './broker-bounds.js';
import { connectPacket } from './packets/connect-packet.js';
import { CLOSED, CLOSED_AT_ONCE, failureText, lateText } from './failures.js';
import { InFlight } from './in-flight.js';
import type {
  ArrivedMessage,
  Codec,
  ConnectionOptions,
  OutgoingMessage,
  Waiting,
} from './messages.js';
import { PacketReader } from './packets/packet-reader.js';
import { publishPacket } from './packets/publish-packet.js';
import { Reading } from './reading.js';
import { reasonText } from './reasons.js';
import { SignsOfLife } from './signs-of-life.js';

const VERSION = { protocolVersion: 5 } as const;
const CONNECT_TIMEOUT_MS = 10_000;
/** How long the broker may take to read the last packets, in ms. */
const GOODBYE_MS = 2000;
/** From here on nothing is read until the broker reads. All messages in flight have 2 MiB. */
const MOST_UNSENT = 4 * 1024 * 1024;
/** How many messages may wait for the broker's acknowledgement. */
const MOST_IN_FLIGHT = 32;
/** How many packets may wait for their acknowledgements: their numbers have 16 bits. */
const MOST_UNACKNOWLEDGED = 60_000;
/** MQTT 5, 2.4: reason codes from here on are failures. */
const FAILURES = 0x80;
/** MQTT 5, 3.14.2.1: disconnect with will message. */
const WITH_WILL = 0x04;

/** The receiver of a connection's events. */
export interface ConnectionEvents {
  /** Called when the broker has accepted the connection. */
  opened(): void;
  /** Called when a message has come. */
  message(message: ArrivedMessage): void;
  /** Called when all packets of one read are handled. */
  settled(): void;
  /** Messages can be sent again. */
  drained(): void;
  /** Called when the keep-alive time has passed once more. */
  beat(): void;
  /** Called once, when the connection has ended. */
  closed(reason: string): void;
}

/** A connection. */
export class Connection {
  readonly #socket: Socket;
  readonly reading: Reading;
  readonly #timer: NodeJS.Timeout;
  #ping: NodeJS.Timeout | null = null;
  readonly #inFlight = new InFlight();
  /** The messages that exceed what the broker takes at a time, in their order. */
  #waiting: Waiting[] = [];
  #bounds: BrokerBounds;
  #isOpen = false;
  #isEnded = false;
  readonly #life = new SignsOfLife();
  /** The acknowledgements of the messages of the present read. */
  #acknowledgements: number[] = [];
  readonly #packets: PacketReader;

  /** @throws UserError if a file of the broker's options can't be read */
  constructor(
    private readonly codec: Codec,
    broker: Broker,
    options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    const keepAliveMs = options.keepAlive * 1000;
    this.#bounds = { receiveMaximum: 0, mostPayload: Infinity, keepAliveMs };
    const password = broker.password();
    this.#socket = broker.open((bytes) => this.#read(bytes));
    this.reading = new Reading(this.#socket, keepAliveMs);
    this.#timer = setTimeout(
      () => this.#end(lateText(CONNECT_TIMEOUT_MS / 1000, broker, this.#socket.connecting)),
      CONNECT_TIMEOUT_MS,
    );
    this.#packets = new PacketReader(
      codec,
      (packet) => this.#take(packet),
      (reason) => this.#end(reason),
    );
    this.#socket
      .once(broker.isTls ? 'secureConnect' : 'connect', () =>
        this.#write(connectPacket(options, broker.user, password)),
      )
      .on('drain', () => this.reading.release())
      .on('error', (error) => this.#end(failureText(error, broker.hasAuthority, this.#isOpen)))
      .on('close', () => this.#end(this.#isOpen ? CLOSED : CLOSED_AT_ONCE));
  }

  /** Takes bytes of the broker. */
  #read(bytes: Buffer): void {
    this.#life.heard();
    this.#socket.cork();
    this.#packets.read(bytes);
    // The events go on before the acknowledgements: their readers wait, the broker does not.
    if (!this.#isEnded) this.events.settled();
    this.#acknowledge();
    this.#socket.uncork();
    if (this.#socket.writableLength > MOST_UNSENT) this.reading.hold();
    this.reading.takeTurns(bytes.length);
  }

  /** How many messages can be sent now. */
  get room(): number {
    const most = Math.min(MOST_IN_FLIGHT, this.#bounds.receiveMaximum);
    return this.#isOpen ? most - this.#inFlight.size - this.#waiting.length : 0;
  }

  /** The most bytes of a payload that the broker takes. */
  get mostPayload(): number {
    return this.#bounds.mostPayload;
  }

  /**
   * Sends a message with QoS 1, at once or when the broker takes one more.
   *
   * @param done called when the broker has the message
   * @param refused called with the reason code if the broker refuses the message; without it, the
   *   connection ends
   */
  publish(message: OutgoingMessage, done: () => void, refused?: (code: number) => void): void {
    if (!this.#mayAdd()) return;
    if (this.#inFlight.messages >= this.#bounds.receiveMaximum)
      this.#waiting.push({ message, done, refused });
    else this.#send({ message, done, refused });
  }

  #send({ message, done, refused }: Waiting): void {
    const sentMs = performance.now();
    const { topic } = message;
    const messageId = this.#inFlight.add({ topic, isMessage: true, sentMs, done, refused });
    this.#socket.write(publishPacket(message, messageId));
  }

  /**
   * Subscribes to topics, with QoS 1.
   *
   * @param done called when the broker has accepted all of them
   * @param refused called with the reason code if the broker refuses one; without it, the
   *   connection ends
   */
  subscribe(topics: readonly string[], done: () => void, refused?: (code: number) => void): void {
    if (topics.length === 0 || !this.#mayAdd()) return;
    const messageId = this.#request(topics, done, refused);
    const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const }));
    this.#write({ cmd: 'subscribe', messageId, subscriptions });
  }

  /** Ends subscriptions. */
  unsubscribe(topics: readonly string[]): void {
    if (topics.length === 0 || !this.#mayAdd()) return;
    const messageId = this.#request(topics, () => undefined);
    this.#write({ cmd: 'unsubscribe', messageId, unsubscriptions: [...topics] });
  }

  /** Tells whether a packet can be added to those that wait for their acknowledgement. */
  #mayAdd(): boolean {
    if (this.#inFlight.size + this.#waiting.length >= MOST_UNACKNOWLEDGED)
      this.#end('the broker acknowledges nothing');
    return this.#isOpen;
  }

  #request(topics: readonly string[], done: () => void, refused?: (code: number) => void): number {
    const sentMs = performance.now();
    return this.#inFlight.add({ topic: topics[0], isMessage: false, sentMs, done, refused });
  }

  /** Ends the connection because of a refusal that another try would not change. */
  refuse(topic: string, code: number): void {
    this.#end(`the broker refuses ${topic}: ${reasonText(code)}`);
  }

  /**
   * Ends the connection.
   *
   * @param hasWill whether the broker publishes the will
   */
  disconnect(reason: string, hasWill = false): void {
    const reasonCode = hasWill ? WITH_WILL : 0;
    if (this.#isOpen) this.#write({ cmd: 'disconnect', reasonCode });
    this.#end(reason, true);
  }

  #take(packet: Packet): void {
    const breach = breachOf(packet, this.#isOpen);
    if (breach !== null) return this.#end(breach);
    switch (packet.cmd) {
      case 'connack':
        return this.#accepted(packet);
      case 'publish':
        return this.#arrived(packet);
      case 'puback':
        return this.#acknowledged(packet.messageId, packet.reasonCode ?? 0);
      case 'suback':
      case 'unsuback': {
        const codes = packet.granted as number[];
        return this.#acknowledged(packet.messageId, codes.find((code) => code >= FAILURES) ?? 0);
      }
      case 'pingresp':
        return this.#life.ponged();
      case 'disconnect':
        return this.#end(`the broker ends the connection: ${reasonText(packet.reasonCode ?? 0)}`);
      default:
        return this.#end(`unexpected packet ${packet.cmd}`);
    }
  }

  #accepted(packet: IConnackPacket): void {
    const { reasonCode = 0 } = packet;
    if (reasonCode !== 0) return this.#end(`the broker refuses: ${reasonText(reasonCode)}`);
    const bounds = boundsOf(packet, this.#bounds.keepAliveMs);
    if (typeof bounds === 'string') return this.#end(`the broker does not fit: ${bounds}`);
    clearTimeout(this.#timer);
    this.#isOpen = true;
    this.#bounds = bounds;
    this.#ping = setInterval(() => this.#beat(), bounds.keepAliveMs);
    this.events.opened();
  }

  /** Sends a ping, unless the broker is dead. */
  #beat(): void {
    const now = performance.now();
    if (this.#life.isDead(now, this.#inFlight.ageMs(now), 2 * this.#bounds.keepAliveMs))
      return this.#end('the broker does not answer');
    this.#life.pinged(now);
    this.#write({ cmd: 'pingreq' });
    this.events.beat();
  }

  #arrived(packet: IPublishPacket): void {
    const { payload, qos, messageId = 0 } = packet;
    if (typeof payload !== 'string') this.events.message(packet as ArrivedMessage);
    if (qos > 0) this.#acknowledgements.push(0x40, 2, messageId >> 8, messageId & 0xff);
  }

  /** Sends the acknowledgements of one read in one piece: a piece costs far more than its bytes. */
  #acknowledge(): void {
    if (this.#acknowledgements.length > 0 && !this.#isEnded)
      this.#socket.write(Buffer.from(this.#acknowledgements));
    this.#acknowledgements = [];
  }

  #acknowledged(id: number | undefined, code: number): void {
    const found = this.#inFlight.remove(id);
    if (found === undefined) return;
    if (code < FAILURES) found.done();
    else if (found.refused === undefined) return this.refuse(found.topic, code);
    else found.refused(code);
    while (this.#waiting.length > 0 && this.#inFlight.messages < this.#bounds.receiveMaximum)
      this.#send(this.#waiting.shift()!);
    if (!this.#isEnded) this.events.drained();
  }

  #write(packet: Packet): void {
    this.#socket.cork();
    this.codec.writeToStream(packet, this.#socket, VERSION);
    this.#socket.uncork();
  }

  #end(reason: string, isPolite = false): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isOpen = false;
    this.#packets.end();
    clearTimeout(this.#timer);
    this.reading.end();
    if (this.#ping !== null) clearInterval(this.#ping);
    const destroy = (): unknown => this.#socket.destroy();
    if (!isPolite) destroy();
    else {
      this.#socket.end(destroy);
      setTimeout(destroy, GOODBYE_MS).unref(); // of a broker that reads nothing
    }
    this.events.closed(reason);
  }
}
