/**
 * What libudev's clients look for before they listen to group 2: /run/udev/control, which tells them that a udevd is there
 * (sd-device/device-monitor.c, device_monitor_new_full: without it and without devtmpfs on /dev they hear nothing, and say
 * nothing). While `--udev` is on it is ours: a socket that takes connections and ends them at once, so that `udevadm settle`
 * and `udevadm control` fail at once too instead of waiting for an answer.
 *
 * A plain file of that name, which people make for libudev in containers, does as well for libudev: it is left as it is.
 */
import { closeSync, mkdirSync, rmdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { PeerWord, ReadableWatch, acceptSeqpacket } from '#native';
import { UserError, isSystemError } from '../shared/errors.js';
import type { Trace } from '../shared/trace.js';
import { Listener } from './listener.js';

const CONTROL = '/run/udev/control';

export class UdevControl {
  /** Null where a plain file is there. */
  readonly #listener: Listener | null;
  readonly #watch: ReadableWatch | null;
  readonly #madeDirectory: boolean;

  constructor(private readonly trace: Trace) {
    this.#madeDirectory = makeDirectory(dirname(CONTROL));
    try {
      this.#listener = isPlainFile(CONTROL)
        ? null
        : new Listener(
            CONTROL,
            0o600,
            'udevd, or another eventfs --udev: stop it, or listen to it with --source udev',
          );
    } catch (error) {
      this.#removeDirectory();
      throw error;
    }
    const listener = this.#listener;
    this.#watch =
      listener === null ? null : new ReadableWatch(listener.fd, () => this.#turnAway(listener));
  }

  close(): void {
    this.#watch?.close();
    this.#listener?.close();
    this.#removeDirectory();
  }

  #turnAway({ fd: listening }: Listener): void {
    try {
      const peer = new Uint32Array(PeerWord.count);
      for (
        let fd = acceptSeqpacket(listening, peer);
        fd >= 0;
        fd = acceptSeqpacket(listening, peer)
      ) {
        closeSync(fd);
        this.trace.outlets?.(
          `${CONTROL}: a client (pid=${peer[PeerWord.pid]} uid=${peer[PeerWord.uid]}) is turned away`,
        );
      }
    } catch (error) {
      if (!isSystemError(error)) throw error; // no descriptors: they wait
    }
  }

  #removeDirectory(): void {
    if (!this.#madeDirectory) return;
    try {
      rmdirSync(dirname(CONTROL));
    } catch (error) {
      if (!isSystemError(error)) throw error; // somebody else has put something there
    }
  }
}

/** libudev follows a symlink (access(2)); one to a file is not ours to replace either. */
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
