/**
 * The payload of a message with events: one or more records as a stream returns them. An overflow
 * record stands for as many events as its LOST says. The user properties `session`, `seq` and
 * `count` say which events these are.
 */
import { lostOf, parseEvent } from '../../client/events/text.js';
import { isLossRecord, recordEnd, skipLineEnds } from '../../uevent/records.js';
import { MAX_EVENT_BYTES, UeventText, overflowText } from '../../uevent/text.js';

/** The largest payload: the largest event, and the empty line that ends it. */
export const MOST_PAYLOAD = MAX_EVENT_BYTES + 1;

/** A piece of a message: one event, or a loss of several events. */
export interface Piece {
  /** How many events it stands for. */
  readonly weight: number;
  /** The event's text with its last line end; null for a loss. */
  readonly text: Buffer | null;
}

/** The events of a message. */
export interface EventMessage {
  readonly session: string;
  /** The number of the first event. */
  readonly seq: number;
  readonly pieces: readonly Piece[];
}

const LINE_END = Buffer.from('\n');

/**
 * Parses a message of the network.
 *
 * @param properties the user properties of the message
 * @returns null if it is malformed: then its events are missing, and asked for again
 */
export function parseMessage(
  payload: Buffer,
  properties: Readonly<Record<string, unknown>> | undefined,
): EventMessage | null {
  const { session, seq, count } = properties ?? {};
  if (typeof session !== 'string' || payload.length > MOST_PAYLOAD) return null;
  const from = numberOf(seq);
  const weight = numberOf(count);
  if (from < 1 || weight < 0 || !Number.isSafeInteger(from + weight)) return null;
  const pieces = parsePieces(payload);
  if (pieces.reduce((sum, piece) => sum + piece.weight, 0) !== weight) return null;
  return { session, seq: from, pieces };
}

function numberOf(text: unknown): number {
  return typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : -1;
}

/**
 * Parses records. An event that the mount would refuse is a loss of one. A message may have 16,000
 * of these, and a stack trace for each would keep the event loop for 0.1 s.
 */
function parsePieces(payload: Buffer): Piece[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return piecesOf(payload);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function piecesOf(payload: Buffer): Piece[] {
  const pieces: Piece[] = [];
  for (let at = skipLineEnds(payload, 0); at < payload.length;) {
    const found = recordEnd(payload, at);
    const end = found < 0 ? payload.length : found;
    pieces.push(pieceOf(payload.subarray(at, end)));
    at = skipLineEnds(payload, end);
  }
  return pieces;
}

/** The text that the parser below has read. */
const TEXT = new UeventText();

/** Control characters, or a part `..`. */
// eslint-disable-next-line no-control-regex
const BAD_PATH = /[\x00-\x1f\x7f]|(^|\/)\.\.(\/|$)/;

/** Returns the piece of a record. @param record the text, with or without its last line end */
function pieceOf(record: Buffer): Piece {
  if (isLossRecord(record))
    return { weight: lostOf(parseEvent(record.toString('latin1'))), text: null };
  try {
    if (record.includes(0)) return { weight: 1, text: null };
    TEXT.readText(record, 0, record.length);
  } catch {
    return { weight: 1, text: null };
  }
  if (leadsOut(record)) return { weight: 1, text: null };
  const isEnded = record[record.length - 1] === LINE_END[0];
  return { weight: 1, text: isEnded ? record : Buffer.concat([record, LINE_END]) };
}

/**
 * Tells whether a path of an event is dangerous: a program may append DEVPATH to /sys and DEVNAME
 * to /dev, so that a part `..` would lead out of it.
 */
function leadsOut(record: Buffer): boolean {
  const end = record.indexOf(LINE_END[0]);
  const header = record.toString('latin1', 0, end < 0 ? record.length : end);
  if (BAD_PATH.test(header)) return true;
  return isBadPath(record, DEVPATH, (path) => !path.startsWith('/')) || isBadPath(record, DEVNAME);
}

const DEVPATH = Buffer.from('\nDEVPATH=');
const DEVNAME = Buffer.from('\nDEVNAME=');

/** Tells whether a line with this key has a dangerous path. */
function isBadPath(record: Buffer, key: Buffer, isBad?: (path: string) => boolean): boolean {
  for (let at = record.indexOf(key); at >= 0; at = record.indexOf(key, at + key.length)) {
    const end = record.indexOf(LINE_END[0], at + key.length);
    const path = record.toString('latin1', at + key.length, end < 0 ? record.length : end);
    if (BAD_PATH.test(path) || isBad?.(path) === true) return true;
  }
  return false;
}

/** Returns the record of a loss, with the empty line that ends it. */
export function lossRecord(count: number): Buffer {
  return Buffer.concat([overflowText(count), LINE_END]);
}

const HOST_LINE = Buffer.from('\nHOST=');

/**
 * Makes the record that the fleet's mount gets: the event with the property HOST, which no property
 * of the event replaces.
 *
 * @returns null if the event would be too large
 */
export function recordWithHost(text: Buffer, host: string): Buffer | null {
  const own = withoutHost(text);
  if (own.length + HOST_LINE.length + host.length > MAX_EVENT_BYTES) return null;
  return Buffer.concat([own, Buffer.from(`HOST=${host}\n\n`)]);
}

/** Returns the record of a loss with the property HOST. */
export function lossWithHost(count: number, host: string): Buffer {
  return recordWithHost(overflowText(count), host)!;
}

/** Removes lines with the key HOST. */
function withoutHost(text: Buffer): Buffer {
  let at = text.indexOf(HOST_LINE);
  if (at < 0) return text;
  const kept: Buffer[] = [];
  let from = 0;
  for (; at >= 0; at = text.indexOf(HOST_LINE, from)) {
    kept.push(text.subarray(from, at));
    from = text.indexOf(LINE_END[0], at + 1);
  }
  return Buffer.concat([...kept, text.subarray(from)]);
}

/** Returns the number after a message that begins at `seq`. */
export function endOf(seq: number, pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { weight }) => sum + weight, seq);
}

/** Returns a piece without the memory of the read(2) that it came with. */
export function copyOf({ weight, text }: Piece): Piece {
  return { weight, text: text === null ? null : Buffer.from(text) };
}
