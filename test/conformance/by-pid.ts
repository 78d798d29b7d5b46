/**
 * A mount of the fuse-native driver, where a directory is named after its process and is made with mode 0700 at most
 * (docs/drivers.md): the cases' directories get names that begin with their maker's PID, and their mode by chmod(2), as
 * mkdir(1) with `-m` does it.
 */
import type { Answer, Calls } from '../support/clients.js';
import { MountedSystem } from './processes.js';
import type { Caller, System, User } from './system.js';

/** The directories that each case begins with, and others beside them: root's, but for the one that is named after its user. */
const DIRECTORY = /(?<=^|\/)(?:own|other|(?<=\/)(?:more|alice))(?=$|\/)/g;
const ALICE_UID = 1001;

export class MountByPid implements System {
  readonly #mounted: MountedSystem;
  /** Who makes the directories, by user. */
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

  /** A path with the names that the directories have here. */
  #named(path: string): string {
    return path.replace(
      DIRECTORY,
      (name) => `${this.#makers.get(name === 'alice' ? ALICE_UID : 0)}.${name}`,
    );
  }
}
