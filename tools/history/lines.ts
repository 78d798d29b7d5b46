/**
 * The files that clients write (test/programs/history): one line a call, `START END OPERATION
 * RESULT WORD...`, behind a head line `eventfs-history 1 ROLE`. The times are CLOCK_MONOTONIC in
 * nanoseconds; the result is the call's, or -errno.
 */
import { closeSync, openSync, readSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const CHUNK_BYTES = 1 << 20;

/** The roles of clients: each has rules of its own. */
const ROLES = ['publish', 'send', 'read', 'names', 'owner', 'look', 'books'] as const;
export type Role = (typeof ROLES)[number];

/** One call of a client. */
export interface Call {
  /** Nanoseconds of CLOCK_MONOTONIC before and after the call. */
  readonly start: number;
  readonly end: number;
  readonly operation: string;
  /** The call's result, or -errno. */
  readonly result: number;
  readonly words: readonly string[];
  /** The line's number in its file, from 1. */
  readonly line: number;
}

/** One client's calls, in their order. */
export interface History {
  /** The name of its file, without `.history`. */
  readonly client: string;
  readonly role: Role;
  /** Iterates over the calls; each iteration reads the file anew. */
  readonly calls: Iterable<Call>;
}

/** Yields the lines of a file that need not fit into memory. */
function* linesOf(path: string): Generator<string> {
  const fd = openSync(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let rest = '';
    for (let got; (got = readSync(fd, chunk)) > 0;) {
      const lines = (rest + chunk.toString('latin1', 0, got)).split('\n');
      rest = lines.pop()!;
      yield* lines;
    }
    if (rest !== '') throw new Error(`${path}: the last line has no end`);
  } finally {
    closeSync(fd);
  }
}

/**
 * Parses one line.
 * @throws Error if it is no call
 */
export function parseCall(text: string, line: number): Call {
  const [start, end, operation, result, ...words] = text.split(' ');
  const call = {
    start: Number(start),
    end: Number(end),
    operation,
    result: Number(result),
    words,
    line,
  };
  if (result === undefined || !(call.start <= call.end) || !Number.isSafeInteger(call.result))
    throw new Error(`line ${line} is no call: '${text.slice(0, 80)}'`);
  return call;
}

/**
 * Opens a client's file.
 * @throws Error if its head is wrong
 */
function readHistory(path: string): History {
  const [first] = linesOf(path);
  const role = ROLES.find((name) => first === `eventfs-history 1 ${name}`);
  if (role === undefined) throw new Error(`${path} is no history: '${first?.slice(0, 80)}'`);
  return {
    client: basename(path, '.history'),
    role,
    calls: {
      *[Symbol.iterator]() {
        let line = 0;
        for (const text of linesOf(path)) if (++line > 1) yield parseCall(text, line);
      },
    },
  };
}

/** Opens all histories of a directory. */
export function readHistories(directory: string): History[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.history'))
    .sort()
    .map((name) => readHistory(join(directory, name)));
}
