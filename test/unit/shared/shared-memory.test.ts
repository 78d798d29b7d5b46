/** The memory of the state: it outlives the process, and no process can change its size. */
import { closeSync, fstatSync, ftruncateSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { createStateMemfd, mapShared, punchHole, reserveRange } from '#native';
import { suite } from '../../support/runner/suite.js';

const PAGE = 4096;
const memory = suite('shared memory');

/** Returns how many bytes of memory the file takes. */
const allocated = (fd: number): number => fstatSync(fd).blocks * 512;

memory('is one file for all mappings, and sparse', () => {
  const fd = createStateMemfd(64 * PAGE);
  const whole = mapShared(fd, 0, 64 * PAGE);
  const part = mapShared(fd, PAGE, PAGE);
  assert.is(allocated(fd), 0);
  part[5] = 7;
  assert.is(whole[PAGE + 5], 7);
  assert.is(allocated(fd), PAGE);
  punchHole(fd, PAGE, PAGE);
  assert.is(allocated(fd), 0);
  assert.is(part[5], 0);
  reserveRange(fd, 0, 2 * PAGE);
  assert.is(allocated(fd), 2 * PAGE);
  closeSync(fd);
  whole[0] = 1; // a mapping outlives the descriptor
});

memory('keeps its size, and maps no bytes behind its end', () => {
  const fd = createStateMemfd(2 * PAGE);
  assert.throws(() => ftruncateSync(fd, PAGE), /EPERM/);
  assert.throws(() => ftruncateSync(fd, 3 * PAGE), /EPERM/);
  assert.throws(() => mapShared(fd, PAGE, 2 * PAGE), RangeError);
  assert.throws(() => mapShared(fd, -PAGE, PAGE), RangeError);
  assert.throws(() => reserveRange(fd, 0, 3 * PAGE), /not permitted/);
  closeSync(fd);
});
memory.run();
