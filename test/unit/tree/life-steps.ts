/** The random steps of processes in life.test.ts, and the objects of its model. */
import fc from 'fast-check';
import { Child } from '../../support/memory/child.js';

/** The number of processes. */
export const CHILDREN = 3;
/** The number of names that the root lists behind the directories: log, match and publish. */
export const FIXED = 3;
/** The filters, by number. */
export const KINDS = ['', 'K==1', 'K==2'];

/** A file or event of a directory. */
export interface Entry {
  readonly name: string;
  readonly position: number;
  readonly written: boolean;
  text: string;
  writers: number;
}

/** A process directory. */
export interface Directory {
  readonly name: string;
  readonly owner: Child;
  readonly node: number;
  entries: Entry[];
  next: number;
  listedTo: number;
  kind: number;
  gone: boolean;
}

/** An open file. */
export interface Open {
  readonly fh: number;
  readonly node: number;
  /** The directory; null for `stream` and `match/`. */
  readonly directory: Directory | null;
  readonly kind: 'stream' | 'queue' | 'file' | 'directory';
  /**
   * Of a stream: the filter, and the records that it must return. Of `.stream`: the rest of the
   * last record.
   */
  readonly filter: number;
  rest: string;
  readonly entry: Entry | null;
  readonly writes: boolean;
  /** The poll key until the daemon wakes it. */
  armed: number | null;
  /** Whether the daemon must wake it: it had nothing at the poll, or an event has come since. */
  due: boolean;
}

/** One step of a process or of the kernel. */
export type Step =
  | { do: 'mkdir'; child: number; label: number }
  | { do: 'event'; kinds: number[] }
  | { do: 'create'; which: number; name: string; text: string; done: boolean }
  | { do: 'write'; which: number; text: string }
  | { do: 'openStream'; filter: number }
  | { do: 'setFilter'; which: number; kind: number }
  | { do: 'read'; which: number; room: number }
  | { do: 'openFile' | 'unlink' | 'unlinkEnd'; which: number; entry: number }
  | {
      do:
        | 'rmdir'
        | 'rmdirByOwner'
        | 'openQueue'
        | 'openDirectory'
        | 'list'
        | 'release'
        | 'interrupt'
        | 'poll'
        | 'forget'
        | 'die';
      which: number;
    }
  | { do: 'hold' | 'settle' };

const which = fc.nat(99);
const text = fc.constantFrom('', 'x', 'mine@/x\n', 'a@/b\nK=V\n');

/** Returns the arbitrary of steps of one kind, with their fields. */
function step(
  weight: number,
  names: readonly string[],
  fields: Record<string, fc.Arbitrary<unknown>> = {},
) {
  return {
    weight,
    arbitrary: fc.record({
      do: fc.constantFrom(...names),
      ...fields,
    }) as unknown as fc.Arbitrary<Step>,
  };
}

/** Random steps. */
export const steps = fc.array(
  fc.oneof(
    step(6, ['mkdir'], { child: fc.nat(CHILDREN - 1), label: fc.nat(1) }),
    step(10, ['event'], {
      kinds: fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 1, maxLength: 4 }),
    }),
    step(3, ['create'], { which, name: fc.constantFrom('a', 'b', 'c'), text, done: fc.boolean() }),
    step(2, ['write'], { which, text }),
    step(3, ['openStream'], { filter: fc.nat(KINDS.length - 1) }),
    step(1, ['setFilter'], { which, kind: fc.nat(KINDS.length - 1) }),
    step(12, ['read'], {
      which,
      room: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(65536)),
    }),
    step(4, ['openFile', 'unlink', 'unlinkEnd'], { which, entry: which }),
    step(14, ['openQueue', 'openDirectory', 'list', 'release', 'interrupt', 'poll', 'forget'], {
      which,
    }),
    step(2, ['rmdir', 'rmdirByOwner'], { which }),
    step(2, ['die'], { which }),
    step(2, ['hold', 'settle']),
  ),
  { maxLength: 90, size: 'max' },
);
