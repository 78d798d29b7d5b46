/**
 * One connection to a broker: MQTT 5, with mqtt-packet for the bytes.
 *
 * The connection ends itself if the broker does not answer: neither to the connect request, nor to
 * a message, nor to a ping. It wakes up for nothing else than the ping of each keep-alive time.
 */
import type { Socket } from 'node:net';
import type { IConnackPacket, IPublishPacket, Packet } from 'mqtt-packet';
import type { Broker } from './broker.js';
import { CLOSED_AT_ONCE, failureText } from './failures.js';
import { InFlight } from './in-flight.js';
import type { ArrivedMessage, OutgoingMessage, Waiting, Will } from './messages.js';
import { publishPacket } from './publish-packet.js';
import { Reading } from './reading.js';
import { reasonText } from './reasons.js';
import { SignsOfLife } from './signs-of-life.js';

/** The functions of the package mqtt-packet. */
export type Codec = typeof import('mqtt-packet');

const VERSION = { protocolVersion: 5 } as const;
const CONNECT_TIMEOUT_MS = 10_000;
/** How long the broker may take to read the last packets, in ms. */
const GOODBYE_MS = 2000;
/** The most bytes that a packet of the broker may have. */
const MOST_PACKET = 128 * 1024;
/** How many messages may wait for the broker's acknowledgement. */
const MOST_IN_FLIGHT = 32;
/** Beyond it messages wait: a packet's number has 16 bits, and requests need numbers too. */
const MOST_RECEIVED = 32_768;
/** The least payload that a broker must take, and room for topic and properties. */
const LEAST_PAYLOAD = 1024;
const MOST_HEADER = 1024;
const NO_ANSWER = `no answer within ${CONNECT_TIMEOUT_MS / 1000} s (check the host and the port)`;
const CLOSED = 'the broker has closed the connection';
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

/** The options of a connection. */
interface ConnectionOptions {
  readonly clientId: string;
  readonly will?: Will;
  /** The keep-alive time of MQTT, in seconds. */
  readonly keepAlive: number;
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
  #most = MOST_IN_FLIGHT;
  /** How many messages may be in flight. */
  #receiveMaximum = MOST_RECEIVED;
  /** The most bytes of a payload that the broker takes. */
  mostPayload = Infinity;
  #isOpen = false;
  #isEnded = false;
  readonly #life = new SignsOfLife();
  #keepAliveMs: number;
  /** How many bytes have come since the last whole packet. */
  #unparsed = 0;

  /** @throws UserError if a file of the broker's options can't be read */
  constructor(
    private readonly codec: Codec,
    private readonly broker: Broker,
    private readonly options: ConnectionOptions,
    private readonly events: ConnectionEvents,
  ) {
    this.#keepAliveMs = options.keepAlive * 1000;
    const password = broker.password();
    this.#socket = broker.open();
    this.reading = new Reading(this.#socket, this.#keepAliveMs);
    this.#timer = setTimeout(() => this.#end(NO_ANSWER), CONNECT_TIMEOUT_MS);
    const parser = codec.parser(VERSION);
    parser.on('packet', (packet) => {
      this.#unparsed = 0;
      if (!this.#isEnded) this.#take(packet);
    });
    parser.on('error', (error: Error) => this.#end(`malformed packet: ${error.message}`));
    this.#socket
      .once(broker.isTls ? 'secureConnect' : 'connect', () => this.#greet(password))
      .on('data', (bytes: Buffer) => {
        this.#unparsed += bytes.length;
        this.#life.heard();
        this.#socket.cork();
        parser.parse(bytes);
        if (!this.#isEnded) this.events.settled();
        this.#socket.uncork();
        if (this.#unparsed > MOST_PACKET + bytes.length) this.#end('a packet is too large');
      })
      .on('error', (error) => this.#end(failureText(error, broker.hasAuthority)))
      .on('close', () => this.#end(this.#isOpen ? CLOSED : CLOSED_AT_ONCE));
  }

  /** How many messages can be sent now. */
  get room(): number {
    return this.#isOpen ? this.#most - this.#inFlight.size - this.#waiting.length : 0;
  }

  /**
   * Sends a message with QoS 1, at once or when the broker takes one more.
   *
   * @param done called when the broker has the message
   * @param refused called with the reason code if the broker refuses the message; without it, the
   *   connection ends
   */
  publish(message: OutgoingMessage, done: () => void, refused?: (code: number) => void): void {
    if (!this.#isOpen) return;
    if (this.#inFlight.messages >= this.#receiveMaximum)
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
    if (!this.#isOpen || topics.length === 0) return;
    const messageId = this.#request(topics, done, refused);
    const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const }));
    this.#write({ cmd: 'subscribe', messageId, subscriptions });
  }

  /** Ends subscriptions. */
  unsubscribe(topics: readonly string[]): void {
    if (!this.#isOpen || topics.length === 0) return;
    const messageId = this.#request(topics, () => undefined);
    this.#write({ cmd: 'unsubscribe', messageId, unsubscriptions: [...topics] });
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

  #greet(password: Buffer | undefined): void {
    const { clientId, will, keepAlive } = this.options;
    const { user } = this.broker;
    this.#write({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clean: true,
      clientId,
      keepalive: keepAlive,
      properties: { maximumPacketSize: MOST_PACKET, sessionExpiryInterval: 0 },
      ...(will !== undefined && {
        will: { ...will, payload: Buffer.from(will.payload), qos: 1, retain: true },
      }),
      ...(user !== undefined && { username: user }),
      ...(password !== undefined && { password }),
    });
  }

  #take(packet: Packet): void {
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

  #accepted({ reasonCode = 0, properties }: IConnackPacket): void {
    if (this.#isOpen) return this.#end('the broker accepts the connection twice');
    if (reasonCode !== 0) return this.#end(`the broker refuses: ${reasonText(reasonCode)}`);
    clearTimeout(this.#timer);
    this.#isOpen = true;
    this.#receiveMaximum = Math.min(properties?.receiveMaximum ?? MOST_RECEIVED, MOST_RECEIVED);
    this.#most = Math.min(MOST_IN_FLIGHT, this.#receiveMaximum);
    if (properties?.maximumPacketSize !== undefined)
      this.mostPayload = Math.max(LEAST_PAYLOAD, properties.maximumPacketSize - MOST_HEADER);
    if (properties?.serverKeepAlive !== undefined && properties.serverKeepAlive > 0)
      this.#keepAliveMs = properties.serverKeepAlive * 1000;
    this.#ping = setInterval(() => this.#beat(), this.#keepAliveMs);
    this.events.opened();
  }

  /** Sends a ping, unless the broker is dead. */
  #beat(): void {
    const now = performance.now();
    if (this.#life.isDead(now, this.#inFlight.ageMs(now), 2 * this.#keepAliveMs))
      return this.#end('the broker does not answer');
    this.#life.pinged(now);
    this.#write({ cmd: 'pingreq' });
    this.events.beat();
  }

  #arrived(packet: IPublishPacket): void {
    const { topic, payload, qos, messageId = 0 } = packet;
    if (typeof payload !== 'string') this.events.message({ ...packet, topic, payload });
    if (this.#isEnded || qos === 0) return;
    this.#socket.write(Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]));
  }

  #acknowledged(id: number | undefined, code: number): void {
    const found = this.#inFlight.remove(id);
    if (found === undefined) return;
    if (code < FAILURES) found.done();
    else if (found.refused === undefined) return this.refuse(found.topic, code);
    else found.refused(code);
    while (this.#waiting.length > 0 && this.#inFlight.messages < this.#receiveMaximum)
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
