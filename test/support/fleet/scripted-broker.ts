/**
 * A small MQTT 5 broker in the process of the test, which lacks what its traits say. It takes notes
 * of each client that does not keep to the bounds that it has announced.
 */
import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import * as mqtt from 'mqtt-packet';

const V5 = { protocolVersion: 5 } as const;
/** How long an acknowledgement takes: meanwhile a client may send too many messages. In ms. */
const ACK_MS = 2;

/** The properties by which a broker announces its bounds (MQTT 5, 3.2.2.3). */
export type Announced = NonNullable<mqtt.IConnackPacket['properties']>;

/** The announcements of a broker, and its faults of which it says nothing. */
export interface BrokerTraits {
  readonly announces?: Announced;
  /** As RabbitMQ: subscriptions with wildcards get no retained messages. */
  readonly retainsForNames?: boolean;
  readonly dropsProperties?: boolean;
  readonly hasNoWills?: boolean;
  /** As an ACL without the right to read: a client gets no message of its own. */
  readonly hidesOwn?: boolean;
  /** How late retained messages come, in ms. */
  readonly retainedMs?: number;
}

/** One client. */
interface Client {
  readonly socket: Socket;
  readonly topics: Set<string>;
  will: mqtt.IConnectPacket['will'];
  inFlight: number;
  heardMs: number;
}

/** Tells whether a topic matches a filter with `+` and `#`. */
function matches(filter: string, topic: string): boolean {
  const [wanted, parts] = [filter.split('/'), topic.split('/')];
  if (wanted.at(-1) === '#') return topic.startsWith(filter.slice(0, -1));
  return (
    wanted.length === parts.length && wanted.every((part, at) => part === '+' || part === parts[at])
  );
}

/** A running broker. */
export class ScriptedBroker {
  static readonly #all = new Set<ScriptedBroker>();
  /** How clients have not kept to the bounds. */
  readonly breaches: string[] = [];
  /** How often each kind of packet has come. */
  readonly packets = new Map<string, number>();
  readonly retained = new Map<string, mqtt.IPublishPacket>();
  readonly #clients = new Set<Client>();

