/**
 * Compares every size, offset, opcode and flag of fs/fuse/abi.ts with `<linux/fuse.h>`, which
 * test/unit/fuse/layout.c prints.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import * as abi from '../../../fs/fuse/abi.js';
import { MAX_WRITE_BYTES } from '../../../fs/shared/kernel/write-size.js';
import { type Attr, Reply } from '../../../fs/fuse/reply.js';
import { PROJECT } from '../../support/mount/daemon.js';
import { refusal } from '../../support/memory/connection.js';
import {
  MemoryKernel,
  O_APPEND,
  O_NONBLOCK,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  cstring,
} from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { STRUCTS, type StructName, decode, encode, fieldsOf, offsetOf, sizeOf } from './structs.js';

const layout = suite('the layout of requests and replies');

type Table = Readonly<Record<string, number>>;

let header: { sizes: Table; offsets: Table; opcodes: Table; constants: Table };

layout.before(() => {
  const program = join(
    process.env.EVENTFS_TEST_DIR ?? mkdtempSync(join(tmpdir(), 'eventfs-')),
    'layout',
  );
  execFileSync(
    'cc',
    ['-Wall', '-Wextra', '-Werror', '-o', program, join(PROJECT, 'test/unit/fuse/layout.c')],
    { stdio: 'inherit' },
  );
  header = JSON.parse(execFileSync(program, { encoding: 'utf8' })) as typeof header;
});

/** Compares each value of `ours` with the header's. Only a header that is older may lack one. */
function compare(ours: Table, theirs: Table): void {
  const isOlder = header.constants.FUSE_KERNEL_MINOR_VERSION < abi.FUSE_KERNEL_MINOR_VERSION;
  for (const [name, value] of Object.entries(ours)) {
    if (theirs[name] === undefined) assert.ok(isOlder, `layout.c says nothing of ${name}`);
    else assert.is(value, theirs[name], name);
  }
}

layout('has the sizes of the header', () => {
  const { fuse_init_in: initIn, ...sizes } = abi.Size;
  compare(sizes, header.sizes);
  // Its first part, which is all that a 7.31 kernel sends.
  assert.is(initIn, header.offsets['fuse_init_in.flags2'] ?? header.sizes.fuse_init_in);
});

layout('has the offsets of the header', () => {
  const offsets = Object.entries(abi.InHeader).map(([field, offset]) => [
    `fuse_in_header.${field}`,
    offset,
  ]);
  compare(Object.fromEntries(offsets) as Table, header.offsets);
});

/** The opcodes that are newer than the version that the daemon speaks, with their versions. */
const NEWER_OPCODES: Table = { FUSE_STATX: 39, FUSE_COPY_FILE_RANGE_64: 45 };

layout('has the opcodes of the header, and only those', () => {
  const minor = header.constants.FUSE_KERNEL_MINOR_VERSION;
  const known = Object.entries(abi.Opcode).filter(([name]) => !(NEWER_OPCODES[name] > minor));
  compare(Object.fromEntries(known), header.opcodes);
  assert.is(new Set(Object.values(abi.Opcode)).size, Object.keys(abi.Opcode).length);
});

layout('has every opcode of the header', () => {
  const text = execFileSync('cc', ['-E', '-P', '-xc', '-'], {
    input: '#include <linux/fuse.h>',
    encoding: 'utf8',
  });
  const [, enumerators] = /enum fuse_opcode \{(.*?)\}/s.exec(text)!;
  const theirs = [...enumerators.matchAll(/\b(FUSE_\w+) *= *(\d+)/g)]
    .filter(([, name]) => !name.endsWith('_RESERVED'))
    .map(([, name, value]) => [name, Number(value)]);
  assert.ok(theirs.length > 40);
  for (const [name, value] of theirs)
    assert.is(abi.Opcode[name as keyof typeof abi.Opcode], value, `${name}`);
});

layout('has the flags of the header', () => {
  compare(
    Object.fromEntries(Object.entries(abi.InitFlag).map(([name, bit]) => [name, 2 ** bit])),
    header.constants,
  );
  compare(abi.OpenFlag, header.constants);
  compare(abi.SetattrValid, header.constants);
  compare(abi.RenameFlag, header.constants);
  compare(abi.XattrFlag, header.constants);
});

