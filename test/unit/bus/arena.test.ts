/**
 * The arena against a model: blocks keep their bytes through every move, and the memory stays in
 * proportion to them.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { Arena, type Block, type Pages, type Segment } from '../../../fs/bus/arena.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const arena = suite('an arena');

const SIZES = { segmentBytes: 4096, regionSegments: 4 };

class TestBlock implements Block {
  bytes = new Uint8Array(0);
  start = 0;
  capacity = 0;
  segment: Segment | null = null;
  slot = 0;

  constructor(readonly id: number) {}

  fill(from: number): void {
    for (let n = from; n < this.capacity; n++) this.bytes[this.start + n] = this.valueAt(n);
  }

  valueAt(n: number): number {
    return (this.id * 31 + n) & 255;
  }

  check(): void {
    for (let n = 0; n < this.capacity; n++)
      assert.is(this.bytes[this.start + n], this.valueAt(n), `block ${this.id}, byte ${n}`);
  }
}

/** Memory that records the discarded segments, and overwrites them. */
class TestPages implements Pages {
  discards = 0;

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes).fill(0xee);
  }

  discard(memory: Uint8Array, start: number, length: number): void {
    this.discards++;
    memory.fill(0xee, start, start + length);
  }
}

class World {
  readonly pages = new TestPages();
  readonly arena = new Arena(this.pages, SIZES);
  readonly blocks: TestBlock[] = [];
  #next = 0;

  add(capacity: number): void {
    const block = new TestBlock(this.#next++);
    this.arena.resize(block, capacity, 0);
    block.fill(0);
    this.blocks.push(block);
  }

  resize(which: number, capacity: number): void {
    const block = this.blocks[which % this.blocks.length];
    if (block === undefined) return;
    const kept = Math.min(capacity, block.capacity);
    this.arena.resize(block, capacity, kept);
    block.fill(kept);
  }

  free(which: number): void {
    const [block] = this.blocks.splice(which % this.blocks.length, 1);
    if (block !== undefined) this.release(block);
  }

  release(block: TestBlock): void {
    this.arena.free(block);
    assert.is(block.segment, null);
  }

  check(): void {
    for (const block of this.blocks) block.check();
    const live = this.blocks.reduce((sum, { capacity }) => sum + capacity, 0);
    assert.is(this.arena.live, live);
    assert.ok(
      this.arena.held <= (4 / 3) * live + 3 * SIZES.segmentBytes,
      `${this.arena.held} bytes are held for ${live}`,
    );
    const places = this.blocks
      .map(({ bytes, start, capacity }) => ({ bytes, start, end: start + capacity }))
      .sort((a, b) => a.start - b.start);
    for (let n = 0; n < places.length; n++) {
      for (let m = n + 1; m < places.length && places[m].start < places[n].end; m++)
        assert.ok(places[m].bytes !== places[n].bytes, 'two blocks overlap');
    }
  }
}

/**
 * Blocks in order, in pieces: to remove them from the middle of one long array would take most of
 * the test's time.
 */
class Pieces {
  static readonly #LENGTH = 200;
  readonly #pieces: TestBlock[][] = [];
  length: number;

  constructor(blocks: readonly TestBlock[]) {
    this.length = blocks.length;
    for (let at = 0; at < blocks.length; at += Pieces.#LENGTH)
      this.#pieces.push(blocks.slice(at, at + Pieces.#LENGTH));
  }

  /** Removes the block at an index. */
  take(index: number): TestBlock {
    this.length--;
    for (let n = 0, before = 0; ; before += this.#pieces[n++].length) {
      if (index < before + this.#pieces[n].length)
        return this.#pieces[n].splice(index - before, 1)[0];
    }
  }
}

/** The largest block has the same ratio to a segment as the largest event has in the daemon. */
const capacity = fc.oneof(
  fc.integer({ min: 1, max: 8 }),
  fc.integer({ min: 1, max: Math.floor(SIZES.segmentBytes / 56) }),
);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('add' as const), capacity }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('free' as const), which: fc.nat(9999) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('resize' as const), which: fc.nat(9999), capacity }),
  },
);

arena('keeps the bytes of its blocks, and uses at most 4/3 of them and a few segments', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1500, size: 'max' }), (steps) => {
      const world = new World();
      for (const [n, one] of steps.entries()) {
        if (one.do === 'add') world.add(one.capacity);
        else if (one.do === 'free') world.free(one.which);
        else world.resize(one.which, one.capacity);
        if (n % 20 === 0) world.check();
      }
      world.check();
      while (world.blocks.length > 0) world.free(world.blocks.length >>> 1);
      world.check();
      assert.is(world.arena.held, SIZES.segmentBytes * Math.min(1, world.arena.held));
    }),
    runs(60),
  );
});

arena(
  'returns memory in proportion if its blocks are freed evenly, at random or from one end',
  () => {
    const orders: ((count: number, n: number) => number)[] = [
      (count) => count - 1,
      () => 0,
      (count, n) => (n * 7919) % count,
      (count) => count >>> 1,
    ];
    for (const size of [1, 10, 73]) {
      for (const order of orders) {
        const world = new World();
        for (let n = 0; n < 40_000 / size; n++) world.add(size);
        const left = new Pieces(world.blocks);
        for (let n = 0; left.length > 0; n++) {
          world.release(left.take(order(left.length, n)));
          if (n % 50 === 0)
            assert.ok(
              world.arena.held <= (4 / 3) * world.arena.live + 3 * SIZES.segmentBytes,
              `${world.arena.held} for ${world.arena.live}`,
            );
        }
        assert.ok(world.pages.discards > 0);
      }
    }
  },
);

arena('moves at most a few blocks and bytes for each freed block', () => {
  const world = new World();
  for (let n = 0; n < 3000; n++) world.add(20);
  while (world.blocks.length > 100) {
    const before = world.blocks.map(({ bytes, start }) => ({ bytes, start }));
    const which = (world.blocks.length * 7) % world.blocks.length;
    world.free(which);
    before.splice(which, 1);
    const moved = world.blocks.filter(
      ({ bytes, start }, n) => bytes !== before[n].bytes || start !== before[n].start,
    );
    assert.ok(moved.length <= 16, `${moved.length} were moved`);
  }
});

arena('refuses a block that is larger than a segment', () => {
  assert.throws(() => new World().add(SIZES.segmentBytes + 1), /a block of 4097 bytes/);
});

arena.run();
