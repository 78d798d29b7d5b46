/** What a check of `eventfs doctor` finds. */

export interface Finding {
  /** `fail`: it does not work; `warn`: it works, but not as well or as long as it could. */
  readonly level: 'ok' | 'warn' | 'fail';
  readonly what: string;
  /** A command to type, or what else to do. */
  readonly mend?: string;
}

/** What helps: root does it; another user does what he can, and asks for the rest. */
export function mendFor(asRoot: string, asUser = `ask the administrator: ${asRoot}`): string {
  return process.getuid?.() === 0 ? asRoot : asUser;
}
