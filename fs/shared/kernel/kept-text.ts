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
