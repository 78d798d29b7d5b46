/**
 * `.filter`: the filter of a process directory. A write replaces the filter; an append adds
 * alternatives to it.
 */
import { Errno, FsError } from '../../../shared/errors.js';
import type { Timestamp } from '../../../bus/event.js';
import type { Caller } from '../../../owners/owners.js';
import { EVERYTHING, parse } from '../../filter-charge.js';
import { APPEND, type AttributeChanges, type Handle } from '../node.js';
import type { QuotaAccount } from '../../quota/account.js';
import type { Filter, FilterLimits } from '../../../uevent/filter/filter.js';
import { DotFile, type DotFileHost, LiveTextHandle } from './text-file.js';
import { LF } from '../../../shared/ascii.js';
import { O_TRUNC } from '../../../shared/open-flags.js';

const LINE_END = Uint8Array.of(LF);
/** A text of up to this size is parsed at each write: that takes a millisecond. */
const PARSED_AT_ONCE_BYTES = 4 * 1024;
/**
 * A longer text is parsed when this share of it is new. All writes together then cost as much as a
 * few parses of the whole text.
 */
const NEW_SHARE = 1 / 4;

/** A directory that has a filter. */
export interface FilteredDirectory extends DotFileHost {
  readonly name: string;
  readonly filter: Filter;
  /** When the filter was set last. */
  readonly filtered: Timestamp;
  /** The size limits of a filter. */
  readonly limits: FilterLimits;
  /** The open `.filter` that was written last, until something else sets the filter. */
  readonly lastWriter: UnparsedFilter | null;
  /**
   * Sets the filter.
   * @param writer the open `.filter` that sets it
   * @throws FsError EDQUOT or ENOSPC if the filter costs too much; then the old one stays
   */
  setFilter(filter: Filter, writer?: UnparsedFilter | null): void;
  /**
   * Schedules the parsing of a written filter before the next event.
   * @param writer the open `.filter` that holds its text
   */
  parseLater(writer: UnparsedFilter): void;
  /** Parses the filter that was written and not parsed yet, if there is one. */
  parseUnparsed(): void;
  /** Runs when an open `.filter` is closed. */
  writerGone(writer: UnparsedFilter): void;
  /** Logs a warning through the logger of the daemon. */
  warn(message: string): void;
}

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

/** The text of a filter that was written and not parsed yet. */
export interface UnparsedFilter {
  /**
   * Parses the text and sets the filter. If that fails with an FsError, the old filter stays and
   * the daemon logs a warning.
   */
  parseNow(): void;
}

/** An open `.filter`. */
class FilterHandle extends LiveTextHandle implements UnparsedFilter {
  /**
   * The text written so far, in the first `#length` bytes. It is kept because bash writes the
   * output of its builtins line by line, one write(2) each.
   */
  #written = Buffer.alloc(0);
  #length = 0;
  /** The length of the text that was in the filter set last, in bytes. */
  #parsed = 0;
  /** The account that the buffer is charged to: that of the opener. */
  #account: QuotaAccount | null = null;
  readonly #uid: number;
  readonly #gid: number;

  /**
   * @param emptied whether the file was opened with O_TRUNC and not written since. The old filter
   * holds until a new one is written, so that `echo ... > .filter` never takes everything for a
   * moment. Without an attempt to write, close(2) removes the filter.
   * @param caller the opener
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
   * write(2). At offset 0 it sets the filter; behind the last write, or at the end of the file, it
   * adds to the filter. A long text that comes in small pieces is parsed when enough of it is new,
   * when the file is closed, or before the next event.
   * @returns `length`
   * @throws FsError EINVAL for a text that is not a filter; EFBIG, EDQUOT or ENOSPC for one that is
   * too large. Then nothing changes.
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
      // If the last line has no line end, an append adds one first, so that the appended text is a
      // line of its own.
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

  /**
   * Begins a new text: an empty one at offset 0, else the present filter, which the write adds to.
   * @throws FsError EINVAL for an offset other than 0 and the end of the present filter
   */
  #begin(offset: number): void {
    const { directory } = this.node;
    if (offset !== 0) directory.parseUnparsed(); // a filter written through another open file
    const text = Buffer.from(offset === 0 ? '' : this.node.text, 'latin1');
    if (offset !== APPEND && offset !== text.length)
      throw new FsError(
        Errno.EINVAL,
        'a write to .filter must begin at offset 0 or at the end of the file',
      );
    this.#length = this.#parsed = 0;
    this.#add(text, 0, text.length);
  }

  /**
   * Adds bytes to the text.
   * @throws FsError EFBIG, EDQUOT or ENOSPC
   */
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

  /**
   * Makes the buffer larger and charges the opener for it.
   * @param size in bytes
   * @throws FsError EDQUOT or ENOSPC
   */
  #grow(size: number): void {
    const account = this.#account ?? this.node.directory.ledger.account(this.#uid, this.#gid);
    account.chargeItem('memory', size - this.#written.length);
    this.#account = account;
    const written = Buffer.alloc(size);
    written.set(this.#written.subarray(0, this.#length));
    this.#written = written;
  }

  /**
   * Parses the text and sets the filter.
   * @throws FsError EINVAL or EFBIG for a text that is not a filter; EDQUOT or ENOSPC
   */
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

  /**
   * close(2). Refunds the buffer and parses a text that was not parsed yet. Removes the filter if
   * the file was opened with O_TRUNC and no write was tried.
   */
  override release(): void {
    const { directory, lifetime } = this.node;
    this.#account?.refundItem('memory', this.#written.length);
    if (lifetime.over) return;
    directory.writerGone(this);
    if (this.emptied) directory.setFilter(EVERYTHING);
  }
}
