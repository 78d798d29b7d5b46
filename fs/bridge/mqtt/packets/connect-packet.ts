/** The packet CONNECT (MQTT 5, 3.1). */
import type { IConnectPacket } from 'mqtt-packet';
import type { ConnectionOptions } from '../messages.js';
import { MOST_PACKET } from './packet-reader.js';

/**
 * Makes the packet. It allows the broker no topic aliases, which are 0 unless a packet says more.
 *
 * @param user this host's user at the broker, if it has one
 */
export function connectPacket(
  { clientId, will, keepAlive }: ConnectionOptions,
  user: string | undefined,
  password: Buffer | undefined,
): IConnectPacket {
  return {
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
  };
}
