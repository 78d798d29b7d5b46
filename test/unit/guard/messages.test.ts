/** Messages to a process that has stopped. */
import { closeSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { ReadableWatch, sendMessage, socketPair } from '#native';
import { isSystemError } from '../../../fs/shared/errors.js';
import { suite } from '../../support/runner/suite.js';

const message = suite('a message');

message('waits for room, but not for ever', () => {
  const [here, there] = socketPair();
  const watch = new ReadableWatch(here, () => undefined); // makes the socket non-blocking
  const isRefused = (waits: boolean): boolean => {
    try {
      sendMessage(here, 'PING', -1, waits);
      return false;
    } catch (error) {
      if (isSystemError(error, 'EAGAIN')) return true;
      throw error;
    }
  };
  while (!isRefused(false));
  const began = performance.now();
  assert.ok(isRefused(true));
  assert.ok(performance.now() - began >= 900);
  watch.close();
  for (const fd of [here, there]) closeSync(fd);
});

message.run();
