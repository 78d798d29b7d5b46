/** `.filter`: which events a process directory takes. What is written replaces it, what is appended adds alternatives. */
import { Filter, FilterError } from '../events/filter.js';
import { Errno, FsError } from '../errno.js';
import { APPEND, type Handle } from './handle.js';
import type { AttributeChanges } from './node.js';
import type { ProcessDirectory } from './process-directory.js';
import { DotFile, LiveTextHandle } from './text-file.js';

const O_TRUNC = 0o1000;
/** A filter of that size still costs an event little to be matched with; 10,000 terms fit. */
const MAX_FILTER_BYTES = 256 * 1024;

export class FilterFile extends DotFile<ProcessDirectory> {
  /** Whoever may only put events in (mode 0733) must not keep others' out: to write, each class needs r and w. */
  get permissions(): number {
    const readers = this.directory.mode & 0o444;
    return readers | (this.directory.mode & 0o222 & (readers >> 1));
  }

  /** What a read shows: the filter and a line end, or nothing when everything is taken. */
  get text(): string {
    const { filter } = this.directory;
    return filter.all ? '' : `${filter.text}\n`;
  }

  override get size(): number {
    return this.text.length;
  }

  override open(flags: number): Handle {
    return new FilterHandle(this, (flags & O_TRUNC) !== 0);
  }

  /** truncate(2) to nothing: everything is taken. */
  override change(changes: AttributeChanges): void {
    if (changes.size === 0) this.directory.setFilter(Filter.parse(''));
    else if (changes.size !== undefined) throw new FsError(Errno.EINVAL, 'a filter is cut to nothing or not at all');
    else super.change(changes);
  }
}

class FilterHandle extends LiveTextHandle {
  /** How many bytes have been written through it: bash writes what its builtins print line by line, a write(2) each. */
  #written = 0;
  /** Which filter of the directory's came of that. */
  #version = -1;

  /**
   * @param emptied opened with O_TRUNC: the old filter holds until a new one is written, so that `echo ... > .filter`
   * never takes everything for a moment; it is taken off when the file is closed and no write was tried.
   */
  constructor(
    override readonly node: FilterFile,
    private emptied: boolean,
  ) {
    super(node);
  }

  /** write(2) at 0 sets the filter, behind the last write or at the end adds to it. EINVAL for a bad one, which changes nothing; EFBIG. */
  override write(bytes: Uint8Array, start: number, length: number, offset: number): number {
    const { directory, text } = this.node;
    // What was written in several calls may have been cut anywhere, so it is kept as it was written, once for the directory.
    const goesOn = offset > 0 && offset === this.#written && directory.filterVersion === this.#version;
    const kept = offset === 0 ? '' : goesOn ? directory.filterSource : text;
    this.emptied = false;
    if (offset !== APPEND && offset !== kept.length) throw new FsError(Errno.EINVAL, 'write a filter whole, or append to it');
    if (kept.length + length > MAX_FILTER_BYTES) throw new FsError(Errno.EFBIG);
    const written = kept + Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
    directory.demandFilter(written);
    directory.setFilter(parse(written), written);
    this.#written = written.length;
    this.#version = directory.filterVersion;
    return length;
  }

  override release(): void {
    if (this.emptied && !this.node.lifetime.over) this.node.directory.setFilter(Filter.parse(''));
  }
}

/** A filter from text; EINVAL, with the column, for a bad one. */
export function parse(text: string): Filter {
  try {
    return Filter.parse(text);
  } catch (error) {
    if (error instanceof FilterError) throw new FsError(Errno.EINVAL, error.message);
    throw error;
  }
}
