/**
 * Starts daemons in namespaces of their own: no other process on the machine sees their netlink
 * messages or their files in /run. The kernel sends uevents of real devices to every network
 * namespace, so tests look only for their own events.
 */
import type { ChildProcess } from 'node:child_process';
import * as assert from 'uvu/assert';
import { Reader, spawnClient } from '../clients/clients.js';
import { compiled } from '../clients/compiled.js';
import { type Daemon, EVENTFS_NODE, mountPoint, run, startDaemon } from './daemon.js';

/** A command that runs another one in a new network namespace. */
export const OWN_NETWORK = ['unshare', '--net'] as const;

/** Shell commands that make /run empty and /dev no devtmpfs, as in a container. */
export const OWN_MOUNTS =
  'mount -t tmpfs run /run; mkdir /run/dev; mount -t tmpfs dev /run/dev; ' +
  'cp -a /dev/null /dev/zero /dev/fuse /dev/urandom /run/dev; mount --move /run/dev /dev; rmdir /run/dev';

/** A daemon in namespaces of its own. */
export interface Apart extends Daemon {
  /** The mount's path as the daemon sees it. */
  readonly inside: string;
  /** A command that runs another one in the daemon's namespaces. */
  readonly enter: readonly string[];
}

/**
 * Starts a daemon in a new network namespace, with a /run and /dev of its own. The `path` of the
 * result can be reached from outside.
 * @param args options of `eventfs mount`
 * @param prepare shell commands, ended by `;`, that run before the daemon starts
 */
export async function startApart(args: readonly string[], prepare = ''): Promise<Apart> {
  const under = [
    'unshare',
    '--net',
    '--mount',
    'sh',
    '-ec',
    `${OWN_MOUNTS}; ${prepare} exec "$@"`,
    'sh',
  ];
  const daemon = await startDaemon(args, mountPoint(), { under });
  return {
    ...daemon,
    inside: daemon.path,
    path: `/proc/${daemon.pid}/root${daemon.path}`,
    enter: enter(daemon.pid),
  };
}

/** Returns a command that runs another one in a process's network and mount namespaces. */
export function enter(pid: number): readonly string[] {
  return ['nsenter', `--net=/proc/${pid}/ns/net`, `--mount=/proc/${pid}/ns/mnt`];
}

/**
 * Sends a datagram with test/programs/clients/stream-netlink.c, in a daemon's network namespace.
 * @param to the port id for `unicast`, a bit mask of groups for `multicast`, 0 for `kernel`
 * @param under a command that runs the sender
 * @returns the sender's stderr
 */
export async function sendNetlink(
  daemon: Daemon,
  how: 'unicast' | 'multicast' | 'kernel',
  to: number,
  datagram: string | Buffer,
  { times = 1, under = [] }: { readonly times?: number; readonly under?: readonly string[] } = {},
): Promise<string> {
  const command = [
    `--net=/proc/${daemon.pid}/ns/net`,
    ...under,
    compiled('stream-netlink'),
    how,
    String(to),
    String(times),
  ];
  const { err } = await run(['nsenter', ...command], {
    input: typeof datagram === 'string' ? Buffer.from(datagram, 'latin1') : datagram,
  });
  return err;
}

/**
 * Starts a process that sends the kernel's group one datagram after the other, until it is killed.
 * @returns the process, which `killClients` ends too
 */
export function stormNetlink(daemon: Daemon, datagram: string): ChildProcess {
  const command = [
    'nsenter',
    `--net=/proc/${daemon.pid}/ns/net`,
    compiled('stream-netlink'),
    'kernel',
    '0',
    String(2 ** 31 - 1),
  ];
  const storm = spawnClient(command, ['pipe', 'ignore', 'inherit']);
  storm.stdin!.end(Buffer.from(datagram, 'latin1'));
  return storm;
}

/**
 * Starts a bare listener on netlink groups, in a daemon's network namespace.
 * @param groups a bit mask
 */
export async function listenNetlink(daemon: Daemon, groups: number): Promise<Reader> {
  const how = groups === 1 ? ['listen'] : ['groups'];
  const command = [
    'nsenter',
    `--net=/proc/${daemon.pid}/ns/net`,
    compiled('stream-netlink'),
    ...how,
  ];
  const reader = new Reader(String(groups), command);
  await reader.has(1, 10_000);
  return reader;
}

/** Returns the records about one devpath. */
export function about(records: readonly string[], devpath: string): string[] {
  return records.filter((record) => record.split('\n')[0].endsWith(`@${devpath}`));
}

/**
 * Runs `eventfs mount` with options that it refuses.
 * @param under a command that runs `eventfs`
 * @returns its one line of stderr
 */
export async function refused(
  args: readonly string[],
  under: readonly string[] = [],
): Promise<string> {
  const { err, code } = await run([...under, ...EVENTFS_NODE, 'mount', mountPoint(), ...args]);
  assert.ok(code !== 0 && code !== null, `it was not refused: ${err}`);
  assert.match(err, /^eventfs: [^\n]+\n$/);
  return err;
}
