/**
 * Runs the cases of cases.ts on a system: a process on a real mount, with either driver, or the
 * kernel in memory.
 *
 * Each case has a directory `own`, where it works, and a directory `other` beside it. Both have
 * mode 0755 and belong to root. A line of a case is
 *
 *     [who:] call [words] [= result]
 *
 * A line without a result expects the call to succeed, with any value. A refusal is the errno's
 * name. The result of a read is the text, with unprintable bytes as %XX, and `nothing` at the end
 * of the file. `{255}` is a name of that length.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { Answer } from '../support/clients/clients.js';
import { type Suite } from '../support/runner/suite.js';
import { CASES } from './cases.js';

/** The user who makes calls; root by default. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** The users of the cases, by name. */
export const USERS: Readonly<Record<string, User>> = {
  root: { uid: 0, gid: 0, groups: [0] },
  alice: { uid: 1001, gid: 1001, groups: [] },
  bob: { uid: 1002, gid: 1002, groups: [] },
  /** Alice's group is one of her supplementary groups. */
  carol: { uid: 1003, gid: 1003, groups: [7777, 1001] },
};

/** Makes the calls of test/programs/clients/stream-calls.c. */
export interface Caller {
  call(verb: string, ...args: readonly (string | number)[]): Promise<Answer>;
}

/** A new mount for one case. */
export interface System {
  /** Returns a new caller whose working directory is the root of the mount. */
  caller(user: User): Promise<Caller>;
  /** Ends the callers and the mount. */
  end(): Promise<void>;
}

const FLAGS: Readonly<Record<string, number>> = {
  r: 0,
  w: 1,
  rw: 2,
  creat: 0o100,
  excl: 0o200,
  trunc: 0o1000,
  append: 0o2000,
  nonblock: 0o4000,
  directory: 0o200000,
  nofollow: 0o400000,
  path: 0o10000000,
  tmpfile: 0o20200000,
};

const TYPES: Readonly<Record<number, string>> = {
  0o01: 'fifo',
  0o04: 'directory',
  0o10: 'file',
  0o12: 'symlink',
  0o14: 'socket',
};

/** The values of stat(2). */
interface Info {
  readonly ino: string;
  readonly size: string;
  readonly mode: string;
  readonly type: string;
  readonly nlink: string;
  readonly uid: string;
  readonly gid: string;
  readonly atime: string;
  readonly mtime: string;
  readonly ctime: string;
  readonly blocks: string;
}

const TIMES = ['atime', 'mtime', 'ctime'] as const;

function parseInfo(rest: readonly string[]): Info {
  const [ino, size, modeText, nlink, uid, gid, atime, mtime, ctime, blocks] = rest;
  const mode = parseInt(modeText, 8);
  return {
    ino,
    size,
    mode: (mode & 0o7777).toString(8),
    type: TYPES[mode >> 12],
    nlink,
    uid,
    gid,
    atime,
    mtime,
    ctime,
    blocks,
  };
}

/** One case on one system. */
class Run {
  readonly #callers = new Map<string, Promise<Caller>>();
  readonly #notes = new Map<string, Info>();

  constructor(readonly system: System) {}

  /**
   * Runs the lines of a case.
   * @throws AssertionError at the first line with another result
   */
  async perform(script: string): Promise<void> {
    for (const line of ['mkdir own 755', 'mkdir other 755', 'chdir own', ...script.split('\n')]) {
      const [, who = 'root', command, , expected] =
        /^\s*(?:(\w+):\s+)?(.*?)(\s+=\s+(.*))?\s*$/.exec(
          line.replace(/\{(\d+)\}/g, (_, n: string) => 'n'.repeat(Number(n))),
        )!;
      if (command === '' || command.startsWith('#')) continue;
      const got = await this.#line(await this.#caller(who), command.split(/\s+/).map(unescape));
      if (expected !== undefined) assert.is(got, expected, line);
      else assert.not.match(got, /^E[A-Z0-9]+$/, line);
    }
  }

  #caller(who: string): Promise<Caller> {
    const known = this.#callers.get(who);
    if (known !== undefined) return known;
    const made = this.system.caller(USERS[who]).then(async (caller) => {
      await caller.call('umask', 0);
      if (this.#callers.size > 1) assert.is((await caller.call('chdir', 'own')).errno, '');
      return caller;
    });
    this.#callers.set(who, made);
    return made;
  }

