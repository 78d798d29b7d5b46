/** Malformed and random requests, served by the tree. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Errno } from '../../../fs/shared/errors.js';
import { FUSE_READ_LOCKOWNER, Opcode } from '../../../fs/fuse/abi.js';
import { OPERATIONS } from '../../../fs/fuse/opcodes.js';
import { type OpcodeName, refusal } from '../../support/memory/connection.js';
import { MemoryKernel, O_RDWR, cstring } from '../../support/memory/kernel.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { decode, encode } from './structs.js';
import { UNANSWERED, HEADER_BYTES, dispatch, init, nothing, withHandlers } from './bare-session.js';

const session = suite('a session');

/**
 * Returns a kernel with a directory, a file, and one of each open, and a valid request of each
 * opcode that it serves.
 */
function busy(): { kernel: MemoryKernel; requests: Record<string, Buffer>; close: () => void } {
  const kernel = MemoryKernel.started({ log: { bytes: 4096, events: 16 } });
  const directory = kernel.mkdir('mine');
  const file = kernel.make(directory, 'file', 'text\n');
  const fh = kernel.open(file, O_RDWR);
  const dh = kernel.opendir(directory);
  const stream = kernel.open(kernel.walk('stream'));
  kernel.event(1);
  const waiting = kernel.startRead(kernel.open(kernel.walk('stream')));
  const payloads: Partial<Record<OpcodeName, readonly [node: number, payload: Uint8Array]>> = {
    FUSE_LOOKUP: [1, cstring('log')],
    FUSE_FORGET: [file, encode('fuse_forget_in', { nlookup: 1 })],
    FUSE_BATCH_FORGET: [
      0,
      Buffer.concat([
        encode('fuse_batch_forget_in', { count: 2 }),
        encode('fuse_forget_one', { nodeid: 999, nlookup: 1 }),
        encode('fuse_forget_one', { nodeid: file, nlookup: 1 }),
      ]),
    ],
    FUSE_GETATTR: [file, encode('fuse_getattr_in', {})],
    FUSE_SETATTR: [file, encode('fuse_setattr_in', { valid: 1, mode: 0o600 })],
    FUSE_READLINK: [kernel.lookup(directory, 'head').nodeid, Buffer.alloc(0)],
    FUSE_MKDIR: [1, Buffer.concat([encode('fuse_mkdir_in', { mode: 0o755 }), cstring('other')])],
    FUSE_MKNOD: [
      directory,
      Buffer.concat([encode('fuse_mknod_in', { mode: 0o010600 }), cstring('pipe')]),
    ],
    FUSE_SYMLINK: [directory, Buffer.concat([cstring('a'), cstring('b')])],
    FUSE_LINK: [
      directory,
      Buffer.concat([encode('fuse_link_in', { oldnodeid: file }), cstring('linked')]),
    ],
    FUSE_RENAME: [
      directory,
      Buffer.concat([
        encode('fuse_rename_in', { newdir: directory }),
        cstring('file'),
        cstring('moved'),
      ]),
    ],
    FUSE_RENAME2: [
      directory,
      Buffer.concat([
        encode('fuse_rename2_in', { newdir: directory, flags: 1 }),
        cstring('file'),
        cstring('moved'),
      ]),
    ],
    // fuse_setxattr_in without FUSE_SETXATTR_EXT: size and flags, like the two words of
    // fuse_getxattr_in.
    FUSE_SETXATTR: [
      directory,
      Buffer.concat([
        encode('fuse_getxattr_in', { size: 4 }),
        cstring('user.eventfs.filter'),
        Buffer.from('A==b'),
      ]),
    ],
    FUSE_GETXATTR: [
      directory,
      Buffer.concat([encode('fuse_getxattr_in', { size: 100 }), cstring('user.eventfs.pending')]),
    ],
    FUSE_LISTXATTR: [directory, encode('fuse_getxattr_in', { size: 1000 })],
    FUSE_REMOVEXATTR: [directory, cstring('user.eventfs.filter')],
    FUSE_UNLINK: [directory, cstring('file')],
    FUSE_RMDIR: [1, cstring('mine')],
    FUSE_OPEN: [file, encode('fuse_open_in', {})],
    FUSE_CREATE: [
      directory,
      Buffer.concat([encode('fuse_create_in', { flags: 1, mode: 0o644 }), cstring('new')]),
    ],
    FUSE_READ: [file, encode('fuse_read_in', { fh, size: 100, read_flags: FUSE_READ_LOCKOWNER })],
    FUSE_WRITE: [
      file,
      Buffer.concat([encode('fuse_write_in', { fh, size: 10 }), Buffer.from('ten bytes.')]),
    ],
    FUSE_RELEASE: [file, encode('fuse_release_in', { fh })],
    FUSE_FSYNC: [file, encode('fuse_fsync_in', { fh })],
    FUSE_FSYNCDIR: [directory, encode('fuse_fsync_in', { fh: dh })],
    FUSE_OPENDIR: [directory, encode('fuse_open_in', {})],
    FUSE_READDIR: [directory, encode('fuse_read_in', { fh: dh, size: 4096 })],
    FUSE_RELEASEDIR: [directory, encode('fuse_release_in', { fh: dh })],
    FUSE_STATFS: [1, Buffer.alloc(0)],
    FUSE_POLL: [1, encode('fuse_poll_in', { fh: stream, kh: 5, flags: 1 })],
    FUSE_INTERRUPT: [0, encode('fuse_interrupt_in', { unique: waiting.unique })],
    FUSE_DESTROY: [0, Buffer.alloc(0)],
  };
  const requests = Object.fromEntries(
    Object.entries(payloads).map(([name, [node, payload]]) => [
      name,
      kernel.request(name as OpcodeName, node, payload),
    ]),
  );
  return { kernel, requests, close: () => kernel.close() };
}

