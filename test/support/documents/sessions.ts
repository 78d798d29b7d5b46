/**
 * Runs a document's commands in one shell, mostly as root, on a mount at /dev/events. No other
 * process uses the /dev, the /run and the network that the daemon and the shell see.
 */
import * as assert from 'uvu/assert';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { OWN_MOUNTS, enter } from '../mount/apart.js';
import { type Daemon, PROJECT, startDaemon, until, within } from '../mount/daemon.js';
import { type Session, type Step, fits } from './markdown.js';
import { AS_NOBODY, NOBODY, nodeForOthers, projectForOthers } from '../mount/other-user.js';

/** The time limit of one command; below, the time limit for a background job's output. */
const COMMAND_MS = 180_000;
const LATE_OUTPUT_MS = 10_000;
/** The file by which make knows whether the packages are those of package-lock.json. */
const PACKAGE_LIST = '.package-lock.json';

/** Starts the document's daemon in namespaces of its own. */
function startApart({ prepare, mountOptions }: Session): Promise<Daemon> {
  const before = [OWN_MOUNTS, 'mkdir /dev/events', 'ln -s /proc/self/fd /dev/fd', ...prepare].join(
    '; ',
  );
  const under = ['unshare', '--net', '--mount', 'sh', '-ec', `${before}; exec "$@"`, 'sh'];
  return startDaemon(mountOptions.split(' ').filter(Boolean), '/dev/events', { under });
}

/** Copies the project. Packages and the addon are links: a session changes neither. */
function copyProject(to: string): void {
  const left = ['.git', 'node_modules', 'build', 'test/build', 'benchmarks/build'];
  const filter = (from: string): boolean => !left.includes(relative(PROJECT, from));
  cpSync(PROJECT, to, {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
    filter,
  });
  symlinkSync(join(PROJECT, 'build'), join(to, 'build'));
  // A new directory of links: npm would empty the project's own if it were a link. The package list
  // is copied, with a new time, so that make does not call npm.
  mkdirSync(join(to, 'node_modules'));
  for (const name of readdirSync(join(PROJECT, 'node_modules'))) {
    if (name === PACKAGE_LIST)
      writeFileSync(
        join(to, 'node_modules', name),
        readFileSync(join(PROJECT, 'node_modules', name)),
      );
    else symlinkSync(join(PROJECT, 'node_modules', name), join(to, 'node_modules', name));
  }
}

/**
 * Removes the line number of a command and reports of killed jobs, which only a shell without a
 * terminal prints.
 */
function asOnTerminal(output: string): string {
  return output
    .replaceAll(/^bash: line \d+: +\d+ (?:Killed|Terminated|Hangup).*\n/gm, '')
    .replaceAll(/^bash: line \d+: /gm, 'bash: ');
}

/**
 * A shell that runs commands one after the other. It keeps a command's output, background jobs
 * included, until the next command.
 */
class Terminal {
  readonly #process: ChildProcess;
  #output = '';
  #serial = 0;

  /** @param command runs the shell */
  constructor(command: readonly string[]) {
    this.#process = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#process.stdout!.on('data', (chunk: Buffer) => (this.#output += chunk.toString()));
  }

  /** The output since the last command began. */
  get output(): string {
    return asOnTerminal(this.#output.replaceAll(/^done-\d+\n/gm, ''));
  }

  /** Runs a command to its end. Its background jobs may continue. */
  async run(command: string): Promise<void> {
    const mark = `done-${++this.#serial}`;
    this.#output = '';
    this.#process.stdin!.write(`{\n${command}\n} </dev/null\necho ${mark}\n`);
    await until(() => this.#output.includes(`${mark}\n`), `'${command}' did not end`, COMMAND_MS);
  }

  /** Ends the background jobs and the shell. */
  async end(): Promise<void> {
    await this.run('kill $(jobs -p) 2>/dev/null; wait').catch(() => undefined);
    const gone = new Promise((done) => this.#process.once('exit', done));
    this.#process.kill('SIGKILL');
    await within(20_000, gone, 'the shell did not end');
  }
}

/**
 * Runs one command.
 * @throws AssertionError if its output does not fit
 */
async function run(
  terminal: Terminal,
  path: string,
  { line, command, expected }: Step,
): Promise<void> {
  await terminal.run(command);
  const isRight = (): boolean => fits(expected, terminal.output);
  if (expected.length > 0) await until(isRight, '', LATE_OUTPUT_MS).catch(() => undefined);
  assert.ok(
    isRight(),
    `${path}:${line}: ${command}\n--- expected\n${expected.join('\n')}\n--- got\n${terminal.output}---`,
  );
}

/**
 * Runs a document's session, each command with a time limit. Events of the machine's real devices
 * come to each mount, and may appear between those that the document shows. So a session fails only
 * if every try fails.
 * @param path the document's path, for messages
 * @param most the largest number of tries
 * @throws AssertionError for the first command whose output did not fit at the first try
 */
export async function runSession(path: string, session: Session, most = 3): Promise<void> {
  const errors: unknown[] = [];
  while (errors.length < most) {
    try {
      return await runOnce(path, session);
    } catch (error) {
      errors.push(error);
    }
  }
  throw errors[0];
}

async function runOnce(path: string, session: Session): Promise<void> {
  const directory = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'docs-'));
  if (session.isCopy) copyProject(directory);
  const daemon = await startApart(session);
  if (session.isOfUser) chownSync(directory, NOBODY, NOBODY);
  const terminal = new Terminal([
    ...enter(daemon.pid),
    ...(session.isOfUser ? AS_NOBODY : []),
    'bash',
  ]);
  const root = session.isOfUser ? projectForOthers() : PROJECT;
  const home = session.isOfUser ? `HOME=${directory} PATH=${dirname(nodeForOthers())}:$PATH; ` : '';
  try {
    await terminal.run(
      `exec 2>&1; cd ${directory}; ${home}PATH=${root}/bin:$PATH; export LC_ALL=C; unset NO_COLOR FORCE_COLOR EVENTFS_ASSERT CI MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES`,
    );
    for (const part of session.parts) {
      if ('file' in part) writeFileSync(join(directory, part.file), part.text);
      else await run(terminal, path, part);
    }
  } finally {
    await terminal.end();
    await daemon.stop();
  }
}
