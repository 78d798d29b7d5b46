/**
 * The structures of the FUSE protocol, spelt out again field by field. The tests write requests and
 * read replies with these, and test/unit/fuse/layout.test.ts compares every field with
 * `<linux/fuse.h>`. So the offsets in the daemon's code are checked against the header too.
 */

type Width = 2 | 4 | 8;

/**
 * Each field has its width in bytes, or 'signed': fuse_out_header.error, and times (fuse.h says
 * unsigned).
 */
type Fields = readonly (readonly [name: string, width: Width, signed?: 'signed' | undefined])[];

const ATTR = [
  ['ino', 8],
  ['size', 8],
  ['blocks', 8],
  ['atime', 8, 'signed'],
  ['mtime', 8, 'signed'],
  ['ctime', 8, 'signed'],
  ['atimensec', 4],
  ['mtimensec', 4],
  ['ctimensec', 4],
  ['mode', 4],
  ['nlink', 4],
  ['uid', 4],
  ['gid', 4],
  ['rdev', 4],
  ['blksize', 4],
  ['flags', 4],
] as const;

const ATTR_IN = ATTR.map(([name, width, signed]) => [`attr.${name}`, width, signed] as const);

export const STRUCTS = {
  fuse_in_header: [
    ['len', 4],
    ['opcode', 4],
    ['unique', 8],
    ['nodeid', 8],
    ['uid', 4],
    ['gid', 4],
    ['pid', 4],
    ['total_extlen', 2],
    ['padding', 2],
  ],
  fuse_out_header: [
    ['len', 4],
    ['error', 4, 'signed'],
    ['unique', 8],
  ],
  fuse_attr: ATTR,
  fuse_entry_out: [
    ['nodeid', 8],
    ['generation', 8],
    ['entry_valid', 8],
    ['attr_valid', 8],
    ['entry_valid_nsec', 4],
    ['attr_valid_nsec', 4],
    ...ATTR_IN,
  ],
  fuse_attr_out: [['attr_valid', 8], ['attr_valid_nsec', 4], ['dummy', 4], ...ATTR_IN],
  fuse_forget_in: [['nlookup', 8]],
  fuse_forget_one: [
    ['nodeid', 8],
    ['nlookup', 8],
  ],
  fuse_batch_forget_in: [
    ['count', 4],
    ['dummy', 4],
  ],
  fuse_getattr_in: [
    ['getattr_flags', 4],
    ['dummy', 4],
    ['fh', 8],
  ],
  fuse_setattr_in: [
    ['valid', 4],
    ['padding', 4],
    ['fh', 8],
    ['size', 8],
    ['lock_owner', 8],
    ['atime', 8],
    ['mtime', 8],
    ['ctime', 8],
    ['atimensec', 4],
    ['mtimensec', 4],
    ['ctimensec', 4],
    ['mode', 4],
    ['unused4', 4],
    ['uid', 4],
    ['gid', 4],
    ['unused5', 4],
  ],
  fuse_mkdir_in: [
    ['mode', 4],
    ['umask', 4],
  ],
  fuse_mknod_in: [
    ['mode', 4],
    ['rdev', 4],
    ['umask', 4],
    ['padding', 4],
  ],
  fuse_link_in: [['oldnodeid', 8]],
  fuse_rename_in: [['newdir', 8]],
  fuse_rename2_in: [
    ['newdir', 8],
    ['flags', 4],
    ['padding', 4],
  ],
  fuse_getxattr_in: [
    ['size', 4],
    ['padding', 4],
  ],
  fuse_open_in: [
    ['flags', 4],
    ['open_flags', 4],
  ],
  fuse_create_in: [
    ['flags', 4],
    ['mode', 4],
    ['umask', 4],
    ['open_flags', 4],
  ],
  fuse_open_out: [
    ['fh', 8],
    ['open_flags', 4],
    ['backing_id', 4],
  ],
  fuse_release_in: [
    ['fh', 8],
    ['flags', 4],
    ['release_flags', 4],
    ['lock_owner', 8],
  ],
  fuse_fsync_in: [
    ['fh', 8],
    ['fsync_flags', 4],
    ['padding', 4],
  ],
  fuse_read_in: [
    ['fh', 8],
    ['offset', 8],
    ['size', 4],
    ['read_flags', 4],
    ['lock_owner', 8],
    ['flags', 4],
    ['padding', 4],
  ],
  fuse_write_in: [
    ['fh', 8],
    ['offset', 8],
    ['size', 4],
    ['write_flags', 4],
    ['lock_owner', 8],
    ['flags', 4],
    ['padding', 4],
  ],
  fuse_write_out: [
    ['size', 4],
    ['padding', 4],
  ],
  fuse_statfs_out: [
    ['st.blocks', 8],
    ['st.bfree', 8],
    ['st.bavail', 8],
    ['st.files', 8],
    ['st.ffree', 8],
    ['st.bsize', 4],
    ['st.namelen', 4],
    ['st.frsize', 4],
  ],
  fuse_init_in: [
    ['major', 4],
    ['minor', 4],
    ['max_readahead', 4],
    ['flags', 4],
    ['flags2', 4],
  ],
  fuse_init_out: [
    ['major', 4],
    ['minor', 4],
    ['max_readahead', 4],
    ['flags', 4],
    ['max_background', 2],
    ['congestion_threshold', 2],
    ['max_write', 4],
    ['time_gran', 4],
    ['max_pages', 2],
    ['map_alignment', 2],
    ['flags2', 4],
  ],
  fuse_interrupt_in: [['unique', 8]],
  fuse_poll_in: [
    ['fh', 8],
    ['kh', 8],
    ['flags', 4],
    ['events', 4],
  ],
  fuse_poll_out: [
    ['revents', 4],
    ['padding', 4],
  ],
  fuse_notify_poll_wakeup_out: [['kh', 8]],
  fuse_dirent: [
    ['ino', 8],
    ['off', 8],
    ['namelen', 4],
    ['type', 4],
  ],
} as const satisfies Record<string, Fields>;

