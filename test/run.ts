/**
 * Runs every test file in a process of its own, with a time limit, and counts. Files of test/unit need no mount and no root;
 * they run side by side. Files of test/mounted run one after the other, as root.
 *
 * A file that does not end in time is stuck on a mount: the connections that it made are aborted through fusectl, its
 * processes killed, its daemon's log shown. The same is done where its tests have ended and it does not. No error on the way
 * ends the run: it is said with the file's name and counted. Ends with `N passed, N failed` alone on a line.
 *
 *   node dist/test/run.js [part of a file's name, or a file's absolute path ...]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mount, unmountApart } from '#native';
import { type Mounted, parseMountinfo } from '../fs/shared/kernel/mountinfo.js';
import { missingRing, withRing } from './support/transport.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** A soak may take longer (make soak). */
const FILE_TIMEOUT_MS = Number(process.env.EVENTFS_TEST_FILE_SECONDS ?? 300) * 1000;
/** How long a file may stay alive once its tests have ended, and its pipes open once it has ended. */
const LINGER_MS = Number(process.env.EVENTFS_TEST_LINGER_SECONDS ?? 10) * 1000;
const MNT_DETACH = 2;
const FUSECTL = '/sys/fs/fuse/connections';

/** How many files of test/unit run at once, at the most. */
const MOST_AT_ONCE = 8;

/** What the tests of test/mounted need, which those of test/unit do without. */
function missing(): string | null {
  if (process.getuid?.() !== 0) return 'they need root (try sudo make test)';
  if (!existsSync('/dev/fuse')) return 'they need /dev/fuse (try modprobe fuse)';
  return null;
}

interface Result {
  passed: number;
  failed: number;
  skipped: number;
}

async function main(): Promise<void> {
  // Other users run copies of what is built (test/support/other-user.ts), whatever our umask is.
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
  // Backwards: the tree's take longest, and what is begun last would run alone.
  await runEach(
    files.filter(isUnit).reverse(),
    Math.min(availableParallelism(), MOST_AT_ONCE),
    null,
    total,
  );
  await runEach(
    files.filter((file) => !isUnit(file)),
    1,
    why,
    total,
  );
  console.log(
    `\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`,
  );
  process.exitCode = total.failed > 0 ? 1 : 0;
}

/**
 * Runs files and adds their results to `total`.
 *
 * @param atOnce how many at a time
 * @param why why files of test/mounted can't run here; null where they can
 */
async function runEach(
  files: readonly string[],
  atOnce: number,
  why: string | null,
  total: Result,
): Promise<void> {
  const rest = [...files];
  const runSome = async (): Promise<void> => {
    for (let file = rest.shift(); file !== undefined; file = rest.shift()) {
      const result = await resultOf(file, isAbsolute(file) ? null : why);
      total.passed += result.passed;
      total.failed += result.failed;
      total.skipped += result.skipped;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runSome));
}

/** Whether it may run beside others: an absolute path may be anything. */
function isUnit(file: string): boolean {
  return file.startsWith('unit/');
}

async function resultOf(file: string, why: string | null): Promise<Result> {
  if (why !== null) {
    const isDeveloper = process.env.CI === undefined;
    console.log(`${isDeveloper ? 'skipped' : 'FAILED'} ${file}: ${why}`);
    return { passed: 0, failed: isDeveloper ? 0 : 1, skipped: isDeveloper ? 1 : 0 };
  }
  // It is on for the tests that need it, or for all when all are to run on it.
  const needsRing =
    /^mounted\/mount\/(transport|uring)/.test(file) ||
    (process.env.EVENTFS_TRANSPORT === 'io-uring' && !isUnit(file));
  return (needsRing ? withRing(() => runFile(file)) : runFile(file)).catch(
    (error: unknown): Result => {
      console.log(`FAILED ${file}: ${messageOf(error)}`);
      return { passed: 0, failed: 1, skipped: 0 };
    },
  );
}

