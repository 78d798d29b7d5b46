/**
 * Runs every test file with a time limit, and counts. Files of test/unit need no mount and no root;
 * as many processes as there are CPUs run them, most of them one after the other in one process
 * (test/support/runner/shared-process.ts). Files of test/mounted run one after the other, as root,
 * in a process of their own.
 *
 * A file that does not end in time is stuck on a mount. Then the runner aborts the file's
 * connections through fusectl, kills its processes, and prints its daemon's log. It does the same
 * if the file's tests have ended and the file does not. A file's working directory is its scratch
 * directory, and a file that leaves new files in the checkout has failed. An error on the way does
 * not end the run: it is printed with the file's name, and counted. The last line has the numbers
 * of passed and failed tests, and of skipped ones if there are any.
 *
 *     node dist/test/run.js [part of a file's name, or a file's absolute path ...]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mount, unmountApart } from '#native';
import { allProcesses } from './support/processes.js';
import { type Mounted, parseMountinfo } from '../fs/shared/kernel/mountinfo.js';
import { Untracked } from './support/runner/checkout.js';
import { FIGURE, SKIPPED, endLine } from './support/runner/output.js';
import { missingRing, withRing } from './support/mount/transport.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** The time limit of a file. A soak may take longer (make soak). */
const FILE_TIMEOUT_MS = Number(process.env.EVENTFS_TEST_FILE_SECONDS ?? 300) * 1000;
/**
 * How long a file may live after its tests have ended, and keep its pipes open after it has ended.
 */
const LINGER_MS = Number(process.env.EVENTFS_TEST_LINGER_SECONDS ?? 10) * 1000;
/** True if the tests are selected by their sentences: then a file may run none. */
const IS_SELECTIVE = (process.env.EVENTFS_TEST_NAMES ?? '') !== '';
const MNT_DETACH = 2;
const FUSECTL = '/sys/fs/fuse/connections';

/** The largest number of files of test/unit that run at once. */
const MOST_AT_ONCE = 8;
/** The files of test/unit that measure the memory of their process. */
const OWN_PROCESS = /^unit\/(bus\/filter-memory|tree\/quota\/prices)\./;
/**
 * V8's flags for test/unit. Without helper threads and without the flushing of old code the heap of
 * a test is the same in each run, and processes side by side do not take each other's CPU.
 */
const UNIT_FLAGS = ['--single-threaded', '--no-flush-bytecode'];

/** Returns the missing requirement of test/mounted (test/unit has none), or null. */
function missing(): string | null {
  if (process.getuid?.() !== 0) return 'they need root (try sudo make test)';
  if (!existsSync('/dev/fuse')) return 'they need /dev/fuse (try modprobe fuse)';
  return null;
}

const untracked = new Untracked();

interface Result {
  passed: number;
  failed: number;
  skipped: number;
}

async function main(): Promise<void> {
  // Other users run copies of the build (test/support/mount/other-user.ts), so it must not depend
  // on the caller's umask.
  process.umask(0o022);
  const wanted = process.argv.slice(2);
  const parts = wanted.filter((part) => !isAbsolute(part));
  const found = (readdirSync(HERE, { recursive: true }) as string[])
    .filter(
      (file) =>
        /^(unit|mounted)\/.*\.test\.js$/.test(file) &&
        (wanted.length === 0 || parts.some((part) => file.includes(part))),
    )
    .sort();
  const files = [...found, ...wanted.filter(isAbsolute)];
  const why =
    missing() ??
    (process.env.EVENTFS_TRANSPORT === 'io-uring'
      ? await withRing(async () => Promise.resolve(missingRing()))
      : null);
  const total: Result = { passed: 0, failed: 0, skipped: 0 };
  await runUnits(files.filter(isUnit), total);
  await runEach(
    files.filter((file) => !isUnit(file)),
    why,
    total,
  );
  const hasRun = total.passed + total.failed + total.skipped > 0;
  if (!hasRun) console.log('no test has such a name');
  console.log(
    `\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`,
  );
  process.exitCode = total.failed > 0 || !hasRun ? 1 : 0;
}

