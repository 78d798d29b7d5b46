/** Packets that a broker may not send. Each is the end of the connection (MQTT 5, 4.13). */
import type { Packet } from 'mqtt-packet';

/** The packets that a broker may send before it has accepted a connection. */
const BEFORE: ReadonlySet<string> = new Set(['connack', 'disconnect']);

/**
 * Tells how a packet breaks the protocol.
 *
 * @param isOpen whether the broker has accepted the connection
 * @returns null if it does not
 */
export function breachOf(packet: Packet, isOpen: boolean): string | null {
  if (!isOpen && !BEFORE.has(packet.cmd))
    return `the broker sends ${packet.cmd} before it accepts the connection`;
  if (isOpen && packet.cmd === 'connack') return 'the broker accepts the connection twice';
  if (packet.cmd !== 'publish') return null;
  if (packet.qos === 2)
    return 'the broker sends a message with QoS 2, but the bridge subscribes with QoS 1';
  if (packet.qos === 1 && packet.messageId === 0)
    return 'the broker sends a message with QoS 1 and no number';
  if (packet.properties?.topicAlias !== undefined)
    return 'the broker sends a topic alias, which is not allowed';
  return null;
}
