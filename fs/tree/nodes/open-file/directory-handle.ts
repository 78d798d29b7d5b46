/** An open directory. */
import type { Directory } from '../directory.js';
import { Handle, type HandleType } from '../node.js';

/** An open directory, with the listing that its readers go through. */
export class DirectoryHandle extends Handle {
  /** The end of the listing, as it was when the listing began: at opendir(3) or rewinddir(3). */
  #end: number;

  /** @param end the end of a listing that has begun already */
  constructor(
    override readonly node: Directory,
    end = node.listingEnd,
  ) {
    super(node);
    this.#end = end;
  }

  override get recordType(): HandleType {
    return 'directory';
  }

  protected override get recordNumbers(): string {
    return `${this.#end}`;
  }

  /**
   * Returns the end of the listing. A listing that begins anew ends where the directory ends now.
   * @param offset the offset of readdir(3)
   */
  endFor(offset: number): number {
    if (offset > 0) return this.#end;
    const end = this.node.listingEnd;
    if (end === this.#end) return end;
    this.#end = end;
    this.changed();
    return end;
  }
}
