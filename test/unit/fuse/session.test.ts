import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Errno, FsError } from '../../../fs/shared/errors.js';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_READ_LOCKOWNER,
  OLDEST_MINOR_VERSION,
  Opcode,
} from '../../../fs/fuse/abi.js';
import {
  DONE,
  type Handler,
  type Handlers,
  NO_REPLY,
  OPERATIONS,
} from '../../../fs/fuse/opcodes.js';
import { REPLY_BYTES, REQUEST_BYTES, Session } from '../../../fs/fuse/session.js';
import { MemoryKernel, type OpcodeName, O_RDWR, cstring, refusal } from '../../support/kernel.js';
import { runs } from '../../support/budget.js';
import { collecting } from '../../support/logger.js';
import { suite } from '../../support/suite.js';
import { decode, encode } from './structs.js';

const session = suite('a session');

const CACHE_SYMLINKS = 2 ** 23;
const NO_OPENDIR_SUPPORT = 2 ** 24;
const HEADER_BYTES = 40;
const UNANSWERED: readonly OpcodeName[] = ['FUSE_FORGET', 'FUSE_BATCH_FORGET', 'FUSE_INTERRUPT'];

/** Handlers that all do the same. */
function allHandlers(handler: Handler): Handlers {
  return Object.fromEntries(OPERATIONS.map(({ method }) => [method, handler])) as Handlers;
}

/** A session with these handlers, and what it has complained of. */
function withHandlers(handlers: Handlers): { own: Session; complaints: string[] } {
  const complaints: string[] = [];
  const own = new Session(
    new Uint8Array(REQUEST_BYTES),
    new Uint8Array(REPLY_BYTES),
    handlers,
    collecting(complaints),
  );
  return { own, complaints };
}

/** The reply to a request's bytes, or null. */
function dispatch(own: Session, request: Uint8Array): Buffer | null {
  own.request.bytes.set(request);
  const length = own.dispatch(request.length);
  return length === 0 ? null : Buffer.from(own.reply.bytes.slice(0, length));
}

