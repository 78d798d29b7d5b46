/** Which process may send a signal to which, as kill(2) decides it. */
import { type Pid, type ProcessStatus, readStatus } from './process.js';
import { system } from './system.js';

/** The rights of callers to signal processes. */
export class SignalRights {
  readonly #userNamespace = system.namespaceOf('self', 'user');

  /**
   * Returns whether the caller may signal a process, as kill_ok_by_cred() in kernel/signal.c does.
   * CAP_KILL counts only in the target's user namespace or one around it.
   *
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  maySignal(caller: ProcessStatus, pid: Pid): boolean {
    if (caller.pid === pid) return true;
    const target = readStatus(pid);
    if (target === undefined) return false;
    const { realUid, effectiveUid } = caller;
    if ([realUid, effectiveUid].some((uid) => uid === target.savedUid || uid === target.realUid))
      return true;
    if (!caller.mayKill) return false;
    const namespace = system.namespaceOf(caller.pid, 'user');
    return (
      namespace !== undefined &&
      (namespace === this.#userNamespace || namespace === system.namespaceOf(pid, 'user'))
    );
  }
}
