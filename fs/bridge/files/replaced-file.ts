/** A file that is replaced as a whole: a reader finds the old text or the new one. */
import { open, rename, unlink } from 'node:fs/promises';

/** The only writer of one file. */
export class ReplacedFile {
  #next: string | null = null;
  #last: string | null = null;
  #writing: Promise<void> | null = null;

  /** @param mode the file's permissions */
  constructor(
    private readonly path: string,
    private readonly mode: number,
  ) {}

  /**
   * Replaces the file without blocking. During another write only the last text waits.
   *
   * @returns when the file has this text, or a later one
   * @throws SystemError with the errno of a system call; the file is as before
   */
  write(text: string): Promise<void> {
    this.#next = text;
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = null));
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#next !== null) {
      const text = this.#next;
      this.#next = null;
      if (text === this.#last) continue;
      await this.#replace(text);
      this.#last = text;
    }
  }

  async #replace(text: string): Promise<void> {
    // One name: a process that is killed here leaves one file at most, which the next one replaces.
    const temporary = `${this.path}.new`;
    try {
      await unlink(temporary).catch(() => undefined); // open(2) of a FIFO would wait
      const file = await open(temporary, 'wx', this.mode);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
    } catch (error) {
      // On a full disk half a file would be left.
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  }
}
