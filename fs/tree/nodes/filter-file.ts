/** `.filter`: which events a process directory takes. What is written replaces it, what is appended adds alternatives. */
import { Errno, FsError } from '../../shared/errors.js';
import type { Timestamp } from '../../bus/event.js';
import type { Caller } from '../../owners/owners.js';
import { EVERYTHING, parse } from '../filter-charge.js';
import { APPEND, type AttributeChanges, type Handle } from './node.js';
import type { QuotaAccount } from '../quota.js';
import type { Filter, FilterLimits } from '../../uevent/filter/filter.js';
import { DotFile, type DotFileHost, LiveTextHandle } from './text-file.js';
import { LF } from '../../shared/ascii.js';
import { O_TRUNC } from '../../shared/open-flags.js';

const LINE_END = Uint8Array.of(LF);
/** A text of that size is parsed with each write: that takes a millisecond. */
const PARSED_AT_ONCE_BYTES = 4 * 1024;
/** A longer one is parsed when so much of it is new: all writes together cost what a few parses of the whole do. */
const NEW_SHARE = 1 / 4;

/** A directory that a filter can be written for. */
export interface FilteredDirectory extends DotFileHost {
  readonly name: string;
  readonly filter: Filter;
  /** When the filter was set last. */
  readonly filtered: Timestamp;
  /** How large a filter may be. */
  readonly limits: FilterLimits;
  /** The open `.filter` that was written last, until something else sets the filter. */
  readonly lastWriter: UnparsedFilter | null;
  setFilter(filter: Filter, writer?: UnparsedFilter | null): void;
  /** A filter has been written that is looked at before the next event comes. */
  parseLater(writer: UnparsedFilter): void;
  /** A filter that was written and not looked at is looked at now. */
  parseUnparsed(): void;
  /** An open `.filter` is closed. */
  writerGone(writer: UnparsedFilter): void;
  warn(message: string): void;
}

export class FilterFile extends DotFile<FilteredDirectory> {
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

  override get modified(): Timestamp {
    return this.directory.filtered;
  }

  override open(flags: number, caller: Caller): Handle {
    return new FilterHandle(this, (flags & O_TRUNC) !== 0, caller);
  }

  /** truncate(2) to nothing: everything is taken. */
  override change(changes: AttributeChanges): void {
    if (changes.size === 0) this.directory.setFilter(EVERYTHING);
    else if (changes.size !== undefined)
      throw new FsError(Errno.EINVAL, 'a filter is cut to nothing or not at all');
    else super.change(changes);
  }
}

/** Something that has a filter's text which nobody has looked at yet. */
export interface UnparsedFilter {
  /** Parses it and sets the filter; where it is a bad one, nothing changes and the log says so. */
  parseNow(): void;
}

class FilterHandle extends LiveTextHandle implements UnparsedFilter {
  /** What has been written through it, `#length` bytes: bash writes what its builtins print line by line, a write(2) each. */
  #written = Buffer.alloc(0);
  #length = 0;
  /** How much of it stood in the filter that was set last. */
  #parsed = 0;
  /** Where the buffer is charged: the opener's. */
  #account: QuotaAccount | null = null;
  readonly #uid: number;
  readonly #gid: number;

  /**
   * @param emptied opened with O_TRUNC: the old filter holds until a new one is written, so that `echo ... > .filter`
   * never takes everything for a moment; it is taken off when the file is closed and no write was tried.
   */
  constructor(
    override readonly node: FilterFile,
    private emptied: boolean,
    { uid, gid }: Caller,
  ) {
    super(node);
    this.#uid = uid;
    this.#gid = gid;
  }

  /**
   * write(2) at 0 sets the filter, behind the last write or at the end adds to it. A long text that comes in small pieces is looked
   * at when enough of it is new, when the file is closed, or before the next event.
   * @throws FsError EINVAL for a bad one, EFBIG, EDQUOT and ENOSPC for one that is too large: it changes nothing
   */
  override write(bytes: Uint8Array, start: number, length: number, offset: number): number {
    this.emptied = false;
    const continues =
      offset === APPEND
        ? this.node.directory.lastWriter === this
        : offset > 0 && offset === this.#length;
    if (!continues) this.#begin(offset);
    const [before, parsed] = [this.#length, this.#parsed];
    try {
      // A line that was not ended ends where something is appended, as it does for who reads the file and writes it anew.
      if (offset === APPEND && before > 0 && this.#written[before - 1] !== LF)
        this.#add(LINE_END, 0, 1);
      this.#add(bytes, start, length);
      if (
        this.#length > PARSED_AT_ONCE_BYTES &&
        this.#length - this.#parsed < this.#length * NEW_SHARE
      )
        this.node.directory.parseLater(this);
      else this.#parse();
    } catch (error) {
      this.#length = continues ? before : 0;
      this.#parsed = continues ? parsed : 0;
      throw error;
    }
    return length;
  }

  /** A text that does not continue what was written before: nothing, or the filter as it is, which is added to. */
  #begin(offset: number): void {
    const { directory } = this.node;
    if (offset !== 0) directory.parseUnparsed(); // what has been written elsewhere
    const text = Buffer.from(offset === 0 ? '' : this.node.text, 'latin1');
    if (offset !== APPEND && offset !== text.length)
      throw new FsError(Errno.EINVAL, 'write a filter whole, or append to it');
    this.#length = this.#parsed = 0;
    this.#add(text, 0, text.length);
  }

  #add(bytes: Uint8Array, start: number, length: number): void {
    const { limits } = this.node.directory;
    const end = this.#length + length;
    if (end > limits.text)
      throw new FsError(Errno.EFBIG, `a filter has at most ${limits.text} bytes`);
    if (end > this.#written.length)
      this.#grow(Math.min(Math.max(end, 2 * this.#written.length), limits.text));
    this.#written.set(bytes.subarray(start, start + length), this.#length);
    this.#length = end;
  }

  /** A larger buffer, which is charged. EDQUOT, ENOSPC. */
  #grow(size: number): void {
    const account = this.#account ?? this.node.directory.ledger.account(this.#uid, this.#gid);
    account.chargeItem('memory', size - this.#written.length);
    this.#account = account;
    const written = Buffer.alloc(size);
    written.set(this.#written.subarray(0, this.#length));
    this.#written = written;
  }

  #parse(): void {
    const { directory } = this.node;
    directory.setFilter(
      parse(this.#written.toString('latin1', 0, this.#length), directory.limits),
      this,
    );
    this.#parsed = this.#length;
  }

  parseNow(): void {
    const { directory } = this.node;
    try {
      this.#parse();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#length = this.#parsed;
      directory.warn(`${directory.name}/.filter: ${error.message} (the old filter stays)`);
    }
  }

  override release(): void {
    const { directory, lifetime } = this.node;
    this.#account?.refundItem('memory', this.#written.length);
    if (lifetime.over) return;
    directory.writerGone(this);
    if (this.emptied) directory.setFilter(EVERYTHING);
  }
}