function bytesOf(opcode: number, payload: Uint8Array, unique = 0x1234_5678_9abc): Buffer {
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

function init(major: number, minor: number, flags = 0xffffffff): Buffer {
  return bytesOf(
    Opcode.FUSE_INIT,
    encode('fuse_init_in', { major, minor, max_readahead: 131072, flags }),
  );
}

function started(handlers: Handlers): { own: Session; complaints: string[] } {
  const made = withHandlers(handlers);
  dispatch(made.own, init(7, 38));
  return made;
}

const nothing = allHandlers(() => DONE);

// ---- INIT

session('reads the INIT of Linux 6.18 as it stands in memory', () => {
  const { own } = withHandlers(nothing);
  let negotiated = 0;
  own.attach({ onNegotiated: () => negotiated++, onRingOffered: () => false });
  const reply = dispatch(
    own,
    Uint8Array.from([
      0x68,
      0x00,
      0x00,
      0x00,
      0x1a,
      0x00,
      0x00,
      0x00, // len 104, opcode 26
      0x02,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00, // unique 2
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00, // nodeid 0
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00, // uid 0, gid 0
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00, // pid 0, total_extlen 0
      0x07,
      0x00,
      0x00,
      0x00,
      0x2d,
      0x00,
      0x00,
      0x00, // major 7, minor 45
      0x00,
      0x00,
      0x02,
      0x00,
      0xfb,
      0xff,
      0xff,
      0x73, // max_readahead 128 KiB, flags
      0xef,
      0x0f,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00, // flags2
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
    ]),
  );
  assert.equal(reply && [...reply], [
    0x50,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00, // len 80, error 0
    0x02,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00, // unique 2
    0x07,
    0x00,
    0x00,
    0x00,
    0x26,
    0x00,
    0x00,
    0x00, // major 7, minor 38
    0x00,
    0x00,
    0x02,
    0x00,
    0x29,
    0x00,
    0x64,
    0x40, // max_readahead 128 KiB, flags with INIT_EXT
    0x40,
    0x00,
    0x30,
    0x00,
    0x00,
    0x00,
    0x02,
    0x00, // max_background 64, congestion_threshold 48, max_write 128 KiB
    0x01,
    0x00,
    0x00,
    0x00,
    0x00,
    0x01,
    0x00,
    0x00, // time_gran 1 ns, max_pages 256, map_alignment 0
    0x40,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00, // flags2: NO_EXPORT_SUPPORT; max_stack_depth
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
  ]);
  assert.is(own.minor, 38);
  assert.is(negotiated, 1);
});

session('takes io_uring where it is offered and can be set up, and nowhere else', () => {
  const EXTENDED = 2 ** 30;
  const OVER_IO_URING = 2 ** 9;
  const NO_EXPORT = 2 ** 6;
  for (const [flags, flags2, isThere, taken] of [
    [0xffffffff, 0xffffffff, true, true],
    [0xffffffff, 0xffffffff, false, false],
    [0xffffffff, 0xffffffff - OVER_IO_URING, true, false],
    [0xffffffff - EXTENDED, 0xffffffff, true, false],
  ] as const) {
    const { own } = withHandlers(nothing);
    own.attach({ onNegotiated: () => undefined, onRingOffered: () => isThere });
    const request = bytesOf(
      Opcode.FUSE_INIT,
      encode('fuse_init_in', { major: 7, minor: 45, flags, flags2 }),
    );
    const agreed = decode('fuse_init_out', dispatch(own, request)!, 16);
    // Beside it stands what is asked for whenever the kernel offers it.
    const isExtended = (flags & EXTENDED) !== 0;
    assert.is(agreed.flags2, (taken ? OVER_IO_URING : 0) + (isExtended ? NO_EXPORT : 0));
    assert.is((agreed.flags & EXTENDED) !== 0, isExtended);
  }
});

session('agrees on the lower of two minor versions, from 7.31 on', () => {
  for (let minor = OLDEST_MINOR_VERSION; minor <= 45; minor++) {
    const { own, complaints } = withHandlers(nothing);
    const reply = dispatch(own, init(7, minor))!;
    assert.is(reply.length, 80);
    const agreed = decode('fuse_init_out', reply, 16);
    const lower = Math.min(minor, FUSE_KERNEL_MINOR_VERSION);
    assert.equal([agreed.major, agreed.minor, own.minor], [FUSE_KERNEL_VERSION, lower, lower]);
    assert.equal(complaints, []);
  }
});

session('takes the 16 bytes of INIT that a kernel before 7.36 sends', () => {
  const { own } = withHandlers(nothing);
  const request = bytesOf(
    Opcode.FUSE_INIT,
    encode('fuse_init_in', { major: 7, minor: 31 }).subarray(0, 16),
  );
  assert.is(dispatch(own, request)!.length, 80);
  assert.is(own.minor, 31);
});

session('refuses a kernel before 7.31 with EPROTO, and says why once', () => {
  for (const [major, minor] of [
    ...Array.from({ length: 31 }, (_, older) => [7, older]),
    [6, 99],
    [0, 0],
  ]) {
    const { own, complaints } = withHandlers(nothing);
    assert.equal(decode('fuse_out_header', dispatch(own, init(major, minor))!), {
      len: 16,
      error: -Errno.EPROTO,
      unique: 0x1234_5678_9abc,
    });
    assert.is(own.minor, -1);
    assert.is(complaints.length, 1);
    assert.match(complaints[0], `FUSE ${major}.${minor},`);
  }
});

session(
  'tells a kernel of a newer major which one it speaks, and agrees when that asks again',
  () => {
    const { own, complaints } = withHandlers(nothing);
    const agreed = decode('fuse_init_out', dispatch(own, init(8, 3))!, 16);
    assert.equal([agreed.major, agreed.minor], [FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION]);
    assert.is(own.minor, -1);
    dispatch(own, init(7, 45));
    assert.is(own.minor, 38);
    assert.equal(complaints, []);
  },
);

session('asks for nothing that the kernel does not offer, nor for what turns caching on', () => {
  const property = fc.property(
    fc.nat(0xffffffff),
    fc.integer({ min: 31, max: 45 }),
    (offered, minor) => {
      const { own } = withHandlers(nothing);
      const { flags } = decode('fuse_init_out', dispatch(own, init(7, minor, offered))!, 16);
      assert.is(Number(BigInt(flags) & ~BigInt(offered)), 0);
      assert.is(Number(BigInt(flags) & BigInt(NO_OPENDIR_SUPPORT | CACHE_SYMLINKS)), 0);
    },
  );
  fc.assert(property, {
    ...runs(300),
    examples: [
      [0xffffffff, 45],
      [0, 31],
    ],
  });
});

session('answers EIO to what comes before INIT, and nothing to what wants no answer', () => {
  const { own } = withHandlers(nothing);
  for (const [name, opcode] of Object.entries(Opcode)) {
    if (name === 'FUSE_INIT') continue;
    const reply = dispatch(own, bytesOf(opcode, Buffer.alloc(200)));
    if (UNANSWERED.includes(name as OpcodeName)) assert.is(reply, null, name);
    else assert.is(decode('fuse_out_header', reply!).error, -Errno.EIO, name);
  }
});

// ---- handlers

session('answers every opcode that is not served with ENOSYS', () => {
  let calls = 0;
  const { own, complaints } = started(allHandlers(() => (calls++, DONE)));
  const served = new Set<number>(OPERATIONS.map(({ opcode }) => opcode));
  const opcodes = [...Array(5000).keys(), 2 ** 20, 436207616, 2 ** 31, 2 ** 32 - 1].filter(
    (opcode) => !served.has(opcode),
  );
  assert.ok(opcodes.length > 4950);
  for (const opcode of opcodes) {
    for (const length of [0, 1, 8, 200]) {
      const reply = dispatch(own, bytesOf(opcode, Buffer.alloc(length)));
      assert.equal(
        decode('fuse_out_header', reply!),
        { len: 16, error: -Errno.ENOSYS, unique: 0x1234_5678_9abc },
        String(opcode),
      );
    }
  }
  assert.is(calls, 0);
  assert.equal(complaints, []);
});

session('replies once to each request, whatever its handler gives', () => {
  let outcome: Handler = () => DONE;
  const { own, complaints } = started(allHandlers((request, reply) => outcome(request, reply)));
  for (const { name, opcode } of OPERATIONS) {
    const ask = () => dispatch(own, bytesOf(opcode, Buffer.alloc(200), opcode + 2 ** 40));
    const errorOf = (reply: Buffer | null) => decode('fuse_out_header', reply!).error;
    outcome = () => NO_REPLY;
    assert.is(ask(), null);
    if (UNANSWERED.includes(name)) continue;
    outcome = () => DONE;
    assert.equal(decode('fuse_out_header', ask()!), {
      len: 16,
      error: 0,
      unique: opcode + 2 ** 40,
    });
    outcome = (_, reply) => reply.refuse(Errno.ENOENT, 'it is gone');
    assert.is(errorOf(ask()), -Errno.ENOENT);
    outcome = () => {
      throw new FsError(Errno.EDQUOT, 'too much');
    };
    assert.is(errorOf(ask()), -Errno.EDQUOT);
  }
  assert.equal(complaints, []);
});

session('answers EIO for a handler that throws, and names the operation once', () => {
  const failing: Handler = (_request, reply) => {
    reply.u64(1); // half a reply, which must not be seen
    reply.sliceBytes = 100;
    throw new TypeError('it is broken');
  };
  const { own, complaints } = started(allHandlers(failing));
  for (const { name, opcode } of OPERATIONS) {
    complaints.length = 0;
    const reply = dispatch(own, bytesOf(opcode, Buffer.alloc(200)));
    if (UNANSWERED.includes(name)) assert.is(reply, null, name);
    else
      assert.equal(
        decode('fuse_out_header', reply!),
        { len: 16, error: -Errno.EIO, unique: 0x1234_5678_9abc },
        name,
      );
    assert.is(complaints.length, 1);
    assert.match(complaints[0], `${name} for node 77, from pid 4711: TypeError: it is broken`);
  }
});

session('survives a handler that throws what is no Error', () => {
  for (const thrown of ['a string', undefined, null, 7]) {
    const throwing: Handler = () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw thrown;
    };
    const { own, complaints } = started(allHandlers(throwing));
    assert.is(
      decode('fuse_out_header', dispatch(own, bytesOf(Opcode.FUSE_STATFS, Buffer.alloc(0)))!).error,
      -Errno.EIO,
    );
    assert.is(complaints.length, 1);
  }
});

