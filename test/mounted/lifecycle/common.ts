/**
 * What the tests of the daemon's life share: readers that are blocked, shells, and the state of
 * connections.
 */
import * as assert from 'uvu/assert';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mount as mountFilesystem } from '#native';
import { Actor, untilAlone, untilBlocked } from '../../support/clients/actor.js';
import {
  type Daemon,
  EVENTFS_NODE,
  Shell,
  isMounted,
  killDaemons,
  run,
  until,
} from '../../support/mount/daemon.js';

export const CONNECTIONS = '/sys/fs/fuse/connections';
export { CUT_OFF } from '../../support/mount/transport.js';

export let observer: Actor;
const shells = new Set<Shell>();

export function prepare(): void {
  observer = new Actor();
  // fusectl shows the state of connections. The runner needs it too, to abort tests that hang.
  if (!readFileSync('/proc/self/mountinfo', 'latin1').includes(` ${CONNECTIONS} `))
    mountFilesystem('none', CONNECTIONS, 'fusectl', 0, '');
}

export async function cleanUp(): Promise<void> {
  for (const shell of shells) shell.process.kill('SIGKILL');
  await Actor.endAll();
  await killDaemons();
  await untilAlone();
}

type Ended = Awaited<ReturnType<typeof run>>;

/** Starts cat(1) of a file. Resolves once it is blocked in read(2); `ended` resolves at its end. */
export async function blockedCat(path: string): Promise<{ pid: number; ended: Promise<Ended> }> {
  const child = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Ended>((done) => child.on('close', (code) => done({ out, err, code })));
  await Promise.race([
    untilBlocked(child.pid!, observer),
    ended.then((end) => assert.unreachable(`cat ${path}: ${end.err}`)),
  ]);
  return { pid: child.pid!, ended };
}

/** Starts a shell that owns a directory. */
export async function shellWithDirectory(daemon: Daemon): Promise<Shell> {
  const shell = new Shell();
  shells.add(shell);
  assert.equal(await shell.run(`mkdir ${daemon.path}/$$`), { out: '', code: 0 });
  return shell;
}

export async function eventfs(...args: readonly string[]): Promise<Ended> {
  return run([...EVENTFS_NODE, ...args]);
}

/** Resolves once the mount on `path` and its connection have ended. */
export async function untilGone(path: string, connection: number): Promise<void> {
  assert.not(isMounted(path));
  await until(() => !isConnected(connection), `connection ${connection} did not end`);
}

/**
 * @returns true if the connection exists and no later mount has its number: the kernel reuses
 * numbers
 */
export function isConnected(connection: number): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1');
  return existsSync(join(CONNECTIONS, `${connection}`)) && !mounts.includes(` 0:${connection} `);
}
