/** Reads the header of a request for the trace. */
import { InHeader, Size } from '../abi.js';
import { opcodeName } from '../opcodes.js';
import { decimal } from './fields.js';

/** The fields of fuse_in_header that the trace shows. */
export interface RequestHeader {
  readonly opcode: number;
  /** The name of the opcode, as in `LOOKUP`. */
  readonly name: string;
  /** The request's `unique`, as in `1042`. */
  readonly unique: string;
  /** The node id, in decimal. */
  readonly node: string;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Reads the header of a request.
 *
 * @param length how many of `bytes` are the request
 * @returns undefined if the request is shorter than a header
 */
export function headerOf(bytes: Uint8Array, length: number): RequestHeader | undefined {
  if (length < Size.fuse_in_header || bytes.length < Size.fuse_in_header) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (at: number): number => view.getUint32(at, true);
  const opcode = word(InHeader.opcode);
  return {
    opcode,
    name: shortName(opcode),
    unique: decimal(word(InHeader.unique), word(InHeader.unique + 4)),
    node: decimal(word(InHeader.nodeid), word(InHeader.nodeid + 4)),
    pid: word(InHeader.pid),
    uid: word(InHeader.uid),
    gid: word(InHeader.gid),
  };
}

/** Returns an opcode's name without its prefix, as in `LOOKUP`. */
function shortName(opcode: number): string {
  return opcodeName(opcode).replace('FUSE_', '').replace(' ', '-');
}
