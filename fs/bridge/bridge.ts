/**
 * The bridge between mounts and a broker.
 *
 *   local mount --local-events.ts--> outgoing.ts --> mqtt/link.ts (the broker)
 *   fleet mount <--fleet-mount.ts-- protocol/fleet.ts <-----+
 */
import type { Logger } from '../shared/log/logger.js';
import { sayFarewell } from './farewell.js';
import { KnownAbilities } from './echo.js';
import { FleetMount } from './fleet-mount.js';
import { Complaint } from './files/complaint.js';
import { MetricsFile } from './files/metrics-file.js';
import { Link, type LinkEvents } from './mqtt/link.js';
import type { ArrivedMessage, Codec } from './mqtt/messages.js';
import { type BridgeOptions, machineId, randomId } from './options.js';
import { Outgoing } from './outgoing.js';
import { Presence } from './presence.js';
import { Fleet } from './protocol/fleet.js';
import { answerTopic, askTopic, parseTopic, stateTopic } from './protocol/names.js';
import { parseMessage } from './protocol/payload.js';
import { type Question, parseQuestion, parseState, questionText } from './protocol/state.js';
import { DueTimer, QuietTimer } from './quiet-timer.js';
import { tryBroker } from './probe-broker.js';
import { metricsOf, statusOf } from './report.js';
import { SavedFile } from './files/saved.js';
import { Subscriptions } from './subscriptions.js';

/** A running bridge. */
export class Bridge {
  readonly outgoing: Outgoing;
  readonly fleet: Fleet | null;
  readonly mount: FleetMount | null;
  readonly link: Link;
  readonly presence: Presence;
  readonly counted = { malformed: 0, messages: 0 };
  readonly #clientId: string;
  readonly #saved: SavedFile;
  readonly #unsaved: Complaint;
  readonly #metrics: MetricsFile | null;
  readonly #subscriptions: Subscriptions;
  readonly #abilities: KnownAbilities;
  readonly #timer = new DueTimer(() => this.#tick());
  readonly #quiet = new QuietTimer(() => this.#sayAndSave());
  #isStopping = false;

