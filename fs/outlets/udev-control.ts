/**
 * The socket /run/udev/control, by which libudev's clients recognise a running udevd. Without it
 * and without devtmpfs on /dev they receive no events of group 2 and report no error
 * (sd-device/device-monitor.c, device_monitor_new_full).
 *
 * With `--udev` the socket belongs to eventfs. It accepts connections and closes them at once, so
 * that `udevadm settle` and `udevadm control` fail at once instead of waiting for an answer.
 *
 * In containers users create a plain file of that name for libudev, which is enough for it. eventfs
 * leaves such a file as it is.
 */
import { closeSync, mkdirSync, rmdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { PeerWord, ReadableWatch, acceptSeqpacket } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';
import type { Trace } from '../shared/log/trace.js';
import type { Keeper } from '../shared/kernel/keeper.js';
import { keepText, takeText } from '../shared/kernel/kept-text.js';
import { Listener } from './listener.js';

const CONTROL = '/run/udev/control';
/** The name under which the keeper has the note that the directory is that of the first daemon. */
const MADE_DIRECTORY = 'udev-directory';

/** The control socket, for as long as `--udev` is on. */
export class UdevControl {
  /** Null if a plain file is there. */
  readonly #listener: Listener | null;
  #watch: ReadableWatch | null = null;
  /** Whether this daemon or one before it has made the directory. */
  readonly #madeDirectory: boolean;
  /** The memfd that tells it to the next daemon; -1 if this one has not made it. */
  #note = -1;

  /**
   * Creates the socket, and its directory if that is missing.
   *
   * @param keeper keeps the socket for the next daemon
   * @throws UserError if another server listens there, or if a system call fails
   */
  constructor(
    private readonly trace: Trace,
    private readonly keeper: Keeper,
  ) {
    const isNew = makeDirectory(dirname(CONTROL));
    this.#madeDirectory = isNew || takeText(keeper, MADE_DIRECTORY) !== undefined;
    try {
      this.#listener = isPlainFile(CONTROL)
        ? null
        : new Listener(
            CONTROL,
            0o600,
            'stop udevd or the other eventfs --udev, or read its events with --source udev',
            keeper,
          );
    } catch (error) {
      this.#removeDirectory();
      throw error;
    }
    if (isNew && keeper.keeps) this.#note = keepText(keeper, MADE_DIRECTORY, '');
  }

  /** Begins to close connections. */
  start(): void {
    const listener = this.#listener;
    listener?.start();
    if (listener !== null)
      this.#watch ??= new ReadableWatch(listener.fd, () => this.#closeConnections(listener));
  }

  /** Removes the socket, and the directory if the constructor has created it. */
  close(): void {
    this.#watch?.close();
    this.#listener?.close();
    this.keeper.drop(MADE_DIRECTORY);
    if (this.#note >= 0) closeSync(this.#note);
    this.#removeDirectory();
  }

  #closeConnections({ fd: listening }: Listener): void {
    try {
      const peer = new Uint32Array(PeerWord.count);
      for (
        let fd = acceptSeqpacket(listening, peer);
        fd >= 0;
        fd = acceptSeqpacket(listening, peer)
      ) {
        closeSync(fd);
        this.trace.outlets?.(
          `${CONTROL}: closed the connection of a client (pid=${peer[PeerWord.pid]} uid=${peer[PeerWord.uid]})`,
        );
      }
    } catch (error) {
      if (!isSystemError(error)) throw error; // out of descriptors: the clients wait
    }
  }

  #removeDirectory(): void {
    if (!this.#madeDirectory) return;
    try {
      rmdirSync(dirname(CONTROL));
    } catch (error) {
      if (!isSystemError(error)) throw error; // another program has put a file there
    }
  }
}

/**
 * Returns whether the path is a plain file. Follows symlinks, because libudev does (access(2)):
 * eventfs does not replace a symlink to a file either.
 */
function isPlainFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}

function makeDirectory(path: string): boolean {
  try {
    mkdirSync(path, 0o755);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return false;
    if (isSystemError(error)) throw UserError.from(error, path);
    throw error;
  }
}
