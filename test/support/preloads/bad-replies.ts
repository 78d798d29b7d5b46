/**
 * Loaded into a daemon (node --import): makes getxattr(2) of some names return a reply that the
 * kernel rejects, as a bug in the daemon would.
 */
import { ControlWord } from '#native';
import { ReplySink } from '../../../fs/drivers/devfuse/reply-sink.js';
import { InHeader, Opcode } from '../../../fs/fuse/abi.js';
import { Session } from '../../../fs/fuse/session.js';

/** The offset of the name: after fuse_in_header and fuse_getxattr_in. */
const NAME_AT = 48;
const NOT_IN_THE_LOG = 2 ** 32 - 64;

/** True if the next read refers to bytes outside the log. */
let isNextAstray = false;

/* eslint-disable @typescript-eslint/unbound-method -- they are called with their own `this` */
const { dispatch } = Session.prototype;
const { end } = ReplySink.prototype;
/* eslint-enable @typescript-eslint/unbound-method */

Session.prototype.dispatch = function (length) {
  const got = dispatch.call(this, length);
  const { bytes } = this.request;
  const request = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  if (request.readUInt32LE(InHeader.opcode) !== Opcode.FUSE_GETXATTR) return got;
  const name = request.toString('latin1', NAME_AT, length - 1);
  if (name === 'user.longer') return got + 8; // than its header says
  if (name === 'user.beyond') return 2 ** 30; // more than there is memory for
  if (name === 'user.astray') isNextAstray = true;
  return got;
};

ReplySink.prototype.end = function () {
  end.call(this);
  if (!isNextAstray) return;
  isNextAstray = false;
  const { control } = this as unknown as { control: Uint32Array };
  control[ControlWord.sliceStart] = NOT_IN_THE_LOG;
  control[ControlWord.sliceLength] = 10;
};
