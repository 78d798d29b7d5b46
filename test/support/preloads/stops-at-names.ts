/**
 * Loaded into a daemon (node --import): it stops, as by SIGSTOP, when a request names `at-lookup`
 * in a LOOKUP or `at-mknod` in a MKNOD. Until then it answers, and its callers wait from then on.
 */
import { InHeader, Opcode } from '../../../fs/fuse/abi.js';
import { Session } from '../../../fs/fuse/session.js';

/** The offsets of the names: after fuse_in_header, and after fuse_mknod_in. */
const NAMES: Readonly<Record<number, readonly [string, number]>> = {
  [Opcode.FUSE_LOOKUP]: ['at-lookup\0', 40],
  [Opcode.FUSE_MKNOD]: ['at-mknod\0', 56],
};

// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own `this`
const { dispatch } = Session.prototype;

Session.prototype.dispatch = function (length) {
  const { bytes } = this.request;
  const request = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  const [name, at] = NAMES[request.readUInt32LE(InHeader.opcode)] ?? ['', length];
  if (name !== '' && request.toString('latin1', at, length) === name)
    process.kill(process.pid, 'SIGSTOP');
  return dispatch.call(this, length);
};
