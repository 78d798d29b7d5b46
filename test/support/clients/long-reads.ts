/** read(2) of more bytes than one READ of the kernel can ask for. */
import * as assert from 'uvu/assert';
import { daemon, shell } from '../mount/mounted.js';
import { eventText, publish } from './clients.js';

const RECORD_BYTES = 2048;

/** Publishes records of 2 KiB that are `size` bytes together. */
export function publishBytes(size: number): void {
  const empty = eventText('/devices/n', { FILL: '' }).length + 1;
  const text = eventText('/devices/n', { FILL: 'x'.repeat(RECORD_BYTES - empty) });
  publish(daemon.path, ...new Array<string>(size / RECORD_BYTES).fill(text));
}

/**
 * Opens a stream, publishes records that fill one READ to the last byte, and makes one read(2) of
 * twice as many bytes, as dd(1) does.
 * @param readBytes the most bytes that one READ of the kernel asks for
 * @throws Error if the read does not end
 */
export async function readTwice(path: string, readBytes: number): Promise<void> {
  await shell.run(`exec 9< ${path}`);
  publishBytes(readBytes);
  const read = `dd bs=${2 * readBytes} count=1 status=none <&9 | wc -c`;
  const { out, code } = await shell.run(`set -o pipefail; timeout 10 ${read}; exec 9<&-`);
  assert.is(code, 0, `${path}: the read did not end`);
  const got = Number(out);
  assert.ok(got > readBytes / 2 && got < readBytes, `${path}: ${out}`);
}
