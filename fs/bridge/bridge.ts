/**
 * The bridge between mounts and a broker.
 *
 *   local mount --local-events.ts--> outgoing.ts --> link.ts (the broker)
 *   fleet mount <--fleet-mount.ts-- protocol/fleet.ts <-----+
 */
import type { Logger } from '../shared/logger.js';
import { FleetMount } from './fleet-mount.js';
import type { Arrived, Codec } from './mqtt/connection.js';
import { Link } from './mqtt/link.js';
import { TAKEN_OVER } from './mqtt/reasons.js';
import { type BridgeOptions, machineId, randomId } from './options.js';
import { Outgoing } from './outgoing.js';
import { Fleet } from './protocol/fleet.js';
import { askTopic, eventTopic, parseTopic, stateTopic } from './protocol/names.js';
import { OwnName } from './protocol/own-name.js';
import { parseMessage } from './protocol/payload.js';
import {
  callText,
  parseCall,
  parseQuestion,
  parseState,
  questionText,
  type Question,
} from './protocol/state.js';
import { SavedFile } from './saved.js';

/** How long no event must have come before the state is published and saved, in ms. */
const QUIET_MS = 2000;
/** How long it may take at most while events come, in ms. */
const BUSY_MS = 10_000;
/** How long a host waits whose name another machine has, in ms. */
const REFUSED_MS = 60_000;
/** How long the broker may take for the last message, in ms. */
const GOODBYE_MS = 2000;
/** The most topics of one subscription. */
const MOST_TOPICS = 500;

/** A running bridge. */
export class Bridge {
  readonly outgoing: Outgoing;
  readonly fleet: Fleet | null;
  readonly mount: FleetMount | null;
  readonly link: Link;
  readonly counted = { malformed: 0, messages: 0 };
  readonly #saved: SavedFile;
  readonly #machine: string;
  #name: OwnName | null = null;
  #lastRefusal = '';
  /** Changes of subscriptions that wait for the end of a read. */
  readonly #wanted = new Map<string, boolean>();
  #timer: NodeJS.Timeout | null = null;
  #timerDue = Infinity;
  #quiet: NodeJS.Timeout | null = null;
  #changedMs = 0;
  #saidMs = 0;
  #isStopping = false;

  /**
   * @param failed called once if a mount of this machine has ended
   * @throws UserError if a mount or the state directory refuses
   */
  constructor(
    private readonly options: BridgeOptions,
    codec: Codec,
    private readonly logger: Logger,
    private readonly failed: (error: unknown) => void,
  ) {
    this.#saved = new SavedFile(options.stateDirectory);
    const saved = this.#saved.load();
    this.#machine = machineId() ?? saved?.machine ?? randomId();
    this.mount = options.in === undefined ? null : new FleetMount(options.in.mount, logger);
    this.fleet = options.in === undefined ? null : this.#makeFleet(options.in.filter);
    this.outgoing = new Outgoing(
      options,
      this.#machine,
      saved,
      logger,
      () => this.#localEvents(),
      (error) => this.failed(error),
    );
    const { host, keepAlive, broker } = options;
    const clientId = `eventfs-${host}-${this.#machine.slice(0, 8)}`;
    this.link = new Link(codec, broker, { clientId, keepAlive }, this.#linkEvents(), logger);
  }

  #makeFleet(filter: NonNullable<BridgeOptions['in']>['filter']): Fleet {
    const mount = this.mount!;
    const sink = {
      appears: (host: string) => mount.appears(host),
      vanishes: (host: string) => mount.vanishes(host),
      event: (host: string, text: Buffer) => mount.event(host, text),
      lost: (host: string, count: number) => mount.lost(host, count),
      ask: (host: string, question: Question) => this.#ask(host, question),
      want: (host: string, isWanted: boolean) => void this.#wanted.set(host, isWanted),
    };
    return new Fleet(filter, sink, 2000 * this.options.keepAlive);
  }