async function runFile(file: string): Promise<Result> {
  const scratch = mkdtempSync(join(tmpdir(), 'eventfs-test-'));
  const log = join(scratch, 'daemon.log');
  writeFileSync(log, '');
  const started = Date.now();
  const child = spawn(process.execPath, ['--enable-source-maps', resolve(HERE, file)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      EVENTFS_TEST_DIR: scratch,
      EVENTFS_TEST_LOG: log,
      EVENTFS_ASSERT: 'throw',
      FORCE_COLOR: '0',
      NO_COLOR: '1',
    },
    detached: true, // a process group of its own, so that all of it can be killed
  });
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
      // What holds its pipes then is in another process group: nothing that is ours to kill.
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
    for (const stream of [child.stdout, child.stderr]) {
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
  for (const stream of [child.stdout, child.stderr]) stream.destroy();
  const result = judge(output, code, late !== null);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(
    `${result.failed > 0 ? 'FAILED ' : ''}${relative('.', file)}: ${result.passed} passed, ${result.failed} failed in ${seconds} s`,
  );
  for (const figure of output.split('\n').filter((line) => line.startsWith('  figure: ')))
    console.log(figure);
  if (result.failed > 0) {
    console.log(output);
    if (late !== null) console.log(`${late}, and was aborted`);
    console.log(`--- what its daemons said\n${readIfThere(log)}---`);
  }
  clear();
  attempt(released.errors, scratch, () => rmSync(scratch, { recursive: true, force: true }));
  if (released.left.length > 0) {
    console.log(`FAILED ${file}: left behind: ${released.left.join(', ')}`);
    if (late === null) result.failed++;
  }
  if (released.errors.length > 0) {
    console.log(`FAILED ${file}: while it was cleared: ${released.errors.join(', ')}`);
    result.failed++;
  }
  return result;
}

/** uvu says `Total: n`, `Passed: n`, `Skipped: n` at the end of a file. */
function judge(output: string, code: number | null, late: boolean): Result {
  const count = (what: string): number => {
    const found = [...output.matchAll(new RegExp(`^\\s*${what}:\\s+(\\d+)`, 'gm'))];
    return found.reduce((sum, [, digits]) => sum + Number(digits), 0);
  };
  const [total, passed, skipped] = [count('Total'), count('Passed'), count('Skipped')];
  const failed = total - passed; // the total does not count what is skipped
  // A file that crashed, hung or ran nothing has failed, whatever it counted.
  const crashed = (code !== 0 || late || total === 0) && failed === 0;
  return { passed, failed: failed + (crashed ? 1 : 0), skipped };
}

/** What a file has left, and what went wrong while that was ended. */
interface Released {
  readonly left: string[];
  readonly errors: string[];
}

/** Aborts and unmounts what is mounted below `scratch` and kills the process group. Never throws. */
function release(scratch: string, group: number): Released {
  const released: Released = { left: [], errors: [] };
  attempt(released.errors, 'mounts', () => abortMounts(scratch, released.left));
  attempt(released.errors, 'processes', () => {
    for (const { pid, command } of livingMembers(group)) {
      released.left.push(`process ${pid}, ${command}`);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended since.
      }
    }
  });
  // Last: a mount's end waits for its daemon's io_uring, and a daemon may be stopped.
  attempt(released.errors, 'mounts', () => released.errors.push(...unmountBelow(scratch)));
  return released;
}

/** Does something, and adds its error to `errors`. */
function attempt(errors: string[], what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    errors.push(`${what}: ${messageOf(error)}`);
  }
}

/** Ends the FUSE connections of what is mounted below `scratch`, and lists the mounts in `left`. */
function abortMounts(scratch: string, left: string[]): void {
  const mounts = mountsBelow(scratch);
  if (mounts.length > 0 && !existsSync(join(FUSECTL, String(mounts[0].minor)))) {
    try {
      mount('none', FUSECTL, 'fusectl', 0, '');
    } catch {
      // Without it a stuck request ends with its daemon, which is killed after this.
    }
  }
  for (const { mountPoint, minor, type } of mounts.reverse()) {
    left.push(`a mount on ${mountPoint}`);
    if (!type.startsWith('fuse')) continue; // the number may be a connection's of another filesystem
    try {
      writeFileSync(join(FUSECTL, String(minor), 'abort'), '1');
    } catch {
      // Its connection is over already.
    }
  }
}

/**
 * Unmounts all below `scratch`; returns what is still mounted then, with the error. A daemon unmounts by itself when its
 * connection ends, and a mount that hides another one goes first: an error counts where the mount stays.
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

/** What is mounted below a directory; later mounts come later. */
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

/** Who lives in a process group: proc_pid_stat(5). A zombie that init has yet to wait for does not count. */
function livingMembers(group: number): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const command = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
        return Number(processGroup) === group && state !== 'Z'
          ? [{ pid: Number(name), command }]
          : [];
      } catch {
        return []; // it has ended while we looked
      }
    });
}

await main();
