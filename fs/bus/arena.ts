/**
 * The memory for event text outside the log's ring: events that the ring has overwritten but that
 * a queue or an open file still holds, and files that users write.
 *
 * A block is allocated at the end of the open segment. Its owner frees it explicitly, never the
 * garbage collector. If too little of a segment is live, the arena moves its blocks to the open
 * segment, some with each block that is freed, and returns its pages to the machine. So the memory
 * held stays below 4/3 of the live memory plus a few segments, in whatever order blocks are freed.
 *
 * The memory holds no pointers. A block's `bytes` and `start` change when another block is freed or
 * resized: callers must read them again each time.
 */

/** The functions that an arena gets its memory from. */
export interface Pages {
  /**
   * Maps memory. A page costs nothing until it is written to.
   * @param bytes the size
   */
  allocate(bytes: number): Uint8Array;
  /**
   * Returns pages to the machine: they cost nothing until they are written to again. Their content
   * is lost.
   * @param memory from `allocate`
   * @param start in bytes
   * @param length in bytes
   */
  discard(memory: Uint8Array, start: number, length: number): void;
}

/** Memory from V8's heap, for tests. `discard` does not return it. */
export const HEAP_PAGES: Pages = {
  allocate: (bytes) => new Uint8Array(bytes),
  discard: () => undefined,
};

/** An object whose bytes lie in an arena. */
export interface Block {
  /** The memory. In a segment, `capacity` bytes of it from `start` on belong to the block. */
  bytes: Uint8Array;
  /** The offset in `bytes`. */
  start: number;
  /** How many bytes the arena keeps when it moves the block. */
  capacity: number;
  /** Null while the block is not in an arena. */
  segment: Segment | null;
  /** The block's index among the segment's blocks. */
  slot: number;
}

/** An arena's sizes. */
interface ArenaSizes {
  /** The size of a segment in bytes, and the most that a block can have. */
  readonly segmentBytes: number;
  /** How many segments one call of `Pages.allocate` provides. */
  readonly regionSegments: number;
}

const MIB = 1024 * 1024;

/**
 * The largest block is a 57th of a segment, so the unused end of a segment, in which the next block
 * does not fit, is small.
 */
const SIZES: ArenaSizes = { segmentBytes: 4 * MIB, regionSegments: 64 };

/** If nothing in the open segment is live, and no more than this share was used, its pages stay. */
const FEW = 1 / 64;

/** A segment is emptied when less than this share of it is live. */
const LEAST_LIVE = 7 / 8;

/**
 * How many bytes are moved for each byte that is freed. If all segments fall below LEAST_LIVE at
 * once, the last of them is empty when LEAST_LIVE * 10 / 11 of them, more than 3/4, are still live.
 */
const MOVED_A_FREED_BYTE = 10;
/** How many bytes more are moved for each freed block. */
const MOVED_AT_LEAST = 1024;
/** The most blocks that are moved for one freed block. */
const MOST_MOVED_BLOCKS = 16;

/** One part of an arena's memory. Its blocks lie one behind the other. */
export class Segment {
  /** Bytes of live blocks. */
  live = 0;
  /** The live blocks of the segment. A freed block leaves a hole, `undefined`. */
  readonly blocks: (Block | undefined)[] = [];
  /** Whether the segment waits to be emptied. */
  isSparse = false;

  /**
   * @param arena the arena that the segment belongs to
   * @param memory the mapped region, which holds several segments
   * @param start the segment's offset in `memory`, in bytes
   */
  constructor(
    readonly arena: Arena,
    readonly memory: Uint8Array,
    readonly start: number,
  ) {}
}

