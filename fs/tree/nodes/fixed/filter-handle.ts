/**
 * An open `.filter`: it keeps the text that is written to it, and sets the filter of the directory.
 */
import { Errno, FsError } from '../../../shared/errors.js';
import type { Timestamp } from '../../../shared/timestamp.js';
import type { Caller } from '../../../owners/owners.js';
import { EVERYTHING, parse } from '../../filter-charge.js';
import { APPEND, type HandleType, type Node } from '../node.js';
import type { QuotaAccount } from '../../quota/account.js';
import { Filter, type FilterLimits } from '../../../uevent/filter/filter.js';
import { type DotFileHost, LiveTextHandle } from './text-file.js';
import { LF } from '../../../shared/ascii.js';

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
  lastWriter: UnparsedFilter | null;
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

/** The file `.filter`, as its open files see it. */
interface FilterNode extends Node {
  readonly directory: FilteredDirectory;
  readonly text: string;
}

/** The number of the last write of all open `.filter`s. */
let turns = 0;

/** The text of a filter that was written and not parsed yet. */
export interface UnparsedFilter {
  /**
   * Parses the text and sets the filter. If that fails with an FsError, the old filter stays and
   * the daemon logs a warning.
   */
  parseNow(): void;
}

/** An open `.filter`. */
export class FilterHandle extends LiveTextHandle implements UnparsedFilter {
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
  /** The number of its last write among the writes of all open `.filter`s. */
  #turn = 0;
  readonly #uid: number;
  readonly #gid: number;

  /**
   * @param emptied whether the file was opened with O_TRUNC and not written since. The old filter
   * holds until a new one is written, so that `echo ... > .filter` never takes everything for a
   * moment. Without an attempt to write, close(2) removes the filter.
   * @param caller the opener
   */
  constructor(
    override readonly node: FilterNode,
    private emptied: boolean,
    { uid, gid }: Caller,
  ) {
    super(node);
    this.#uid = uid;
    this.#gid = gid;
  }

  override get recordType(): HandleType {
    return 'filter';
  }

  protected override get recordNumbers(): string {
    const hasAccount = this.#account === null ? 0 : 1;
    const emptied = this.emptied ? 1 : 0;
    const { length } = this.#written;
    return `${this.#uid} ${this.#gid} ${emptied} ${this.#parsed} ${length} ${hasAccount} ${this.#turn}`;
  }

  protected override get recordBytes(): Uint8Array {
    return this.#written.subarray(0, this.#length);
  }

  /**
   * Makes an open file of the last daemon. If it set the filter of its directory, a later
   * append through it adds to this filter.
   * @param numbers the numbers of its record
   * @param text the bytes of its record
   */
  static restore(node: FilterNode, numbers: readonly number[], text: Uint8Array): FilterHandle {
    const [uid, gid, emptied, parsed, size, hasAccount, turn] = numbers;
    const handle = new FilterHandle(node, emptied === 1, { uid, gid, pid: 0 });
    const { directory } = node;
    handle.#written = Buffer.alloc(size);
    handle.#written.set(text);
    handle.#length = text.length;
    handle.#parsed = parsed;
    handle.#turn = turn;
    turns = Math.max(turns, turn);
    if (hasAccount === 1) {
      handle.#account = directory.ledger.account(uid, gid);
      handle.#account.forceCharge(0, 0, size);
    }
    const last = directory.lastWriter as FilterHandle | null;
    if (parsed === 0 || (last !== null && turn < last.#turn) || !handle.#hasSetFilter())
      return handle;
    directory.lastWriter = handle;
    if (text.length > parsed) directory.parseLater(handle);
    return handle;
  }

  /** Returns whether the directory has the filter that this open file has set. */
  #hasSetFilter(): boolean {
    const set = this.#written.toString('latin1', 0, this.#parsed);
    return Filter.parse(set).text === this.node.directory.filter.text;
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
    this.changed();
    const { directory } = this.node;
    const continues =
      offset === APPEND ? directory.lastWriter === this : offset > 0 && offset === this.#length;
    // The text may be that of another open file.
    if (!continues && offset !== 0) directory.parseUnparsed();
    const [before, parsed] = [this.#length, this.#parsed];
    const former = continues ? null : Buffer.from(this.#written.subarray(0, before));
    try {
      if (!continues) this.#begin(offset);
      const begun = this.#length;
      // If the last line has no line end, an append adds one first, so that the appended text is a
      // line of its own.
      if (offset === APPEND && begun > 0 && this.#written[begun - 1] !== LF)
        this.#add(LINE_END, 0, 1);
      this.#add(bytes, start, length);
      if (
        this.#length > PARSED_AT_ONCE_BYTES &&
        this.#length - this.#parsed < this.#length * NEW_SHARE
      )
        directory.parseLater(this);
      else this.#parse();
    } catch (error) {
      // The next append adds to the text of the last write that succeeded.
      if (former !== null) this.#written.set(former);
      this.#length = before;
      this.#parsed = parsed;
      throw error;
    }
    this.#turn = ++turns;
    return length;
  }

  /**
   * Begins a new text: an empty one at offset 0, else the present filter, which the write adds to.
   * @throws FsError EINVAL for an offset other than 0 and the end of the present filter
   */
  #begin(offset: number): void {
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
    this.changed();
  }

  parseNow(): void {
    const { directory } = this.node;
    try {
      this.#parse();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#length = this.#parsed;
      this.changed();
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
