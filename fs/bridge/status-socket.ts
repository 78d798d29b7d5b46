/**
 * The socket by which `eventfs bridge --status` reaches the running bridge. It keeps a second
 * bridge from the same state directory too.
 */
import { unlinkSync } from 'node:fs';
import { type Server, connect, createServer } from 'node:net';
import { UserError, isSystemError } from '../shared/errors.js';
import type { BridgeStatus } from './report.js';

const NAME = 'status.sock';
const TIMEOUT_MS = 2000;

/** Answers each connection with the status as JSON. */
export class StatusSocket {
  #server: Server | null = null;
  readonly #path: string;

  /** @param directory the state directory */
  constructor(
    directory: string,
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
      await this.#listen();
    } catch (error) {
      if (!isSystemError(error, 'EADDRINUSE')) throw refusal(error, this.#path);
      if ((await ask(this.#path)) !== null)
        throw new UserError(`${this.#path}: another bridge uses this state (use --state DIR)`);
      unlinkSync(this.#path); // its bridge was killed
      await this.#listen();
    }
  }

  #listen(): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end(JSON.stringify(this.status()));
    });
    this.#server = server;
    return new Promise((done, failed) => {
      server.once('error', failed);
      server.listen(this.#path, done);
    });
  }

  /** Removes the socket. */
  close(): void {
    this.#server?.close();
  }
}

function refusal(error: unknown, path: string): unknown {
  return isSystemError(error) ? UserError.from(error, path, { EACCES: 'use --state DIR' }) : error;
}

/** Returns the answer of a socket; null if no bridge listens. @throws SystemError EACCES */
function ask(path: string): Promise<string | null> {
  return new Promise((done, failed) => {
    let text = '';
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(), TIMEOUT_MS);
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', (error) => isSystemError(error, 'EACCES') && failed(error));
    socket.on('close', () => {
      clearTimeout(timer);
      done(text === '' ? null : text);
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
  return JSON.parse(text) as BridgeStatus;
}