layout('has the constants of the header', () => {
  const {
    Opcode: _o,
    InitFlag: _i,
    OpenFlag: _f,
    SetattrValid: _v,
    RenameFlag: _r,
    XattrFlag: _x,
    InHeader: _h,
    Size: _s,
    ...constants
  } = abi;
  // The daemon speaks its own version. Older headers lack these, and have upper flags as 64 bits.
  const newer = /_VERSION$|_IO_URING$|_EXPORT_SUPPORT$|RESEND$|REQUEST_TIMEOUT/;
  const named = Object.entries(constants).filter(
    ([name]) => !newer.test(name) || name === 'FUSE_KERNEL_VERSION',
  );
  compare(Object.fromEntries(named), header.constants);
  assert.ok(MAX_WRITE_BYTES + 4096 >= header.constants.FUSE_MIN_READ_BUFFER);
});

layout("equals the one of the tests' encoder and decoder", () => {
  const structs = Object.keys(STRUCTS) as StructName[];
  compare(Object.fromEntries(structs.map((struct) => [struct, sizeOf(struct)])), header.sizes);
  const fields = structs.flatMap((struct) =>
    fieldsOf(struct).map(([field]) => [`${struct}.${field}`, offsetOf(struct, field)]),
  );
  compare(Object.fromEntries(fields) as Table, header.offsets);
  assert.is(header.offsets['fuse_dirent.name'], sizeOf('fuse_dirent'));
});

// ---- replies: known values stand at the header's offsets

const UNIQUE = [0x44332211, 0x88776655] as const;

/** Returns the reply that `build` makes. */
function replyOf(build: (reply: Reply) => number): Buffer {
  const request = new Uint8Array(64);
  new Uint32Array(request.buffer).set(UNIQUE, abi.InHeader.unique / 4);
  const reply = new Reply(new Uint8Array(4096).fill(0xee), request);
  reply.begin();
  return Buffer.from(reply.bytes.buffer, 0, build(reply));
}

/** Returns the field at the header's offset, behind the reply's header. */
function fieldAt(reply: Buffer, struct: StructName, field: string, width: 4 | 8): number {
  const at = sizeOf('fuse_out_header') + header.offsets[`${struct}.${field}`];
  return width === 4 ? reply.readUInt32LE(at) : Number(reply.readBigUInt64LE(at));
}

const ATTR: Attr = {
  ino: 0x1_0000_0002,
  size: 1025,
  mode: 0o100640,
  nlink: 3,
  uid: 0xfffffffe,
  gid: 1001,
  atime: { sec: 0x1_0000_0011, nsec: 111 },
  mtime: { sec: 0x1_0000_0022, nsec: 222 },
  ctime: { sec: 0x1_0000_0033, nsec: 999_999_999 },
};

function checkAttr(reply: Buffer, struct: 'fuse_entry_out' | 'fuse_attr_out'): void {
  const wide = (field: string) => fieldAt(reply, struct, `attr.${field}`, 8);
  const narrow = (field: string) => fieldAt(reply, struct, `attr.${field}`, 4);
  assert.equal([wide('ino'), wide('size'), wide('blocks')], [ATTR.ino, ATTR.size, 3]);
  assert.equal(
    [wide('atime'), wide('mtime'), wide('ctime')],
    [ATTR.atime.sec, ATTR.mtime.sec, ATTR.ctime.sec],
  );
  assert.equal(
    [narrow('atimensec'), narrow('mtimensec'), narrow('ctimensec')],
    [111, 222, 999_999_999],
  );
  assert.equal(
    [narrow('mode'), narrow('nlink'), narrow('uid'), narrow('gid')],
    [ATTR.mode, ATTR.nlink, ATTR.uid, ATTR.gid],
  );
  assert.equal([narrow('rdev'), narrow('blksize')], [0, 4096]);
  assert.is(reply.readUInt32LE(reply.length - 4), 0); // flags
}

layout("of fuse_out_header: length, error and the request's unique", () => {
  const empty = replyOf((reply) => reply.end());
  assert.equal([...new Uint32Array(empty.buffer, 0, 4)], [16, 0, ...UNIQUE]);
  const refused = replyOf((reply) => reply.error(116));
  assert.is(refused.length, header.sizes.fuse_out_header);
  assert.is(refused.readInt32LE(header.offsets['fuse_out_header.error']), -116);
  assert.is(refused.readUInt32LE(header.offsets['fuse_out_header.len']), 16);
  assert.is(refused.readUInt32LE(header.offsets['fuse_out_header.unique']), UNIQUE[0]);
});

