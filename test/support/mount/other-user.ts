/**
 * Runs commands as another user than root. If the clone is in a home of mode 0700, no other user
 * can run a file of it: such a command runs copies, which every user can read.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { PROJECT } from '../project.js';

/** The user id and group id of the user `nobody`. */
export const NOBODY = 65534;

/**
 * Returns a command that runs another one as a user.
 * @param groups the supplementary groups
 */
export function asUser(uid: number, gid = uid, groups: readonly number[] = []): string[] {
  const supplementary = groups.length > 0 ? ['--groups', groups.join(',')] : ['--clear-groups'];
  return ['setpriv', '--reuid', String(uid), '--regid', String(gid), ...supplementary];
}

/** A command that runs another one as an unprivileged user. */
export const AS_NOBODY: readonly string[] = asUser(NOBODY);

/** The same, and no program that it runs can gain a capability. */
export const AS_NOBODY_FOR_EVER: readonly string[] = [...AS_NOBODY, '--bounding-set', '-all'];

/**
 * The directory for copies, which every user can search. The runner removes those in its own
 * directory.
 */
let place: string | undefined;
function placeForOthers(): string {
  if (place === undefined) {
    place = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'for-others-'));
    if (process.env.EVENTFS_TEST_DIR !== undefined) chmodSync(process.env.EVENTFS_TEST_DIR, 0o711);
    chmodSync(place, 0o755);
  }
  return place;
}

/**
 * Copies a program to a directory where every user can run it, once for each test file.
 * @returns the copy's path, with the same last component
 */
export function forOthers(program: string): string {
  const copy = join(placeForOthers(), basename(program));
  if (!existsSync(copy)) {
    copyFileSync(program, `${copy}.new`);
    chmodSync(`${copy}.new`, 0o755);
    renameSync(`${copy}.new`, copy);
  }
  return copy;
}

/**
 * Returns the path of a Node.js that every user can run: this process's, or a copy if other users
 * can't reach that.
 */
export function nodeForOthers(): string {
  return isForOthers(process.execPath) ? process.execPath : forOthers(process.execPath);
}

/**
 * Copies the files that `eventfs` needs to a directory that every user can read, once for each test
 * file.
 * @returns the copy's root
 */
export function projectForOthers(): string {
  const root = join(placeForOthers(), 'project');
  if (existsSync(root)) return root;
  const parts = [
    'bin',
    'package.json',
    'native/index.js',
    'dist/fs',
    ...['eventfs.node', 'eventfs-notify', 'eventfs-emit', 'eventfs-exec', 'eventfs-guard'].map(
      (file) => `build/Release/${file}`,
    ),
  ];
  for (const part of [...parts, ...packages()].filter((path) => existsSync(join(PROJECT, path)))) {
    mkdirSync(dirname(join(`${root}.new`, part)), { recursive: true });
    execFileSync('cp', ['-R', join(PROJECT, part), join(`${root}.new`, part)]);
  }
  execFileSync('chmod', ['-R', 'a+rX', `${root}.new`]);
  renameSync(`${root}.new`, root);
  return root;
}

/** Returns the path of `eventfs`, a copy that every user can run. */
export function commandForOthers(): string {
  return join(projectForOthers(), 'bin/eventfs');
}

/** Returns the Node program of `eventfs` as a command that every user can run. */
export function eventfsForOthers(): readonly string[] {
  return [nodeForOthers(), join(projectForOthers(), 'bin/eventfs.cjs')];
}

/**
 * Refuses a command that another user runs and that names a file of the clone. It would work where
 * every user can read the clone, and fail on a machine where others can't.
 * @throws Error
 */
export function refuseUnreadable(command: readonly string[]): void {
  const named = command.find((word) => word.includes(PROJECT));
  if (named !== undefined && command.some((word) => word.includes('--reuid'))) {
    throw new Error(
      `another user may not be able to read ${named}: use a copy (test/support/mount/other-user.ts)`,
    );
  }
}

/**
 * Returns true if every user can run a program, by its mode and those of the directories above it.
 */
function isForOthers(program: string): boolean {
  if ((statSync(program).mode & 0o005) !== 0o005) return false;
  for (let at = dirname(program); ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === '/') return true;
  }
}

/** Returns the npm packages that `eventfs` loads, with their dependencies. */
function packages(): string[] {
  const found = new Set<string>();
  const addAll = (directory: string): void => {
    const text = readFileSync(join(PROJECT, directory, 'package.json'), 'utf8');
    const { dependencies, optionalDependencies } = JSON.parse(text) as Record<
      string,
      Record<string, string> | undefined
    >;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const path = packageFor(name, directory);
      if (path === null || found.has(path)) continue;
      found.add(path);
      addAll(path);
    }
  };
  addAll('');
  // A copy of a package has those inside it.
  return [...found].filter((path) => !path.includes('/node_modules/'));
}

/** Returns the package that a package imports by this name; null for an optional one. */
function packageFor(name: string, from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (existsSync(join(PROJECT, path, 'package.json'))) return path;
    if (folder === '' || folder === '.') return null;
  }
}
