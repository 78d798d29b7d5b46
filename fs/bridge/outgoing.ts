/**
 * The way out: local events become messages, answers to questions, and this host's state.
 */
import type { Logger } from '../shared/log/logger.js';
import { UserError } from '../shared/errors.js';
import { LocalEvents, daemonOf } from './local-events.js';
import type { Connection } from './mqtt/connection.js';
import { type BridgeOptions, bootId, randomId } from './options.js';
import { History, MESSAGE_LIMITS, type Message, type MessageLimits } from './protocol/history.js';
import { answerTopic, eventTopic, stateTopic } from './protocol/names.js';
import { type EndedSession, MOST_ENDED, type Question, stateText } from './protocol/state.js';
import type { Place, Saved } from './saved.js';

/** The most hosts whose questions wait. */
const MOST_ASKERS = 1000;

/** A message that the broker has not acknowledged. */
interface Unacknowledged {
  readonly end: number;
  isDone: boolean;
}

/** This host's events and state. */
export class Outgoing {
  readonly counted = { events: 0, lost: 0, messages: 0, answers: 0 };
  #boot: string;
  /** Identifies the daemon of the local mount: each later daemon has another text. */
  readonly #daemon: string;
  #number: number;
  #connection: number;
  #ended: readonly EndedSession[];
  #history: History;
  #local: LocalEvents | null = null;
  /** The place that is saved: the broker has all events up to it. */
  #place: Place | null = null;
  /** A later place, up to which the broker does not have all events yet. */
  #nextPlace: Place | null = null;
  /** In the order of their numbers. */
  #unacknowledged: Unacknowledged[] = [];
  /** The questions without an answer, by asker. */
  readonly #questions = new Map<string, Question>();
  /** The state that was published last. */
  #said = '';

  /**
   * Goes on with the saved session, or begins a new one.
   *
   * @param changed called when events have come
   * @param failed called when the local mount has ended
   * @throws UserError if the local mount refuses
   */
  constructor(
    private readonly options: BridgeOptions,
    private readonly machine: string,
    saved: Saved | null,
    private readonly logger: Logger,
    private readonly changed: () => void,
    private readonly failed: (error: Error) => void,
  ) {
    const { out, host } = options;
    const boot = bootId();
    this.#daemon = out === undefined ? '' : daemonOf(out.mount);
    const isOwn = saved?.host === host && saved.boot.startsWith(boot);
    this.#boot = isOwn ? saved.boot : `${boot}${randomId(4)}`;
    this.#connection = isOwn ? saved.connection : 0;
    this.#number = isOwn ? saved.number : 1;
    this.#ended = saved?.host === host ? saved.ended : [];
    this.#history = new History(options.history);
    const place = isOwn && this.#isSameSource(saved) ? saved.place : null;
    if (place !== null && this.#resume(saved!, place)) return;
    if (saved?.host === host) {
      const ended = { session: `${saved.boot}-${saved.number}`, next: saved.acknowledged + 1 };
      this.#ended = [...this.#ended, ended].slice(-MOST_ENDED);
      if (isOwn) this.#number++;
    }
    if (out !== undefined) this.#local = this.#open();
  }

  #isSameSource({ filter, mount, daemon }: Saved): boolean {
    const { out } = this.options;
    return out?.filter.text === filter && out.mount === mount && daemon === this.#daemon;
  }

