/** Base classes of the dot files and of open files that show a text, and the file `.status`. */
import type { Timestamp } from '../../../shared/timestamp.js';
import type { Sink } from '../../../bus/sink.js';
import type { Caller } from '../../../owners/owners.js';
import { FixedNode, type FixedNodeHost } from './fixed-node.js';
import { type Attributes, FileType, Handle, type HandleType, Node } from '../node.js';
import { textHeap } from '../../prices.js';
import type { QuotaAccount } from '../../quota/account.js';
import type { QuotaLedger } from '../../quota/ledger.js';
import { clock } from '../../../shared/clock.js';
import type { StatusLines } from '../../../shared/status-lines.js';

/** The directory that a dot file is in. */
export interface DotFileHost extends FixedNodeHost {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly born: Timestamp;
  /** When the mode or owner of the directory changed last. */
  readonly permitted: Timestamp;
  readonly ledger: QuotaLedger;
}

/** Returns the later of two times. */
function laterOf(a: Timestamp, b: Timestamp): Timestamp {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec) ? a : b;
}

/**
 * A dot file of a directory. Its permissions follow the directory's, and its times are kept there,
 * so that they stay after a FORGET.
 */
export abstract class DotFile<D extends DotFileHost = DotFileHost> extends FixedNode<D> {
  /** When a write changed the text last. */
  get modified(): Timestamp {
    return this.directory.born;
  }

  /** The permission bits of st_mode. */
  abstract get permissions(): number;

  /** st_size. */
  get size(): number {
    return 0;
  }

  get mode(): number {
    return FileType.regular | this.permissions;
  }

  /** stat(2): owner and group are those of the directory. */
  attributes(to: Attributes): void {
    const { directory, modified } = this;
    to.setFile(this.ino, this.mode, 1, this.size);
    to.setOwner(directory.uid, directory.gid);
    to.setTimes(directory.born, modified, laterOf(modified, directory.permitted));
  }
}

/** A text of more bytes than this is long, for example that of a thousand streams. */
const LONG_TEXT = 4096;
/** How long stat(2) shows the length of a text that was made before, in ms. */
const LENGTH_KNOWN_MS = 1000;

/** An open file that shows its text as of open(2). */
export class TextHandle extends Handle {
  readonly #bytes: Uint8Array;

  /** @param textAccount the account that is charged for the text while the file is open */
  private constructor(
    node: Node,
    text: Uint8Array,
    private readonly textAccount: QuotaAccount,
  ) {
    super(node);
    this.#bytes = text;
  }

  /**
   * Opens a file and charges its text.
   * @param text bytes as characters
   * @throws FsError EDQUOT or ENOSPC
   */
  static open(node: Node, text: string, account: QuotaAccount): TextHandle {
    if (!account.tryChargeOpen(textHeap(text.length)))
      account.chargeItem('memory', textHeap(text.length));
    // Not from Buffer's pool: there a text of a few bytes keeps 8 KiB.
    const bytes = Buffer.allocUnsafeSlow(text.length);
    bytes.write(text, 'latin1');
    return new TextHandle(node, bytes, account);
  }

  /** Makes an open file of the last daemon, with the text that it shows, and charges it. */
  static restore(node: Node, text: Uint8Array, account: QuotaAccount): TextHandle {
    account.forceCharge(0, 0, textHeap(text.length));
    return new TextHandle(node, text, account);
  }

  override get recordType(): HandleType {
    return 'text';
  }

  protected override get recordBytes(): Uint8Array {
    return this.#bytes;
  }

  override release(): void {
    this.textAccount.refundItem('memory', textHeap(this.#bytes.length));
  }

  override read(offset: number, sink: Sink): boolean {
    const rest = this.#bytes.length - offset;
    if (rest > 0) sink.put(this.#bytes, offset, Math.min(rest, sink.room));
    return true;
  }
}

/** An open file that shows its text as of each read(2). It keeps no copy. */
export abstract class LiveTextHandle extends Handle {
  constructor(override readonly node: Node & { readonly text: string }) {
    super(node);
  }

  override read(offset: number, sink: Sink): boolean {
    const part = Buffer.from(this.node.text.slice(offset, offset + sink.room), 'latin1');
    if (part.length > 0) sink.put(part, 0, part.length);
    return true;
  }
}

/** A file whose text the daemon makes at each open(2). */
export abstract class ReportFile<D extends DotFileHost> extends DotFile<D> {
  #knownSize = 0;
  #knownUntilMs = 0;

  get permissions(): number {
    return this.directory.mode & 0o444;
  }

  /**
   * st_size. A long text is not made for each stat(2): its length may be a second old. The size is
   * not below the length of a text that was opened in the last second: a reader such as Node's
   * readFileSync asks for it after open(2), and reads no more bytes than that.
   */
  override get size(): number {
    const nowMs = clock.monotonicMs();
    const known = nowMs < this.#knownUntilMs ? this.#knownSize : 0;
    if (known > LONG_TEXT) return known;
    const size = this.makeText().length;
    if (size > LONG_TEXT) this.#keepSize(size, nowMs);
    return Math.max(size, known);
  }

  /**
   * open(2): makes the text and keeps it for this open file.
   * @throws FsError EDQUOT or ENOSPC
   */
  override open(_flags: number, caller: Caller): Handle {
    const text = this.makeText();
    this.#keepSize(text.length, clock.monotonicMs());
    return TextHandle.open(this, text, this.directory.ledger.account(caller.uid, caller.gid));
  }

  #keepSize(size: number, nowMs: number): void {
    if (nowMs < this.#knownUntilMs && size < this.#knownSize) return;
    this.#knownSize = size;
    this.#knownUntilMs = nowMs + LENGTH_KNOWN_MS;
  }

  /** Returns the text as of now, one character for each byte. */
  protected abstract makeText(): string;
}

/** The file `.status`: one KEY=VALUE a line, like an event. */
export class StatusFile extends ReportFile<DotFileHost & { statusLines(): StatusLines }> {
  protected makeText(): string {
    let text = '';
    for (const [key, value] of this.directory.statusLines()) text += `${key}=${value}\n`;
    return text;
  }
}
