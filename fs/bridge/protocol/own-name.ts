/**
 * Finds out whether another machine uses this host's name. Pure, as {@link RemoteHost}.
 *
 *   checking --it is free, or its owner is silent for two keep-alive times--> online
 *   checking, online --another machine has it--> refused
 *
 * A host that begins to use its name calls the others of that name. A call comes back to the caller
 * too, behind the state that the broker has retained.
 */
import type { HostState } from './state.js';

/** The state of a name: `checking` before it may be used, `online`, or `refused`. */
type NameState = 'checking' | 'online' | 'refused';

/** The name of this host, for one connection. */
export class OwnName {
  state: NameState = 'checking';
  /** The machine that has the name, if the name is refused. */
  rival = '';
  /** When {@link tick} is due, in ms. */
  due: number;
  /** Whether the retained state is that of another machine. */
  #isTaken = false;

  /**
   * @param machine tells this machine from others
   * @param nowMs when the connection began
   * @param waitMs how long another machine may take to answer: two keep-alive times, in ms
   */
  constructor(
    private readonly machine: string,
    nowMs: number,
    waitMs: number,
  ) {
    this.due = nowMs + waitMs;
  }

  /**
   * Takes a state with this host's name.
   *
   * @param isRetained whether it is the one that the broker had at the start
   * @returns whether this host must say its own state again
   */
  takeState(state: HostState, isRetained: boolean): boolean {
    const isOther = state.machine !== this.machine;
    if (!isOther) return this.state === 'online' && !state.online;
    if (!state.online) return this.state === 'online';
    if (this.state === 'online') {
      // A retained state that comes late may be of a machine that is gone. Another one answers.
      if (isRetained) return true;
      // Both began at the same time. The machine with the larger id leaves the name to the other.
      if (this.machine < state.machine) return true;
      this.#refuse(state.machine);
    } else if (isRetained) {
      this.#isTaken = true;
    } else this.#refuse(state.machine);
    return false;
  }

  /** Takes a call. @returns whether this host must say its own state again */
  takeCall(machine: string): boolean {
    if (machine !== this.machine) return this.state === 'online';
    if (this.state === 'checking' && !this.#isTaken) this.state = 'online';
    return false;
  }

  /** Takes the name if its owner is silent. To be called once the time `due` has come. */
  tick(nowMs: number): void {
    if (this.state === 'checking' && nowMs >= this.due) this.state = 'online';
  }

  #refuse(rival: string): void {
    this.state = 'refused';
    this.rival = rival;
  }
}
