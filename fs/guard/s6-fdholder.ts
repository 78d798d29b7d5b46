/**
 * s6-fdholder (s6-fdholder-daemon(8)): a service that holds descriptors for others.
 * s6-fdholder-store keeps one. s6-fdholder-retrieve starts a program with it as standard input:
 * eventfs-guard, which sends it back here.
 */
import { spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { guardProgram, receiveMessage, socketPair } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';
import type { StatusLines } from '../shared/status-lines.js';
import { Descriptors } from './descriptors.js';
import type { Holder } from './holder.js';

/** How long one of the programs may take, in milliseconds. */
const TIMEOUT_MS = 5000;
/** The number of the descriptor in the programs that are started. */
const PASSED = 3;

/** A running s6-fdholder-daemon. */
export class S6Fdholder implements Holder {
  readonly keeps = true;
  readonly resends = false;
  readonly takesOver: boolean;
  readonly #descriptors = new Descriptors();
  readonly #prefix: string;

  /**
   * Retrieves the descriptors of the last daemon.
   *
   * @param socket the path of its socket
   * @param mount the mount point, which is a part of the names there
   * @throws UserError if there is no s6-fdholder-daemon
   */
  constructor(
    private readonly socket: string,
    mount: string,
  ) {
    this.#prefix = `eventfs:${mount}:`;
    const listed = this.#run('s6-fdholder-list', [socket]).split('\n');
    for (const id of listed.filter((line) => line.startsWith(this.#prefix)))
      this.#descriptors.add(id.slice(this.#prefix.length), this.#retrieve(id));
    this.takesOver = this.#descriptors.has('fuse');
  }

  get followsDeath(): boolean {
    return this.takesOver;
  }

  look(name: string): number | undefined {
    return this.#descriptors.get(name);
  }

  take(name: string): number | undefined {
    return this.#descriptors.take(name);
  }

  keep(name: string, fd: number): void {
    this.drop(name); // an identifier is unique there
    this.#descriptors.keep(name);
    this.#run('s6-fdholder-store', ['-d', String(PASSED), this.socket, this.#prefix + name], fd);
  }

  drop(name: string): void {
    if (this.#descriptors.drop(name))
      this.#run('s6-fdholder-delete', [this.socket, this.#prefix + name]);
  }

  ready(): Promise<void> {
    for (const name of this.#descriptors.closeRest()) this.drop(name);
    return Promise.resolve();
  }

  nack(): void {
    // the supervisor sees the exit code
  }

  statusLines(): StatusLines {
    return [['GUARDED', 's6']];
  }

  release(): void {
    for (const name of this.#descriptors.names) this.drop(name);
    this.#descriptors.closeRest();
  }

  #retrieve(id: string): number {
    const [here, there] = socketPair();
    try {
      this.#run(
        's6-fdholder-retrieve',
        [this.socket, id, guardProgram, '--pass', String(PASSED)],
        there,
      );
      const received = new Int32Array(1);
      receiveMessage(here, received);
      if (received[0] < 0)
        throw new UserError(
          `${this.socket}: ${id}: no descriptor came back (eventfs umount, and mount again)`,
        );
      return received[0];
    } finally {
      closeSync(here);
      closeSync(there);
    }
  }

  #run(program: string, args: readonly string[], passed?: number): string {
    return run(this.socket, program, args, passed);
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
    const isMissing = isSystemError(error, 'ENOENT');
    throw new UserError(
      isMissing
        ? `${program}: it is not installed (install s6, and ${start})`
        : `${program}: ${error.message} (${start})`,
    );
  }
  if (status === 0) return stdout;
  throw new UserError(
    `${socket}: ${stderr.trim() || `${program} ended with ${status}`} (${start})`,
  );
}
