/** Arguments that are not UTF-8: Node shows U+FFFD in place of their bytes. */
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { EVENTFS, mountPoint, run } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

/** A file name in Latin-1, as bash reads it. */
const NAME = "$'caf\\xe9'";
const REFUSED =
  /^eventfs: [a-z]+: "[^\n]*caf\\xe9[^\n]*": it is not UTF-8, [^\n]* \(use a name in UTF-8\)\n$/;

const encoding = mounted('an argument that is not UTF-8');

/** Runs `eventfs` in a directory, with the words as bash reads them. */
async function eventfs(
  words: string,
  directory: string,
): Promise<{ out: string; err: string; code: number | null }> {
  return run(['bash', '-c', `cd "$1" && exec "$0" ${words}`, EVENTFS, directory]);
}

encoding('is refused as a path, and no file of another name is made or used', async () => {
  const directory = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'encoding-'));
  mkdirSync(join(directory, 'caf\uFFFD'));
  const { path } = daemon;
  for (const words of [
    `mount ${NAME}`,
    `mount --guard ${NAME}`,
    `mount --config ${NAME} .`,
    `mount --config=${NAME} .`,
    `mount --socket $PWD/${NAME}:0600 .`,
    `mount --sticky ${NAME} .`,
    `none ${NAME} -o source=none`,
    `none . -o config=${NAME}`,
    `umount ${NAME}`,
    `reload ${NAME}`,
    `--mount ${NAME} status`,
    `--mount=${NAME} status`,
    `watch --mount ${NAME}`,
    `watch --mount ${path} --timeout 1 --record ${NAME}`,
    `emit --replay ${NAME}`,
    `doctor --config ${NAME}`,
    `bridge --broker mqtt://x --fleet ${NAME}`,
    `run --mount ${path} '' -- ${NAME}`,
    `run --mount ${path} '' -- echo ${NAME}`,
  ]) {
    const { out, err, code } = await eventfs(words, directory);
    assert.match(err, REFUSED, words);
    assert.equal([out, code], ['', 100], words);
  }
  const { err, code } = await eventfs(`mount --netns ${NAME}=SUBSYSTEM==usb .`, directory);
  assert.match(err, /Its path is not UTF-8: use another name\./);
  assert.is(code, 100);
  assert.equal(readdirSync(directory), ['caf\uFFFD']);
});

encoding('is a value that a filter or an event may have', async () => {
  const { path } = daemon;
  const words = `watch --mount ${path} NAME==${NAME} --count 1 --timeout 20 --format '{devpath}'`;
  const { out } = await run([
    ...['bash', '-c'],
    `"$0" ${words} & until grep -q '^STREAMS=1' "$1/log/.status"; do sleep 0.1; done
    "$0" emit --mount "$1" ACTION=add DEVPATH=/latin NAME=${NAME}; wait`,
    ...[EVENTFS, path],
  ]);
  assert.is(out, '/latin\n');
  const netns = await eventfs(`mount --check --netns /nowhere=NAME==${NAME} .`, path);
  assert.match(netns.out + netns.err, /\/nowhere: No such file or directory/);
});

encoding('may have U+FFFD itself in it, if it is UTF-8', async () => {
  const { out, code } = await run([EVENTFS, 'mount', '--check', `${mountPoint()}/\uFFFD`]);
  assert.match(Buffer.from(out, 'latin1').toString(), /\/\uFFFD: No such file or directory/);
  assert.is(code, 1);
});

encoding.run();
