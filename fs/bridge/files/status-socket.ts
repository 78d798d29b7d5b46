/**
 * The socket by which `eventfs bridge --status` reaches the running bridge, and the lock that keeps
 * a second bridge from the same state directory. The lock is that of the directory itself, and ends
 * with the process.
 */
import { tryLock } from '#native';
import { closeSync, constants, lstatSync, openSync, unlinkSync } from 'node:fs';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { UserError, isSystemError } from '../../shared/errors.js';
import type { BridgeStatus } from '../report.js';
import { stateRefusal } from './saved.js';

const NAME = 'status.sock';
const TIMEOUT_MS = 2000;
/** The most bytes of a socket's path: unix(7). */
const MOST_BYTES = 107;

/** Answers each connection with the status as JSON. */
export class StatusSocket {
  #server: Server | null = null;
  /** The descriptor of the directory; -1 if it is not locked. */
  #locked = -1;
  readonly #path: string;
  /** Clients that have not read the answer yet. */
  readonly #clients = new Set<Socket>();

  /** @param directory the state directory */
  constructor(
    private readonly directory: string,
    private readonly status: () => BridgeStatus,
  ) {
    this.#path = `${directory}/${NAME}`;
  }

  /**
   * Listens.
   *
   * @throws UserError if another bridge does, or the directory refuses
   */
  async open(): Promise<void> {
    try {
      refuseSocket(this.directory);
      await this.#lock();
      await this.#listen();
    } catch (error) {
      this.close();
      throw stateRefusal(error, this.#path);
    }
  }

  /** Takes the directory. Also a bridge that hangs has it. */
  async #lock(): Promise<void> {
    this.#locked = openSync(this.directory, constants.O_RDONLY | constants.O_DIRECTORY);
    if (!(await this.#isFree()))
      throw new UserError(`${this.#path}: another bridge uses this state (use --state DIR)`);
    this.#removeOld();
  }

  /** Removes the socket of a killed bridge. The errors of rmSync have no code in Node 24. */
  #removeOld(): void {
    try {
      unlinkSync(this.#path);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
    }
  }

  async #isFree(): Promise<boolean> {
    try {
      return tryLock(this.#locked);
    } catch (error) {
      // Some network filesystems have no locks of directories. There the socket tells.
      if (!isSystemError(error)) throw error;
      return (await ask(this.#path)) === null;
    }
  }

  #listen(): Promise<void> {
    const server = createServer((socket) => this.#answer(socket));
    this.#server = server;
    return new Promise((done, failed) => {
      // Later errors are of accept(2), as without a free descriptor: the client tries again.
      server.on('error', failed);
      server.listen(this.#path, done);
    });
  }

  #answer(socket: Socket): void {
    this.#clients.add(socket);
    socket
      .on('error', () => undefined)
      .on('close', () => this.#clients.delete(socket))
      .setTimeout(TIMEOUT_MS, () => socket.destroy())
      .end(JSON.stringify(this.status()));
  }

  /** Removes the socket, and leaves clients that have not read their answer. */
  close(): void {
    this.#server?.close();
    for (const socket of this.#clients) socket.destroy();
    if (this.#locked >= 0) closeSync(this.#locked);
    this.#locked = -1;
  }
}

/**
 * Refuses a state directory in which no socket can be.
 *
 * @throws UserError if its path is too long, or something else has the socket's name
 */
export function refuseSocket(directory: string): void {
  const path = `${directory}/${NAME}`;
  if (Buffer.byteLength(path) > MOST_BYTES)
    throw new UserError(`${directory}: the path is too long for a socket (use a shorter --state)`);
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false)
    throw new UserError(`${path}: it is no socket (remove it, or use --state DIR)`);
}

/**
 * Returns the answer of a socket: empty if a process listens that does not answer, null if none
 * listens.
 *
 * @throws SystemError EACCES
 */
function ask(path: string): Promise<string | null> {
  return new Promise((done, failed) => {
    let text: string | null = null;
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(), TIMEOUT_MS);
    socket.on('connect', () => (text = ''));
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', (error) => {
      // EAGAIN: so many clients wait that the process can't have answered for long.
      if (isSystemError(error, 'EAGAIN')) text = '';
      if (isSystemError(error, 'EACCES')) failed(error);
    });
    socket.on('close', () => {
      clearTimeout(timer);
      done(text);
    });
  });
}

/**
 * Asks the running bridge for its status.
 *
 * @param directory the state directory
 * @throws UserError if no bridge runs with this directory, or this user may not ask it
 */
export async function askStatus(directory: string): Promise<BridgeStatus> {
  const path = `${directory}/${NAME}`;
  const text = await ask(path).catch((error: unknown) => {
    if (!isSystemError(error)) throw error;
    throw UserError.from(error, path, { EACCES: 'try as the user of the bridge, or as root' });
  });
  if (text === null)
    throw new UserError(`no bridge runs with the state in ${directory} (use --state DIR)`);
  if (text === '')
    throw new UserError(
      'the bridge does not answer (eventfs status DIR shows whether one of its mounts hangs)',
    );
  return JSON.parse(text) as BridgeStatus;
}
