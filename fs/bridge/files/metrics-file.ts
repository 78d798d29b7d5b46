/** The file of `--metrics`. */
import { UserError, isSystemError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log/logger.js';
import { ReplacedFile } from './replaced-file.js';

/** Hints for a file that can't be written, by errno name. */
export const METRICS_HINTS = {
  ENOENT: 'make its directory, or use another --metrics',
  EACCES: 'let the user of the bridge write its directory',
  ENOSPC: 'make room',
  EROFS: 'use another --metrics',
};

/** A file that is replaced as a whole. A failure is logged once, until a write works again. */
export class MetricsFile {
  #failure = '';
  readonly #file: ReplacedFile;

  constructor(
    private readonly path: string,
    private readonly logger: Logger,
  ) {
    this.#file = new ReplacedFile(path, 0o644);
  }

  /** Replaces the file, without blocking. */
  write(text: string): void {
    this.#file.write(text).then(
      () => (this.#failure = ''),
      (error: unknown) => this.#fails(error),
    );
  }

  #fails(error: unknown): void {
    if (!isSystemError(error)) throw error;
    const { message } = UserError.from(error, this.path, METRICS_HINTS);
    if (message !== this.#failure) this.logger.warn(`the metrics are not written: ${message}`);
    this.#failure = message;
  }
}
