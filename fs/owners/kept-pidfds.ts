/**
 * Names owners for the next daemon. A pidfs file handle costs no descriptor. A kernel without such
 * handles (before Linux 6.14) needs the pidfd itself, which the keeper then holds.
 */
import { type Keeper, NO_KEEPER } from '../shared/kernel/keeper.js';
import { system } from './system.js';

/** The handle of an owner whose pidfd is kept. */
const KEPT = 'kept';

/** Names owners, and finds them again. */
export class KeptPidfds {
  constructor(private readonly keeper: Keeper) {}

  /**
   * Returns a handle by which a later daemon finds a process.
   *
   * @returns 16 hexadecimal digits, or `kept`; empty if there is no later daemon
   */
  handleOf(pid: number, pidfd: number): string {
    const handle = system.pidfdHandle(pidfd);
    if (handle !== '' || !this.keeper.keeps) return handle;
    this.keeper.keep(nameOf(pid), pidfd);
    return KEPT;
  }

  /**
   * Opens a pidfd of a process of the last daemon.
   *
   * @returns -1 if the process has ended
   */
  open(pid: number, handle: string): number {
    return handle === KEPT ? (this.keeper.take(nameOf(pid)) ?? -1) : system.openPidfdHandle(handle);
  }

  /** Drops the pidfd of a process that owns nothing any more. */
  drop(pid: number, handle: string | null): void {
    if (handle === KEPT) this.keeper.drop(nameOf(pid));
  }
}

/** Keeps no pidfds: for a daemon without a guardian. */
export const NO_KEPT_PIDFDS = new KeptPidfds(NO_KEEPER);

function nameOf(pid: number): string {
  return `pidfd-${pid}`;
}
