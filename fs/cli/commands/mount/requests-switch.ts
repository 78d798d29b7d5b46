/** The trace of requests, as SIGUSR1 switches it. A later daemon of the mount goes on with it. */
import type { Holder } from '../../../guard/holder.js';
import { KeptText, takeText } from '../../../shared/kernel/kept-text.js';
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
  readonly #kept: KeptText | undefined;

  /** Takes the switch of the last daemon, and listens for SIGUSR1 from now on. */
  constructor(
    private readonly trace: Trace,
    private readonly logger: Logger,
    holder: Holder | undefined,
  ) {
    if (holder !== undefined) {
      this.#kept = new KeptText(holder, SWITCH);
      const text = takeText(holder, SWITCH);
      if (text !== undefined) this.#isOn = text === ON;
    }
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
    this.#kept?.keep(this.#isOn ? ON : OFF);
  }

  /** Drops the switch: the settings of the file have been applied after it. */
  drop(): void {
    this.#isOn = undefined;
    this.#kept?.drop();
  }
}