session('has a row for every opcode it serves, and none for FLUSH or READDIRPLUS', () => {
  const names = OPERATIONS.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  assert.ok(names.includes('FUSE_OPENDIR')); // ENOSYS there would turn directory caching on
  assert.not(names.includes('FUSE_FLUSH') || names.includes('FUSE_READDIRPLUS'));
});

// ---- malformed requests, with the tree behind them

/** A kernel with a directory, a file, and one of everything open; a good request of each opcode that it serves. */
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
    // fuse_setxattr_in without FUSE_SETXATTR_EXT: size and flags, as fuse_getxattr_in's two words.
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
  'answers a request of each opcode that is cut at any byte with EIO, says so once, and does nothing',
  () => {
    const { kernel, requests, close } = busy();
    const before = kernel.books;
    for (const [name, whole] of Object.entries(requests)) {
      for (let length = 0; length < whole.length; length++) {
        kernel.complaints.length = 0;
        kernel.session.request.bytes.set(whole); // what is missing is still there, from the request before
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
          kernel.complaints.length,
          1,
          `${name} cut to ${length}: ${kernel.complaints.join('; ')}`,
        );
        if (length >= HEADER_BYTES) assert.match(kernel.complaints[0], name);
      }
    }
    assert.equal(kernel.books, before);
    close();
  },
);

