/**
 * The reply to the last request that has opened a file, in the header of the state. A daemon that
 * is killed between its commit and its reply leaves it there. It is sent before FUSE_NOTIFY_RESEND,
 * by the guardian (native/guard/left.c) or by the next daemon: after RESEND the caller can be
 * killed, and then the kernel never sends RELEASE for a file that the state has open.
 *
 *   length | checksum | offset of a word | 0 | that word before the commit | the reply
 *
 * The reply counts if the word has changed: the commit changes it.
 */
import { checksumWords } from './checksum.js';

/** The place of it in the state, and the longest reply that it has, in bytes. */
export const LEFT_REPLY_AT = 2048;
export const LEFT_REPLY_MOST = 256;
const HEAD_BYTES = 24;
/** The places of its parts, in 32-bit words. */
const Part = { length: 0, checksum: 1, watched: 2, before: 4, reply: 6 } as const;

/** The memory of one state's left reply. */
export class LeftReply {
  /** The state's header. */
  readonly #header: Uint32Array;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;

  /** @param bytes the memory of the state */
  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset } = bytes;
    const start = byteOffset + LEFT_REPLY_AT;
    this.#header = new Uint32Array(buffer, byteOffset, LEFT_REPLY_AT / 4);
    this.#words = new Uint32Array(buffer, start, (HEAD_BYTES + LEFT_REPLY_MOST) / 4);
    this.#bytes = new Uint8Array(buffer, start + HEAD_BYTES, LEFT_REPLY_MOST);
  }

  /**
   * Puts a reply there, just before its commit.
   * @param reply begins with the reply, whose length is a multiple of 4
   * @param length in bytes
   * @param watched the offset of the 8-byte word in the header that the commit changes, in bytes
   */
  put(reply: Uint8Array, length: number, watched: number): void {
    const words = this.#words;
    words[Part.length] = 0;
    if (length > LEFT_REPLY_MOST) return;
    words[Part.watched] = watched;
    words[Part.watched + 1] = 0;
    words[Part.before] = this.#header[watched / 4];
    words[Part.before + 1] = this.#header[watched / 4 + 1];
    for (let at = 0; at < length; at++) this.#bytes[at] = reply[at];
    words[Part.checksum] = this.#checksum(length);
    words[Part.length] = length;
  }

  #checksum(length: number): number {
    return checksumWords(this.#words, Part.watched, Part.reply + length / 4);
  }

  /** Removes the reply: the next commits change the word too. */
  clear(): void {
    this.#words[Part.length] = 0;
  }

  /** Returns a copy of the reply, with its header; null if there is none that counts. */
  get(): Uint8Array | null {
    const words = this.#words;
    const [length, watched] = [words[Part.length], words[Part.watched]];
    if (length === 0 || length > LEFT_REPLY_MOST || length % 4 !== 0) return null;
    if (this.#checksum(length) !== words[Part.checksum]) return null;
    const hasChanged =
      this.#header[watched / 4] !== words[Part.before] ||
      this.#header[watched / 4 + 1] !== words[Part.before + 1];
    return hasChanged ? this.#bytes.slice(0, length) : null;
  }
}
