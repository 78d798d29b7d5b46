/** FUSE_INIT: the version and flags that a session negotiates. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Errno } from '../../../fs/shared/errors.js';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  OLDEST_MINOR_VERSION,
  Opcode,
} from '../../../fs/fuse/abi.js';
import type { OpcodeName } from '../../support/memory/connection.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { decode, encode } from './structs.js';
import { UNANSWERED, bytesOf, dispatch, init, nothing, withHandlers } from './bare-session.js';

const session = suite('a session');

const CACHE_SYMLINKS = 2 ** 23;
const NO_OPENDIR_SUPPORT = 2 ** 24;

session('reads the INIT of Linux 6.18 from its bytes', () => {
  const { own } = withHandlers(nothing);
  let negotiated = 0;
  own.init.attach({
    onNegotiated: () => negotiated++,
    onUnsuitable: assert.unreachable,
    onRingOffered: () => false,
  });
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
    0x00,
    0x08,
    0x00,
    0x06,
    0x00,
    0x10,
    0x01,
    0x00, // max_background 2048, congestion_threshold 1536, max_write 68 KiB
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
  assert.is(own.init.minor, 38);
  assert.is(negotiated, 1);
});

session(
  'negotiates io_uring if the kernel offers it and the daemon can set it up, and only then',
  () => {
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
      own.init.attach({
        onNegotiated: () => undefined,
        onUnsuitable: assert.unreachable,
        onRingOffered: () => isThere,
      });
      const request = bytesOf(
        Opcode.FUSE_INIT,
        encode('fuse_init_in', { major: 7, minor: 45, flags, flags2 }),
      );
      const agreed = decode('fuse_init_out', dispatch(own, request)!, 16);
      // The other flags are requested whenever the kernel offers them.
      const isExtended = (flags & EXTENDED) !== 0;
      assert.is(agreed.flags2, (taken ? OVER_IO_URING : 0) + (isExtended ? NO_EXPORT : 0));
      assert.is((agreed.flags & EXTENDED) !== 0, isExtended);
    }
  },
);

session('asks for a request time-out if the driver has one and the kernel knows it', () => {
  const REQUEST_TIMEOUT = 2 ** 10;
  for (const [flags2, asked, agreed] of [
    [REQUEST_TIMEOUT, 65_535, 65_535],
    [REQUEST_TIMEOUT, 0, 0],
    [0, 65_535, 0],
  ] as const) {
    const { own } = withHandlers(nothing);
    own.init.limitRequests(asked);
    const request = bytesOf(
      Opcode.FUSE_INIT,
      encode('fuse_init_in', { major: 7, minor: 45, flags: 2 ** 30, flags2 }),
    );
    const reply = dispatch(own, request)!;
    const { flags2: got } = decode('fuse_init_out', reply, 16);
    assert.is(got, agreed === 0 ? 0 : REQUEST_TIMEOUT);
    assert.is(Buffer.from(reply).readUInt32LE(16 + 36), 0); // max_stack_depth
    assert.is(Buffer.from(reply).readUInt32LE(16 + 40), agreed); // u16, and two unused bytes
    assert.is(reply.length, 80);
  }
});

session(
  'refuses a kernel that can not send requests again, if a later daemon is to take over',
  () => {
    const HAS_RESEND = 2 ** 7;
    for (const [flags2, needsResend, isSuitable] of [
      [HAS_RESEND, true, true],
      [0, true, false],
      [0, false, true],
    ] as const) {
      const { own } = withHandlers(nothing);
      let why = '';
      own.init.attach({
        onNegotiated: () => undefined,
        onUnsuitable: (reason) => (why = reason),
        onRingOffered: () => false,
        needsResend,
      });
      const request = bytesOf(
        Opcode.FUSE_INIT,
        encode('fuse_init_in', { major: 7, minor: 40, flags: 2 ** 30, flags2 }),
      );
      assert.is(
        Buffer.from(dispatch(own, request)!).readInt32LE(4),
        isSuitable ? 0 : -Errno.EPROTO,
      );
      assert.is(why.includes('run Linux 6.9 or newer, or mount without --guard'), !isSuitable);
    }
  },
);

session('negotiates the lower of two minor versions, from 7.31 on', () => {
  for (let minor = OLDEST_MINOR_VERSION; minor <= 45; minor++) {
    const { own, warnings } = withHandlers(nothing);
    const reply = dispatch(own, init(7, minor))!;
    assert.is(reply.length, 80);
    const agreed = decode('fuse_init_out', reply, 16);
    const lower = Math.min(minor, FUSE_KERNEL_MINOR_VERSION);
    assert.equal([agreed.major, agreed.minor, own.init.minor], [FUSE_KERNEL_VERSION, lower, lower]);
    assert.equal(warnings, []);
  }
});

session('accepts the 16 bytes of INIT that a kernel before 7.36 sends', () => {
  const { own } = withHandlers(nothing);
  const request = bytesOf(
    Opcode.FUSE_INIT,
    encode('fuse_init_in', { major: 7, minor: 31 }).subarray(0, 16),
  );
  assert.is(dispatch(own, request)!.length, 80);
  assert.is(own.init.minor, 31);
});

session('refuses a kernel before 7.31 with EPROTO, and tells the driver the reason', () => {
  for (const [major, minor] of [
    ...Array.from({ length: 31 }, (_, older) => [7, older]),
    [6, 99],
    [0, 0],
  ]) {
    const { own, warnings } = withHandlers(nothing);
    const reasons: string[] = [];
    own.init.attach({
      onNegotiated: assert.unreachable,
      onUnsuitable: (why) => reasons.push(why),
      onRingOffered: () => false,
    });
    assert.equal(decode('fuse_out_header', dispatch(own, init(major, minor))!), {
      len: 16,
      error: -Errno.EPROTO,
      unique: 0x1234_5678_9abc,
    });
    assert.is(own.init.minor, -1);
    assert.equal(warnings, []);
    assert.is(reasons.length, 1);
    assert.match(reasons[0], `FUSE ${major}.${minor},`);
  }
});

session(
  'answers a kernel of a newer major version with its own, and negotiates when that asks again',
  () => {
    const { own, warnings } = withHandlers(nothing);
    const agreed = decode('fuse_init_out', dispatch(own, init(8, 3))!, 16);
    assert.equal([agreed.major, agreed.minor], [FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION]);
    assert.is(own.init.minor, -1);
    dispatch(own, init(7, 45));
    assert.is(own.init.minor, 38);
    assert.equal(warnings, []);
  },
);

session('requests only flags that the kernel offers, and none that enables caching', () => {
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

session('answers a request before INIT with EIO, and sends no reply where none is wanted', () => {
  const { own } = withHandlers(nothing);
  for (const [name, opcode] of Object.entries(Opcode)) {
    if (name === 'FUSE_INIT') continue;
    const reply = dispatch(own, bytesOf(opcode, Buffer.alloc(200)));
    if (UNANSWERED.includes(name as OpcodeName)) assert.is(reply, null, name);
    else assert.is(decode('fuse_out_header', reply!).error, -Errno.EIO, name);
  }
});

session.run();