/** Good requests that are refused all the same. */
const REFUSED: Partial<Record<OpcodeName, number>> = { FUSE_RMDIR: Errno.ENOTEMPTY };

session('answers the same requests when they are whole', () => {
  for (const { name } of OPERATIONS) {
    const { kernel, requests, close } = busy();
    const reply = kernel.raw(requests[name]);
    if (UNANSWERED.includes(name)) assert.is(reply, null);
    else assert.is(decode('fuse_out_header', reply!).error, -(REFUSED[name] ?? 0), name);
    assert.equal(kernel.complaints, []);
    close();
  }
});

session('answers a cut INIT with EIO', () => {
  for (let length = 0; length < HEADER_BYTES + 16; length++) {
    const { own, complaints } = withHandlers(nothing);
    const whole = init(7, 38);
    own.request.bytes.set(whole);
    const reply = dispatch(own, whole.subarray(0, length));
    if (length < HEADER_BYTES) assert.is(reply, null);
    else assert.is(decode('fuse_out_header', reply!).error, -Errno.EIO);
    assert.is(own.minor, -1);
    assert.is(complaints.length, 1);
  }
});

/** Numbers that handlers take for nodes, handles, sizes and offsets. */
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
  // A handle, a number of 64 bits, and whatever follows.
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

session('answers any bytes at all, and stays sound', () => {
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
      // A complaint of a malformed request is one line; of a bug it has a stack.
      for (const complaint of kernel.complaints) assert.not.match(complaint, '\n', complaint);
    } finally {
      close();
    }
  });
  fc.assert(property, runs(600));
});

session('answers random bytes with a header or not', () => {
  const { kernel, close } = busy();
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => {
    const reply = kernel.raw(raw);
    if (raw.length < HEADER_BYTES) assert.is(reply, null);
  });
  fc.assert(property, runs(2000));
  close();
});

session('answers READDIR on the handle of a file with ENOTDIR', () => {
  const { kernel, close } = busy();
  const fh = kernel.open(kernel.walk('stream'));
  assert.is(
    refusal(() => kernel.readdir(fh)),
    'ENOTDIR',
  );
  assert.equal(kernel.complaints, []);
  close();
});

session.run();
