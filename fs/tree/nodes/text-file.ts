/** Files whose text is made when it is asked for: `.status`, `.filter` and `.since`. */
import type { Sink } from '../../bus/sink.js';
import type { Caller } from '../../owners/owners.js';
import { Handle } from '../handle.js';
import { type Attributes, FileType, Node, type NodeId } from './node.js';
import type { EventDirectory } from './event-directory.js';
import { textHeap } from '../prices.js';
import type { Tab } from '../quota.js';
import type { StatusLines } from '../../shared/status-lines.js';

/** A dot file of a directory. Its permissions follow the directory's. */
export abstract class DotFile<D extends EventDirectory = EventDirectory> extends Node {
  constructor(
    id: NodeId,
    readonly directory: D,
    readonly name: string,
  ) {
    super(id, directory.lifetime);
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
    to.atime = to.mtime = to.ctime = this.born;
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
   * @param textTab where the text is charged as long as the file is open. EDQUOT, ENOSPC.
   */
  constructor(
    node: Node,
    text: string,
    private readonly textTab: Tab,
  ) {
    super(node);
    if (!textTab.tryClaimOpen(textHeap(text.length))) textTab.claim('memory', textHeap(text.length));
    // Not from Buffer's pool: there a text of a few bytes keeps 8 KiB.
    const bytes = Buffer.allocUnsafeSlow(text.length);
    bytes.write(text, 'latin1');
    this.#bytes = bytes;
  }

  override release(): void {
    this.textTab.unclaim('memory', textHeap(this.#bytes.length));
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
export class StatusFile extends DotFile<EventDirectory & { statusLines(): StatusLines }> {
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
    return new TextHandle(this, text, this.directory.ledger.tab(caller.uid, caller.gid));
  }

  #text(): string {
    let text = '';
    for (const [key, value] of this.directory.statusLines()) text += `${key}=${value}\n`;
    return text;
  }
}
