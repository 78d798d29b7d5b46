/** The result of a check by `eventfs doctor`. */
import { messageLine } from '../terminal/output.js';
import { isInitialUserNamespace } from '../../shared/kernel/kernels-root.js';

/** One thing that a check found. */
export interface Finding {
  /** `fail`: broken; `warn`: works, but not as well or as long as it could. */
  readonly level: 'ok' | 'warn' | 'fail';
  readonly what: string;
  /** A remedy: a command to type, or another action. */
  readonly mend?: string;
}

/** Returns a finding in one line, for output without colors. */
export function findingLine({ level, what, mend }: Finding): string {
  const remedy = mend === undefined ? '' : ` (${mend})`;
  return `${level.padEnd(4)}  ${messageLine(`${what}${remedy}`)}\n`;
}

/**
 * Chooses a remedy for the user who runs the command.
 *
 * @param asRoot the remedy for root
 * @param asUser the remedy for other users (default: ask the administrator for root's)
 */
export function mendFor(asRoot: string, asUser = `ask the administrator: ${asRoot}`): string {
  return process.getuid?.() === 0 ? asRoot : asUser;
}

/**
 * Chooses like `mendFor` for a remedy that root of a user namespace can't apply: it changes the
 * whole machine.
 */
export function mendOnMachine(asRoot: string): string {
  return isInitialUserNamespace() ? mendFor(asRoot) : `ask the administrator: ${asRoot}`;
}
