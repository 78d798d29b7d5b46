/**
 * Divides the bytes of a broker into packets, and parses each alone (MQTT 5, 2.1).
 *
 * mqtt-packet's parser looks for each field in the list of all pieces that have come: a packet in
 * many pieces keeps it busy for seconds, and a wrong length has it read the next packet.
 */
import type { Packet, Parser } from 'mqtt-packet';
import type { Codec } from '../messages.js';

/** The most bytes that a packet of the broker may have. */
export const MOST_PACKET = 128 * 1024;
/** The most bytes of the type and the length of a packet. */
const MOST_HEADER = 5;
const NOTHING = Buffer.alloc(0);

/** The reader of one connection. */
export class PacketReader {
  readonly #parser: Parser;
  /** The packet that the parser has found in the present bytes. */
  #found: Packet | null = null;
  #error: Error | null = null;
  /** The first bytes of a packet whose length has not come. */
  #header = NOTHING;
  /** The packet that has come in part, and how many bytes of it. */
  #packet: Buffer | null = null;
  #filled = 0;
  #isEnded = false;

  /**
   * @param take called with each packet
   * @param failed called once if the bytes are no packets
   */
  constructor(
    codec: Codec,
    private readonly take: (packet: Packet) => void,
    private readonly failed: (reason: string) => void,
  ) {
    this.#parser = codec.parser({ protocolVersion: 5 });
    this.#parser.on('packet', (packet) => (this.#found = packet));
    this.#parser.on('error', (error: Error) => (this.#error = error));
  }

  /** Takes bytes. */
  read(bytes: Buffer): void {
    let rest = this.#fill(bytes);
    while (rest.length > 0 && !this.#isEnded) {
      const length = lengthOf(rest);
      if (length === null) return void (this.#header = Buffer.from(rest));
      if (length > MOST_PACKET) return this.#fail('a packet is too large');
      if (length > rest.length) return this.#begin(rest, length);
      this.#parse(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  }

  /** Reads no more: the connection has ended. */
  end(): void {
    this.#isEnded = true;
  }

  /** Begins a packet of which only these bytes have come. */
  #begin(bytes: Buffer, length: number): void {
    this.#packet = Buffer.allocUnsafe(length);
    this.#filled = bytes.copy(this.#packet);
  }

  /** Adds bytes to an unfinished packet. @returns the rest, which begins with a packet's first */
  #fill(bytes: Buffer): Buffer {
    if (this.#header.length > 0) {
      const all = Buffer.concat([this.#header, bytes]);
      this.#header = NOTHING;
      return all;
    }
    const packet = this.#packet;
    if (packet === null) return bytes;
    const copied = bytes.copy(packet, this.#filled);
    this.#filled += copied;
    if (this.#filled < packet.length) return NOTHING;
    this.#packet = null;
    this.#parse(packet);
    return bytes.subarray(copied);
  }

  #parse(packet: Buffer): void {
    if (this.#isEnded) return;
    this.#found = null;
    try {
      this.#parser.parse(packet);
    } catch (error) {
      this.#error = error as Error;
    }
    if (this.#error !== null) return this.#fail(`malformed packet: ${this.#error.message}`);
    if (this.#found === null) return this.#fail('malformed packet: its length is wrong');
    this.take(this.#found);
  }

  #fail(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.failed(reason);
  }
}

/**
 * Returns the bytes of the packet that begins here; null if its length has not come. A length with
 * more digits than MQTT allows is larger than {@link MOST_PACKET}.
 */
function lengthOf(bytes: Buffer): number | null {
  let length = 0;
  for (let at = 1; at < MOST_HEADER; at++) {
    if (at >= bytes.length) return null;
    length += (bytes[at] & 0x7f) * 0x80 ** (at - 1);
    if (bytes[at] < 0x80) return at + 1 + length;
  }
  return Infinity;
}
