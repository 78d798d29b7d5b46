/**
 * The text of requests and replies as `--debug=requests` prints them: two lines a request, and a
 * reason with each refusal.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { errnoName } from '../../../fs/shared/errors.js';
import { FUSE_ROOT_ID, Opcode } from '../../../fs/fuse/abi.js';
import { describeReply } from '../../../fs/fuse/describe/reply.js';
import { describeRequest } from '../../../fs/fuse/describe/request.js';
import { OPERATIONS, operationOf } from '../../../fs/fuse/opcodes.js';
import { runs } from '../../support/runner/budget.js';
import type { OpcodeName } from '../../support/memory/connection.js';
import { MemoryKernel, O_NONBLOCK, O_WRONLY, cstring } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { encode } from './structs.js';

const LINE = /^[\x20-\x7e]+$/;
const HEADER = { unique: 1042, nodeid: 5, uid: 1000, gid: 1000, pid: 4711 };

function request(opcode: number, payload: Uint8Array, header: Partial<typeof HEADER> = {}): Buffer {
  return Buffer.concat([
    encode('fuse_in_header', { len: 40 + payload.length, opcode, ...HEADER, ...header }),
    payload,
  ]);
}

function described(
  name: OpcodeName,
  payload: Uint8Array,
  header: Partial<typeof HEADER> = {},
): string {
  const bytes = request(Opcode[name], payload, header);
  return describeRequest(bytes, bytes.length);
}

const words = (...values: readonly number[]): Buffer =>
  Buffer.from(Uint32Array.from(values).buffer);

const line = suite('the description of a request');

line('has the opcode, the node, the names of the flags, and the caller', () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      described('FUSE_LOOKUP', cstring('4711'), { nodeid: 1, uid: 0, gid: 0 }),
      'LOOKUP parent=1 "4711" pid=4711 uid=0',
    ],
    [
      described('FUSE_MKDIR', Buffer.concat([words(0o755, 0o22), cstring('4711')]), { gid: 100 }),
      'MKDIR parent=5 mode=0755 umask=022 "4711" pid=4711 uid=1000 gid=100',
    ],
    [
      described('FUSE_OPEN', words(0o104001, 0)),
      'OPEN node=5 flags=O_WRONLY|O_NONBLOCK|O_LARGEFILE open_flags=0 pid=4711 uid=1000',
    ],
    [
      described('FUSE_OPEN', words(0, 0)),
      'OPEN node=5 flags=O_RDONLY open_flags=0 pid=4711 uid=1000',
    ],
    [
      described('FUSE_READ', Buffer.concat([words(7, 0, 0, 0, 65536, 2, 0, 0, 0o4000, 0)])),
      'READ node=5 fh=7 offset=0 size=65536 read_flags=LOCKOWNER flags=O_RDONLY|O_NONBLOCK pid=4711 uid=1000',
    ],
    [
      described('FUSE_SETATTR', encode('fuse_setattr_in', { valid: 1 | 2, mode: 0o640, uid: 7 })),
      'SETATTR node=5 valid=MODE|UID mode=0640 to_uid=7 pid=4711 uid=1000',
    ],
    [
      described('FUSE_RENAME2', Buffer.concat([words(9, 0, 3, 0), cstring('a'), cstring('b')])),
      'RENAME2 parent=5 newdir=9 flags=RENAME_NOREPLACE|RENAME_EXCHANGE "a" to "b" pid=4711 uid=1000',
    ],
    [
      described('FUSE_BATCH_FORGET', words(2, 0, 3, 0, 1, 0, 4, 0, 2, 0)),
      'BATCH_FORGET count=2 3*1 4*2 pid=4711 uid=1000',
    ],
    [
      described('FUSE_STATX', words(0, 0, 0, 0, 0x2000, 0xfff)),
      'STATX node=5 sx_flags=FORCE_SYNC sx_mask=BASIC_STATS|BTIME pid=4711 uid=1000',
    ],
    [
      described('FUSE_STATX', words(1, 0, 7, 0, 0, 0x7ff)),
      'STATX node=5 fh=7 sx_flags=0 sx_mask=BASIC_STATS pid=4711 uid=1000',
    ],
    [
      described('FUSE_COPY_FILE_RANGE_64', words(7, 0, 0, 0, 6, 0, 8, 0, 0, 0, 100, 0, 0, 0)),
      'COPY_FILE_RANGE_64 node=5 fh_in=7 off_in=0 nodeid_out=6 fh_out=8 off_out=0 len=100 pid=4711 uid=1000',
    ],
    [described('FUSE_INTERRUPT', words(1040, 0)), 'INTERRUPT of=#1040 pid=4711 uid=1000'],
    [
      described('FUSE_POLL', words(7, 0, 8, 0, 1, 0x41)),
      'POLL node=5 fh=7 kh=8 flags=SCHEDULE_NOTIFY events=POLLIN|POLLRDNORM pid=4711 uid=1000',
    ],
    [
      described('FUSE_LOOKUP', cstring('a\n<- #1 OK\x1b[2J"\xff')),
      'LOOKUP parent=5 "a\\x0a<- #1 OK\\x1b[2J\\"\\xff" pid=4711 uid=1000',
    ],
    [described('FUSE_LOOKUP', Buffer.from('cut')), 'LOOKUP parent=5 "cut"? pid=4711 uid=1000'],
    [
      described('FUSE_MKDIR', words(0o755)),
      'MKDIR parent=5 mode=0755 umask=? ""? pid=4711 uid=1000',
    ],
    [describeRequest(Buffer.alloc(3), 3), '3 bytes without a header'],
    [describeRequest(request(999, Buffer.alloc(0)), 40), 'opcode-999 node=5 pid=4711 uid=1000'],
  ];
  for (const [is, expected] of cases) assert.is(is, expected);
});

line('exists for each opcode and its reply', () => {
  for (const [name, opcode] of Object.entries(Opcode)) {
    for (const length of [0, 1, 8, 16, 40, 88, 200]) {
      const bytes = request(opcode, Buffer.alloc(length, 0x61));
      const text = describeRequest(bytes, bytes.length);
      assert.match(text, LINE);
      assert.ok(text.startsWith(`${name.replace('FUSE_', '')} `), text);
      assert.type(describeReply(opcode, Buffer.alloc(16 + length), 16 + length, 0), 'string');
    }
  }
});

line('never throws and is one printable line for any bytes', () => {
  const opcodes = fc.oneof(
    fc.constantFrom(...Object.values(Opcode)),
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  );
  const property = fc.property(
    opcodes,
    fc.uint8Array({ maxLength: 400 }),
    fc.nat(500),
    (opcode, payload, cut) => {
      const bytes = request(opcode, payload);
      const length = Math.min(bytes.length, cut);
      assert.match(describeRequest(bytes, length), LINE);
      assert.match(`${describeReply(opcode, bytes, length, cut)} `, LINE);
    },
  );
  fc.assert(property, runs(2000));
});

line.run();

/** Returns a kernel that traces its requests, and the lines. */
function traced(): { kernel: MemoryKernel; lines: string[] } {
  const kernel = MemoryKernel.started();
  const lines: string[] = [];
  kernel.traceTo((text) => lines.push(text));
  return { kernel, lines };
}