layout('of fuse_entry_out: the node, its attributes, and time-outs of zero', () => {
  const reply = replyOf((to) => {
    to.entry(0x1f_ffff_ffff_fff1, ATTR);
    return to.end();
  });
  assert.is(reply.length, 16 + header.sizes.fuse_entry_out);
  assert.is(fieldAt(reply, 'fuse_entry_out', 'nodeid', 8), 0x1f_ffff_ffff_fff1);
  for (const field of ['generation', 'entry_valid', 'attr_valid'])
    assert.is(fieldAt(reply, 'fuse_entry_out', field, 8), 0);
  for (const field of ['entry_valid_nsec', 'attr_valid_nsec'])
    assert.is(fieldAt(reply, 'fuse_entry_out', field, 4), 0);
  checkAttr(reply, 'fuse_entry_out');
});

layout('of fuse_attr_out: the attributes and their time-out', () => {
  const reply = replyOf((to) => {
    to.attr(ATTR, 7);
    return to.end();
  });
  assert.is(reply.length, 16 + header.sizes.fuse_attr_out);
  assert.is(fieldAt(reply, 'fuse_attr_out', 'attr_valid', 8), 7);
  assert.is(fieldAt(reply, 'fuse_attr_out', 'attr_valid_nsec', 4), 0);
  checkAttr(reply, 'fuse_attr_out');
});

layout('of fuse_open_out: handle and flags', () => {
  const reply = replyOf((to) => {
    to.opened(0x1_0000_0009, 0x55);
    return to.end();
  });
  assert.is(reply.length, 16 + header.sizes.fuse_open_out);
  assert.is(fieldAt(reply, 'fuse_open_out', 'fh', 8), 0x1_0000_0009);
  assert.is(fieldAt(reply, 'fuse_open_out', 'open_flags', 4), 0x55);
});

layout('of fuse_dirent: whole names of every length, padded with zeros', () => {
  for (const length of [1, 7, 8, 9, 15, 16, 254, 255]) {
    const names = [`${'n'.repeat(length - 1)}\xff`, 'a', `${'m'.repeat(length)}`];
    const whole = names.map((name) => 24 + Math.ceil(name.length / 8) * 8);
    const room = whole[0] + whole[1] + whole[2] - 1;
    const reply = replyOf((to) => {
      to.room = room;
      assert.equal(
        names.map((name, index) => to.add(0x1_0000_0001 + index, 0o100000, name, index + 1)),
        [true, true, false],
      );
      return to.end();
    });
    assert.is(reply.length, 16 + whole[0] + whole[1]);
    let at = 16;
    for (const [index, name] of names.slice(0, 2).entries()) {
      const word = (field: string) => at + header.offsets[`fuse_dirent.${field}`];
      assert.is(Number(reply.readBigUInt64LE(word('ino'))), 0x1_0000_0001 + index);
      assert.is(Number(reply.readBigUInt64LE(word('off'))), index + 1);
      assert.is(reply.readUInt32LE(word('namelen')), name.length);
      assert.is(reply.readUInt32LE(word('type')), 8); // DT_REG
      const text = reply.toString('latin1', word('name'), at + whole[index]);
      assert.is(text, name.padEnd(whole[index] - 24, '\0'));
      at += whole[index];
    }
  }
});

layout('of FUSE_NOTIFY_POLL: unique 0 and the poll key', () => {
  const reply = replyOf((to) => to.pollWakeup(0x11223344, 0x55667788));
  assert.is(reply.length, 16 + header.sizes.fuse_notify_poll_wakeup_out);
  assert.equal(decode('fuse_out_header', reply), {
    len: reply.length,
    error: abi.FUSE_NOTIFY_POLL,
    unique: 0,
  });
  assert.is(
    reply.readBigUInt64LE(16 + header.offsets['fuse_notify_poll_wakeup_out.kh']),
    0x5566778811223344n,
  );
});

// ---- requests: each field has its own effect

/** Returns a kernel with a directory of this process and a file in it. */
function withFile(): { kernel: MemoryKernel; directory: number; file: number } {
  const kernel = MemoryKernel.started();
  const directory = kernel.mkdir('mine');
  return { kernel, directory, file: kernel.make(directory, 'file', 'abcdefgh') };
}

