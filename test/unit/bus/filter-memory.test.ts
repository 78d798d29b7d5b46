/** Compares the stated memory of a filter with the heap that it takes. */
import * as assert from 'uvu/assert';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { FilterIndex } from '../../../fs/bus/filter-index.js';
import { FILTER_LIMITS, Filter } from '../../../fs/uevent/filter/filter.js';
import { suite } from '../../support/runner/suite.js';

const memory = suite('the memory of a filter');

/** The number of filters of one measurement: they take some 2.5 MB. */
const MOST = 100;
const FEWEST = 8;
const STATED_BYTES = 2_500_000;
const ROUNDS = 3;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** The largest texts that cost the most heap a byte. `n` makes each different. */
const TEXTS: Readonly<Record<string, (n: number) => string>> = {
  'one short term': (n) => `A==b${n}`,
  'one long literal': (n) => `A==${n}${'x'.repeat(4000)}`,
  'short alternatives': (n) =>
    Array.from(
      { length: 64 },
      (_, i) =>
        `K${i}==${Array.from({ length: 32 }, (__, j) => (j === 0 ? n : String.fromCharCode(97 + (j % 26)))).join('|')}`,
    )
      .join(', ')
      .slice(0, 4096)
      .replace(/[^a-z]*$/, ''),
  'a value each': (n) => Array.from({ length: 60 }, (_, i) => `K==v${n}.${i}`).join('\n'),
  stars: (n) => `A==${n}${'*a'.repeat(1900)}`,
  'sets between stars': (n) => `A==${n}${'[ab]*'.repeat(800)}`,
  sets: (n) => `A==${n}${'[ab]'.repeat(1000)}`,
  'a comment': (n) => `A==b${n}\n${'#'.repeat(4000)}`,
};

type Filled = { index: unknown; filters: readonly Filter[] };

function parse(text: string): Filter {
  return Filter.parse(Buffer.from(text).toString('latin1'), FILTER_LIMITS);
}

function countOf(textOf: (n: number) => string): number {
  const { memory: bytes } = parse(textOf(0));
  return Math.max(FEWEST, Math.min(MOST, Math.round(STATED_BYTES / bytes)));
}

function fill(textOf: (n: number) => string, count: number): Filled {
  const index = new FilterIndex<{ filter: Filter }>();
  const filters = Array.from({ length: count }, (_, n) => parse(textOf(n)));
  for (const filter of filters) index.add({ filter });
  return { index, filters };
}

function heapBytes(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

/**
 * Returns the heap of a filter in bytes: the median of some measurements, since V8 may keep or free
 * something of its own meanwhile.
 */
function heapOf(textOf: (n: number) => string): { real: number; stated: number } {
  const count = countOf(textOf);
  let stated = 0;
  const grown = Array.from({ length: ROUNDS }, () => {
    const before = heapBytes();
    const { filters, index } = fill(textOf, count);
    const bytes = (heapBytes() - before) / count;
    stated = filters.reduce((sum, { memory: each }) => sum + each, 0) / count;
    assert.ok(index);
    return bytes;
  });
  return { real: grown.sort((one, other) => one - other)[ROUNDS >> 1], stated };
}

// V8 compiles code at the first parse, which must not count as a filter's heap.
for (let round = 0; round < ROUNDS; round++)
  for (const textOf of Object.values(TEXTS)) fill(textOf, countOf(textOf));

for (const [what, textOf] of Object.entries(TEXTS)) {
  memory(`with ${what} is at most the stated size`, () => {
    const { real, stated } = heapOf(textOf);
    assert.ok(real <= stated, `${real} bytes of heap, stated as ${stated}`);
    assert.ok(stated <= 4 * real + 8192, `${real} bytes of heap, stated as ${stated}`);
  });
}

memory.run();
