/**
 * The result of INIT, for the next daemon: the kernel sends INIT once for a connection, so a daemon
 * that takes the connection over must know what the first one has negotiated.
 */
import { createStateMemfd, mapShared } from '#native';
import type { Keeper } from '../../../shared/kernel/keeper.js';
import type { ReadLife } from '../../common/read-life.js';

/** The part of a connection that a later daemon must know. */
interface InitState {
  /** The negotiated minor version of the protocol. */
  readonly protocolMinor: number;
  /** The minor number of the mount's device. */
  readonly device: number;
  /** The connection's identity: fs/shared/kernel/connection.ts. */
  readonly identity: string | null;
  /** How it was mounted: see FuseMount. */
  readonly isOfUser: boolean;
  readonly isShared: boolean;
  /** How long reads may block: the kernel's limit applies from INIT on. */
  readonly readLife: ReadLife;
}

/** The place of an {@link InitState} that outlives the daemon. */
export interface KeptInit {
  /** @returns null if no daemon has written one */
  read(): InitState | null;
  write(state: InitState): void;
}

const NAME = 'init';
const BYTES = 4096;
/** The offset of the text: the length in bytes, a Uint32, is before it. */
const TEXT = 4;

/** Keeps it as JSON in a memfd of its own. */
export class MemfdInit implements KeptInit {
  readonly #bytes: Uint8Array;
  readonly #length: Uint32Array;

  constructor(keeper: Keeper) {
    let fd = keeper.take(NAME);
    if (fd === undefined) {
      fd = createStateMemfd(BYTES);
      keeper.keep(NAME, fd);
    }
    this.#bytes = mapShared(fd, 0, BYTES);
    this.#length = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, 1);
  }

  read(): InitState | null {
    const [length] = this.#length;
    if (length === 0 || length > BYTES - TEXT) return null;
    const text = Buffer.from(this.#bytes.subarray(TEXT, TEXT + length)).toString('utf8');
    return JSON.parse(text) as InitState;
  }

  write(state: InitState): void {
    const text = Buffer.from(JSON.stringify(state));
    this.#bytes.set(text, TEXT);
    this.#length[0] = text.length; // the length comes last: a crash before this leaves no state
  }
}
