/**
 * Where the text of events lies that the log's ring has let go of, and of files that users write.
 *
 * A block is allocated at the end of the open segment and is freed explicitly, never by the collector. When too little of a
 * segment is live, its blocks are moved to the open one, some with each block that is freed, and its pages go back to the
 * machine. So what is held stays below 4/3 of what is live, and a few segments more, whatever order blocks are freed in.
 *
 * The memory holds no pointers. A block's `bytes` and `start` change whenever another block is freed or resized: read them anew.
 */

export interface Pages {
  /** Memory that costs nothing until it is written to. */
  allocate(bytes: number): Uint8Array;
  /** `length` bytes from `start` on cost nothing again until they are written to; what they hold is lost. */
  discard(memory: Uint8Array, start: number, length: number): void;
}

/** Memory of V8's, for tests: it is never given back. */
export const HEAP_PAGES: Pages = {
  allocate: (bytes) => new Uint8Array(bytes),
  discard: () => undefined,
};

/** Something whose bytes lie in an arena. */
export interface Block {
  /** `capacity` bytes of it at `start` are the block's own, if it is in a segment. */
  bytes: Uint8Array;
  start: number;
  /** How many of its bytes are to be kept when the block is moved. */
  capacity: number;
  /** Null while the block is not in an arena. */
  segment: Segment | null;
  /** Its place among the segment's blocks. */
  slot: number;
}

export interface ArenaSizes {
  readonly segmentBytes: number;
  /** How many segments are mapped at once. */
  readonly regionSegments: number;
}

const MIB = 1024 * 1024;

/** The largest block is a 57th of a segment, so that the end of a segment that no block fits is small. */
const SIZES: ArenaSizes = { segmentBytes: 4 * MIB, regionSegments: 64 };

/** So much of the open segment may stay held when nothing is live. */
const FEW = 1 / 64;

/** A segment of which less is live is emptied. */
const LEAST_LIVE = 7 / 8;

/**
 * How much is moved for each byte that is freed. If all segments fall below LEAST_LIVE at once, the last of them is empty when
 * LEAST_LIVE * 10 / 11 of them, that is more than 3/4, are still live.
 */
const MOVED_A_FREED_BYTE = 10;
/** And at least so much with each block, of so many blocks at most. */
const MOVED_AT_LEAST = 1024;
const MOST_MOVED_BLOCKS = 16;

export class Segment {
  /** Bytes of live blocks. */
  live = 0;
  /** Its live blocks; those that were freed leave holes. */
  readonly blocks: (Block | undefined)[] = [];
  /** Whether it waits to be emptied. */
  isSparse = false;

  constructor(
    readonly arena: Arena,
    readonly memory: Uint8Array,
    readonly start: number,
  ) {}
}

export class Arena {
  /** Bytes of all live blocks. */
  live = 0;
  /** Segments that are not free. */
  #inUse = 0;
  #open: Segment | null = null;
  /** Where the next block goes in the open segment. */
  #end = 0;
  readonly #free: Segment[] = [];
  /** Those to be emptied, the one that waits longest first; some may have become empty by themselves since. */
  #sparse: Segment[] = [];

  constructor(
    private readonly pages: Pages = HEAP_PAGES,
    private readonly sizes: ArenaSizes = pages === HEAP_PAGES
      ? { ...SIZES, regionSegments: 1 }
      : SIZES,
  ) {}

  /** Bytes that are held of the machine's, at most. */
  get held(): number {
    return this.#inUse * this.sizes.segmentBytes;
  }

  /**
   * Gives a block `capacity` bytes, at another place than before, with the first `kept` of its bytes. What is behind them can be
   * anything. Throws what {@link Pages.allocate} throws; then nothing has changed.
   */
  resize(block: Block, capacity: number, kept: number): void {
    const { segment, slot, capacity: before } = block;
    this.#place(block, capacity, kept);
    if (segment !== null) this.#leave(segment, slot, before);
  }