  /** Opens the local events after a place. @returns false if the mount no longer knows the place */
  #resume(saved: Saved, place: Place): boolean {
    try {
      this.#local = this.#open(place.name);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.logger.debug(`a new session begins: ${error.message}`);
      return false;
    }
    this.#history = new History(this.options.history, place.seq + 1);
    this.#history.acknowledge(saved.acknowledged + 1);
    this.#history.rewind();
    this.#place = place;
    return true;
  }

  #open(since?: string): LocalEvents {
    const { mount, filter } = this.options.out!;
    const sink = {
      add: (record: Buffer, weight: number) => this.#add(record, weight),
      settled: () => this.changed(),
      failed: (error: Error) => this.failed(error),
    };
    return new LocalEvents(mount, filter, sink, since);
  }

  #add(record: Buffer, weight: number): void {
    if (weight > 1) this.counted.lost += weight;
    this.#history.add(record, weight);
    this.counted.events++;
  }

  /** The session's name. */
  get session(): string {
    return `${this.#boot}-${this.#number}`;
  }

  /** The history, for the status. */
  get history(): Pick<History, 'first' | 'next' | 'acknowledged' | 'bytes' | 'droppedUnsent'> {
    return this.#history;
  }

  /** Returns the state of the present connection. */
  state(online: boolean): string {
    return stateText({
      online,
      session: this.session,
      connection: this.#connection,
      machine: this.machine,
      first: this.#history.first,
      next: this.#history.next,
      ended: this.#ended,
    });
  }

  /** Prepares for a new connection. */
  connects(): void {
    this.#connection++;
    this.#history.rewind();
    this.#unacknowledged = [];
    this.#questions.clear();
    this.#said = '';
  }

  /** Publishes the state, if it is another than before. */
  say(connection: Connection, isAgain = false): void {
    const payload = this.state(true);
    if (payload === this.#said && !isAgain) return;
    this.#said = payload;
    const topic = stateTopic(this.options.host);
    connection.publish({ topic, payload, retain: true }, () => undefined);
  }

  /** Publishes that this host is gone. */
  sayGoodbye(connection: Connection, done: () => void): void {
    const topic = stateTopic(this.options.host);
    connection.publish({ topic, payload: this.state(false), retain: true }, done);
  }

  /** Takes a question of another host. A later question replaces an earlier one. */
  takeQuestion(asker: string, question: Question): void {
    if (question.session !== this.session) return;
    if (this.#questions.size >= MOST_ASKERS && !this.#questions.has(asker)) return;
    this.#questions.set(asker, question);
  }

  /** Sends events and answers by turns, as many as the broker takes. */
  send(connection: Connection): void {
    while (connection.room > 0) {
      const hasSent = this.#sendEvents(connection);
      if (connection.room > 0 && this.#sendAnswer(connection)) continue;
      if (!hasSent) return;
    }
  }

  #sendEvents(connection: Connection): boolean {
    const message = this.#history.take(limitsFor(connection, this.options.message));
    if (message === null) return false;
    const waits = { end: message.seq + message.count, isDone: false };
    this.#unacknowledged.push(waits);
    this.counted.messages++;
    this.#publish(connection, eventTopic(this.options.host), message, () => {
      waits.isDone = true;
      while (this.#unacknowledged[0]?.isDone)
        this.#history.acknowledge(this.#unacknowledged.shift()!.end);
    });
    return true;
  }

  #sendAnswer(connection: Connection): boolean {
    const [first] = this.#questions;
    if (first === undefined) return false;
    const [asker, { session, from, to }] = first;
    this.#questions.delete(asker);
    const message = this.#history.range(from, to, limitsFor(connection, MESSAGE_LIMITS));
    if (message === null) return true;
    const rest = message.seq + message.count;
    // To the end of the order: each asker has its turn.
    if (rest < to) this.#questions.set(asker, { session, from: rest, to });
    this.counted.answers++;
    const topic = answerTopic(this.options.host, asker);
    this.#publish(connection, topic, message, () => undefined);
    return true;
  }

  #publish(connection: Connection, topic: string, message: Message, done: () => void): void {
    const { seq, count, payload } = message;
    const userProperties = { session: this.session, seq: String(seq), count: String(count) };
    connection.publish({ topic, payload, userProperties }, done);
  }

  /** Whether the saved place is behind all events that the broker has. */
  get isSaved(): boolean {
    const { acknowledged } = this.#history;
    return this.#local === null || acknowledged <= (this.#place?.seq ?? 0);
  }

  /** Returns the fields of the file, to be saved now. */
  saved(): Omit<Saved, 'version'> {
    const { acknowledged } = this.#history;
    if (this.#nextPlace === null && this.#place?.seq !== this.#history.next - 1) {
      const name = this.#local?.place() ?? null;
      if (name !== null) this.#nextPlace = { name, seq: this.#history.next - 1 };
    }
    if (this.#nextPlace !== null && acknowledged >= this.#nextPlace.seq) {
      this.#place = this.#nextPlace;
      this.#nextPlace = null;
    }
    return {
      host: this.options.host,
      machine: this.machine,
      boot: this.#boot,
      number: this.#number,
      connection: this.#connection,
      filter: this.options.out?.filter.text ?? '',
      mount: this.options.out?.mount ?? '',
      daemon: this.#daemon,
      acknowledged,
      place: this.#place,
      ended: this.#ended,
    };
  }

  /** Ends the reading of local events. */
  close(): void {
    this.#local?.close();
  }
}

/** Returns the bounds of a message that the broker takes too. */
function limitsFor({ mostPayload }: Connection, limits: MessageLimits): MessageLimits {
  const { bytes, largest, events } = limits;
  return { bytes: Math.min(bytes, mostPayload), largest: Math.min(largest, mostPayload), events };
}
