/**
 * Loaded into a daemon (node --import): some requests hang, as by a bug in the daemon. getxattr(2)
 * of `user.hang.MS` runs for MS ms; of `user.hang-on` until there is the file go-on-PID in the
 * directory of the test, with the daemon's PID; of `user.hang-read.MS` makes the next READ run for
 * MS ms; of `user.forgotten` ends without a reply; of `user.lost` makes the daemon lose the next
 * read that it parks: no event and no signal ends it.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockingReads } from '../../../fs/drivers/devfuse/blocking-reads.js';
import { InHeader, Opcode } from '../../../fs/fuse/abi.js';
import { Session } from '../../../fs/fuse/session.js';

/** The offset of the name: after fuse_in_header and fuse_getxattr_in. */
const NAME_AT = 48;

let nextReadMs = 0;
let isNextLost = false;

/* eslint-disable @typescript-eslint/unbound-method -- they are called with their own `this` */
const { dispatch } = Session.prototype;
const { park } = BlockingReads.prototype;
/* eslint-enable @typescript-eslint/unbound-method */

BlockingReads.prototype.park = function (handle, size) {
  const read = park.call(this, handle, size);
  if (isNextLost) this.parked.free(read);
  isNextLost = false;
  return read;
};

Session.prototype.dispatch = function (length) {
  const { bytes } = this.request;
  const request = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  const opcode = request.readUInt32LE(InHeader.opcode);
  if (opcode === Opcode.FUSE_READ && nextReadMs > 0) {
    hang(nextReadMs);
    nextReadMs = 0;
  }
  if (opcode !== Opcode.FUSE_GETXATTR) return dispatch.call(this, length);
  const [, name, ms] = request.toString('latin1', NAME_AT, length - 1).split('.');
  if (name === 'lost') isNextLost = true;
  if (name === 'hang') hang(Number(ms));
  if (name === 'hang-on') hangOn();
  if (name === 'hang-read') nextReadMs = Number(ms);
  const got = dispatch.call(this, length);
  return name === 'forgotten' ? 0 : got;
};

/** Loops: the handler of the request does not return meanwhile. */
function hang(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Loops until the file is there. */
function hangOn(): void {
  const file = join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), `go-on-${process.pid}`);
  while (!existsSync(file));
}
