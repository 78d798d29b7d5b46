/**
 * systemd's file descriptor store (sd_notify(3), sd_listen_fds(3)): FDSTORE=1 keeps a descriptor,
 * and the next start of the service has it from number 3 on, named in $LISTEN_FDNAMES.
 *
 * FDPOLL=0: else systemd drops a /dev/fuse whose connection has ended only for a moment, and any
 * socket whose peer has gone. No FileDescriptorStorePreserve=yes: a mount of a service that was
 * stopped would hang.
 */
import { fstatSync, statSync } from 'node:fs';
import { sendDatagram } from '#native';
import { UsageError, UserError, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import { DescriptorStore } from './descriptor-store.js';

const FIRST_PASSED = 3;
const AS_SERVICE = 'run it as a service with Type=notify';

/** The store of the service that this process is. */
export class SystemdStore extends DescriptorStore {
  readonly #socket: string;

  /**
   * @param logger gets what systemd refuses later
   * @throws UsageError if this is no service of systemd, UserError if it has no store
   */
  constructor(logger: Logger, environment: NodeJS.ProcessEnv = process.env) {
    const { NOTIFY_SOCKET: socket = '', FDSTORE: room } = environment;
    if (socket === '')
      throw new UsageError(`--fd-holder systemd: $NOTIFY_SOCKET is not set (${AS_SERVICE})`);
    if (room === '0')
      throw new UserError(
        '--fd-holder systemd: the service has no store (set FileDescriptorStoreMax=64)',
      );
    if (!isSocket(socket))
      throw new UsageError(`${nameOf(socket)}: there is no such socket (${AS_SERVICE})`);
    super('systemd', logger, passed(environment));
    this.#socket = socket;
  }

  protected store(name: string, fd: number): void {
    this.#notify(`FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`, fd);
  }

  protected forget(name: string): void {
    this.#notify(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  #notify(state: string, fd = -1): void {
    try {
      sendDatagram(this.#socket, state, true, fd);
    } catch (error) {
      if (isSystemError(error))
        throw UserError.from(error, nameOf(this.#socket), { ECONNREFUSED: AS_SERVICE });
      throw error;
    }
  }
}

function nameOf(socket: string): string {
  return `--fd-holder systemd: $NOTIFY_SOCKET=${socket}`;
}

/** Returns whether a path is that of a socket. Nothing but a message tells of an abstract one. */
function isSocket(path: string): boolean {
  if (path.startsWith('@')) return true;
  try {
    return path.startsWith('/') && statSync(path).isSocket();
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}

/** Returns the descriptors with which systemd has started this process. */
function* passed({
  LISTEN_PID: pid,
  LISTEN_FDS: count = '0',
  LISTEN_FDNAMES: names = '',
}: NodeJS.ProcessEnv): Generator<[string, number]> {
  if (pid !== String(process.pid)) return;
  const parts = names.split(':');
  for (let i = 0; i < Number(count); i++) {
    const fd = FIRST_PASSED + i;
    if (isOpen(fd)) yield [parts[i] ?? `unnamed-${i}`, fd];
  }
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EBADF')) return false;
    throw error;
  }
}
