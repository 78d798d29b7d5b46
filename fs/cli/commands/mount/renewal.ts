/** Applies settings to a running daemon: those of the file after SIGHUP, and its predecessor's. */
import type { Daemon } from '../../../daemon/daemon.js';
import type { Holder } from '../../../guard/holder.js';
import type { LineLogger, Logger } from '../../../shared/log/logger.js';
import type { Trace } from '../../../shared/log/trace.js';
import type { Configuration } from './configuration.js';
import { keepSettings } from './kept-configuration.js';
import { loggerOptions } from './log-options.js';
import type { RequestsSwitch } from './requests-switch.js';

/** A running daemon, its settings, and what else they change. */
interface RenewalParts {
  readonly configuration: Configuration;
  readonly daemon: Daemon;
  readonly log: LineLogger;
  readonly logger: Logger;
  readonly trace: Trace;
  readonly requests: RequestsSwitch;
  readonly holder: Holder | undefined;
}

/** When a daemon that follows another one reads the file: clients that waited come first. */
const LOOK_AFTER_MS = 1000;

/** Keeps the settings of a running daemon those of its file. */
export class Renewal {
  /** Whether the file is being read. */
  #isReading = false;
  /** Whether SIGHUP has come meanwhile: the file may have changed after it was read. */
  #isAsked = false;

  constructor(private readonly parts: RenewalParts) {}

  /**
   * Applies the settings of the last daemon, and soon those of a file that has changed since.
   *
   * @param kept the text that SIGHUP had applied; undefined if there was no SIGHUP
   */
  goOn(kept: string | null | undefined): void {
    if (kept !== undefined) {
      this.parts.configuration.goOn(kept);
      this.#apply();
      this.parts.requests.apply(); // SIGUSR1 has come after that SIGHUP
    }
    setTimeout(() => void this.#read(true), LOOK_AFTER_MS).unref();
  }

  /** Reads the file again, and applies it. */
  reload(): void {
    if (this.#isReading) this.#isAsked = true;
    else void this.#read(false);
  }

  async #read(onlyChanged: boolean): Promise<void> {
    if (this.#isReading) return;
    const { configuration, logger, holder } = this.parts;
    this.#isReading = true;
    try {
      if (await configuration.reload(logger, onlyChanged)) {
        this.#apply();
        this.parts.requests.drop();
        keepSettings(holder, configuration);
      }
    } finally {
      this.#isReading = false;
    }
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.reload();
  }

  #apply(): void {
    const { configuration, daemon, log, trace } = this.parts;
    const options = configuration.options;
    log.configure(loggerOptions(options));
    trace.set(options.debug ?? []);
    daemon.configure(configuration.liveSettings);
  }
}
