/**
 * A mount of the fuse-native driver for the cases. There a directory is named after its process,
 * and mkdir(2) makes it with mode 0700 at most (docs/drivers.md). So the cases' directories get
 * names that begin with their maker's PID, and their mode by chmod(2), as mkdir(1) with `-m` sets
 * it.
 */
import type { Answer, Calls } from '../support/clients/clients.js';
import { MountedSystem } from './processes.js';
import type { Caller, System, User } from './system.js';

/**
 * The directories of each case, and others beside them: all are root's, except the one named after
 * its user.
 */
const DIRECTORY = /(?<=^|\/)(?:own|other|(?<=\/)(?:more|alice))(?=$|\/)/g;
const ALICE_UID = 1001;

/** A mount on which the names of directories begin with a PID. */
export class MountByPid implements System {
  readonly #mounted: MountedSystem;
  /** The PID of the process that makes the directories, by uid. */
  readonly #makers = new Map<number, number>();

  constructor(path: string) {
    this.#mounted = new MountedSystem(path);
  }

  async caller(user: User): Promise<Caller> {
    const calls = (await this.#mounted.caller(user)) as Calls;
    this.#makers.set(user.uid, calls.pid);
    return { call: (verb, ...args) => this.#call(calls, verb, args) };
  }

  end(): Promise<void> {
    return this.#mounted.end();
  }

  async #call(calls: Calls, verb: string, args: readonly (string | number)[]): Promise<Answer> {
    const named = args.map((arg) => (typeof arg === 'string' ? this.#named(arg) : arg));
    const answer = await calls.call(verb, ...named);
    if (verb !== 'mkdir' || answer.value < 0) return answer;
    return calls.call('chmod', ...named);
  }

  /** Returns a path with the directories' names on this mount. */
  #named(path: string): string {
    return path.replace(
      DIRECTORY,
      (name) => `${this.#makers.get(name === 'alice' ? ALICE_UID : 0)}.${name}`,
    );
  }
}