export type StructName = keyof typeof STRUCTS;
type Field<S extends StructName> = (typeof STRUCTS)[S][number][0];
export type Values<S extends StructName> = Record<Field<S>, number>;

/** The structures of which a newer kernel sends or accepts more fields than these. */
const WHOLE_BYTES: Partial<Record<StructName, number>> = {
  fuse_init_in: 64,
  fuse_init_out: 64,
  fuse_statfs_out: 80,
};

export function fieldsOf(struct: StructName): Fields {
  return STRUCTS[struct];
}

/** The total size of each structure, in bytes. */
const SIZES = new Map(
  (Object.keys(STRUCTS) as StructName[]).map((struct) => [
    struct,
    WHOLE_BYTES[struct] ?? fieldsOf(struct).reduce((sum, [, width]) => sum + width, 0),
  ]),
);

export function sizeOf(struct: StructName): number {
  return SIZES.get(struct)!;
}

export function offsetOf(struct: StructName, field: string): number {
  let at = 0;
  for (const [name, width] of fieldsOf(struct)) {
    if (name === field) return at;
    at += width;
  }
  throw new Error(`${struct} has no ${field}`);
}

/** Returns a function that reads one field, and is faster than {@link decode}. */
export function reader<S extends StructName>(
  struct: S,
  field: Field<S>,
): (from: Buffer, at?: number) => number {
  const offset = offsetOf(struct, field);
  const [, width, signed] = fieldsOf(struct).find(([name]) => name === field)!;
  return (from, at = 0) => read(from, at + offset, width, signed !== undefined);
}

function read(from: Buffer, at: number, width: Width, isSigned: boolean): number {
  if (width === 2) return from.readUInt16LE(at);
  if (width === 4) return isSigned ? from.readInt32LE(at) : from.readUInt32LE(at);
  const high = isSigned ? from.readInt32LE(at + 4) : from.readUInt32LE(at + 4);
  return high * 2 ** 32 + from.readUInt32LE(at);
}

/** Returns the structure's bytes; a field without a value is 0. */
export function encode<S extends StructName>(struct: S, values: Partial<Values<S>>): Buffer {
  const to = Buffer.alloc(sizeOf(struct));
  let at = 0;
  for (const [name, width] of fieldsOf(struct)) {
    const value = (values as Record<string, number>)[name] ?? 0;
    // The divisions round down, so the two's complement of a negative number is right.
    if (width === 2) to.writeUInt16LE(value, at);
    else to.writeUInt32LE(value >>> 0, at);
    if (width === 8) to.writeUInt32LE(Math.floor(value / 2 ** 32) >>> 0, at + 4);
    at += width;
  }
  return to;
}

/** Returns the fields of the structure at offset `at`. */
export function decode<S extends StructName>(struct: S, from: Buffer, at = 0): Values<S> {
  const values: Record<string, number> = {};
  for (const [name, width, signed] of fieldsOf(struct)) {
    values[name] = read(from, at, width, signed !== undefined);
    at += width;
  }
  return values as Values<S>;
}
