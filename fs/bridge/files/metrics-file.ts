/** The file of `--metrics`. */
import { UserError, isSystemError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log/logger.js';
import { Complaint } from './complaint.js';
import { ReplacedFile } from './replaced-file.js';

/** Hints for a file that can't be written, by errno name. */
export const METRICS_HINTS = {
  ENOENT: 'make its directory, or use another --metrics',
  EACCES: 'let the user of the bridge write its directory',
  EISDIR: 'name a file in it',
  ENOSPC: 'make room',
  EROFS: 'use another --metrics',
};

/** A file that is replaced as a whole. A failure is logged once, until a write works again. */
export class MetricsFile {
  readonly #complaint: Complaint;
  readonly #file: ReplacedFile;

  constructor(
    private readonly path: string,
    logger: Logger,
  ) {
    this.#complaint = new Complaint(logger);
    this.#file = new ReplacedFile(path, 0o644);
  }

  /** Replaces the file, without blocking. */
  write(text: string): void {
    this.#file.write(text).then(
      () => this.#complaint.ends(),
      (error: unknown) => this.#fails(error),
    );
  }

  #fails(error: unknown): void {
    if (!isSystemError(error)) throw error;
    const { message } = UserError.from(error, this.path, METRICS_HINTS);
    this.#complaint.says(`the metrics are not written: ${message}`);
  }
}
