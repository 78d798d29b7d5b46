/** A session without a tree, and requests as bytes. */
import type { OpcodeName } from '../../support/memory/connection.js';
import { Opcode } from '../../../fs/fuse/abi.js';
import { DONE, type Handler, type Handlers, OPERATIONS } from '../../../fs/fuse/opcodes.js';
import { Session } from '../../../fs/fuse/session.js';
import { REPLY_BYTES, REQUEST_BYTES } from '../../../fs/fuse/sizes.js';
import { collecting } from '../../support/memory/logger.js';
import { encode } from './structs.js';

/** The bytes of fuse_in_header. */
export const HEADER_BYTES = 40;

/** The requests without a reply. */
export const UNANSWERED: readonly OpcodeName[] = [
  'FUSE_FORGET',
  'FUSE_BATCH_FORGET',
  'FUSE_INTERRUPT',
];

/** Returns handlers that all do the same. */
export function allHandlers(handler: Handler): Handlers {
  return Object.fromEntries(OPERATIONS.map(({ method }) => [method, handler])) as Handlers;
}

/** Returns a session with these handlers, and its log messages. */
export function withHandlers(handlers: Handlers): { own: Session; warnings: string[] } {
  const warnings: string[] = [];
  const own = new Session(
    new Uint8Array(REQUEST_BYTES),
    new Uint8Array(REPLY_BYTES),
    handlers,
    collecting(warnings),
  );
  return { own, warnings };
}

/** Returns the reply to a request's bytes, or null. */
export function dispatch(own: Session, request: Uint8Array): Buffer | null {
  own.request.bytes.set(request);
  const length = own.dispatch(request.length);
  return length === 0 ? null : Buffer.from(own.reply.bytes.slice(0, length));
}

/** Returns the bytes of a request. */
export function bytesOf(opcode: number, payload: Uint8Array, unique = 0x1234_5678_9abc): Buffer {
  return Buffer.concat([
    encode('fuse_in_header', {
      len: HEADER_BYTES + payload.length,
      opcode,
      unique,
      nodeid: 77,
      pid: 4711,
    }),
    payload,
  ]);
}

/** Returns an INIT with these versions and flags. */
export function init(major: number, minor: number, flags = 0xffffffff): Buffer {
  return bytesOf(
    Opcode.FUSE_INIT,
    encode('fuse_init_in', { major, minor, max_readahead: 131072, flags }),
  );
}

/** Returns a session after INIT with these handlers, and its log messages. */
export function started(handlers: Handlers): { own: Session; warnings: string[] } {
  const made = withHandlers(handlers);
  dispatch(made.own, init(7, 38));
  return made;
}

/** Handlers that do nothing. */
export const nothing = allHandlers(() => DONE);
