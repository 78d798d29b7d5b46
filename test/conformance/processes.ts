/**
 * A real mount for the cases: the callers are processes of test/programs/clients/stream-calls.c,
 * whose directories end with them.
 */
import * as assert from 'uvu/assert';
import { Calls } from '../support/clients/clients.js';
import type { Caller, System, User } from './system.js';
import { asUser } from '../support/mount/other-user.js';

/** Makes callers on the mount at `path`. */
export class MountedSystem implements System {
  readonly #calls: Calls[] = [];

  constructor(readonly path: string) {}

  async caller({ uid, gid, groups }: User): Promise<Caller> {
    const calls = new Calls(uid === 0 ? [] : asUser(uid, gid, groups));
    this.#calls.push(calls);
    // Without a daemon the cases would run in the directory in which the caller starts.
    const { errno } = await calls.call('chdir', this.path);
    assert.is(errno, '', `chdir ${this.path}`);
    return calls;
  }

  async end(): Promise<void> {
    for (const calls of this.#calls) await calls.end();
  }
}