/** Runs files of test/unit side by side, and adds their results to `total`. */
async function runUnits(files: readonly string[], total: Result): Promise<void> {
  const own = files.filter((file) => OWN_PROCESS.test(file) || files.length === 1);
  // In reverse order: the tree's files take longest, and the last file to start would run alone.
  const shared = files.filter((file) => !own.includes(file)).reverse();
  const runSome = async (): Promise<void> => {
    for (let file = own.pop(); file !== undefined; file = own.pop())
      await runEach([file], null, total);
    while (shared.length > 0) await runShared(shared, total);
  };
  await Promise.all(
    Array.from({ length: Math.min(availableParallelism(), MOST_AT_ONCE) }, runSome),
  );
  tellUntracked('a file of test/unit', total);
}

/**
 * Runs files one after the other, and adds their results to `total`.
 * @param why the reason why files of test/mounted can't run here; null if they can
 */
async function runEach(files: readonly string[], why: string | null, total: Result): Promise<void> {
  for (const file of files) {
    add(total, await resultOf(file, isAbsolute(file) ? null : why));
    if (!isUnit(file)) tellUntracked(file, total);
  }
}

/** Counts a failure if tests have left files in the checkout. */
function tellUntracked(what: string, total: Result): void {
  const left = untracked.takeNew();
  if (left.length === 0) return;
  console.log(`FAILED ${what}: left in the checkout: ${left.join(', ')}`);
  total.failed++;
}

function add(total: Result, result: Result): void {
  total.passed += result.passed;
  total.failed += result.failed;
  total.skipped += result.skipped;
}

/** Returns true if a file may run beside others, and in one process with others. */
function isUnit(file: string): boolean {
  return /^unit\/|^\/.*\/unit\/[^/]+$/.test(file);
}

async function resultOf(file: string, why: string | null): Promise<Result> {
  if (why !== null) {
    const isDeveloper = process.env.CI === undefined;
    console.log(`${isDeveloper ? 'skipped' : 'FAILED'} ${file}: ${why}`);
    return { passed: 0, failed: isDeveloper ? 0 : 1, skipped: isDeveloper ? 1 : 0 };
  }
  // io_uring is on for the tests that need it, or for all if all run on it.
  const needsRing =
    /^mounted\/transport\/(transport|uring)/.test(file) ||
    (process.env.EVENTFS_TRANSPORT === 'io-uring' && !isUnit(file));
  return (needsRing ? withRing(() => runFile(file)) : runFile(file)).catch(
    (error: unknown): Result => {
      console.log(`FAILED ${file}: ${messageOf(error)}`);
      return { passed: 0, failed: 1, skipped: 0 };
    },
  );
}

async function runFile(file: string): Promise<Result> {
  const started = Date.now();
  const { child, scratch, log } = start(file);
  const released: Released = { left: [], errors: [] };
  const clear = (): void => {
    const { left, errors } = release(scratch, child.pid!);
    released.left.push(...left);
    released.errors.push(...errors);
  };
  const timers: NodeJS.Timeout[] = [];
  let late = null as string | null;
  let output = '';
  const code = await new Promise<number | null>((done, failed) => {
    const abort = (why: string): void => {
      late ??= why;
      clear();
      // Processes that hold its pipes now are in another process group: the runner must not kill
      // them.
      timers.push(setTimeout(() => done(null), LINGER_MS));
    };
    timers.push(
      setTimeout(() => abort(`it did not end within ${FILE_TIMEOUT_MS / 1000} s`), FILE_TIMEOUT_MS),
    );
    let lingering: string | undefined;
    const linger = (what: string): void => {
      if (lingering === undefined)
        timers.push(
          setTimeout(() => abort(`${lingering}, within ${LINGER_MS / 1000} s`), LINGER_MS),
        );
      lingering = what;
    };
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (lingering === undefined && /^ {2}Duration: /m.test(output))
          linger('its tests have ended, but it did not');
      });
    }
    child.on('exit', () => linger('it has ended, but what it had started did not'));
    child.on('error', failed);
    child.on('close', done);
  });
  for (const timer of timers) clearTimeout(timer);
  for (const stream of [child.stdout!, child.stderr!]) stream.destroy();
  const result = judge(output, code, late !== null);
  tell(file, result, { output, started, log, late });
  clear();
  tellLeft(file, result, released, scratch, late !== null);
  return result;
}

/**
 * Runs files of test/unit in one process, and adds their results to `total`. After a failure it
 * leaves the other files to another process.
 * @param files takes the files that it runs out of this
 */
