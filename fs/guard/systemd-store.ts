/**
 * systemd's file descriptor store (sd_notify(3), sd_listen_fds(3)): FDSTORE=1 keeps a descriptor,
 * and the next start of the service has it from number 3 on, named in $LISTEN_FDNAMES.
 *
 * FDPOLL=0: else systemd drops a /dev/fuse whose connection has ended only for a moment, and any
 * socket whose peer has gone. No FileDescriptorStorePreserve=yes: a mount of a service that was
 * stopped would hang.
 */
import { closeSync, fstatSync, statSync, writeSync } from 'node:fs';
import { ReadableWatch, sendDatagram, socketPair } from '#native';
import { UsageError, UserError, isSystemError } from '../shared/errors.js';
import { inTime } from '../shared/in-time.js';
import type { Logger } from '../shared/log/logger.js';
import { DescriptorStore } from './descriptor-store.js';

const FIRST_PASSED = 3;
const AS_SERVICE = 'run it as a service with Type=notify';

const NO_ROOM = 'set FileDescriptorStoreMax=64 and Type=notify in its unit';
const STORE = 'FDSTORE=1\nFDPOLL=0\n';
/** The name of a descriptor that systemd has for a moment. */
const PROBE = 'probe';
/** As in sd_notify_barrier(3). */
const MOST_BARRIER_MS = 5000;

/** The store of the service that this process is. */
export class SystemdStore extends DescriptorStore {
  readonly #socket: string;
  /** How many descriptors the store has room for, if systemd says so (254 and newer). */
  readonly #room: number;
  #isKnownFull = false;

  /**
   * Finds the store, and makes sure that it keeps descriptors: systemd drops those that it has no
   * room for, and tells only its journal. The descriptors of the last daemon show that it does.
   *
   * @param logger gets what systemd refuses later
   * @throws UsageError if this is no service of systemd, UserError if it has no store
   */
  static async open(logger: Logger, environment = process.env): Promise<SystemdStore> {
    const store = new SystemdStore(logger, environment);
    if (!store.takesOver && !(await store.#hasRoom()))
      throw new UserError(`--fd-holder systemd: the service has no store (${NO_ROOM})`);
    return store;
  }

  private constructor(logger: Logger, environment: NodeJS.ProcessEnv) {
    const { NOTIFY_SOCKET: socket = '', FDSTORE: room } = environment;
    if (socket === '')
      throw new UsageError(`--fd-holder systemd: $NOTIFY_SOCKET is not set (${AS_SERVICE})`);
    if (!isSocket(socket))
      throw new UsageError(`${nameOf(socket)}: there is no such socket (${AS_SERVICE})`);
    super('systemd', logger, passed(environment));
    this.#socket = socket;
    this.#room = room === undefined ? Infinity : Number(room);
  }

  protected store(name: string, fd: number): void {
    if (this.kept <= this.#room) this.#notify(`${STORE}FDNAME=${name}`, fd);
    else if (!this.#isKnownFull) {
      this.#isKnownFull = true;
      throw new UserError(
        `--fd-holder systemd: the store has room for ${this.#room} descriptors only ` +
          '(raise FileDescriptorStoreMax= in its unit)',
      );
    }
  }

  /** Has systemd store a socket, and looks whether the other end is still connected then. */
  async #hasRoom(): Promise<boolean> {
    const own = this.#sendEnd(`${STORE}FDNAME=${PROBE}`);
    try {
      await this.#barrier();
      writeSync(own, '\n');
      this.forget(PROBE);
      return true;
    } catch (error) {
      if (isSystemError(error, 'EPIPE')) return false;
      throw error;
    } finally {
      closeSync(own);
    }
  }

  /** Waits until systemd has read all earlier messages: it closes the descriptor of this one. */
  async #barrier(): Promise<void> {
    const own = this.#sendEnd('BARRIER=1');
    let watch: ReadableWatch | undefined;
    const closed = new Promise<void>((done) => (watch = new ReadableWatch(own, done)));
    try {
      await inTime(closed, MOST_BARRIER_MS, () => {
        throw new UserError(`${nameOf(this.#socket)}: systemd does not answer (${AS_SERVICE})`);
      });
    } finally {
      watch?.close();
      closeSync(own);
    }
  }

  /** Sends systemd one end of a new socket pair with a message. @returns the other end */
  #sendEnd(state: string): number {
    const [own, other] = socketPair();
    try {
      this.#notify(state, other);
      return own;
    } catch (error) {
      closeSync(own);
      throw error;
    } finally {
      closeSync(other);
    }
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
