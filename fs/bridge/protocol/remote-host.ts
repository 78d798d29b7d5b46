/**
 * The events of one other host, put right: in order, none twice, and each loss counted.
 *
 *   state, messages, answers --> RemoteHost --> events and losses, in the order of their numbers
 *                                    |
 *                                    +--> questions about missing events
 *
 * Pure: it has no clock and no timer. Times are of a monotonic clock, in ms.
 */
import { type EventMessage, type Piece, copyOf, endOf } from './payload.js';
import { type HostState, type Question, isEarlier } from './state.js';

/** The receiver of everything that comes of a host. */
export interface HostSink {
  /** Called when a host is there, before its events. */
  appears(host: string): void;
  /** Called when a host is gone. */
  vanishes(host: string): void;
  /** Called for each event. @param text with its last line end */
  event(host: string, text: Buffer): void;
  /** Called for a number of events that are missing at this place. */
  lost(host: string, count: number): void;
  /** Called to send the host a question. */
  ask(host: string, question: Question): void;
}

/** The bounds of one host's memory and questions. */
export interface RemoteLimits {
  /** The most bytes that wait behind a gap. */
  readonly heldBytes: number;
  /** How long a gap may be before a question: messages may come in another order. In ms. */
  readonly graceMs: number;
  /** The longest pause before each message of an answer, in ms. */
  readonly answerMs: number;
  /** How many questions about one gap stay without an answer. */
  readonly questions: number;
}

/** The memory of all hosts behind gaps. */
export interface SharedMemory {
  bytes: number;
  /** The most bytes; beyond it a host counts its gap as lost. */
  readonly most: number;
}

/** The bytes that a message and an event behind a gap use beside the text. */
const HELD_COST = 256;
const PIECE_COST = 128;
/** The most sessions whose end is remembered. */
const MOST_LEFT = 16;

export const REMOTE_LIMITS: RemoteLimits = {
  heldBytes: 4 * 1024 * 1024,
  graceMs: 100,
  answerMs: 3000,
  questions: 3,
};

/** A message that waits behind a gap. */
interface Held {
  readonly seq: number;
  readonly end: number;
  readonly bytes: number;
  readonly pieces: readonly Piece[];
}

/** One other host. */
export class RemoteHost {
  /** Whether the host is there. */
  isOnline = false;
  /** Whether the broker has named the host's state since the connection began. */
  isConfirmed = false;
  /** When {@link tick} is due, in ms; Infinity if nothing waits. */
  due = Infinity;
  readonly counted = { events: 0, lost: 0, duplicates: 0, questions: 0 };
  #session: string | null = null;
  /** The next number of each earlier session: a broker may bring its retained state again. */
  readonly #left = new Map<string, number>();
  #connection = 0;
  /** The number of the next event to pass on. */
  #expected = 1;
  /** The number of the next event of the host, as far as it is known. */
  #announced = 1;
  /** Pieces that came early, in the order of their numbers. All numbers exceed `#expected`. */
  #held: Held[] = [];
  #heldBytes = 0;
  /** Questions about the present gap without progress, and `#expected` at the last one. */
  #asked = 0;
  #askedAt = 0;

  constructor(
    readonly host: string,
    private readonly sink: HostSink,
    private readonly limits: RemoteLimits = REMOTE_LIMITS,
    private readonly memory: SharedMemory = { bytes: 0, most: Infinity },
  ) {}

