/**
 * Mounts and unmounts by fusermount3(1), which is set-user-ID root, for users who may not call
 * mount(2). The protocol is libfuse's (lib/mount.c and util/fusermount.c): the program sends the
 * descriptor of /dev/fuse over the Unix socket that _FUSE_COMMFD names.
 */
import { type SpawnOptions, spawnSync } from 'node:child_process';
import { startProcess } from '../../shared/start-process.js';
import { accessSync, closeSync, constants, readFileSync, statSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { receiveDescriptor, socketPair } from '#native';
import { FailedCallError, UserError, isSystemError } from '../../shared/errors.js';
import { kernelsRoot } from '../../shared/kernel/kernels-root.js';
import { MOUNT_TYPE } from '../../shared/kernel/mountinfo.js';
import { type Fusermount, whyRefused } from './fusermount-refusals.js';

/** The program's names, in FUSE 3 and FUSE 2. Both have the same options and the same protocol. */
const NAMES = ['fusermount3', 'fusermount'] as const;
/** Directories that PATH may lack. NixOS keeps set-user-ID programs in the first. */
const USUAL_DIRECTORIES = ['/run/wrappers/bin', '/usr/local/bin', '/usr/bin', '/bin'];
const CONFIGURATION = '/etc/fuse.conf';
/** How long the program may take. It does not wait for the daemon. */
const TIMEOUT_MS = 10_000;
/** How long to wait for an unmount that a stopped daemon can delay. */
const APART_TIMEOUT_MS = 1000;
/** The descriptor of the socket in the program. */
const COMMUNICATION_FD = 3;
const S_ISUID = 0o4000;

/** A mount by fusermount3. */
interface MountByFusermount {
  /** The descriptor of /dev/fuse to serve. */
  readonly fd: number;
  /** Whether other users can use the mount (allow_other). */
  readonly isShared: boolean;
}

/**
 * Finds fusermount3, or fusermount. A program that is set-user-ID root comes before others.
 *
 * @returns undefined if there is none
 */
export function findFusermount(): Fusermount | undefined {
  const found = NAMES.flatMap((name) =>
    [...searchPath(), ...USUAL_DIRECTORIES].flatMap((directory) =>
      programAt(join(directory, name)),
    ),
  );
  return found.find(({ isSetuid }) => isSetuid) ?? found[0];
}

/**
 * Finds the program that libfuse 2 runs.
 *
 * @returns undefined if PATH has none
 */
export function findFusermount2(): Fusermount | undefined {
  return searchPath().flatMap((directory) => programAt(join(directory, 'fusermount')))[0];
}

function searchPath(): string[] {
  return (process.env.PATH ?? '').split(delimiter).filter((directory) => directory.startsWith('/'));
}

function programAt(path: string): Fusermount[] {
  try {
    accessSync(path, constants.X_OK);
    const { mode, uid } = statSync(path);
    return [{ path, isSetuid: uid === kernelsRoot.uid && (mode & S_ISUID) !== 0 }];
  } catch {
    return []; // missing, or this user may not run it
  }
}

/**
 * Tells whether the administrator lets users share their mounts: user_allow_other in
 * /etc/fuse.conf.
 *
 * @returns undefined if this user may not read the file: then only fusermount3 knows
 */
export function permitsAllowOther(): boolean | undefined {
  try {
    return readFileSync(CONFIGURATION, 'latin1')
      .split('\n')
      .some((line) => line.replace(/#.*/, '').trim() === 'user_allow_other');
  } catch (error) {
    return isSystemError(error, 'ENOENT') ? false : undefined;
  }
}

/**
 * Mounts by fusermount3. Other users can use the mount only if /etc/fuse.conf permits it.
 *
 * @param program from {@link findFusermount}
 * @param path the mount point
 * @param source the source that mount tables show
 * @throws UserError with the program's reason and a remedy
 */
export async function mountByFusermount(
  program: Fusermount,
  path: string,
  source: string,
): Promise<MountByFusermount> {
  if (permitsAllowOther() !== false) {
    const shared = await attempt(program, path, source, ['allow_other']);
    if (shared.fd >= 0) return { fd: shared.fd, isShared: true };
    if (!shared.said.includes('user_allow_other')) throw whyRefused(program, path, shared.said);
  }
  const own = await attempt(program, path, source, []);
  if (own.fd < 0) throw whyRefused(program, path, own.said);
  return { fd: own.fd, isShared: false };
}

/** Runs the program once. Returns the descriptor, or -1 and what the program has written. */
async function attempt(
  program: Fusermount,
  path: string,
  source: string,
  more: readonly string[],
): Promise<{ readonly fd: number; readonly said: string }> {
  const [own, its] = socketPair();
  try {
    // fuse 2 refuses a directory that has files, as mount(2) and fuse 3 do not
    const legacy = basename(program.path) === 'fusermount' ? ['nonempty'] : [];
    const said = await finished(program, mountArguments(path, source, [...legacy, ...more]), its);
    return { fd: receiveDescriptor(own), said };
  } finally {
    closeSync(own);
    closeSync(its);
  }
}

/** The program sets nosuid and nodev itself. It never adds default_permissions. */
function mountArguments(path: string, source: string, more: readonly string[]): string[] {
  const options = [
    `fsname=${source.replaceAll(/[\\,]/g, '\\$&')}`,
    `subtype=${MOUNT_TYPE.slice('fuse.'.length)}`,
    'noexec',
    'default_permissions',
    ...more,
  ];
  return ['-o', options.join(','), '--', path];
}

/** Runs the program to its end. Returns its standard error, or the reason why it did not run. */
async function finished(
  program: Fusermount,
  args: readonly string[],
  socket: number,
): Promise<string> {
  const options: SpawnOptions = {
    stdio: ['ignore', 'ignore', 'pipe', socket],
    env: { ...process.env, _FUSE_COMMFD: String(COMMUNICATION_FD) },
    cwd: '/',
  };
  let said = '';
  let late: NodeJS.Timeout | undefined;
  await new Promise<void>((done) => {
    const child = startProcess(program.path, args, options, (error) => {
      said += error.message;
      done();
    });
    child?.once('close', () => done());
    child?.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    late = setTimeout(() => {
      said += `no end within ${TIMEOUT_MS / 1000} s`;
      child?.kill('SIGKILL');
    }, TIMEOUT_MS);
  });
  clearTimeout(late);
  return said;
}

function unmountArguments(path: string): string[] {
  return ['-u', '-z', '--', path];
}

/**
 * Unmounts by fusermount3, with MNT_DETACH. It refuses mounts of other users.
 *
 * @returns whether the mount is gone
 */
export function unmountByFusermount(path: string): boolean {
  const program = findFusermount();
  if (program === undefined) return false;
  const { status } = spawnSync(program.path, unmountArguments(path), {
    stdio: 'ignore',
    cwd: '/',
    timeout: TIMEOUT_MS,
  });
  return status === 0;
}

/**
 * Unmounts like `unmountByFusermount`, and waits at most a second: a stopped daemon can delay the
 * end of the system call, but by then the mount is out of the tree.
 */
export async function unmountByFusermountApart(path: string): Promise<boolean> {
  const program = findFusermount();
  if (program === undefined) return false;
  return new Promise((done) => {
    const late = setTimeout(() => {
      child?.unref();
      done(true);
    }, APART_TIMEOUT_MS);
    const end = (isGone: boolean): void => {
      clearTimeout(late);
      done(isGone);
    };
    const args = unmountArguments(path);
    const options: SpawnOptions = { stdio: 'ignore', cwd: '/' };
    const child = startProcess(program.path, args, options, () => end(false));
    child?.once('exit', (code) => end(code === 0));
  });
}

/**
 * Returns the error of a user who may not call mount(2) and has no fusermount3.
 *
 * @param path the mount point
 */
export function noFusermount(path: string): UserError {
  return new FailedCallError(
    `${path}: Operation not permitted (install fuse3, whose fusermount3 mounts for users; or try as root, or in unshare -Urm)`,
  );
}