  #linkEvents(): ConstructorParameters<typeof Link>[3] {
    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        this.failed(error);
      }
    };
    return {
      will: () => {
        this.outgoing.connects();
        const topic = stateTopic(this.options.host);
        return { topic, payload: this.outgoing.state(false) };
      },
      opened: () => this.#opened(),
      message: (message) => guarded(() => this.#message(message)),
      settled: () => guarded(() => this.#settled()),
      drained: () => this.#send(),
      closed: (reason) => this.#closed(reason),
    };
  }

  /** Whether this host may use its name now. */
  get isOnline(): boolean {
    return this.link.isOpen && this.#name?.state === 'online';
  }

  /** The state of this host's name; `offline` without a connection. */
  get nameState(): string {
    return this.link.isOpen ? (this.#name?.state ?? 'offline') : this.#lastRefusal || 'offline';
  }

  /** Connects to the broker. */
  start(): void {
    this.#save();
    this.link.start();
  }

  #opened(): void {
    const { host, keepAlive } = this.options;
    const now = performance.now();
    this.#name = new OwnName(this.#machine, now, 2000 * keepAlive);
    this.fleet?.connected(now);
    this.#save();
    const topics = [
      this.fleet === null ? stateTopic(host) : stateTopic('+'),
      askTopic('+', host),
      `eventfs/1/+/answer/${host}`,
    ];
    const connection = this.link.connection!;
    connection.subscribe(topics, () => {
      // It comes back behind the retained states.
      connection.publish(
        { topic: askTopic(host, host), payload: callText(this.#machine) },
        () => undefined,
      );
    });
    this.#arm();
  }

  #message({ topic: name, payload, retain, properties }: Arrived): void {
    this.counted.messages++;
    const topic = parseTopic(name);
    const now = performance.now();
    const { host } = this.options;
    if (topic === null) this.counted.malformed++;
    else if (topic.kind === 'state') this.#takeState(topic.from, payload, retain, now);
    else if (topic.kind === 'ask') {
      if (topic.to === host) this.#takeAsk(topic.from, payload);
    } else if (topic.kind === 'event' || topic.to === host) {
      const message = parseMessage(payload, properties?.userProperties);
      if (message === null) this.counted.malformed++;
      else this.fleet?.takeMessage(topic.from, message, now);
    }
  }

  #takeState(from: string, payload: Buffer, isRetained: boolean, now: number): void {
    const state = parseState(payload);
    if (state === null) {
      // An empty payload is a state that an administrator has removed.
      if (payload.length > 0) this.counted.malformed++;
      return;
    }
    if (from === this.options.host) {
      const isAgain = this.#name?.takeState(state, isRetained) ?? false;
      // A host that stops hears its own farewell.
      if (isAgain && !this.#isStopping) this.outgoing.say(this.link.connection!, true);
      if (!this.#isStopping) this.#checkName();
      if (state.machine !== this.#machine) return;
    }
    this.fleet?.takeState(from, state, now);
  }

  #takeAsk(from: string, payload: Buffer): void {
    if (from !== this.options.host) {
      const question = parseQuestion(payload);
      if (question === null) this.counted.malformed++;
      else this.outgoing.takeQuestion(from, question);
      return this.#send();
    }
    const machine = parseCall(payload);
    if (machine === null || this.#name === null) return;
    const wasOnline = this.#name.state === 'online';
    if (this.#name.takeCall(machine)) this.outgoing.say(this.link.connection!, true);
    if (!wasOnline) this.#checkName();
  }

  /** Begins to use the name, or leaves the broker if it is that of another machine. */
  #checkName(): void {
    const { host } = this.options;
    if (this.#name?.state === 'refused') {
      const refusal = `the name ${host} belongs to another machine, ${this.#name.rival}, which is online`;
      if (refusal !== this.#lastRefusal)
        this.logger.error(`${refusal} (use another --host; the bridge tries again each minute)`);
      this.#lastRefusal = refusal;
      this.link.leave(refusal, REFUSED_MS * (1 + Math.random() / 2));
    } else if (this.#name?.state === 'online') {
      this.#lastRefusal = '';
      this.outgoing.say(this.link.connection!);
      this.#send();
    }
  }

  #settled(): void {
    this.mount?.flush();
    this.#subscribe();
    this.#arm();
  }

  #subscribe(): void {
    const { connection } = this.link;
    if (this.#wanted.size === 0) return;
    const changes = [...this.#wanted];
    this.#wanted.clear();
    if (connection === null) return;
    const topics = (isWanted: boolean): string[] =>
      changes.filter(([, each]) => each === isWanted).map(([host]) => eventTopic(host));
    for (const [all, call] of [
      [topics(true), (some: string[]) => connection.subscribe(some)],
      [topics(false), (some: string[]) => connection.unsubscribe(some)],
    ] as const)
      for (let at = 0; at < all.length; at += MOST_TOPICS) call(all.slice(at, at + MOST_TOPICS));
  }

  #ask(host: string, question: Question): void {
    const topic = askTopic(this.options.host, host);
    this.link.connection?.publish({ topic, payload: questionText(question) }, () => undefined);
  }

  #closed(reason: string): void {
    if (reason.includes(TAKEN_OVER)) this.link.slowDown();
    this.#name = null;
    this.#wanted.clear();
    this.fleet?.disconnected(performance.now());
    this.#arm();
  }

  #localEvents(): void {
    this.#changedMs = performance.now();
    this.#send();
    if (this.#quiet === null && !this.#isStopping) {
      this.#saidMs = this.#changedMs;
      this.#quiet = setTimeout(() => this.#lookQuiet(), QUIET_MS);
    }
  }

  /** Publishes and saves the state if no event has come for a moment, or not for long. */
  #lookQuiet(): void {
    const now = performance.now();
    const isQuiet = now - this.#changedMs >= QUIET_MS - 1;
    if (isQuiet || now - this.#saidMs >= BUSY_MS) {
      if (this.isOnline) this.outgoing.say(this.link.connection!);
      this.#save();
      this.#saidMs = now;
    }
    this.#quiet = isQuiet ? null : setTimeout(() => this.#lookQuiet(), QUIET_MS);
  }

  #send(): void {
    if (this.isOnline) this.outgoing.send(this.link.connection!);
  }

  /** Sets the timer for what is due next. */
  #arm(): void {
    const isChecking = this.#name?.state === 'checking';
    const due = Math.min(this.fleet?.due ?? Infinity, isChecking ? this.#name!.due : Infinity);
    if (due === this.#timerDue) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer =
      due === Infinity
        ? null
        : setTimeout(() => this.#tick(), Math.max(1, Math.ceil(due - performance.now())));
  }

  #tick(): void {
    this.#timerDue = Infinity;
    const now = performance.now();
    try {
      this.fleet?.tick(now);
      if (this.#name?.state === 'checking') {
        this.#name.tick(now);
        this.#checkName();
      }
      this.#settled();
    } catch (error) {
      this.failed(error);
    }
  }

  #save(): void {
    this.#saved.save(this.outgoing.saved()).catch((error: unknown) => {
      this.logger.warn(
        `the state is not saved: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  /** Says that this host is gone, saves the state, and removes the directories. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    for (const timer of [this.#quiet, this.#timer]) if (timer !== null) clearTimeout(timer);
    this.#timerDue = -Infinity;
    const { connection } = this.link;
    if (this.isOnline && connection !== null) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        new Promise<void>((done) => this.outgoing.sayGoodbye(connection, done)),
        new Promise<void>((done) => (timer = setTimeout(done, GOODBYE_MS))),
      ]);
      clearTimeout(timer);
    }
    this.link.close();
    this.#saved.saveNow(this.outgoing.saved());
    this.outgoing.close();
    try {
      this.mount?.close();
    } catch {
      // The daemon of the fleet's mount has ended, and the directories with it.
    }
  }
}
