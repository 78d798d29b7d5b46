/** Loaded into a daemon (node --import): INIT comes from a kernel with FUSE 7.23, Linux 4.4. */
import { InHeader, Opcode, Size } from '../../../fs/fuse/abi.js';
import { Session } from '../../../fs/fuse/session.js';

const OLD_MINOR = 23;

// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own `this`
const { dispatch } = Session.prototype;

Session.prototype.dispatch = function (length) {
  const { bytes } = this.request;
  const request = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  if (request.readUInt32LE(InHeader.opcode) === Opcode.FUSE_INIT)
    request.writeUInt32LE(OLD_MINOR, Size.fuse_in_header + 4);
  return dispatch.call(this, length);
};
