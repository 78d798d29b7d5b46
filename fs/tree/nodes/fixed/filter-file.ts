/**
 * `.filter`: the filter of a process directory. A write replaces the filter; an append adds
 * alternatives to it.
 */
import { Errno, FsError } from '../../../shared/errors.js';
import type { Timestamp } from '../../../shared/timestamp.js';
import type { Caller } from '../../../owners/owners.js';
import { EVERYTHING } from '../../filter-charge.js';
import type { AttributeChanges, Handle } from '../node.js';
import { FilterHandle, type FilteredDirectory } from './filter-handle.js';
import { DotFile } from './text-file.js';
import { O_TRUNC } from '../../../shared/open-flags.js';

/** The file `.filter` of a process directory. */
export class FilterFile extends DotFile<FilteredDirectory> {
  /**
   * The permission bits. A class (user, group, others) may write the filter only if it has both r
   * and w on the directory: a user who may only put events in (mode 0733) must not keep out those
   * of others.
   */
  get permissions(): number {
    const readers = this.directory.mode & 0o444;
    return readers | (this.directory.mode & 0o222 & (readers >> 1));
  }

  /** The contents: the filter and a line end, or nothing if the filter takes everything. */
  get text(): string {
    const { filter } = this.directory;
    return filter.all ? '' : `${filter.text}\n`;
  }

  override get size(): number {
    return this.text.length;
  }

  override get modified(): Timestamp {
    return this.directory.filtered;
  }

  /** open(2). With O_TRUNC the old filter holds until a write, or until close(2) without one. */
  override open(flags: number, caller: Caller): Handle {
    return new FilterHandle(this, (flags & O_TRUNC) !== 0, caller);
  }

  /**
   * truncate(2) to 0: the directory then takes everything.
   * @throws FsError EINVAL for another size
   */
  override change(changes: AttributeChanges): void {
    if (changes.size === 0) this.directory.setFilter(EVERYTHING);
    else if (changes.size !== undefined)
      throw new FsError(Errno.EINVAL, 'a filter can only be truncated to 0 bytes');
    else super.change(changes);
  }
}
