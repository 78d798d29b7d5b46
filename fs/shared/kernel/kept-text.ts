/** Texts that a holder keeps for the next daemon, each in a memfd. */
import { closeSync, fstatSync, readSync, writeSync } from 'node:fs';
import { createStateMemfd } from '#native';
import type { Keeper } from './keeper.js';

/**
 * Keeps a text, which may be empty.
 *
 * @returns the memfd, which stays open until another text has this name: the holder may get it
 *   later
 */
export function keepText(keeper: Keeper, name: string, text: string): number {
  const bytes = Buffer.from(`${text}\n`); // a memfd of no bytes can't be made
  const fd = createStateMemfd(bytes.length);
  writeSync(fd, bytes, 0, bytes.length, 0);
  keeper.keep(name, fd);
  return fd;
}

/** A text that changes. The holder has the last one. */
export class KeptText {
  /** The memfd; -1 while this daemon has kept no text. */
  #fd = -1;

  constructor(
    private readonly keeper: Keeper,
    private readonly name: string,
  ) {}

  /** Keeps a text in place of the last one. */
  keep(text: string): void {
    const before = this.#fd;
    this.#fd = keepText(this.keeper, this.name, text);
    if (before >= 0) closeSync(before);
  }

  /** Drops the last text, also that of an earlier daemon. */
  drop(): void {
    this.keeper.drop(this.name);
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Takes a text that another daemon has kept; undefined if there is none. */
export function takeText(keeper: Keeper, name: string): string | undefined {
  const fd = keeper.take(name);
  if (fd === undefined) return undefined;
  try {
    const bytes = Buffer.alloc(fstatSync(fd).size);
    readSync(fd, bytes, 0, bytes.length, 0);
    return bytes.toString('utf8', 0, bytes.length - 1);
  } finally {
    closeSync(fd);
  }
}
