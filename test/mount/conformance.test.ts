/** The table of POSIX cases (test/conformance/cases.ts) on a real mount. */
import type { Caller, System, User } from '../conformance/system.js';
import { conforms } from '../conformance/system.js';
import { Calls } from '../support/clients.js';
import { daemon, mounted } from '../support/mounted.js';

/** Processes on the mount, whose directories end with them. */
class MountedSystem implements System {
  readonly #calls: Calls[] = [];

  async caller({ uid, gid, groups }: User): Promise<Caller> {
    const as = ['setpriv', '--reuid', String(uid), '--regid', String(gid), ...(groups.length > 0 ? ['--groups', groups.join(',')] : ['--clear-groups'])];
    const calls = new Calls(uid === 0 ? [] : as);
    this.#calls.push(calls);
    await calls.call('chdir', daemon.path);
    return calls;
  }

  async end(): Promise<void> {
    for (const calls of this.#calls) await calls.end();
  }
}

const devfuse = mounted('on a mount');

conforms(devfuse, () => Promise.resolve(new MountedSystem()));

devfuse.run();