session(
  'answers a request that is cut at any byte with EIO, logs it once, and changes nothing',
  () => {
    const { kernel, requests, close } = busy();
    const before = kernel.counts;
    for (const [name, whole] of Object.entries(requests)) {
      for (let length = 0; length < whole.length; length++) {
        kernel.warnings.length = 0;
        // the missing bytes are still there, from the request before
        kernel.session.request.bytes.set(whole);
        const reply = kernel.raw(whole.subarray(0, length));
        const answered = length >= HEADER_BYTES && !UNANSWERED.includes(name as OpcodeName);
        if (!answered) assert.is(reply, null, `${name} cut to ${length}`);
        else
          assert.is(
            decode('fuse_out_header', reply!).error,
            -Errno.EIO,
            `${name} cut to ${length}`,
          );
        assert.is(
          kernel.warnings.length,
          1,
          `${name} cut to ${length}: ${kernel.warnings.join('; ')}`,
        );
        if (length >= HEADER_BYTES) assert.match(kernel.warnings[0], name);
      }
    }
    assert.equal(kernel.counts, before);
    close();
  },
);

session('answers the same requests when they are whole', () => {
  for (const { name } of OPERATIONS) {
    const { kernel, requests, close } = busy();
    const reply = kernel.raw(requests[name]);
    if (UNANSWERED.includes(name)) assert.is(reply, null);
    else assert.is(decode('fuse_out_header', reply!).error, 0, name);
    assert.equal(kernel.warnings, []);
    close();
  }
});

session('answers a cut INIT with EIO', () => {
  for (let length = 0; length < HEADER_BYTES + 16; length++) {
    const { own, warnings } = withHandlers(nothing);
    const whole = init(7, 38);
    own.request.bytes.set(whole);
    const reply = dispatch(own, whole.subarray(0, length));
    if (length < HEADER_BYTES) assert.is(reply, null);
    else assert.is(decode('fuse_out_header', reply!).error, -Errno.EIO);
    assert.is(own.init.minor, -1);
    assert.is(warnings.length, 1);
  }
});

/** Numbers that handlers read as nodes, handles, sizes and offsets. */
const word = fc.oneof(
  fc.nat(8),
  fc.nat(40),
  fc.constantFrom(4096, 2 ** 16, 2 ** 20, 2 ** 31, 2 ** 32 - 1),
  fc.nat(2 ** 32 - 1),
);
const bytesOfWords = (words: number[]): Uint8Array =>
  new Uint8Array(Uint32Array.from(words).buffer);
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 120 }),
  fc.array(word, { maxLength: 24 }).map(bytesOfWords),
  // A handle, a number of 64 bits, and any further bytes.
  fc
    .tuple(fc.nat(8), word, fc.array(word, { minLength: 6, maxLength: 8 }))
    .map(([fh, number, words]) => bytesOfWords([fh, 0, number, 0, ...words])),
  fc
    .tuple(
      fc.array(word, { maxLength: 4 }),
      fc.constantFrom(
        'log',
        'mine',
        '.filter',
        '.stream',
        'head',
        'file',
        '',
        '.',
        '..',
        'a/b',
        '1',
        '0',
        'x'.repeat(256),
      ),
    )
    .map(([words, name]) => Buffer.concat([bytesOfWords(words), cstring(name)])),
);
const anyRequest = fc.record({
  opcode: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...OPERATIONS.map(({ opcode }) => opcode as number)) },
    { weight: 1, arbitrary: word },
  ),
  nodeid: fc.oneof(fc.nat(20), fc.maxSafeNat()),
  payload,
});

session('answers any bytes, and stays usable', () => {
  const property = fc.property(fc.array(anyRequest, { maxLength: 40, size: 'max' }), (requests) => {
    const { kernel, close } = busy();
    try {
      for (const { opcode, nodeid, payload: after } of requests) {
        const waiting = kernel.parked.size;
        const reply = kernel.raw(kernel.request(opcode, nodeid, after));
        const unanswered = UNANSWERED.some((name) => Opcode[name] === opcode);
        if (unanswered) assert.is(reply, null);
        else
          assert.ok(
            reply !== null || kernel.parked.size === waiting + 1,
            `opcode ${opcode} was not answered`,
          );
      }
      kernel.event(2);
      // The message about a malformed request is one line; that about a bug has a stack.
      for (const complaint of kernel.warnings) assert.not.match(complaint, '\n', complaint);
    } finally {
      close();
    }
  });
  fc.assert(property, runs(600));
});

session('answers random bytes with a header or not at all', () => {
  const { kernel, close } = busy();
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => {
    const reply = kernel.raw(raw);
    if (raw.length < HEADER_BYTES) assert.is(reply, null);
  });
  fc.assert(property, runs(2000));
  close();
});

session("answers READDIR on a file's handle with ENOTDIR", () => {
  const { kernel, close } = busy();
  const fh = kernel.open(kernel.walk('stream'));
  assert.is(
    refusal(() => kernel.readdir(fh)),
    'ENOTDIR',
  );
  assert.equal(kernel.warnings, []);
  close();
});

session.run();
