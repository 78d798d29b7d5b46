/**
 * The kinds of records of the state, and their fields. The text of this schema lies in the state
 * itself, so that a daemon of another version refuses fields that it does not know.
 *
 * A record is the last state of one thing, under its key: the first fields. A field is a number, a
 * text (bytes as characters), or bytes.
 */
import { B, BORN, type FieldType, type KindSchema, N, T, TIMES } from './fields.js';
import { TREE_KINDS } from './tree-kinds.js';

export type { FieldType, KindSchema } from './fields.js';

/** All kinds. A time is two fields: seconds, and nanoseconds. */
export const SCHEMA = {
  /** The numbers that the tree as a whole keeps. */
  counters: {
    id: 1,
    keys: 0,
    fields: {
      /** The last node id or inode number in use. */
      lastId: N,
      oldest: N,
      next: N,
      /** The offset in the ring at which the next record goes. */
      ringEnd: N,
      weight: N,
      lastSeqnum: N,
      highest: N,
      kernel: N,
      udev: N,
      published: N,
      cut: N,
      lost: N,
      /** The most events that the ring has. */
      ringEvents: N,
      lostByEnded: N,
      /** The number of the oldest event in `log/`: all later ones are there. */
      historyFirst: N,
      /** How many events `log/` has dropped. */
      historyLost: N,
    },
  },
  /** The root. */
  root: {
    id: 22,
    keys: 0,
    fields: {
      /** The position of the next directory. */
      nextDirectory: N,
      mode: N,
      uid: N,
      gid: N,
      /** When the first daemon made the mount's own files. */
      ...BORN,
      ...TIMES,
    },
  },
  /** A delivered event, by inode number. Its text is in the ring, or in a record `text`. */
  event: {
    id: 2,
    keys: 1,
    fields: {
      ino: N,
      number: N,
      name: T,
      start: N,
      length: N,
      sec: N,
      nsec: N,
      weight: N,
      always: N,
      isUnique: N,
      source: N,
      seqnumBefore: N,
      weightBefore: N,
      checksum: N,
    },
  },
  /** The text of an event that is not in the ring. */
  text: { id: 3, keys: 1, fields: { ino: N, bytes: B } },
  ...TREE_KINDS,
  /** An open file, by the number by which the kernel calls it. */
  handle: {
    id: 8,
    keys: 1,
    fields: {
      fh: N,
      /** The type of the open file (fs/tree/restore/handles.ts). */
      type: T,
      node: N,
      /** The node id of the directory that the open node is in, and its name there. */
      directory: N,
      name: T,
      /** The account that pays it. */
      uid: N,
      gid: N,
      /** The charged memory, without that of a partly read record. */
      heap: N,
      /** The key by which the kernel wakes its pollers; 0 if no process has polled it. */
      pollKeyLow: N,
      pollKeyHigh: N,
      /** The type's own numbers, separated by spaces. */
      numbers: T,
      /** The type's own bytes. */
      bytes: B,
    },
  },
  /** A stream's place, by file handle: it changes with each read. */
  cursor: {
    id: 9,
    keys: 1,
    fields: {
      fh: N,
      number: N,
      passed: N,
      standIns: N,
      toldLost: N,
      rest: B,
      /** More file handles whose places are the same, 4 bytes each. */
      others: B,
    },
  },
  /** The streams with one filter, by the number of the group. */
  group: {
    id: 10,
    keys: 1,
    fields: {
      id: N,
      filter: T,
      /** The number of the first event that came after the group began. */
      since: N,
      /** How many events had matched when the next event had this number. */
      number: N,
      matched: N,
    },
  },
  /** A reply that may not have been sent, by the request's unique number. */
  reply: {
    id: 11,
    keys: 1,
    fields: {
      unique: N,
      transaction: N,
      error: N,
      sliceStart: N,
      sliceLength: N,
      bytes: B,
      /**
       * More requests that get the same reply: how far each `unique` is from that above, 4 bytes
       * each.
       */
      others: B,
    },
  },
  /** The threads that read an open file with io_uring(7), by file handle. */
  uring: { id: 12, keys: 1, fields: { fh: N, threads: T } },
  /** A source of uevents, by its netlink group. */
  source: {
    id: 14,
    keys: 1,
    fields: {
      group: N,
      last: N,
      gaps: N,
      overruns: N,
      late: N,
      forged: N,
      malformed: N,
      lossUntold: N,
      /** The runs of numbers that have not come: `from to told ...`. */
      skipped: T,
      /** The batch of datagrams in the mailbox, and how many of its slots are done. */
      batch: N,
      done: N,
    },
  },
  /** How dead owners have ended, and how many of them are not counted yet. */
  endings: { id: 24, keys: 0, fields: { exited: N, signalled: N, unknown: N, pending: N } },
  /** How many streams were opened, and how many events the closed ones have lost. */
  streams: { id: 20, keys: 0, fields: { opened: N, lostByClosed: N } },
} as const satisfies Readonly<Record<string, KindSchema>>;

/** The name of a kind. */
export type KindName = keyof typeof SCHEMA;

interface TypeOf {
  readonly number: number;
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** The fields of a kind, as a record has them. */
export type Fields<K extends KindName> = {
  -readonly [
    F in keyof (typeof SCHEMA)[K]['fields']
  ]: (typeof SCHEMA)[K]['fields'][F] extends FieldType
    ? TypeOf[(typeof SCHEMA)[K]['fields'][F]]
    : never;
};

/** The numbers of the kinds, for the writer. */
export const Kind = Object.fromEntries(
  Object.entries(SCHEMA).map(([name, { id }]) => [name, id]),
) as { readonly [K in KindName]: number };

/** The kinds by number. */
export const KIND_NAMES: readonly (KindName | undefined)[] = Object.entries(SCHEMA).reduce<
  (KindName | undefined)[]
>((names, [name, { id }]) => {
  names[id] = name as KindName;
  return names;
}, []);

/** Returns the schema as text: a line `id name keys field:type ...` a kind. */
export function schemaText(schema: Readonly<Record<string, KindSchema>> = SCHEMA): string {
  return Object.entries(schema)
    .map(([name, { id, keys, fields }]) => {
      const all = Object.entries(fields).map(([field, type]) => `${field}:${type}`);
      return `${id} ${name} ${keys} ${all.join(' ')}\n`;
    })
    .join('');
}
