/**
 * A daemon in namespaces of its own: what it sends to netlink groups, or puts into /run, nobody else on the machine sees.
 * The kernel's uevents of real devices come to every network namespace, so tests look for their own events only.
 */
import * as assert from 'uvu/assert';
import { compile, Reader } from './clients.js';
import { type Daemon, EVENTFS, mountPoint, run, startDaemon } from './daemon.js';

/** A network namespace. */
export const OWN_NETWORK = ['unshare', '--net'] as const;

/** Makes /run empty and /dev no devtmpfs, as in a container. */
export const OWN_MOUNTS =
  'mount -t tmpfs run /run; mkdir /run/dev; mount -t tmpfs dev /run/dev; ' +
  'cp -a /dev/null /dev/zero /dev/fuse /dev/urandom /run/dev; mount --move /run/dev /dev; rmdir /run/dev';

export interface Apart extends Daemon {
  /** The paths as the daemon sees them. */
  readonly inside: string;
  /** A command that runs another one where the daemon is. */
  readonly enter: readonly string[];
}

/** Starts a daemon that is on its own in the network, and sees a /run and /dev of its own. Its `path` can be reached from here. */
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

/** A command that runs another one in the network and with the mounts of a process. */
export function enter(pid: number): readonly string[] {
  return ['nsenter', `--net=/proc/${pid}/ns/net`, `--mount=/proc/${pid}/ns/mnt`];
}

/** Sends a datagram with test/programs/stream-netlink.c, in a daemon's network namespace; gives what it said on stderr. */
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
    compile('stream-netlink'),
    how,
    String(to),
    String(times),
  ];
  const { err } = await run(['nsenter', ...command], {
    input: typeof datagram === 'string' ? Buffer.from(datagram, 'latin1') : datagram,
  });
  return err;
}

/** A bare listener on netlink groups, in a daemon's network namespace. */
export async function listenNetlink(daemon: Daemon, groups: number): Promise<Reader> {
  const how = groups === 1 ? ['listen'] : ['groups'];
  const command = [
    'nsenter',
    `--net=/proc/${daemon.pid}/ns/net`,
    compile('stream-netlink'),
    ...how,
  ];
  const reader = new Reader(String(groups), command);
  await reader.has(1, 10_000);
  return reader;
}

/** The records about one devpath. */
export function about(records: readonly string[], devpath: string): string[] {
  return records.filter((record) => record.split('\n')[0].endsWith(`@${devpath}`));
}

/** `eventfs mount` with options that it refuses; gives its one line. */
export async function refused(
  args: readonly string[],
  under: readonly string[] = [],
): Promise<string> {
  const { err, code } = await run([
    ...under,
    process.execPath,
    EVENTFS,
    'mount',
    mountPoint(),
    ...args,
  ]);
  assert.ok(code !== 0 && code !== null, `it was not refused: ${err}`);
  assert.match(err, /^eventfs: [^\n]+\n$/);
  return err;
}
