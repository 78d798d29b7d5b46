/**
 * All other hosts. Pure, as {@link RemoteHost}.
 *
 * The broker says which hosts are there. Without a connection this host does not know: two
 * keep-alive times later all hosts are gone. A new connection must confirm each host in that time.
 */
import type { Filter } from '../../uevent/filter/filter.js';
import { takesHost } from './names.js';
import type { EventMessage } from './payload.js';
import {
  type HostSink,
  REMOTE_LIMITS,
  RemoteHost,
  type RemoteLimits,
  type SharedMemory,
} from './remote-host.js';
import type { HostState } from './state.js';

/** The most hosts that are known at a time. */
const MOST_HOSTS = 50_000;

/** The most bytes of all hosts that wait behind gaps. */
const MOST_HELD = 64 * 1024 * 1024;

/** The receiver of the events of all hosts, and of their comings and goings. */
export interface FleetSink extends HostSink {
  /** Called when the events of a host are wanted, or no longer. */
  want(host: string, isWanted: boolean): void;
  /** Whether no more events are taken now: they are missing, and asked for later. */
  isFull(): boolean;
}

/** The other hosts. */
export class Fleet {
  readonly #memory: SharedMemory = { bytes: 0, most: MOST_HELD };
  readonly #hosts = new Map<string, RemoteHost>();
  /** The names of those that are gone, the longest gone first. */
  readonly #gone = new Set<string>();
  /** Hosts that wait for something: their {@link RemoteHost.due} is not Infinity. */
  readonly #waiting = new Set<RemoteHost>();
  /** When hosts that are not confirmed are gone, in ms. */
  #confirmBy = Infinity;
  /** States of hosts that were refused because there are too many. */
  refused = 0;

  /**
   * @param filter the hosts to follow; its only key is HOST
   * @param confirmMs how long hosts stay without the broker's word, in ms
   */
  constructor(
    private readonly filter: Filter,
    private readonly sink: FleetSink,
    private readonly confirmMs: number,
    private readonly limits: RemoteLimits = REMOTE_LIMITS,
  ) {}

  /** The hosts that are there. */
  get online(): readonly RemoteHost[] {
    return [...this.#hosts.values()].filter(({ isOnline }) => isOnline);
  }

  /** All hosts that are known. */
  get hosts(): readonly RemoteHost[] {
    return [...this.#hosts.values()];
  }

  /** When {@link tick} is due, in ms; Infinity if nothing waits. */
  get due(): number {
    let due = this.#confirmBy;
    if (this.sink.isFull()) return due;
    for (const host of this.#waiting) due = Math.min(due, host.due);
    return due;
  }

  /** Takes a host's state. */
  takeState(name: string, state: HostState, nowMs: number): void {
    const host = this.#hosts.get(name) ?? this.#meet(name, state);
    if (host === null) return;
    const wasOnline = host.isOnline;
    const wasConfirmed = host.isConfirmed;
    host.takeState(state, nowMs);
    if (host.isOnline && !(wasOnline && wasConfirmed)) this.sink.want(name, true);
    else if (wasOnline && !host.isOnline) this.sink.want(name, false);
    this.#note(host);
  }

  /** Returns a new host; null if the filter excludes it, or if it is not online. */
  #meet(name: string, state: HostState): RemoteHost | null {
    if (!state.online || !takesHost(this.filter, name)) return null;
    if (this.#hosts.size >= MOST_HOSTS && (this.sink.isFull() || !this.#forgetOne())) {
      this.refused++;
      return null;
    }
    const host = new RemoteHost(name, this.sink, this.limits, this.#memory);
    this.#hosts.set(name, host);
    return host;
  }

  /** Forgets the host that has been gone for longest. */
  #forgetOne(): boolean {
    for (const name of this.#gone) {
      this.#gone.delete(name);
      return this.#hosts.delete(name);
    }
    return false;
  }

  /** Takes a host's events, or its answer. */
  takeMessage(name: string, message: EventMessage, nowMs: number): void {
    const host = this.#hosts.get(name);
    if (host === undefined) return;
    if (this.sink.isFull()) host.missMessage(message, nowMs);
    else host.takeMessage(message, nowMs);
    this.#note(host);
  }

  /** Notes that a connection to the broker has begun. */
  connected(nowMs: number): void {
    this.#confirmBy = this.#hosts.size > 0 ? nowMs + this.confirmMs : Infinity;
  }

  /** Notes that the connection has ended. */
  disconnected(nowMs: number): void {
    for (const host of this.#hosts.values()) host.pause();
    this.#waiting.clear();
    if (this.online.length > 0) this.#confirmBy = nowMs + this.confirmMs;
  }

  /** Does the work that is due. */
  tick(nowMs: number): void {
    if (nowMs >= this.#confirmBy) {
      this.#confirmBy = Infinity;
      for (const host of this.#hosts.values()) {
        if (host.isConfirmed || !host.isOnline) continue;
        host.end();
        this.sink.want(host.host, false);
        this.#note(host);
      }
    }
    if (this.sink.isFull()) return;
    for (const host of [...this.#waiting]) {
      host.tick(nowMs);
      this.#note(host);
    }
  }

  #note(host: RemoteHost): void {
    if (host.isOnline) this.#gone.delete(host.host);
    else this.#gone.add(host.host);
    if (host.due === Infinity) this.#waiting.delete(host);
    else this.#waiting.add(host);
  }
}