  private constructor(
    private readonly traits: BrokerTraits,
    private readonly server: Server,
  ) {
    ScriptedBroker.#all.add(this);
    server.on('connection', (socket: Socket) => this.#serve(socket));
  }

  /** @param address where it listens; @param port any by default */
  static async start(
    traits: BrokerTraits = {},
    address = '127.0.0.1',
    port = 0,
  ): Promise<ScriptedBroker> {
    const server = createServer({ noDelay: true }).listen(port, address);
    await once(server, 'listening');
    return new ScriptedBroker(traits, server);
  }

  get url(): string {
    const { address, port } = this.server.address() as AddressInfo;
    return `mqtt://${address}:${port}`;
  }

  /** Ends it. Its clients' connections end without wills. */
  stop(): void {
    ScriptedBroker.#all.delete(this);
    this.server.close();
    for (const { socket } of this.#clients) socket.destroy();
  }

  static stopAll(): void {
    for (const each of ScriptedBroker.#all) each.stop();
  }

  #serve(socket: Socket): void {
    const client: Client = {
      ...{ socket, topics: new Set<string>(), will: undefined },
      ...{ inFlight: 0, heardMs: performance.now() },
    };
    const parser = mqtt.parser(V5).on('packet', (packet) => this.#take(client, packet));
    const { serverKeepAlive } = this.traits.announces ?? {};
    const timer = setInterval(() => {
      if (serverKeepAlive === undefined) return;
      const silentMs = performance.now() - client.heardMs;
      if (silentMs > serverKeepAlive * 1500) this.breaches.push(`silent for ${silentMs} ms`);
    }, 100);
    socket
      .on('error', () => undefined)
      .on('data', (bytes) => {
        client.heardMs = performance.now();
        parser.parse(bytes);
      })
      .on('close', () => {
        clearInterval(timer);
        this.#clients.delete(client);
        this.#dies(client);
      });
  }

  #dies({ will }: Client): void {
    if (will === undefined || this.traits.hasNoWills === true) return;
    const { topic, payload, qos = 0, retain = false } = will;
    this.#publish({ cmd: 'publish', dup: false, topic, payload, qos, retain });
  }

  #take(client: Client, packet: mqtt.Packet): void {
    const { socket } = client;
    this.packets.set(packet.cmd, (this.packets.get(packet.cmd) ?? 0) + 1);
    const size = (packet.length ?? 0) + 2;
    const { maximumPacketSize = Infinity } = this.traits.announces ?? {};
    if (size > maximumPacketSize) this.breaches.push(`${packet.cmd} of ${size} bytes`);
    if (packet.cmd === 'connect') this.#connect(client, packet);
    else if (packet.cmd === 'publish') this.#published(client, packet);
    else if (packet.cmd === 'subscribe') this.#subscribe(client, packet);
    else if (packet.cmd === 'pingreq') this.#send(client, { cmd: 'pingresp' });
    else if (packet.cmd === 'unsubscribe') {
      const { messageId = 0, unsubscriptions } = packet;
      for (const topic of unsubscriptions) client.topics.delete(topic);
      this.#send(client, { cmd: 'unsuback', messageId, granted: unsubscriptions.map(() => 0) });
    } else if (packet.cmd === 'disconnect') {
      if (packet.reasonCode !== 4) client.will = undefined;
      socket.end();
    }
  }

  #connect(client: Client, { will }: mqtt.IConnectPacket): void {
    const { announces: properties } = this.traits;
    this.#clients.add(client);
    client.will = will;
    this.#send(client, {
      ...{ cmd: 'connack' as const, reasonCode: 0, sessionPresent: false },
      ...(properties !== undefined && { properties }),
    });
  }

  #subscribe(client: Client, { messageId, subscriptions }: mqtt.ISubscribePacket): void {
    this.#send(client, {
      ...{ cmd: 'suback' as const, messageId: messageId!, granted: subscriptions.map(() => 1) },
    });
    for (const { topic } of subscriptions) {
      client.topics.add(topic);
      if (this.traits.retainsForNames === true && /[+#]/.test(topic)) continue;
      const sendAll = (): void => {
        for (const message of this.retained.values())
          if (matches(topic, message.topic)) this.#send(client, { ...message, retain: true });
      };
      if (this.traits.retainedMs === undefined) sendAll();
      else setTimeout(sendAll, this.traits.retainedMs);
    }
  }

  #published(client: Client, packet: mqtt.IPublishPacket): void {
    const { topic, qos, messageId, properties } = packet;
    const { receiveMaximum = 65_535 } = this.traits.announces ?? {};
    if (++client.inFlight > receiveMaximum) this.breaches.push(`${client.inFlight} in flight`);
    if (properties?.topicAlias !== undefined) this.breaches.push('a topic alias');
    if (qos !== 1) this.breaches.push(`${topic} with QoS ${qos}`);
    setTimeout(() => {
      client.inFlight--;
      this.#send(client, { cmd: 'puback', messageId, reasonCode: 0 } as mqtt.IPubackPacket);
      this.#publish(packet, client);
    }, ACK_MS);
  }

  #publish(packet: mqtt.IPublishPacket, from?: Client): void {
    const { topic, payload, properties } = packet;
    const kept = this.traits.dropsProperties === true ? undefined : properties?.userProperties;
    const message: mqtt.IPublishPacket = {
      ...{ cmd: 'publish' as const, topic, payload, qos: 0 as const, dup: false, retain: false },
      ...(kept !== undefined && { properties: { userProperties: kept } }),
    };
    if (packet.retain && payload.length === 0) this.retained.delete(topic);
    else if (packet.retain) this.retained.set(topic, message);
    for (const client of this.#clients) {
      if (client === from && this.traits.hidesOwn === true) continue;
      if ([...client.topics].some((filter) => matches(filter, topic))) this.#send(client, message);
    }
  }

  #send({ socket }: Client, packet: mqtt.Packet): void {
    if (!socket.destroyed) socket.write(mqtt.generate(packet, V5));
  }
}
