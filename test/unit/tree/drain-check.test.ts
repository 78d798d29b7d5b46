/**
 * The check that the daemon has drained the deaths after the last event (fs/tree/drain-check.ts): a
 * death completes a file in another queue, in the drain itself or in a later turn.
 */
import { closeSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { DeathWatch, DrainWord, openPidfd } from '#native';
import { Child } from '../../support/memory/child.js';
import { MemoryKernel, O_NONBLOCK } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { withKernel } from './with-kernel.js';

const drain = suite('a drain of the deaths');
const drains = withKernel(drain);

/** So many files take longer than the tree frees at once. */
const FILES = 4000;

drain('counts at its end: what a death brings came before the last look', async () => {
  const words = new Uint32Array(DrainWord.count);
  const seen: number[] = [];
  const watch = new DeathWatch({
    onDeath: () => {
      seen.push(words[DrainWord.drains]);
    },
    drains: words,
  });
  const child = new Child();
  const pidfd = openPidfd(child.pid);
  watch.add(pidfd, child.pid);
  await child.die();
  assert.is(watch.drain(), 1);
  assert.equal([seen, words[DrainWord.drains]], [[0], 1]);
  watch.drainIfDue();
  assert.is(words[DrainWord.drains], 2);
  watch.close();
  closeSync(pidfd);
});

/**
 * Makes a directory of a child with a linked file that stays open for writing, and kills the child.
 * @param files the number of further files in the directory
 */
async function dieWriting(kernel: MemoryKernel, own: number, files: number): Promise<number> {
  const child = new Child();
  const directory = kernel.mkdir(`${child.pid}`, child.by);
  const { nodeid, fh } = kernel.create(directory, 'file');
  kernel.write(fh, 'mine@/x\n');
  kernel.link(nodeid, own, 'file');
  for (let n = 0; n < files; n++) kernel.make(directory, `${n}`, '');
  await child.die();
  return fh;
}

for (const [when, files] of [
  ['in the drain', 0],
  ['in a later turn', FILES],
] as const)
  drains(`comes before a read of a file that a death completes ${when}`, async (kernel, own) => {
    const stream = kernel.open(kernel.lookup(own, '.stream').nodeid, O_NONBLOCK);
    const fh = await dieWriting(kernel, own, files);
    assert.is(kernel.read(stream, 4096, 0, O_NONBLOCK), 'mine@/x\n\n');
    for (const open of [fh, stream]) kernel.release(open);
  });

drain.run();