async function runShared(files: string[], total: Result): Promise<void> {
  const { child, scratch, log } = start('unit/shared', 'support/runner/shared-process.js');
  const ran: string[] = [];
  let output = '';
  let look: () => void = () => undefined;
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      look();
    });
  }
  child.stdin!.on('error', () => undefined); // it has ended
  const closed = new Promise<null>((done) => {
    child.on('close', () => done(null));
    child.on('error', (error) => {
      output += messageOf(error);
      done(null);
    });
  });
  let isClean = true;
  for (let file = files.shift(); file !== undefined;) {
    ran.push(file);
    const started = Date.now();
    const path = resolve(HERE, file);
    output = '';
    const ended = new Promise<number>((done) => {
      look = () => {
        if (output.includes(endLine(path, 0))) done(0);
        else if (output.includes(endLine(path, 1))) done(1);
      };
    });
    child.stdin!.write(`${path}\n`);
    const limit = after(FILE_TIMEOUT_MS);
    const code = await Promise.race([ended, closed, limit.over]);
    limit.stop();
    const late = code === LATE ? `it did not end within ${FILE_TIMEOUT_MS / 1000} s` : null;
    const result = judge(output, code === LATE ? null : code, late !== null);
    tell(file, result, { output, started, log, late });
    add(total, result);
    isClean = result.failed === 0;
    file = isClean ? files.shift() : undefined;
  }
  child.stdin!.end();
  if (!isClean) child.kill('SIGKILL');
  const linger = after(LINGER_MS);
  await Promise.race([closed, linger.over]);
  linger.stop();
  const released = release(scratch, child.pid!);
  for (const stream of [child.stdout!, child.stderr!]) stream.destroy();
  const result: Result = { passed: 0, failed: 0, skipped: 0 };
  tellLeft(`one of ${ran.join(' ')}`, result, released, scratch, !isClean);
  add(total, result);
}

const LATE = 'late';

/** Returns a promise that is LATE after a time, and a function that stops the time. */
function after(milliseconds: number): { over: Promise<typeof LATE>; stop: () => void } {
  let timer: NodeJS.Timeout;
  const over = new Promise<typeof LATE>((done) => {
    timer = setTimeout(() => done(LATE), milliseconds);
  });
  return { over, stop: () => clearTimeout(timer) };
}

/**
 * Starts a process for a file.
 * @param program the program below dist/test; a shared process reads the files' names from standard
 *   input
 */