const pair = suite('a traced request');

pair('has two lines, and a refusal has its reason', () => {
  const { kernel, lines } = traced();
  const last = (): string => lines[lines.length - 1].replace(/#\d+/, '#');
  const own = kernel.mkdir(String(process.pid));
  assert.match(lines[0], /^-> #\d+ MKDIR parent=1 mode=0755 umask=00? "\d+" pid=\d+ uid=0$/);
  assert.match(last(), /^<- # OK node=\d+ ino=\d+ mode=040755 nlink=2 uid=0 gid=0 size=0$/);
  const refused = (name: OpcodeName, node: number, payload: Uint8Array): string => {
    kernel.try(name, node, payload);
    return last();
  };
  assert.is(
    refused('FUSE_LOOKUP', FUSE_ROOT_ID, cstring('2147483646')),
    '<- # ENOENT (no process 2147483646)',
  );
  assert.is(
    refused('FUSE_LOOKUP', FUSE_ROOT_ID, cstring('nobody')),
    '<- # ENOENT (no directory has that name)',
  );
  assert.is(
    refused('FUSE_LOOKUP', FUSE_ROOT_ID, cstring('1')),
    '<- # ENOENT (process 1 has made no directory of that name)',
  );
  assert.is(refused('FUSE_LOOKUP', own, cstring('head')), '<- # ENOENT (the queue is empty)');
  assert.is(
    refused('FUSE_LOOKUP', own, cstring('7')),
    '<- # ENOENT (no event and no special file has that name)',
  );
  assert.is(
    refused('FUSE_LOOKUP', own, cstring('x'.repeat(256))),
    '<- # ENAMETOOLONG (a name has at most 255 bytes)',
  );
  assert.is(
    refused('FUSE_GETATTR', 2 ** 40, encode('fuse_getattr_in', {})),
    '<- # ESTALE (the directory has ended, with its owner or by rmdir)',
  );
  assert.is(
    refused('FUSE_FLUSH', own, Buffer.alloc(24)),
    '<- # ENOSYS (eventfs does not support it)',
  );
  assert.is(
    refused('FUSE_MKDIR', FUSE_ROOT_ID, Buffer.alloc(3)),
    '<- # EIO (the request has only 3 bytes behind its header)',
  );
  assert.match(
    refused('FUSE_LOOKUP', kernel.lookup(FUSE_ROOT_ID, 'match').nodeid, cstring('SUBSYSTEM=')),
    /^<- # EINVAL \(column \d+: .*\)$/,
  );
  kernel.warnings.length = 0;
  kernel.close();
});

pair('has a line when a read is parked, and one for its reply later', () => {
  const { kernel, lines } = traced();
  const stream = kernel.walk('stream');
  const fh = kernel.open(stream);
  lines.length = 0;
  const reading = kernel.startRead(fh);
  const [, unique] = /^-> #(\d+) READ /.exec(lines[0])!;
  assert.is(lines[1], `<- #${unique} (parked)`);
  kernel.event(1, 'A=b\n');
  kernel.settle();
  assert.is(typeof reading.result, 'string');
  assert.is(lines.at(-1), `<- #${unique} OK ${reading.result!.length} bytes (was parked)`);
  const second = kernel.startRead(fh);
  kernel.tell(
    'FUSE_INTERRUPT',
    0,
    words(second.unique % 2 ** 32, Math.floor(second.unique / 2 ** 32)),
  );
  assert.is(
    lines.filter((text) =>
      text.includes(`#${second.unique} EINTR (a signal interrupted the reader)`),
    ).length,
    1,
  );
  assert.is(lines.at(-1)!.replace(/#\d+/, '#'), '<- # (no reply)');
  const idle = kernel.open(stream, O_NONBLOCK);
  assert.throws(() => kernel.read(idle, 4096, 0, O_NONBLOCK));
  assert.match(lines.at(-1)!, /EAGAIN \(no event to read yet/);
  kernel.close();
});

pair('has the same reply as an untraced one, and each refusal has a reason', () => {
  const opcodes = fc.constantFrom(
    ...OPERATIONS.map(({ opcode }) => opcode),
    ...Object.values(Opcode),
  );
  const payloads = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc
      .constantFrom('4711', '1', 'x', 'log', 'head', '.filter', 'a\nb')
      .map((name) => cstring(name)),
    fc
      .tuple(fc.uint8Array({ minLength: 8, maxLength: 40 }), fc.constantFrom('own', 'log', '1'))
      .map(([fixed, name]) => Buffer.concat([fixed, cstring(name)])),
  );
  const property = fc.property(
    fc.array(fc.tuple(opcodes, fc.integer({ min: 0, max: 8 }), payloads), { maxLength: 20 }),
    (requests) => {
      const plain = MemoryKernel.started();
      const { kernel, lines } = traced();
      const both = [plain, kernel];
      for (const each of both) {
        const file = each.create(each.mkdir('own'), 'file', O_WRONLY);
        each.write(file.fh, 'text', 0);
      }
      lines.length = 0;
      for (const [opcode, node, payload] of requests) {
        const before = lines.length;
        const [first, second] = both.map((each) => each.raw(each.request(opcode, node, payload)));
        assert.is(first === null, second === null);
        if (first !== null) assert.is(first.readInt32LE(4), second!.readInt32LE(4));
        const own = lines.slice(before);
        for (const text of own) assert.match(text, LINE);
        const [, unique] = /^-> #(\d+) /.exec(own[0])!;
        const errno = second === null ? 0 : -second.readInt32LE(4);
        const outcome =
          errno !== 0
            ? `${errnoName(errno)} \\(.+\\)`
            : second !== null
              ? 'OK'
              : operationOf[opcode]?.answered === true
                ? '\\(parked\\)'
                : '\\(no reply.*\\)';
        assert.match(
          own.find((text) => text.startsWith(`<- #${unique} `))!,
          new RegExp(`^<- #\\d+ ${outcome}`),
        );
      }
      for (const each of both) each.close();
    },
  );
  fc.assert(property, runs(200));
});

pair.run();
