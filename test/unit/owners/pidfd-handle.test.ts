/** File handles of pidfds: they name one process, for as long as it lives, without a descriptor. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { openPidfd, openPidfdByHandle, readPidfdHandle } from '#native';
import { suite } from '../../support/runner/suite.js';

const handles = suite('the handle of a pidfd');

handles('opens the same process until it is reaped', async () => {
  const child = spawn('sleep', ['1000']);
  const pidfd = openPidfd(child.pid!);
  const handle = new Uint8Array(8);
  if (!readPidfdHandle(pidfd, handle)) {
    child.kill('SIGKILL');
    return; // Linux before 6.14
  }
  const again = openPidfdByHandle(handle);
  assert.is(fstatSync(again).ino, fstatSync(pidfd).ino);
  closeSync(again);
  closeSync(pidfd);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.is(openPidfdByHandle(handle), -1);
});

handles('is false for another file, and must have room', () => {
  const file = openSync('/dev/null', 'r');
  assert.is(readPidfdHandle(file, new Uint8Array(8)), false);
  assert.throws(() => readPidfdHandle(file, new Uint8Array(7)), RangeError);
  assert.throws(() => openPidfdByHandle(new Uint8Array(7)), RangeError);
  closeSync(file);
});
handles.run();