  /** Frees a block that is in the arena. Its `bytes` are its owner's to set. */
  free(block: Block): void {
    const segment = block.segment!;
    block.segment = null;
    this.#leave(segment, block.slot, block.capacity);
  }

  #place(block: Block, capacity: number, kept: number): void {
    const segment = this.#openFor(capacity);
    const start = segment.start + this.#end;
    const { bytes } = block;
    if (bytes === segment.memory) bytes.copyWithin(start, block.start, block.start + kept);
    else segment.memory.set(bytes.subarray(block.start, block.start + kept), start);
    block.bytes = segment.memory;
    block.start = start;
    block.capacity = capacity;
    block.segment = segment;
    block.slot = segment.blocks.push(block) - 1;
    this.#end += capacity;
    segment.live += capacity;
    this.live += capacity;
  }

  /** The open segment, in which so many bytes fit. */
  #openFor(capacity: number): Segment {
    const { segmentBytes } = this.sizes;
    if (capacity > segmentBytes) throw new RangeError(`a block of ${capacity} bytes`);
    const full = this.#open;
    if (full !== null && this.#end + capacity <= segmentBytes) return full;
    if (this.#free.length === 0) this.#map();
    const open = this.#free.pop()!;
    this.#inUse++;
    this.#open = open;
    this.#end = 0;
    if (full !== null) this.#judge(full);
    return open;
  }

  #map(): void {
    const { segmentBytes, regionSegments } = this.sizes;
    const memory = this.pages.allocate(segmentBytes * regionSegments);
    for (let n = regionSegments - 1; n >= 0; n--)
      this.#free.push(new Segment(this, memory, n * segmentBytes));
  }

  /** A block of `capacity` bytes is in the segment no more; moves some others, in proportion. */
  #leave(segment: Segment, slot: number, capacity: number): void {
    this.#remove(segment, slot, capacity);
    this.#judge(segment);
    this.#empty(MOVED_AT_LEAST + MOVED_A_FREED_BYTE * capacity);
  }

  #remove(segment: Segment, slot: number, capacity: number): void {
    const { blocks } = segment;
    blocks[slot] = undefined;
    while (blocks.length > 0 && blocks[blocks.length - 1] === undefined) blocks.pop();
    segment.live -= capacity;
    this.live -= capacity;
  }

  /** Gives a segment back if nothing of it is live, or has it wait to be emptied if too little is. */
  #judge(segment: Segment): void {
    if (segment.live === 0) this.#giveBack(segment);
    else if (
      segment !== this.#open &&
      !segment.isSparse &&
      segment.live < LEAST_LIVE * this.sizes.segmentBytes
    ) {
      segment.isSparse = true;
      this.#sparse.push(segment);
    }
  }

  #giveBack(segment: Segment): void {
    const isOpen = segment === this.#open;
    const { segmentBytes } = this.sizes;
    // Whoever makes and removes one event at a time needs the same few pages again and again.
    if (!isOpen || this.#end > FEW * segmentBytes)
      this.pages.discard(segment.memory, segment.start, segmentBytes);
    segment.isSparse = false;
    if (isOpen) this.#end = 0;
    else {
      this.#free.push(segment);
      this.#inUse--;
    }
  }

  #empty(budget: number): void {
    for (let blocks = 0; budget > 0 && blocks < MOST_MOVED_BLOCKS && this.#sparse.length > 0;) {
      const segment = this.#sparse[0];
      const block = segment.isSparse ? segment.blocks[segment.blocks.length - 1] : undefined;
      if (block === undefined) {
        this.#sparse.shift();
        continue;
      }
      const { slot, capacity } = block;
      this.#place(block, capacity, capacity);
      this.#remove(segment, slot, capacity);
      if (segment.live === 0) this.#giveBack(segment);
      budget -= capacity;
      blocks++;
    }
  }
}
