/** Files whose text is made when they are opened: `.status` and `.filter`. */
import type { Sink } from '../events/sink.js';
import { Handle } from './handle.js';
import { type Attributes, FileType, Node, type NodeId } from './node.js';
import type { EventDirectory } from './event-directory.js';

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

/** An open file that shows what its text was when it was opened. */
export class TextHandle extends Handle {
  readonly #bytes: Uint8Array;

  /** @param text bytes as characters */
  constructor(node: Node, text: string) {
    super(node);
    this.#bytes = Buffer.from(text, 'latin1');
  }

  override read(offset: number, sink: Sink): boolean {
    const rest = this.#bytes.length - offset;
    if (rest > 0) sink.put(this.#bytes, offset, Math.min(rest, sink.room));
    return true;
  }
}

export type StatusLines = readonly (readonly [key: string, value: string | number])[];

/** `.status`: one KEY=VALUE a line, like an event. */
export class StatusFile extends DotFile<EventDirectory & { statusLines(): StatusLines }> {
  get permissions(): number {
    return this.directory.mode & 0o444;
  }

  override get size(): number {
    return this.#text().length;
  }

  override open(): Handle {
    return new TextHandle(this, this.#text());
  }

  #text(): string {
    return this.directory.statusLines().map(([key, value]) => `${key}=${value}\n`).join('');
  }
}