layout('of fuse_init_in and fuse_init_out: the negotiated values', () => {
  const kernel = new MemoryKernel();
  const reply = kernel.ask(
    'FUSE_INIT',
    0,
    encode('fuse_init_in', { major: 7, minor: 36, max_readahead: 0x20000, flags: 0xffffffff }),
  );
  assert.is(reply.length, header.sizes.fuse_init_out);
  const agreed = decode('fuse_init_out', reply);
  assert.equal(agreed, {
    major: 7,
    minor: 36,
    max_readahead: 0x20000,
    flags:
      header.constants.FUSE_ASYNC_READ |
      header.constants.FUSE_ATOMIC_O_TRUNC |
      header.constants.FUSE_BIG_WRITES |
      header.constants.FUSE_PARALLEL_DIROPS |
      header.constants.FUSE_ABORT_ERROR |
      header.constants.FUSE_MAX_PAGES,
    max_background: 2048,
    congestion_threshold: 1536,
    max_write: MAX_WRITE_BYTES,
    time_gran: 1,
    max_pages: 256,
    map_alignment: 0,
    flags2: 0,
  });
  assert.ok(reply.subarray(offsetOf('fuse_init_out', 'flags2')).every((byte) => byte === 0));
  kernel.close();
});

layout('of fuse_setattr_in: each valid bit selects its own field', () => {
  const { kernel, file } = withFile();
  const { FATTR_MODE, FATTR_UID, FATTR_GID, FATTR_SIZE, FATTR_MTIME, FATTR_MTIME_NOW } =
    header.constants;
  const noise = {
    fh: 99,
    size: 4,
    lock_owner: 98,
    atime: 97,
    mtime: 0x1_0000_0060,
    ctime: 95,
    atimensec: 94,
    mtimensec: 93,
    ctimensec: 92,
    mode: 0o100421,
    unused4: 91,
    uid: 1234,
    gid: 4321,
    unused5: 90,
  };
  const attr = (valid: number) => kernel.setattr(file, { ...noise, valid });
  const before = attr(0);
  assert.is(before['attr.mode'], 0o100644);
  assert.is(before['attr.size'], 8);
  assert.is(attr(FATTR_MODE)['attr.mode'], 0o100421);
  assert.is(attr(FATTR_UID)['attr.uid'], 1234);
  assert.is(attr(0)['attr.gid'], 0);
  assert.is(attr(FATTR_GID)['attr.gid'], 4321);
  assert.is(attr(FATTR_SIZE)['attr.size'], 4);
  const timed = attr(FATTR_MTIME);
  assert.equal([timed['attr.mtime'], timed['attr.mtimensec']], [0x1_0000_0060, 93]);
  const now = attr(FATTR_MTIME | FATTR_MTIME_NOW)['attr.mtime'];
  assert.ok(Math.abs(now - Date.now() / 1000) < 5);
  kernel.close();
});

layout('of fuse_mkdir_in, fuse_create_in: mode and name', () => {
  const kernel = MemoryKernel.started();
  const payload = Buffer.concat([
    encode('fuse_mkdir_in', { mode: 0o40751, umask: 0o22 }),
    cstring('made'),
  ]);
  const directory = decode(
    'fuse_entry_out',
    kernel.ask('FUSE_MKDIR', 1, payload, { uid: 7, gid: 8 }),
  );
  assert.equal(
    [directory['attr.mode'], directory['attr.uid'], directory['attr.gid']],
    [0o40751, 7, 8],
  );
  const create = encode('fuse_create_in', {
    flags: O_WRONLY,
    mode: 0o100612,
    umask: 0o777,
    open_flags: 0xffff,
  });
  const made = kernel.ask(
    'FUSE_CREATE',
    directory.nodeid,
    Buffer.concat([create, cstring('file')]),
    { uid: 9, gid: 10 },
  );
  const file = decode('fuse_entry_out', made);
  assert.equal([file['attr.mode'], file['attr.uid'], file['attr.gid']], [0o100612, 9, 10]);
  assert.is(made.length, header.sizes.fuse_entry_out + header.sizes.fuse_open_out);
  const opened = decode('fuse_open_out', made, header.sizes.fuse_entry_out);
  assert.is(kernel.write(opened.fh, 'x'), 1);
  kernel.close();
});

