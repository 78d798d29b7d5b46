/** The trace of requests, as SIGUSR1 switches it. A later daemon of the mount goes on with it. */
import { closeSync } from 'node:fs';
import type { Holder } from '../../../guard/holder.js';
import { keepText, takeText } from '../../../shared/kernel/kept-text.js';
import type { Logger } from '../../../shared/log/logger.js';
import type { Trace } from '../../../shared/log/trace.js';

/** The name under which the holder has the switch. */
const SWITCH = 'trace-requests';
const ON = 'on';
const OFF = 'off';

/** Switches the trace of requests, beside the settings of the file. */
export class RequestsSwitch {
  /** Undefined while the settings hold: no SIGUSR1 has come, or SIGHUP after it. */
  #isOn: boolean | undefined;
  /** The kept text; -1 if this daemon has kept none. */
  #fd = -1;

  /** Takes the switch of the last daemon, and listens for SIGUSR1 from now on. */
  constructor(
    private readonly trace: Trace,
    private readonly logger: Logger,
    private readonly holder: Holder | undefined,
  ) {
    const kept = holder === undefined ? undefined : takeText(holder, SWITCH);
    if (kept !== undefined) this.#isOn = kept === ON;
    this.apply();
    process.on('SIGUSR1', () => this.#toggle());
  }

  /** Applies the switch again, after the settings of the last daemon. */
  apply(): void {
    const { trace } = this;
    if (this.#isOn !== undefined && this.#isOn !== (trace.requests !== null))
      trace.toggle('requests');
  }

  /** Switches the trace on or off, and keeps that for the next daemon. */
  #toggle(): void {
    this.#isOn = this.trace.toggle('requests');
    this.logger.info(
      this.#isOn
        ? 'SIGUSR1: the daemon traces requests until the next SIGUSR1'
        : 'SIGUSR1: the daemon no longer traces requests',
    );
    if (this.holder === undefined) return;
    const before = this.#fd;
    this.#fd = keepText(this.holder, SWITCH, this.#isOn ? ON : OFF);
    if (before >= 0) closeSync(before);
  }

  /** Drops the switch: the settings of the file have been applied after it. */
  drop(): void {
    this.#isOn = undefined;
    this.holder?.drop(SWITCH);
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