function start(
  file: string,
  program = file,
): { child: ChildProcess; scratch: string; log: string } {
  const scratch = mkdtempSync(join(tmpdir(), 'eventfs-test-'));
  const log = join(scratch, 'daemon.log');
  writeFileSync(log, '');
  const flags = ['--enable-source-maps', ...(isUnit(file) ? UNIT_FLAGS : [])];
  const child = spawn(process.execPath, [...flags, resolve(HERE, program)], {
    stdio: [program === file ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    cwd: scratch, // a relative path leads to a place that the runner removes
    env: {
      ...process.env,
      EVENTFS_TEST_DIR: scratch,
      EVENTFS_TEST_LOG: log,
      EVENTFS_ASSERT: 'throw',
      FORCE_COLOR: '0',
      NO_COLOR: '1',
    },
    detached: true, // a process group of its own, so that the runner can kill all of it
  });
  return { child, scratch, log };
}

/** Prints the result of a file; if it has failed, its output and its daemon's log too. */
function tell(
  file: string,
  result: Result,
  how: { output: string; started: number; log: string; late: string | null },
): void {
  const { output, started, log, late } = how;
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(
    `${result.failed > 0 ? 'FAILED ' : ''}${relative('.', file)}: ${result.passed} passed, ${result.failed} failed in ${seconds} s`,
  );
  for (const line of output.split('\n'))
    if (line.startsWith(FIGURE) || line.startsWith(SKIPPED)) console.log(line);
  if (result.failed === 0) return;
  console.log(output);
  if (late !== null) console.log(`${late}, and was aborted`);
  console.log(`--- what its daemons said\n${readIfThere(log)}---`);
}

/**
 * Removes the scratch directory, and prints what a file has left behind.
 * @param isCounted whether a failure of the file is counted already
 */
function tellLeft(
  file: string,
  result: Result,
  released: Released,
  scratch: string,
  isCounted: boolean,
): void {
  attempt(released.errors, scratch, () => rmSync(scratch, { recursive: true, force: true }));
  if (released.left.length > 0) {
    console.log(`FAILED ${file}: left behind: ${released.left.join(', ')}`);
    if (!isCounted) result.failed++;
  }
  if (released.errors.length > 0) {
    console.log(`FAILED ${file}: while it was cleared: ${released.errors.join(', ')}`);
    result.failed++;
  }
}

/**
 * Reads the results: uvu prints `Total: n` and `Passed: n` at the end of a file, and counts a
 * skipped test as passed.
 */
function judge(output: string, code: number | null, late: boolean): Result {
  const count = (what: string): number => {
    const found = [...output.matchAll(new RegExp(`^\\s*${what}:\\s+(\\d+)`, 'gm'))];
    return found.reduce((sum, [, digits]) => sum + Number(digits), 0);
  };
  const [total, passed] = [count('Total'), count('Passed')];
  const skipped = output.split('\n').filter((line) => line.startsWith(SKIPPED)).length;
  const failed = total - passed;
  // A file that crashed, hung or has no test has failed, whatever it counted.
  const isEmpty = total === 0 && !(IS_SELECTIVE && /^\s*Total:/m.test(output));
  const crashed = (code !== 0 || late || isEmpty) && failed === 0;
  return { passed: passed - skipped, failed: failed + (crashed ? 1 : 0), skipped };
}

/** The mounts and processes that a file has left, and the errors while the runner ended them. */
interface Released {
  readonly left: string[];
  readonly errors: string[];
}

/** Aborts and unmounts the mounts below `scratch`, and kills the process group. Never throws. */
function release(scratch: string, group: number): Released {
  const released: Released = { left: [], errors: [] };
  attempt(released.errors, 'mounts', () => abortMounts(scratch, released.left));
  attempt(released.errors, 'processes', () => {
    for (const { pid, name, state, group: its } of allProcesses()) {
      if (its !== group || state === 'Z') continue; // init has yet to wait for the zombie
      released.left.push(`process ${pid}, ${name}`);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // The process has ended meanwhile.
      }
    }
  });
  // Last: a mount's end waits for its daemon's io_uring, and a daemon may be stopped.
  attempt(released.errors, 'mounts', () => released.errors.push(...unmountBelow(scratch)));
  return released;
}

/** Calls `work`, and adds its error to `errors`. */
function attempt(errors: string[], what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    errors.push(`${what}: ${messageOf(error)}`);
  }
}

/** Aborts the FUSE connections of the mounts below `scratch`, and lists the mounts in `left`. */
function abortMounts(scratch: string, left: string[]): void {
  const mounts = mountsBelow(scratch);
  if (mounts.length > 0 && !existsSync(join(FUSECTL, String(mounts[0].minor)))) {
    try {
      mount('none', FUSECTL, 'fusectl', 0, '');
    } catch {
      // Without fusectl a stuck request ends with its daemon, which is killed after this.
    }
  }
  for (const { mountPoint, minor, type } of mounts.reverse()) {
    left.push(`a mount on ${mountPoint}`);
    if (!type.startsWith('fuse')) continue; // the number may be that of another filesystem
    try {
      writeFileSync(join(FUSECTL, String(minor), 'abort'), '1');
    } catch {
      // The connection has ended already.
    }
  }
}

/**
 * Unmounts all mounts below `scratch`. A daemon unmounts by itself when its connection ends, and a
 * mount that hides another one goes first. So an error counts only if the mount stays.
 * @returns the mounts that stay, with their errors
 */
function unmountBelow(scratch: string): string[] {
  for (let before = Infinity; ;) {
    const mounts = mountsBelow(scratch);
    const errors = new Map<string, string>();
    for (const { mountPoint } of [...mounts].reverse()) {
      try {
        unmountApart(mountPoint, MNT_DETACH);
      } catch (error) {
        errors.set(mountPoint, messageOf(error));
      }
    }
    const left = mountsBelow(scratch);
    if (left.length === 0) return [];
    if (left.length >= before)
      return left.map(
        ({ mountPoint }) => `${mountPoint}: ${errors.get(mountPoint) ?? 'it stays mounted'}`,
      );
    before = left.length;
  }
}

/** Returns the mounts below a directory, the newest last. */
function mountsBelow(scratch: string): Mounted[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1')).filter(({ mountPoint }) =>
    mountPoint.startsWith(scratch),
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return `${messageOf(error)}\n`;
  }
}

await main();
