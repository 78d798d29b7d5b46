/**
 * The payload of a host's state, which the broker retains, and that of a question.
 *
 *   {"online":true,"session":"<boot>-<n>","connection":C,"machine":"<id>","first":S,"next":T,
 *    "ended":[{"session":"<boot>-<n>","next":T}]}
 *   {"session":"<boot>-<n>","from":S,"to":T}          asks for the events from S to T - 1
 *   {"machine":"<id>"}                                asks a host of the same name to show itself
 */

/** The most bytes of a state or a question. */
const MOST_BYTES = 4096;
/** The most sessions that a state remembers. */
export const MOST_ENDED = 8;

/** A session that has ended: `next` is the number that its next event would have had. */
export interface EndedSession {
  readonly session: string;
  readonly next: number;
}

/** The state of a host. */
export interface HostState {
  readonly online: boolean;
  /** The session: events are numbered from 1 in each. */
  readonly session: string;
  /** The number of the connection in the boot, so that an old connection's will is known. */
  readonly connection: number;
  /** Tells two hosts with one name apart. */
  readonly machine: string;
  /** The oldest event that the host can still send again. */
  readonly first: number;
  /** The number of the next event. */
  readonly next: number;
  readonly ended: readonly EndedSession[];
}

/** A question for the events from `from` to `to` - 1. */
export interface Question {
  readonly session: string;
  readonly from: number;
  readonly to: number;
}

/** Formats a state. */
export function stateText(state: HostState): string {
  return JSON.stringify(state);
}

/**
 * Parses a state of the network. Members that it does not know are ignored.
 *
 * @returns null if it is malformed
 */
export function parseState(payload: Buffer): HostState | null {
  const value = parseObject(payload);
  if (value === null) return null;
  const { online, session, connection = 0, machine, first = 1, next = 1, ended = [] } = value;
  if (typeof online !== 'boolean' || !isSession(session) || !isMachine(machine)) return null;
  if (!isCount(connection, 0) || !isCount(first, 1) || !isCount(next, 1)) return null;
  if (first > next || !Array.isArray(ended) || ended.length > MOST_ENDED) return null;
  if (!ended.every(isEnded)) return null;
  return { online, session, connection, machine, first, next, ended };
}

/** Formats a question. */
export function questionText(question: Question): string {
  return JSON.stringify(question);
}

/** Parses a question that came from the network. @returns null if it is malformed */
export function parseQuestion(payload: Buffer): Question | null {
  const { session, from, to } = parseObject(payload) ?? {};
  if (!isSession(session) || !isCount(from, 1) || !isCount(to, 1) || from >= to) return null;
  return { session, from, to };
}

/** Formats the call by which a host finds another one of its name. */
export function callText(machine: string): string {
  return JSON.stringify({ machine });
}

/** Returns the machine of such a call; null if it is malformed. */
export function parseCall(payload: Buffer): string | null {
  const { machine } = parseObject(payload) ?? {};
  return isMachine(machine) ? machine : null;
}

function parseObject(payload: Buffer): Record<string, unknown> | null {
  if (payload.length === 0 || payload.length > MOST_BYTES) return null;
  try {
    const value: unknown = JSON.parse(payload.toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function isSession(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9A-Za-z-]{1,64}$/.test(value);
}

/** Tells whether a value is a machine's id. */
export function isMachine(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9A-Za-z-]{1,64}$/.test(value);
}

/** Tells whether a value is a whole number of at least `least`. */
export function isCount(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

/** Tells whether a value is an ended session. */
export function isEnded(value: unknown): value is EndedSession {
  if (typeof value !== 'object' || value === null) return false;
  const { session, next } = value as Partial<EndedSession>;
  return isSession(session) && isCount(next, 1);
}

/** Tells whether a session is an earlier one of the same boot. */
export function isEarlier(session: string, than: string | null): boolean {
  if (than === null) return false;
  const [boot, number] = split(session);
  const [otherBoot, otherNumber] = split(than);
  return boot === otherBoot && number < otherNumber;
}

function split(session: string): readonly [string, number] {
  const at = session.lastIndexOf('-');
  return [session.slice(0, at), Number(session.slice(at + 1))];
}
