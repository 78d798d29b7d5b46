/**
 * Runs every test file in a process of its own, with a time limit, and counts.
 *
 * A file that does not end in time is stuck on a mount: the connections that it made are aborted through fusectl, its
 * processes killed, its daemon's log shown. Ends with `N passed, N failed` alone on a line.
 *
 *   node dist/test/run.js [part of a file's name ...]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mount, unmountApart } from '#native';
import { parseMountinfo } from '../fs/fuse/mountinfo.js';
import { missingRing, withRing } from './support/transport.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** A soak may take longer (make soak). */
const FILE_TIMEOUT_MS = Number(process.env.EVENTFS_TEST_FILE_SECONDS ?? 300) * 1000;
const MNT_DETACH = 2;
const FUSECTL = '/sys/fs/fuse/connections';

/** What the tests of test/mount need, which others do without. */
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
  const wanted = process.argv.slice(2);
  const files = (readdirSync(HERE, { recursive: true }) as string[])
    .filter((file) => file.endsWith('.test.js') && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
    .sort();
  const why = missing() ?? (process.env.EVENTFS_TRANSPORT === 'io-uring' ? await withRing(async () => Promise.resolve(missingRing())) : null);
  const total: Result = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    if (why !== null && /^(mount|command|bench|outlets|sources|compare\/designs)\b/.test(file)) {
      console.log(`${process.env.CI === undefined ? 'skipped' : 'FAILED'} ${file}: ${why}`);
      if (process.env.CI === undefined) total.skipped++;
      else total.failed++;
      continue;
    }
    // It is on for the tests that need it, or for all when all are to run on it.
    const needsRing = file.startsWith('mount/transport') || process.env.EVENTFS_TRANSPORT === 'io-uring';
    const result = await (needsRing ? withRing(() => runFile(file)) : runFile(file));
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

async function runFile(file: string): Promise<Result> {
  const scratch = mkdtempSync(join(tmpdir(), 'eventfs-test-'));
  const log = join(scratch, 'daemon.log');
  writeFileSync(log, '');
  const started = Date.now();
  const child = spawn(process.execPath, ['--enable-source-maps', join(HERE, file)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, EVENTFS_TEST_DIR: scratch, EVENTFS_TEST_LOG: log, EVENTFS_ASSERT: 'throw', FORCE_COLOR: '0', NO_COLOR: '1' },
    detached: true, // a process group of its own, so that all of it can be killed
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    release(scratch, child.pid!);
  }, FILE_TIMEOUT_MS);
  const code = await new Promise<number | null>((done) => child.on('close', done));
  clearTimeout(timer);
  const result = judge(output, code, late);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`${result.failed > 0 ? 'FAILED ' : ''}${relative('.', file)}: ${result.passed} passed, ${result.failed} failed in ${seconds} s`);
  for (const figure of output.split('\n').filter((line) => line.startsWith('  figure: '))) console.log(figure);
  if (result.failed > 0) {
    console.log(output);
    if (late) console.log(`it did not end within ${FILE_TIMEOUT_MS / 1000} s and was aborted`);
    console.log(`--- what its daemons said\n${readFileSync(log, 'utf8')}---`);
  }
  const left = release(scratch, child.pid!);
  if (left.length > 0 && !late) {
    console.log(`FAILED ${file}: left behind: ${left.join(', ')}`);
    result.failed++;
  }
  rmSync(scratch, { recursive: true, force: true });
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

/** Aborts and unmounts what is mounted below `scratch` and kills the process group; gives what there was. */
function release(scratch: string, group: number): string[] {
  const left: string[] = [];
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1')).filter(({ mountPoint }) => mountPoint.startsWith(scratch));
  if (mounts.length > 0 && !existsSync(join(FUSECTL, String(mounts[0].minor)))) {
    try {
      mount('none', FUSECTL, 'fusectl', 0, '');
    } catch {
      // Without it a stuck request ends with its daemon, which is killed below.
    }
  }
  for (const { mountPoint, minor } of mounts.reverse()) {
    left.push(`a mount on ${mountPoint}`);
    try {
      writeFileSync(join(FUSECTL, String(minor), 'abort'), '1');
    } catch {
      // Its connection is over already.
    }
  }
  for (const { pid, command } of livingMembers(group)) {
    left.push(`process ${pid}, ${command}`);
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended since.
    }
  }
  // Last: a mount's end waits for its daemon's io_uring, and a daemon may be stopped.
  for (const { mountPoint } of mounts) unmountApart(mountPoint, MNT_DETACH);
  return left;
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
        return Number(processGroup) === group && state !== 'Z' ? [{ pid: Number(name), command }] : [];
      } catch {
        return []; // it has ended while we looked
      }
    });
}

await main();