  /**
   * @param failed called if a mount of this machine has ended
   * @throws UserError if a mount or the state directory refuses
   */
  constructor(
    private readonly options: BridgeOptions,
    private readonly codec: Codec,
    private readonly logger: Logger,
    private readonly failed: (error: unknown) => void,
  ) {
    const { host, keepAlive, broker, in: from, metrics } = options;
    this.#subscriptions = new Subscriptions(logger);
    this.#abilities = new KnownAbilities(host, logger);
    this.#saved = new SavedFile(options.stateDirectory);
    this.#unsaved = new Complaint(logger);
    this.#metrics = metrics === undefined ? null : new MetricsFile(metrics, logger);
    const saved = this.#saved.load();
    if (this.#saved.isDamaged)
      logger.warn(`${this.#saved.path}: it is damaged, so that a new session begins`);
    const machine = machineId() ?? saved?.machine ?? randomId();
    this.mount = from === undefined ? null : this.#openFleet(from.mount);
    this.fleet = from === undefined ? null : this.#makeFleet(from.filter);
    const takeLocal = (): void => this.#localEvents();
    this.outgoing = new Outgoing(options, machine, saved, logger, takeLocal, failed);
    const clientId = (this.#clientId = `eventfs-${host}-${machine.slice(0, 8)}`);
    this.link = new Link(codec, broker, { clientId, keepAlive }, this.#linkEvents(), logger);
    const name = { host, machine, waitMs: 2 * keepAlive * 1000 };
    this.presence = new Presence(name, this.link, this.outgoing, logger, () => this.#online());
  }

  #openFleet(path: string): FleetMount {
    return new FleetMount(path, this.logger, this.failed, () => {
      this.link.connection?.reading.resume();
      this.#arm();
    });
  }

  #makeFleet(filter: NonNullable<BridgeOptions['in']>['filter']): Fleet {
    const mount = this.mount!;
    const sink = {
      appears: (host: string) => mount.appears(host),
      vanishes: (host: string) => mount.vanishes(host),
      event: (host: string, text: Buffer) => mount.event(host, text),
      lost: (host: string, count: number) => mount.lost(host, count),
      ask: (host: string, question: Question) => this.#ask(host, question),
      want: (host: string, isWanted: boolean) => this.#subscriptions.want(host, isWanted),
      isFull: () => mount.isFull,
    };
    return new Fleet(filter, sink, 2 * this.options.keepAlive * 1000);
  }

  #linkEvents(): LinkEvents {
    return {
      will: () => {
        this.outgoing.connects();
        const topic = stateTopic(this.options.host);
        return { topic, payload: this.outgoing.state(false) };
      },
      opened: () => this.#opened(),
      message: (message) => this.#guarded(() => this.#message(message)),
      settled: () => this.#guarded(() => this.#settled()),
      drained: () => this.#drained(),
      beat: () => {
        this.#writeMetrics();
        if (this.isOnline && this.#abilities.isForgetful)
          this.outgoing.say(this.link.connection!, true);
        this.mount?.check();
        this.outgoing.checkMount().catch(this.failed);
      },
      closed: (reason) => this.#closed(reason),
    };
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Whether this host publishes now. */
  get isOnline(): boolean {
    return this.link.isOpen && this.presence.isOnline;
  }

  /** Saves the state, so that a later process goes on with this session, and connects. */
  async start(): Promise<void> {
    await this.#save();
    if (!this.#isStopping) this.link.start();
  }

  /**
   * Connects again, with the files of the broker's options as they are now. A connection that works
   * stays if another one does not: without it and without its will, the host would be online for
   * ever.
   */
  async renew(): Promise<void> {
    if (this.link.isOpen) {
      const { broker } = this.options;
      const failure = await tryBroker(this.codec, broker, `${this.#clientId}-next`);
      if (failure !== null)
        return this.logger.warn(`${failure}; the bridge goes on with its present connection`);
    }
    if (!this.#isStopping) this.link.renew();
  }

  #opened(): void {
    const { host } = this.options;
    const now = performance.now();
    this.presence.connected(now);
    this.fleet?.connected(now);
    void this.#save();
    // By its name too: from RabbitMQ a subscription with a wildcard gets no retained state.
    const states = [stateTopic(host), ...(this.fleet === null ? [] : [stateTopic('+')])];
    const connection = this.link.connection!;
    connection.subscribe([...states, askTopic('+', host), answerTopic('+', host)], () =>
      this.presence.call(connection),
    );
    this.#arm();
  }

  #online(): void {
    this.#send();
    this.#writeMetrics();
    this.#abilities.connected(this.link.connection!);
  }

  #message(arrived: ArrivedMessage): void {
    const { topic: name, payload, retain, properties } = arrived;
    this.counted.messages++;
    const topic = parseTopic(name);
    const now = performance.now();
    const { host } = this.options;
    if (topic === null) this.counted.malformed++;
    else if (topic.kind === 'state') this.#takeState(topic.from, payload, retain, now);
    else if (topic.kind === 'ask') {
      if (topic.to === host) this.#takeAsk(topic.from, payload);
    } else if (topic.kind === 'answer' && topic.from === host) this.#abilities.take(arrived);
    else if (topic.kind === 'event' || topic.to === host) {
      const message = parseMessage(payload, properties?.userProperties);
      if (message === null) this.counted.malformed++;
      else this.fleet?.takeMessage(topic.from, message, now);
    }
  }

  #takeState(from: string, payload: Buffer, isRetained: boolean, now: number): void {
    const state = parseState(payload);
    // An empty payload is a state that an administrator has removed.
    if (state === null) return void (this.counted.malformed += payload.length > 0 ? 1 : 0);
    const isOwn = from === this.options.host;
    // A host that stops hears its own farewell.
    if (isOwn && (this.#isStopping || !this.presence.takeState(state, isRetained))) return;
    this.fleet?.takeState(from, state, now);
  }

  #takeAsk(from: string, payload: Buffer): void {
    if (from === this.options.host) {
      if (!this.presence.takeCall(payload)) this.counted.malformed++;
      return;
    }
    const question = parseQuestion(payload);
    if (question === null) this.counted.malformed++;
    else this.outgoing.takeQuestion(from, question);
    this.#send();
  }

  #settled(): void {
    this.mount?.flush();
    if (this.mount?.isBusy === true) this.link.connection?.reading.pause();
    this.#subscriptions.flush(this.link.connection);
    this.#arm();
  }

  #ask(host: string, question: Question): void {
    const topic = askTopic(this.options.host, host);
    this.link.connection?.publish({ topic, payload: questionText(question) }, () => undefined);
  }

  #closed(reason: string): void {
    this.presence.disconnected(reason);
    this.#abilities.disconnected();
    this.#subscriptions.clear();
    this.fleet?.disconnected(performance.now());
    this.#arm();
    this.#writeMetrics();
  }

  #localEvents(): void {
    this.#send();
    this.#quiet.changed();
  }

  #drained(): void {
    this.#send();
    if (!this.outgoing.isSaved) this.#quiet.expect();
  }

  #sayAndSave(): void {
    if (this.isOnline) this.outgoing.say(this.link.connection!);
    void this.#save();
  }

  #send(): void {
    if (this.isOnline) this.outgoing.send(this.link.connection!);
  }

  /** Sets the timer for the next work. */
  #arm(): void {
    this.#timer.set(Math.min(this.fleet?.due ?? Infinity, this.presence.due));
  }

  #tick(): void {
    const now = performance.now();
    this.#guarded(() => {
      this.fleet?.tick(now);
      this.presence.tick(now);
      this.#settled();
    });
  }

  /** @returns false if the directory refuses, after a message */
  async #save(): Promise<boolean> {
    try {
      await this.#saved.save(await this.outgoing.saved());
      this.#unsaved.ends();
      return true;
    } catch (error) {
      this.#unsaved.says(`the state is not saved: ${(error as Error).message}`);
      return false;
    }
  }

  #writeMetrics(): void {
    this.#metrics?.write(metricsOf(statusOf(this, this.options)));
  }

  /**
   * Says that this host is gone, saves the state, and removes the directories.
   *
   * @returns false if a mount's daemon or the resolver does not answer: a thread waits for it
   */
  async stop(): Promise<boolean> {
    this.#isStopping = true;
    this.#quiet.stop();
    this.#timer.stop();
    await sayFarewell(this.link, this.outgoing, () => this.isOnline);
    await this.#save();
    const closed = await Promise.all([this.outgoing.close(), this.mount?.close() ?? true]);
    return closed.every((isClosed) => isClosed) && !this.options.broker.isResolving;
  }
}
