/**
 * The way out: local events become messages, answers to questions, and this host's state.
 */
import type { Logger } from '../shared/log/logger.js';
import { UserError } from '../shared/errors.js';
import { LocalEvents, identityOf } from './local-events.js';
import type { Connection } from './mqtt/connection.js';
import { isTemporary } from './mqtt/reasons.js';
import { type BridgeOptions, bootClockMs, bootId, randomId } from './options.js';
import { Pace } from './pace.js';
import { History, MESSAGE_LIMITS, type Message } from './protocol/history.js';
import { answerTopic, eventTopic, stateTopic } from './protocol/names.js';
import { OwnSession } from './protocol/own-session.js';
import { SaidState } from './protocol/said-state.js';
import { type Question, stateText } from './protocol/state.js';
import { type Unacknowledged, UnacknowledgedMessages } from './protocol/unacknowledged.js';
import { Places } from './files/places.js';
import type { Place, Saved } from './files/saved.js';

/** The most hosts whose questions wait. */
const MOST_ASKERS = 1000;

/** This host's events and state. */
export class Outgoing {
  readonly counted = { events: 0, lost: 0, messages: 0, answers: 0 };
  readonly #session: OwnSession;
  /** Identifies the local mount. */
  readonly #mount: string;
  #history: History;
  #local: LocalEvents | null = null;
  readonly #places = new Places();
  readonly #unacknowledged = new UnacknowledgedMessages();
  /** The questions without an answer, by asker. */
  readonly #questions = new Map<string, Question>();
  /** This host's state at the broker. */
  readonly #said = new SaidState();
  readonly #pace: Pace;
  /** Waits until the broker has the events up to a number. */
  #awaited: { readonly seq: number; readonly done: () => void } | null = null;

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
    this.#pace = new Pace(logger, changed);
    this.#mount = out === undefined ? '' : identityOf(out.mount);
    this.#session = new OwnSession(host, bootId(), saved, () => randomId(8), bootClockMs);
    this.#history = new History(options.history);
    const place = this.#session.isSaved && this.#isSameSource(saved!) ? saved!.place : null;
    if (place !== null && this.#resume(saved!, place)) return;
    this.#session.begin();
    if (out !== undefined) this.#local = this.#open();
  }

  #isSameSource({ filter, mount, identity }: Saved): boolean {
    const { out } = this.options;
    return out?.filter.text === filter && out.mount === mount && identity === this.#mount;
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
    this.#places.saved = place;
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
    return this.#session.name;
  }

  /** Tells whether a session is this one, or an earlier one that is remembered. */
  knows(session: string): boolean {
    return session === this.session || this.#session.ended.some((each) => each.session === session);
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
      connection: this.#session.connection,
      machine: this.machine,
      first: this.#history.first,
      next: this.#history.next,
      ended: this.#session.ended,
    });
  }

  /** Prepares for a new connection. */
  connects(): void {
    this.#session.connect();
    this.#history.rewind();
    this.#unacknowledged.clear();
    this.#questions.clear();
    this.#said.reset();
    this.#pace.reset();
  }

  /** Publishes the state, if it is another than before. */
  say(connection: Connection, isAgain = false): void {
    const payload = this.state(true);
    if (!this.#said.say(payload, isAgain)) return;
    const topic = stateTopic(this.options.host);
    const taken = (): void => {
      if (this.#said.taken()) this.say(connection, true);
    };
    const refused = (code: number): void => {
      if (isTemporary(code)) this.#said.refused();
      else connection.refuse(topic, code);
    };
    connection.publish({ topic, payload, retain: true }, taken, refused);
  }

  /** Calls back once the broker has all events that have come so far. */
  settle(done: () => void): void {
    this.#awaited = { seq: this.#history.next - 1, done };
    this.#tellSettled();
  }

  #tellSettled(): void {
    if (this.#awaited === null || this.#history.acknowledged < this.#awaited.seq) return;
    this.#awaited.done();
    this.#awaited = null;
  }

  /** Publishes that this host is gone. */
  sayGoodbye(connection: Connection, done: () => void): void {
    this.#said.end();
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
    if (this.#pace.isPaused) return false;
    const message = this.#history.take(this.#pace.limits(connection, this.options.message));
    if (message === null) return false;
    const waits = this.#unacknowledged.add(message.seq + message.count);
    this.counted.messages++;
    const topic = eventTopic(this.options.host);
    const refused = (code: number): void => {
      // The refusal of a message before it has had this one sent again already.
      if (!this.#unacknowledged.has(waits)) return;
      if (!this.#refused(connection, topic, message, code)) return;
      this.#unacknowledged.clear();
      this.#history.rewind();
    };
    this.#publish(connection, topic, message, () => this.#acknowledged(waits), refused);
    return true;
  }

  #acknowledged(waits: Unacknowledged): void {
    this.#pace.taken();
    this.#history.acknowledge(this.#unacknowledged.done(waits));
    this.#tellSettled();
  }

  /** Takes a refusal. @returns whether the message is to be sent again */
  #refused(connection: Connection, topic: string, message: Message, code: number): boolean {
    if (this.#pace.refused(code, message)) return true;
    connection.refuse(topic, code);
    return false;
  }

  #sendAnswer(connection: Connection): boolean {
    const [first] = this.#questions;
    if (first === undefined) return false;
    const [asker, { session, from, to }] = first;
    this.#questions.delete(asker);
    const message = this.#history.range(from, to, this.#pace.limits(connection, MESSAGE_LIMITS));
    if (message === null) return true;
    const rest = message.seq + message.count;
    // To the end of the order: each asker has its turn.
    if (rest < to) this.#questions.set(asker, { session, from: rest, to });
    this.counted.answers++;
    const topic = answerTopic(this.options.host, asker);
    // The asker repeats its question.
    const refused = (code: number): unknown => this.#refused(connection, topic, message, code);
    this.#publish(connection, topic, message, () => undefined, refused);
    return true;
  }

  #publish(
    connection: Connection,
    topic: string,
    { seq, count, payload }: Message,
    done: () => void,
    refused: (code: number) => unknown,
  ): void {
    const userProperties = { session: this.session, seq: String(seq), count: String(count) };
    connection.publish({ topic, payload, userProperties }, done, refused);
  }

  /** Whether the saved place is behind all events that the broker has. */
  get isSaved(): boolean {
    return this.#local === null || this.#places.isAt(this.#history.acknowledged);
  }

  /** Returns the fields of the file, to be saved now. */
  async saved(): Promise<Omit<Saved, 'version'>> {
    if (this.#local !== null) await this.#places.look(this.#history, this.#local);
    return {
      host: this.options.host,
      machine: this.machine,
      ...this.#session.fields,
      filter: this.options.out?.filter.text ?? '',
      mount: this.options.out?.mount ?? '',
      identity: this.#mount,
      acknowledged: this.#history.acknowledged,
      next: this.#history.next,
      place: this.#places.saved,
    };
  }

  /** @throws DaemonEndedError if the local mount is unmounted */
  async checkMount(): Promise<void> {
    await this.#local?.check();
  }

  /** Ends the reading of local events. @returns false if the mount's daemon does not answer */
  async close(): Promise<boolean> {
    this.#pace.reset();
    return (await this.#local?.close()) ?? true;
  }
}
