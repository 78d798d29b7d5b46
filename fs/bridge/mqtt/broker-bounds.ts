/** The abilities of a broker, as it states them when it accepts a connection (MQTT 5, 3.2.2.3). */
import type { IConnackPacket } from 'mqtt-packet';
import {
  QOS_NOT_SUPPORTED,
  RETAIN_NOT_SUPPORTED,
  UNSUPPORTED_VERSION,
  WILDCARDS_NOT_SUPPORTED,
  reasonText,
} from './reasons.js';

/** A packet's number has 16 bits, and requests need numbers too. */
const MOST_RECEIVED = 32_768;
/** The most bytes of a packet beside its payload: topic, properties, lengths. */
const MOST_HEADER = 512;
/** The least payload that a broker must take: a state, or the record of a loss. */
const LEAST_PAYLOAD = 1024;
const LEAST_PACKET = LEAST_PAYLOAD + MOST_HEADER;
/** The least bytes of an answer of MQTT 5: flags, reason, length of properties. */
const LEAST_CONNACK = 3;

/** The bounds of a broker. */
export interface BrokerBounds {
  /** How many messages may be in flight. */
  readonly receiveMaximum: number;
  /** The most bytes of a payload. */
  readonly mostPayload: number;
  readonly keepAliveMs: number;
}

/**
 * Reads the answer of a broker that accepts a connection.
 *
 * @param keepAliveMs the keep-alive time that this host has asked for
 * @returns the reason if a bridge can't work with this broker
 */
export function boundsOf(
  { length = 0, properties = {} }: IConnackPacket,
  keepAliveMs: number,
): BrokerBounds | string {
  if (length < LEAST_CONNACK) return reasonText(UNSUPPORTED_VERSION);
  const { receiveMaximum, maximumPacketSize, serverKeepAlive = 0 } = properties;
  // The parser makes an array of a property that comes twice.
  for (const bound of [receiveMaximum ?? 1, maximumPacketSize ?? 1, serverKeepAlive + 1])
    if (!Number.isSafeInteger(bound) || bound < 1) return 'its bounds are malformed';
  if (properties.retainAvailable === false) return reasonText(RETAIN_NOT_SUPPORTED);
  if (properties.maximumQoS === 0) return reasonText(QOS_NOT_SUPPORTED);
  if (properties.wildcardSubscriptionAvailable === false)
    return reasonText(WILDCARDS_NOT_SUPPORTED);
  if (maximumPacketSize !== undefined && maximumPacketSize < LEAST_PACKET)
    return `it takes packets of ${maximumPacketSize} bytes only (raise that to ${LEAST_PACKET} at least)`;
  return {
    receiveMaximum: Math.min(receiveMaximum ?? MOST_RECEIVED, MOST_RECEIVED),
    mostPayload: (maximumPacketSize ?? Infinity) - MOST_HEADER,
    keepAliveMs: serverKeepAlive > 0 ? serverKeepAlive * 1000 : keepAliveMs,
  };
}
