/** The messages and the options of a connection to a broker. */
import type { IPublishPacket } from 'mqtt-packet';

/** The message that the broker publishes if the connection breaks. */
export interface Will {
  readonly topic: string;
  readonly payload: string;
}

/** A message from the broker. */
export type ArrivedMessage = Pick<IPublishPacket, 'topic' | 'retain' | 'properties'> & {
  readonly payload: Buffer;
};

/** A message for the broker. */
export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly retain?: boolean;
  readonly userProperties?: Readonly<Record<string, string>>;
}

/** A message that waits until the broker takes one more. */
export interface Waiting {
  readonly message: OutgoingMessage;
  readonly done: () => void;
  readonly refused: ((code: number) => void) | undefined;
}

/** The functions of the package mqtt-packet. */
export type Codec = typeof import('mqtt-packet');

/** The options of a connection. */
export interface ConnectionOptions {
  readonly clientId: string;
  readonly will?: Will;
  /** The keep-alive time of MQTT, in seconds. */
  readonly keepAlive: number;
}