  /**
   * Runs a line.
   * @returns an errno's name, a number or a text
   */
  async #line(caller: Caller, [verb, ...args]: string[]): Promise<string> {
    switch (verb) {
      case 'put': // printf text > path
        return this.#open(caller, args[0], 'w|creat|trunc', args[2], (slot) =>
          caller.call('write', slot, args[1]),
        );
      case 'cat':
        return this.#open(caller, args[0], 'r', undefined, (slot) =>
          caller.call('read', slot, 65536),
        );
      case 'open':
        return outcome(
          await caller.call(
            'open',
            args[0],
            args[1],
            flags(args[2]),
            parseInt(args[3] ?? '644', 8),
          ),
        );
      case 'mkdir':
      case 'mknod':
      case 'chmod':
      case 'fchmod':
        return outcome(
          await caller.call(verb, args[0], parseInt(args[1] ?? '755', 8), ...args.slice(2)),
        );
      case 'names':
        return this.#open(caller, args[0], 'r|directory', undefined, async (slot) => {
          const got = await caller.call('getdents', slot);
          const names = got.rest
            .map((entry) => entry.split('/')[0])
            .filter((name) => name !== '.' && name !== '..');
          return { ...got, bytes: names.join(' '), rest: names };
        });
      case 'note':
        this.#notes.set(args[0], (await this.#info(caller, args[0])) as Info);
        await tick();
        return '';
      case 'changed':
        return this.#changed(await this.#info(caller, args[0]), this.#notes.get(args[0])!);
      case 'same': {
        const [one, other] = [await this.#info(caller, args[0]), await this.#info(caller, args[1])];
        return typeof one !== 'string' && typeof other !== 'string' && one.ino === other.ino
          ? 'yes'
          : 'no';
      }
      default:
        return this.#other(caller, verb, args);
    }
  }

  /** Returns one value of stat(2), or makes a call of stream-calls.c unchanged. */
  async #other(caller: Caller, verb: string, args: readonly string[]): Promise<string> {
    const info = /^(f?)(ino|size|mode|type|nlink|uid|gid|atime|mtime|ctime|blocks)$/.exec(verb);
    if (info === null)
      return outcome(
        await caller.call(verb, ...args),
        /^(read|pread|readlink|getxattr|listxattr|mmap)$/.test(verb),
      );
    const got = await caller.call(info[1] === 'f' ? 'fattributes' : 'attributes', args[0]);
    return got.value < 0 ? got.errno : parseInfo(got.rest)[info[2] as keyof Info];
  }

  async #info(caller: Caller, path: string): Promise<Info | string> {
    const got = await caller.call('attributes', path);
    return got.value < 0 ? got.errno : parseInfo(got.rest);
  }

  #changed(after: Info | string, before: Info): string {
    if (typeof after === 'string') return after;
    return TIMES.filter((time) => after[time] !== before[time]).join(' ') || 'nothing';
  }

  async #open(
    caller: Caller,
    path: string,
    how: string,
    mode: string | undefined,
    body: (slot: number) => Promise<Answer>,
  ): Promise<string> {
    const slot = 900;
    const opened = await caller.call('open', slot, path, flags(how), parseInt(mode ?? '644', 8));
    if (opened.value < 0) return opened.errno;
    const got = await body(slot);
    await caller.call('close', slot);
    return outcome(got, true);
  }
}

/** Decodes %XX. */
function unescape(word: string): string {
  return word.replace(/%([0-9A-F]{2})/g, (_, code: string) =>
    String.fromCharCode(parseInt(code, 16)),
  );
}

function flags(words: string): number {
  return words.split('|').reduce((sum, word) => {
    assert.ok(word in FLAGS, `no such flag: ${word}`);
    return sum | FLAGS[word];
  }, 0);
}

function outcome({ value, errno, bytes }: Answer, isText = false): string {
  if (value < 0) return errno;
  if (!isText || (bytes === '' && value > 0)) return String(value);
  return bytes === ''
    ? 'nothing'
    : bytes.replace(
        /[^!-$&-~ ]/g,
        (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
      );
}

/** Resolves when the clock has advanced by the smallest difference of times in the tree. */
async function tick(): Promise<void> {
  for (const start = Date.now(); Date.now() < start + 2;) await sleep(1);
}

/** The cases that do not hold on a system, each with its reason. */
interface Exceptions {
  /** The key is a case's name, or the beginning of several names. */
  readonly [beginning: string]: string;
}

/**
 * Adds all cases to a suite.
 * @param exceptions cases that do not run; each key must match a case
 */
export function conforms(
  to: Suite,
  system: () => Promise<System>,
  exceptions: Exceptions = {},
): void {
  for (const { name, script } of CASES) {
    if (isExcepted(name, exceptions)) continue;
    to(name, async () => {
      const made = await system();
      try {
        await new Run(made).perform(script);
      } finally {
        await made.end();
      }
    });
  }
  to('has no exceptions but of cases that there are', () => {
    for (const beginning of Object.keys(exceptions))
      assert.ok(
        CASES.some(({ name }) => name.startsWith(beginning)),
        beginning,
      );
  });
}

/** The different result of a case on a system. */
export interface Difference {
  /** The line with a different result, and that result: `unlink a = EPERM`. */
  readonly gives: string;
  readonly why: string;
}

/**
 * Adds the excepted cases to a suite. Each must have its listed result, so that a case that holds
 * by now does not stay in the list.
 */
export function differs(
  to: Suite,
  system: () => Promise<System>,
  differences: Readonly<Record<string, Difference>>,
): void {
  for (const [beginning, { gives }] of Object.entries(differences)) {
    to(`differs: ${beginning}`, async () => {
      const { script } = CASES.find(({ name }) => name.startsWith(beginning))!;
      const made = await system();
      const end = await new Run(made)
        .perform(script)
        .then(
          () => undefined,
          (error: unknown) => error as Error,
        )
        .finally(() => made.end());
      if (end !== undefined && !(end instanceof assert.Assertion)) throw end; // a timeout, say
      assert.ok(end, 'it holds: take it off the list');
      const [line] = end.message.trim().split(/\s+=\s/);
      assert.is(`${line} = ${String(end.actual)}`, gives);
    });
  }
}

function isExcepted(name: string, exceptions: Exceptions): boolean {
  return Object.keys(exceptions).some((beginning) => name.startsWith(beginning));
}