layout('of fuse_open_in: the flags', () => {
  const { kernel, file } = withFile();
  kernel.release(kernel.open(file, O_RDONLY));
  assert.is(kernel.getattr(file)['attr.size'], 8);
  kernel.release(kernel.open(file, O_WRONLY | O_TRUNC));
  assert.is(kernel.getattr(file)['attr.size'], 0);
  kernel.close();
});

layout('of fuse_read_in: handle, offset, size and flags', () => {
  const { kernel, directory, file } = withFile();
  const other = kernel.open(file);
  const fh = kernel.open(kernel.make(directory, 'other', '0123456789'));
  const body = kernel.ask(
    'FUSE_READ',
    0,
    encode('fuse_read_in', { fh, offset: 3, size: 4, read_flags: 0xff, lock_owner: 5, padding: 9 }),
  );
  assert.is(body.toString(), '3456');
  assert.is(kernel.read(other, 2, 1), 'bc');
  const stream = kernel.open(kernel.walk('stream'));
  assert.is(
    refusal(() => kernel.read(stream, 100, 0, O_NONBLOCK)),
    'EAGAIN',
  );
  assert.is(kernel.readIntoCache(fh), 'EINVAL'); // read_flags without FUSE_READ_LOCKOWNER
  kernel.close();
});

layout('of fuse_write_in: handle, offset, size and flags', () => {
  const { kernel, file } = withFile();
  const fh = kernel.open(file, O_WRONLY);
  const data = Buffer.from('XYZ');
  const write = encode('fuse_write_in', {
    fh,
    offset: 2,
    size: 3,
    write_flags: 2,
    lock_owner: 5,
    flags: O_WRONLY,
    padding: 9,
  });
  const written = kernel.ask('FUSE_WRITE', 0, Buffer.concat([write, data]));
  assert.equal(decode('fuse_write_out', written), { size: 3, padding: 0 });
  kernel.write(fh, '!', 1, O_WRONLY | O_APPEND);
  assert.is(kernel.cat(file), 'abXYZfgh!');
  kernel.close();
});

layout('of fuse_poll_in and fuse_poll_out: handle, key and flags', () => {
  const kernel = MemoryKernel.started();
  const stream = kernel.walk('stream');
  const [first, second] = [kernel.open(stream), kernel.open(stream)];
  assert.is(kernel.poll(first, 0x1234_0000_5678, 0), 0); // without FUSE_POLL_SCHEDULE_NOTIFY
  assert.is(kernel.poll(second, 0xabc_0000_0def), 0);
  kernel.event(1);
  assert.equal(kernel.wakeUps, [0xabc_0000_0def]);
  assert.is(kernel.poll(second, 1), 0x41); // POLLIN | POLLRDNORM
  kernel.close();
});

layout('of fuse_interrupt_in: the unique of the interrupted request', () => {
  const kernel = MemoryKernel.started();
  const fh = kernel.open(kernel.walk('stream'));
  const [one, other] = [kernel.startRead(fh), kernel.startRead(fh)];
  kernel.interruptRead(other);
  assert.equal([one.result, other.result], [undefined, 'EINTR']);
  kernel.close();
});

layout('of fuse_forget_in and fuse_forget_one: node and count', () => {
  const kernel = MemoryKernel.started();
  const [stream, log] = ['stream', 'log'].map((name) => kernel.lookup(1, name).nodeid);
  kernel.lookup(1, 'stream');
  kernel.lookup(1, 'log');
  assert.is(kernel.status('NODES'), 3);
  kernel.forget(stream, 1);
  assert.is(kernel.status('NODES'), 3);
  kernel.forget(stream, 1);
  assert.is(kernel.status('NODES'), 2);
  kernel.batchForget([
    { nodeid: 12345, nlookup: 1 },
    { nodeid: log, nlookup: 2 },
  ]);
  assert.is(kernel.status('NODES'), 1);
  kernel.close();
});

layout('of fuse_release_in: the handle', () => {
  const { kernel, file } = withFile();
  const [one, other] = [kernel.open(file), kernel.open(file)];
  kernel.ask(
    'FUSE_RELEASE',
    0,
    encode('fuse_release_in', { fh: one, flags: 0xffff, release_flags: 3, lock_owner: other }),
  );
  assert.is(
    refusal(() => kernel.read(one)),
    'EBADF',
  );
  assert.is(kernel.read(other), 'abcdefgh');
  kernel.close();
});

layout.run();
