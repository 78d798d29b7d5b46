/** The memory of a state: mapped once, and copied for a trial that must not change it. */
import { closeSync, fstatSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { createStateMemfd } from '#native';
import { copyState, mapState, memoryOf } from '../../../fs/daemon/state-memory.js';
import { suite } from '../../support/runner/suite.js';

const PAGE = 4096;
const memory = suite('the memory of a state');

/** Returns how many bytes of memory the file takes. */
const allocated = (fd: number): number => fstatSync(fd).blocks * 512;

memory('is mapped once, and again only for another file', () => {
  const [fd, other] = [createStateMemfd(4 * PAGE), createStateMemfd(4 * PAGE)];
  const mapped = mapState(fd);
  assert.is(memoryOf(fd, mapped).bytes, mapped.bytes);
  const anew = memoryOf(other, mapped).bytes;
  anew[0] = 7;
  assert.is(mapped.bytes[0], 0);
  assert.is(mapState(other).bytes[0], 7);
  closeSync(fd);
  closeSync(other);
});

memory('stays as it is when a copy is written to, reserved and discarded', () => {
  const fd = createStateMemfd(4 * PAGE);
  const { bytes } = mapState(fd);
  bytes[0] = 1;
  const copied = copyState(fd);
  const copy = memoryOf(fd, copied);
  assert.is(copy.bytes[0], 1);
  copy.bytes[0] = 2;
  assert.ok(copy.reserve(PAGE, 2 * PAGE));
  copy.discard(0, PAGE);
  assert.is(bytes[0], 1);
  assert.is(allocated(fd), PAGE);
  bytes[0] = 3;
  assert.is(copy.bytes[0], 2, 'a page that was written to is the own of the copy');
  closeSync(fd);
});
memory.run();
