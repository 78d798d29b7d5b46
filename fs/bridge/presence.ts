/** This host's name at the broker: it is used, or left to the machine that has it. */
import type { Logger } from '../shared/log/logger.js';
import type { Connection } from './mqtt/connection.js';
import type { Link } from './mqtt/link.js';
import { TAKEN_OVER, TWIN } from './mqtt/reasons.js';
import type { Outgoing } from './outgoing.js';
import { askTopic } from './protocol/names.js';
import { OwnName } from './protocol/own-name.js';
import { type HostState, callText, parseCall } from './protocol/state.js';

/** How long a host waits whose name another machine has, in ms. */
const REFUSED_MS = 60_000;

/** The name that this host wants to use. */
interface PresenceOptions {
  readonly host: string;
  /** The id of this machine: a rival's is another one. */
  readonly machine: string;
  /** How long another machine may take to show itself, in ms. */
  readonly waitMs: number;
}

/** The name of this host, over all connections. */
export class Presence {
  #name: OwnName | null = null;
  /** Why the name is refused; empty if it is not. */
  #refusal = '';
  /** Whether a connection of this process has used the name. */
  #wasOnline = false;
  /** Whether the state of a twin has come: a bridge with the same name and machine id. */
  #hasTwin = false;

  /** @param cameOnline called when this host begins to use its name */
  constructor(
    private readonly options: PresenceOptions,
    private readonly link: Link,
    private readonly outgoing: Outgoing,
    private readonly logger: Logger,
    private readonly cameOnline: () => void,
  ) {}

  /** Whether this host uses its name. */
  get isOnline(): boolean {
    return this.#name?.state === 'online';
  }

  /** The state of the name, for the status. */
  get text(): string {
    return this.#name?.state ?? (this.#refusal === '' ? 'offline' : this.#refusal);
  }

  /** When {@link tick} is due, in ms. */
  get due(): number {
    return this.#name?.state === 'checking' ? this.#name.due : Infinity;
  }

  /** Notes that a connection begins. */
  connected(nowMs: number): void {
    this.#hasTwin = false;
    this.#name = new OwnName(this.options.machine, nowMs, this.options.waitMs);
  }

  /** Calls the hosts of this name. The call comes back behind the retained states. */
  call(connection: Connection): void {
    const topic = askTopic(this.options.host, this.options.host);
    connection.publish({ topic, payload: callText(this.options.machine) }, () => undefined);
  }

  /** Notes that the connection has ended. Many brokers do not say that a twin has taken it. */
  disconnected(reason: string): void {
    this.#name = null;
    if (reason.includes(TAKEN_OVER)) this.link.slowDown(reason);
    else if (this.#hasTwin) this.link.slowDown(`${reason} (${TWIN})`);
  }

  /** Takes a state with this name. @returns whether it is of this machine */
  takeState(state: HostState, isRetained: boolean): boolean {
    this.#follow((name) => name.takeState(state, isRetained));
    const isOwn = state.machine === this.options.machine;
    this.#hasTwin ||= isOwn && this.#isForeign(state, isRetained);
    return isOwn;
  }

  /**
   * Tells whether a state of this machine is not of this bridge. Before this process was online, it
   * may be of a bridge that was killed. So may be a late will.
   */
  #isForeign({ session, online }: HostState, isRetained: boolean): boolean {
    if (!this.#wasOnline || this.outgoing.knows(session)) return false;
    return online || isRetained;
  }

  /** Takes a call. @returns false if it is malformed */
  takeCall(payload: Buffer): boolean {
    const machine = parseCall(payload);
    if (machine !== null) this.#follow((name) => name.takeCall(machine));
    return machine !== null;
  }

  /** Takes the name if its owner is silent. */
  tick(nowMs: number): void {
    if (nowMs < this.due) return;
    this.#follow((name) => {
      name.tick(nowMs);
      return false;
    });
  }

  /**
   * Does a step of the name's protocol, and publishes its result.
   * @param step returns whether to publish the state again
   */
  #follow(step: (name: OwnName) => boolean): void {
    const name = this.#name;
    const { connection } = this.link;
    if (name === null || connection === null) return;
    const wasOnline = name.state === 'online';
    const isAgain = step(name);
    if (name.state === 'refused') this.#leave(name.rival);
    else if (name.state === 'online' && (isAgain || !wasOnline)) {
      this.#refusal = '';
      this.#wasOnline = true;
      this.outgoing.say(connection, true);
      if (!wasOnline) this.cameOnline();
    }
  }

  #leave(rival: string): void {
    const refusal = `the name ${this.options.host} belongs to another machine, ${rival}, which is online`;
    if (refusal !== this.#refusal)
      this.logger.error(`${refusal} (use another --host; the bridge tries again each minute)`);
    this.#refusal = refusal;
    this.link.leave(refusal, REFUSED_MS * (1 + Math.random() / 2));
  }
}
