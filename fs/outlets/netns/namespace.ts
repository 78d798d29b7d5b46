/** One network namespace that gets events, and the batch for it. */
import { closeSync } from 'node:fs';
import {
  InjectionWord,
  NamespaceWord,
  SliceWord,
  injectUevents,
  openNamespaceSender,
} from '#native';
import { filterAdvice } from '../../uevent/filter/advice.js';
import type { Filter } from '../../uevent/filter/filter.js';
import { Errno, UserError, errnoName, isSystemError } from '../../shared/errors.js';
import type { Keeper } from '../../shared/kernel/keeper.js';
import { quoted } from '../../shared/escape.js';
import type { Logger } from '../../shared/log/logger.js';
import type { Trace } from '../../shared/log/trace.js';
import type { OpenedPaths } from '../opened-paths.js';
import { MOST_MESSAGES } from '../outlet.js';
import { NamespaceName } from './namespace-name.js';
import { noNamespace } from './namespace-place.js';

/** A rule for the events of network interfaces only. */
const ONLY_NETWORK = /(^|, )SUBSYSTEM=="?net"?(,|$)/;

/** Sends events into one network namespace, until its name ends. */
export class Namespace {
  readonly #name: NamespaceName;
  readonly #found = new Uint32Array(NamespaceWord.count);
  readonly #slices = new Uint32Array(SliceWord.count * MOST_MESSAGES);
  readonly #outcome = new Uint32Array(InjectionWord.count);
  /** The socket inside the namespace; -1 once it is closed. */
  #socket = -1;
  #messages = 0;
  sent = 0;
  refused = 0;

  /**
   * Opens the namespace, and a socket inside it.
   *
   * @param path the file of the namespace
   * @param filter the events that it gets
   * @param keeper keeps a process whose namespace it is, or its place, for the next daemon
   * @param opened the place, if this daemon has found it while another one served
   * @throws UserError if the path names no network namespace, or if a system call fails
   */
  constructor(
    readonly path: string,
    readonly filter: Filter,
    private readonly logger: Logger,
    private readonly trace: Trace,
    keeper?: Keeper,
    opened?: OpenedPaths,
  ) {
    this.#name = new NamespaceName(path, (why) => this.#onGone(why), keeper, opened);
    try {
      this.#socket = openNamespaceSender(this.#name.fd, this.#found);
    } catch (error) {
      this.#name.close();
      throw isSystemError(error) ? toUserError(error, path) : error;
    }
    this.#name.closeNamespace();
    this.trace.outlets?.(
      `netns ${quoted(path)} opened (its root is uid=${this.#found[NamespaceWord.uid]}), filter ${quoted(filter.text)}`,
    );
    for (const advice of filterAdvice(filter)) logger.warn(`--netns ${path}: ${advice}`);
    if (this.#found[NamespaceWord.isInitial] === 1 && !filter.text.split('\n').every(isOnlyNetwork))
      logger.warn(
        `--netns ${path}: the kernel itself sends events of devices there, so they come twice (add =SUBSYSTEM==net, or leave the namespace out)`,
      );
  }

  /** Whether the name still names the namespace. */
  get isOpen(): boolean {
    return this.#socket >= 0;
  }

  /** Identifies the namespace, so that two paths to one are noticed. */
  get identity(): string {
    return this.#name.identity;
  }

  /** Whether the batch has no room for another message. */
  get isFull(): boolean {
    return this.#messages === MOST_MESSAGES;
  }

  /**
   * Adds a message to the batch, which must have room.
   *
   * @param start the message's offset in the outlet's memory, in bytes
   * @param length the message's length in bytes
   */
  add(start: number, length: number): void {
    const at = SliceWord.count * this.#messages++;
    this.#slices[at + SliceWord.start] = start;
    this.#slices[at + SliceWord.length] = length;
  }

  /** Sends the batch. @param memory the outlet's memory */
  send(memory: Uint8Array): void {
    const messages = this.#messages;
    this.#messages = 0;
    if (messages === 0 || !this.isOpen) return;
    const outcome = this.#outcome;
    injectUevents(this.#socket, this.#found, memory, this.#slices, messages, outcome);
    this.sent += outcome[InjectionWord.sent];
    this.trace.outlets?.(
      `netns ${quoted(this.path)}: ${outcome[InjectionWord.sent]} of ${messages} events were sent`,
    );
    if (outcome[InjectionWord.refused] === 0) return;
    this.refused += outcome[InjectionWord.refused];
    this.logger.warn(
      `--netns ${this.path}: the kernel rejected events: ${reasonOf(outcome[InjectionWord.error])}`,
    );
  }

  #onGone(why: string): void {
    this.logger.info(`--netns ${this.path}: ${why}; it gets no more events`);
    this.trace.outlets?.(`netns ${quoted(this.path)} closed: ${this.sent} events were sent`);
    this.#closeSocket();
  }

  #closeSocket(): void {
    if (this.#socket >= 0) closeSync(this.#socket);
    this.#socket = -1;
  }

  /** Closes the socket and the watch of the name. */
  close(): void {
    this.#name.close();
    this.#closeSocket();
  }
}

function isOnlyNetwork(rule: string): boolean {
  return ONLY_NETWORK.test(rule);
}

function reasonOf(errno: number): string {
  return errno === Errno.EINVAL ? 'more than 2 KiB of text (EINVAL)' : errnoName(errno);
}

/** Explains why a socket inside the namespace could not be made. */
function toUserError(error: unknown, path: string): unknown {
  if (!isSystemError(error)) return error;
  const isOther = error.syscall === 'ioctl' && error.code === 'EINVAL';
  if (error.code === 'ENOTTY' || isOther) return noNamespace(path);
  return UserError.from(error, path, {
    EPERM: 'only root, or the owner of its user namespace, may send events into it',
  });
}
