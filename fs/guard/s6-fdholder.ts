/**
 * s6-fdholder (s6-fdholder-daemon(8)): a service that holds descriptors for others.
 * s6-fdholder-store keeps one. s6-fdholder-retrieve starts a program with it as standard input:
 * eventfs-guard, which sends it back here.
 */
import { spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { guardProgram, receiveMessage, socketPair } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';
import type { Logger } from '../shared/log/logger.js';
import { DescriptorStore } from './descriptor-store.js';

/** How long one of the programs may take, in milliseconds. */
const TIMEOUT_MS = 5000;
/** The number of the descriptor in the programs that are started. */
const PASSED = 3;

/** strerror(3) of EPERM: the rules of s6-fdholder-daemon do not let this user do something. */
const DENIED = 'Operation not permitted';
const RULES =
  'its rules must let this user list, and store and retrieve names that begin with ' +
  "'eventfs:': docs/restarts.md";

/** A running s6-fdholder-daemon. */
export class S6Fdholder extends DescriptorStore {
  readonly #prefix: string;

  /**
   * Retrieves the descriptors of the last daemon.
   *
   * @param socket the path of its socket
   * @param mount the mount point, which is a part of the names there
   * @param logger gets what s6-fdholder refuses later
   * @throws UserError if there is no s6-fdholder-daemon
   */
  constructor(
    private readonly socket: string,
    mount: string,
    logger: Logger,
  ) {
    const prefix = `eventfs:${mount}:`;
    super('s6', logger, retrieveAll(socket, prefix));
    this.#prefix = prefix;
  }

  protected store(name: string, fd: number): void {
    const args = ['-d', String(PASSED), this.socket, this.#prefix + name];
    run(this.socket, 's6-fdholder-store', args, fd);
  }

  protected forget(name: string): void {
    run(this.socket, 's6-fdholder-delete', [this.socket, this.#prefix + name]);
  }
}

/** Retrieves all descriptors whose names begin with a prefix. */
function* retrieveAll(socket: string, prefix: string): Generator<[string, number]> {
  for (const id of run(socket, 's6-fdholder-list', [socket]).split('\n'))
    if (id.startsWith(prefix)) yield [id.slice(prefix.length), retrieve(socket, id)];
}

function retrieve(socket: string, id: string): number {
  const [here, there] = socketPair();
  try {
    const args = [socket, id, guardProgram, '--pass', String(PASSED)];
    run(socket, 's6-fdholder-retrieve', args, there);
    const received = new Int32Array(1);
    receiveMessage(here, received);
    if (received[0] < 0)
      throw new UserError(
        `${socket}: ${id}: no descriptor came back (eventfs umount, and mount again)`,
      );
    return received[0];
  } finally {
    closeSync(here);
    closeSync(there);
  }
}

/**
 * Checks whether an s6-fdholder-daemon listens, and lets this user list its descriptors.
 *
 * @param socket the path of its socket
 * @throws UserError if not
 */
export function checkFdholder(socket: string): void {
  run(socket, 's6-fdholder-list', [socket]);
}

/**
 * Runs a program of s6.
 *
 * @param passed the descriptor that the program has as number 3
 * @returns its output
 * @throws UserError if it fails
 */
function run(socket: string, program: string, args: readonly string[], passed?: number): string {
  const { error, status, stdout, stderr } = spawnSync(program, args, {
    stdio: ['ignore', 'pipe', 'pipe', ...(passed === undefined ? [] : [passed])],
    timeout: TIMEOUT_MS,
    encoding: 'utf8',
  });
  const start = `start s6-fdholder-daemon ${socket}`;
  if (error !== undefined) {
    if (isSystemError(error, 'ENOENT'))
      throw new UserError(`${program}: it is not installed (install s6, and ${start})`);
    if (isSystemError(error, 'ETIMEDOUT'))
      throw new UserError(
        `${socket}: ${program} got no answer within ${TIMEOUT_MS / 1000} s ` +
          '(name the socket of an s6-fdholder-daemon)',
      );
    throw new UserError(`${program}: ${error.message} (${start})`);
  }
  if (status === 0) return stdout;
  const said = stderr.trim() || `${program} ended with ${status}`;
  const remedy = said.endsWith(DENIED) ? RULES : start;
  throw new UserError(`${socket}: ${said} (${remedy})`);
}
