/** Files whose text is made when it is asked for: `.status`, `.filter` and `.since`. */
import type { Timestamp } from '../../bus/event.js';
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import { type Attributes, FileType, Handle, type Lifetime, Node, type NodeId } from './node.js';
import { textHeap } from '../prices.js';
import type { QuotaLedger, QuotaAccount } from '../quota.js';
import type { StatusLines } from '../../shared/status-lines.js';

/** The directory that a dot file is in. */
export interface DotFileHost {
  readonly lifetime: Lifetime;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly born: Timestamp;
  /** When its mode or owner was changed last. */
  readonly permitted: Timestamp;
  /** The inode number of one of the names that it always has. */
  inodeOf(name: string): number;
  readonly ledger: QuotaLedger;
  /** The kernel has forgotten the file. */
  fixtureForgotten(name: string): void;
}

/** The later of two times. */
function laterOf(a: Timestamp, b: Timestamp): Timestamp {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec) ? a : b;
}

/**
 * A dot file of a directory. Its permissions follow the directory's. Its node is made anew after a
 * FORGET, with the same inode number and times.
 */
export abstract class DotFile<D extends DotFileHost = DotFileHost> extends Node {
  readonly #ino: number;

  constructor(
    id: NodeId,
    readonly directory: D,
    readonly name: string,
  ) {
    super(id, directory.lifetime);
    this.#ino = directory.inodeOf(name);
  }

  override get ino(): number {
    return this.#ino;
  }

  /** When its text was changed last by a write. */
  get modified(): Timestamp {
    return this.directory.born;
  }

  abstract get permissions(): number;

  /** st_size. */
  get size(): number {
    return 0;
  }

  get mode(): number {
    return FileType.regular | this.permissions;
  }

  attributes(to: Attributes): void {
    to.ino = this.ino;
    to.size = this.size;
    to.mode = this.mode;
    to.nlink = 1;
    to.uid = this.directory.uid;
    to.gid = this.directory.gid;
    to.atime = this.directory.born;
    to.mtime = this.modified;
    to.ctime = laterOf(to.mtime, this.directory.permitted);
  }

  override forgotten(): void {
    this.directory.fixtureForgotten(this.name);
  }
}

/** From so many bytes on a text is long: a thousand streams, say. */
const LONG_TEXT = 4096;
const LONG_TEXT_KNOWN_MS = 1000;

/** An open file that shows what its text was when it was opened. */
export class TextHandle extends Handle {
  readonly #bytes: Uint8Array;

  /**
   * @param text bytes as characters
   * @param textAccount where the text is charged as long as the file is open. EDQUOT, ENOSPC.
   */
  constructor(
    node: Node,
    text: string,
    private readonly textAccount: QuotaAccount,
  ) {
    super(node);
    if (!textAccount.tryChargeOpen(textHeap(text.length)))
      textAccount.chargeItem('memory', textHeap(text.length));
    // Not from Buffer's pool: there a text of a few bytes keeps 8 KiB.
    const bytes = Buffer.allocUnsafeSlow(text.length);
    bytes.write(text, 'latin1');
    this.#bytes = bytes;
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

/** An open file that shows what its text is when it is read: it keeps no copy. */
export class LiveTextHandle extends Handle {
  constructor(override readonly node: Node & { readonly text: string }) {
    super(node);
  }

  override read(offset: number, sink: Sink): boolean {
    const part = Buffer.from(this.node.text.slice(offset, offset + sink.room), 'latin1');
    if (part.length > 0) sink.put(part, 0, part.length);
    return true;
  }
}

/** `.status`: one KEY=VALUE a line, like an event. */
export class StatusFile extends DotFile<DotFileHost & { statusLines(): StatusLines }> {
  #knownSize = 0;
  #knownUntilMs = 0;

  get permissions(): number {
    return this.directory.mode & 0o444;
  }

  /** A long one is not made for each stat(2): its length may be a second old. */
  override get size(): number {
    const nowMs = performance.now();
    if (nowMs < this.#knownUntilMs) return this.#knownSize;
    this.#knownSize = this.#text().length;
    this.#knownUntilMs = this.#knownSize > LONG_TEXT ? nowMs + LONG_TEXT_KNOWN_MS : 0;
    return this.#knownSize;
  }

  /** EDQUOT, ENOSPC. */
  override open(_flags: number, caller: Caller): Handle {
    const text = this.#text();
    return new TextHandle(this, text, this.directory.ledger.account(caller.uid, caller.gid));
  }

  #text(): string {
    let text = '';
    for (const [key, value] of this.directory.statusLines()) text += `${key}=${value}\n`;
    return text;
  }
}