  /** Takes a state that the broker has sent. */
  takeState(state: HostState, nowMs: number): void {
    if (this.#isStale(state)) return;
    this.isConfirmed = true;
    if (!state.online) return this.end();
    if (state.session !== this.#session) this.#begin(state);
    this.#connection = state.connection;
    this.#announced = Math.max(this.#announced, state.next);
    if (!this.isOnline) {
      this.isOnline = true;
      this.sink.appears(this.host);
    }
    this.#look(nowMs);
  }

  /**
   * Tells whether a state is of an earlier session or connection, as a late will is. A host whose
   * state directory was restored goes on in an earlier session, with a later connection.
   */
  #isStale({ online, session, connection }: HostState): boolean {
    if (session === this.#session) return connection < this.#connection;
    if (!online) return true;
    return connection <= this.#connection && isEarlier(session, this.#session);
  }

  /** Begins a session. Of a host that was not known before, only later events are wanted. */
  #begin({ session, next, ended }: HostState): void {
    if (this.#session === null) this.#expected = next;
    else {
      this.#flush();
      this.#leave(this.#session);
      if (!this.#left.has(session)) this.#loseSince(this.#session, ended);
      this.#expected = this.#left.get(session) ?? 1;
    }
    this.#session = session;
    this.#connection = 0;
    this.#announced = this.#expected;
  }

  #leave(session: string): void {
    this.#left.delete(session);
    this.#left.set(session, this.#expected);
    const [oldest] = this.#left.keys();
    if (this.#left.size > MOST_LEFT) this.#left.delete(oldest);
  }

  /** Counts the missing events of a session, and of the sessions after it, as lost. */
  #loseSince(session: string, ended: HostState['ended']): void {
    const at = ended.findIndex((each) => each.session === session);
    for (const each of at < 0 ? [] : ended.slice(at))
      this.#lose(each.next - (this.#left.get(each.session) ?? 1));
  }

  /**
   * Takes the host's events, in any order, or an answer. Those of a host that is gone wait at the
   * host until it is there again.
   */
  takeMessage({ session, seq, pieces }: EventMessage, nowMs: number): void {
    if (session !== this.#session || pieces.length === 0 || !this.isOnline) return;
    const end = endOf(seq, pieces);
    this.#announced = Math.max(this.#announced, end);
    if (end <= this.#expected) {
      this.counted.duplicates++;
      return;
    }
    if (seq <= this.#expected) this.#pass(seq, pieces);
    else this.#hold(seq, end, pieces);
    this.#drain();
    this.#look(nowMs);
  }

  /** Notes a message that is dropped: a question asks for its events later. */
  missMessage({ session, seq, pieces }: EventMessage, nowMs: number): void {
    if (session !== this.#session || !this.isOnline) return;
    this.#announced = Math.max(this.#announced, endOf(seq, pieces));
    this.#look(nowMs);
  }

  /** Ends the host: a will, or a broker that no longer knows it. Missing events count as lost. */
  end(): void {
    if (!this.isOnline) return;
    this.isOnline = false;
    this.#flush();
    this.#rest();
    this.sink.vanishes(this.host);
  }

  /** Asks about a gap, or counts it as lost. To be called once the time `due` has come. */
  tick(nowMs: number): void {
    if (nowMs < this.due) return;
    const to = this.#held[0]?.seq ?? this.#announced;
    if (this.#asked >= this.limits.questions) {
      this.#skipTo(to);
      this.#drain();
      return this.#look(nowMs);
    }
    this.#asked++;
    this.#askedAt = this.#expected;
    this.counted.questions++;
    this.due = nowMs + this.limits.answerMs;
    this.sink.ask(this.host, { session: this.#session!, from: this.#expected, to });
  }

  /** Asks nothing before the host's next state: there is no connection meanwhile. */
  pause(): void {
    this.isConfirmed = false;
    this.#rest();
  }

  #rest(): void {
    this.due = Infinity;
    this.#asked = 0;
  }

  /** Sets `due` by whether events are missing. */
  #look(nowMs: number): void {
    const isMissing = this.#held.length > 0 || this.#announced > this.#expected;
    if (!isMissing || !this.isOnline) return this.#rest();
    if (this.due === Infinity) this.due = nowMs + this.limits.graceMs;
    else if (this.#asked > 0 && this.#expected > this.#askedAt) {
      this.#askedAt = this.#expected;
      this.#asked = 1;
      this.due = nowMs + this.limits.answerMs;
    }
  }

  #hold(seq: number, end: number, pieces: readonly Piece[]): void {
    let at = this.#held.length;
    while (at > 0 && this.#held[at - 1].seq > seq) at--;
    if (at > 0 && this.#held[at - 1].end >= end) {
      this.counted.duplicates++;
      return;
    }
    const costOf = ({ text }: Piece): number => PIECE_COST + (text?.length ?? 0);
    const bytes = pieces.reduce((sum, piece) => sum + costOf(piece), HELD_COST);
    this.#held.splice(at, 0, { seq, end, bytes, pieces: pieces.map(copyOf) });
    this.#charge(bytes);
    if (this.#heldBytes > this.limits.heldBytes || this.memory.bytes > this.memory.most)
      this.#skipTo(this.#held[0].seq);
  }

  #charge(bytes: number): void {
    this.#heldBytes += bytes;
    this.memory.bytes += bytes;
  }

  /** Passes on the held messages that no gap precedes. */
  #drain(): void {
    let count = 0;
    while (count < this.#held.length && this.#held[count].seq <= this.#expected) {
      const { seq, bytes, pieces } = this.#held[count++];
      this.#charge(-bytes);
      this.#pass(seq, pieces);
    }
    if (count > 0) this.#held.splice(0, count);
  }

  /** Passes on everything that is held, and counts the gaps and the announced rest as lost. */
  #flush(): void {
    while (this.#held.length > 0) {
      this.#skipTo(this.#held[0].seq);
      this.#drain();
    }
    this.#skipTo(this.#announced);
  }

  #skipTo(seq: number): void {
    this.#lose(seq - this.#expected);
    this.#expected = Math.max(seq, this.#expected);
  }

  #lose(count: number): void {
    if (count <= 0) return;
    this.counted.lost += count;
    this.sink.lost(this.host, count);
  }

  /** Passes on the pieces of a message that begins at or before `#expected`. */
  #pass(seq: number, pieces: readonly Piece[]): void {
    let at = seq;
    let lost = 0;
    for (const { weight, text } of pieces) {
      at += weight;
      if (at <= this.#expected) continue;
      if (text === null) lost += at - this.#expected;
      else {
        this.#lose(lost);
        lost = 0;
        this.counted.events++;
        this.sink.event(this.host, text);
      }
      this.#expected = at;
    }
    this.#lose(lost);
  }
}
