/**
 * Compares random reads, writes and truncations of one file with a short model, as fsx does. It
 * uses two open files, one of which appends, and a second link. A failure names the seed;
 * EVENTFS_TEST_SEED repeats it.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { USERS, type System } from './system.js';

const MOST_BYTES = 65536;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
/** The slots of the two open files. */
const FILE = 1;
const APPENDS = 2;
/** The number of operations that a failure shows. */
const SHOWN = 12;

interface Operation {
  readonly do:
    | 'read'
    | 'pread'
    | 'write'
    | 'pwrite'
    | 'append'
    | 'truncate'
    | 'ftruncate'
    | 'seek'
    | 'stat'
    | 'reopen'
    | 'whole';
  readonly at: number;
  readonly size: number;
  readonly letter: number;
}

const operations = fc.record({
  do: fc.constantFrom<Operation['do']>(
    'read',
    'read',
    'pread',
    'pread',
    'write',
    'write',
    'pwrite',
    'pwrite',
    'append',
    'truncate',
    'ftruncate',
    'seek',
    'stat',
    'stat',
    'reopen',
    'whole',
  ),
  // Mostly small, so that operations overlap; sometimes up to the largest size and beyond.
  at: fc.oneof(
    { weight: 12, arbitrary: fc.nat(600) },
    { weight: 1, arbitrary: fc.nat(MOST_BYTES + 100) },
  ),
  size: fc.oneof({ weight: 12, arbitrary: fc.nat(300) }, { weight: 1, arbitrary: fc.nat(9000) }),
  letter: fc.nat(25),
});

/** The expected contents of the file. */
class Model {
  text = '';
  /** The first file's offset. */
  offset = 0;

  /**
   * Writes as write(2) at offset `at`.
   * @returns the expected result
   */
  write(data: string, at: number): string {
    if (data === '') return '0'; // at any offset
    if (at + data.length > MOST_BYTES) return 'EFBIG';
    this.text = this.text.slice(0, at).padEnd(at, '\0') + data + this.text.slice(at + data.length);
    return String(data.length);
  }

  /**
   * Truncates as ftruncate(2).
   * @returns the expected result
   */
  truncate(size: number): string {
    if (size > MOST_BYTES) return 'EFBIG';
    this.text = this.text.slice(0, size).padEnd(size, '\0');
    return '0';
  }
}

/**
 * Runs `count` random operations in a new directory.
 * @throws Error at the first that differs from the model
 */
export async function exercise(system: System, count: number): Promise<void> {
  const seed = Number(process.env.EVENTFS_TEST_SEED ?? Date.now() % 2 ** 31);
  const all = fc.sample(operations, { seed, numRuns: count }) as Operation[];
  const caller = await system.caller(USERS.root);
  const model = new Model();
  const call = async (verb: string, ...args: (string | number)[]): Promise<string> => {
    const { value, errno, bytes } = await caller.call(verb, ...args);
    return value < 0 ? errno : verb === 'read' || verb === 'pread' ? bytes : String(value);
  };
  const open = async (flags: number): Promise<void> => {
    assert.is(await call('open', FILE, 'fsx/file', flags, 0o644), '0');
    model.offset = 0;
    if ((flags & O_TRUNC) !== 0) model.text = '';
  };
  const size = async (): Promise<string> =>
    (await caller.call('attributes', 'fsx-too/link')).rest[1];
  for (const directory of ['fsx', 'fsx-too']) assert.is(await call('mkdir', directory, 0o755), '0');
  await open(O_RDWR | O_CREAT);
  assert.is(await call('link', 'fsx/file', 'fsx-too/link'), '0');
  assert.is(await call('open', APPENDS, 'fsx-too/link', O_RDWR | O_APPEND), '0');

  const perform = async ({
    do: what,
    at,
    size: length,
    letter,
  }: Operation): Promise<[got: string, expected: string]> => {
    const data = String.fromCharCode(97 + letter).repeat(length);
    switch (what) {
      case 'read': {
        const expected = model.text.slice(model.offset, model.offset + length);
        model.offset += expected.length;
        return [await call('read', FILE, length), expected];
      }
      case 'pread':
        return [await call('pread', APPENDS, length, at), model.text.slice(at, at + length)];
      case 'write': {
        const expected = model.write(data, model.offset);
        if (expected !== 'EFBIG') model.offset += length;
        return [await call('write', FILE, data), expected];
      }
      case 'pwrite':
        return [await call('pwrite', FILE, data, at), model.write(data, at)];
      case 'append':
        return [await call('write', APPENDS, data), model.write(data, model.text.length)];
      case 'truncate':
        return [await call('truncate', 'fsx-too/link', at), model.truncate(at)];
      case 'ftruncate':
        return [await call('ftruncate', FILE, at), model.truncate(at)];
      case 'seek':
        model.offset = at;
        return [await call('lseek', FILE, at, 0), String(at)];
      case 'stat':
        return [await size(), String(model.text.length)];
      case 'reopen':
        await call('close', FILE);
        await open(letter === 0 ? O_RDWR | O_TRUNC : O_RDWR);
        return ['', ''];
      case 'whole':
        return [await call('pread', FILE, MOST_BYTES + 1, 0), model.text];
    }
  };
  for (const [n, operation] of all.entries()) {
    const [got, expected] = await perform(operation);
    if (got === expected) continue;
    const last = all
      .slice(Math.max(0, n - SHOWN + 1), n + 1)
      .map((each) => JSON.stringify(each))
      .join('\n');
    assert.unreachable(
      `EVENTFS_TEST_SEED=${seed}, operation ${n}: ${JSON.stringify(got.slice(0, 200))} and not ${JSON.stringify(expected.slice(0, 200))}, ${got.length} and ${expected.length} bytes, after\n${last}`,
    );
  }
}