/** Allocates, moves and frees blocks. */
export class Arena {
  /** Bytes of all live blocks. */
  live = 0;
  /** How many segments are not free. */
  #inUse = 0;
  #open: Segment | null = null;
  /** The offset of the next block in the open segment, in bytes. */
  #end = 0;
  readonly #free: Segment[] = [];
  /**
   * The segments to be emptied, the one that has waited longest first. Some may have become empty
   * since: then `isSparse` is false.
   */
  #sparse: Segment[] = [];
  /**
   * A segment that was emptied while others wait for it. It keeps its pages, which count as held:
   * the blocks of the others go there, and a page that was used before costs a tenth of a new one.
   */
  #warm: Segment | null = null;

  /**
   * @param pages the functions that the memory comes from
   * @param sizes the sizes of segments and regions
   */
  constructor(
    private readonly pages: Pages = HEAP_PAGES,
    private readonly sizes: ArenaSizes = pages === HEAP_PAGES
      ? { ...SIZES, regionSegments: 1 }
      : SIZES,
  ) {}

  /** The most bytes of the machine's memory that the arena holds. */
  get held(): number {
    return this.#inUse * this.sizes.segmentBytes;
  }

  /**
   * Moves a block to another place, with `capacity` bytes. The bytes behind the first `kept` are
   * undefined.
   * @param block a block in the arena, or one that is in no arena yet
   * @param capacity the new size in bytes
   * @param kept how many of the block's bytes are copied
   * @throws RangeError if `capacity` is larger than a segment, or the error of
   *   {@link Pages.allocate}; then nothing has changed
   */
  resize(block: Block, capacity: number, kept: number): void {
    const { segment, slot, capacity: before } = block;
    this.#place(block, capacity, kept);
    if (segment !== null) this.#leave(segment, slot, before);
  }

  /** Frees a block that is in the arena. The caller must then set the block's `bytes`. */
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

  /** Returns the open segment, after opening a free one if `capacity` bytes do not fit the old. */
  #openFor(capacity: number): Segment {
    const { segmentBytes } = this.sizes;
    if (capacity > segmentBytes)
      throw new RangeError(
        `a block of ${capacity} bytes exceeds a segment of ${segmentBytes} bytes`,
      );
    const full = this.#open;
    if (full !== null && this.#end + capacity <= segmentBytes) return full;
    const open = this.#takeFree();
    this.#open = open;
    this.#end = 0;
    if (full !== null) this.#judge(full);
    return open;
  }

  /** Returns a segment without blocks, and counts it as in use. */
  #takeFree(): Segment {
    const warm = this.#warm;
    this.#warm = null;
    if (warm !== null) return warm;
    if (this.#free.length === 0) this.#map();
    this.#inUse++;
    return this.#free.pop()!;
  }

  #map(): void {
    const { segmentBytes, regionSegments } = this.sizes;
    const memory = this.pages.allocate(segmentBytes * regionSegments);
    for (let n = regionSegments - 1; n >= 0; n--)
      this.#free.push(new Segment(this, memory, n * segmentBytes));
  }

  /** Removes a block of `capacity` bytes from a segment, and moves other blocks in proportion. */
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

  /** Frees the segment if nothing of it is live; marks it to be emptied if too little is. */
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
    segment.isSparse = false;
    if (segment === this.#open) {
      // A user that makes and removes one event at a time needs the same few pages again and again.
      if (this.#end > FEW * this.sizes.segmentBytes) this.#discard(segment);
      this.#end = 0;
    } else if (this.#warm === null && this.#sparse.length > 0) this.#warm = segment;
    else this.#release(segment);
  }

  #discard(segment: Segment): void {
    this.pages.discard(segment.memory, segment.start, this.sizes.segmentBytes);
  }

  #release(segment: Segment): void {
    this.#discard(segment);
    this.#free.push(segment);
    this.#inUse--;
  }

  /**
   * Moves blocks out of the segments that wait to be emptied.
   * @param budget how many bytes to move; the last block may exceed it
   */
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
    if (this.#warm === null || this.#sparse.length > 0) return;
    this.#release(this.#warm);
    this.#warm = null;
  }
}
