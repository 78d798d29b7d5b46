/** Errors of system calls: their names, texts and hints. */
import * as assert from 'uvu/assert';
import { readSync } from 'node:fs';
import {
  Errno,
  type SystemError,
  UserError,
  codeOf,
  errnoText,
  isSystemError,
} from '../../../fs/shared/errors.js';
import { suite } from '../../support/runner/suite.js';

const errors = suite('errors of system calls');

/** Makes an error as Node makes it for an errno that libuv lacks. */
function unnamed(errno: number): SystemError {
  const code = `Unknown system error -${errno}`;
  return Object.assign(new Error(code), { code, errno: -errno, syscall: 'mkdir' });
}

errors('have the name and the hint of an errno that libuv lacks', () => {
  for (const name of ['EDQUOT', 'ESTALE', 'ETOOMANYREFS'] as const) {
    const error = unnamed(Errno[name]);
    assert.is(codeOf(error), name);
    assert.ok(isSystemError(error, name));
    assert.match(UserError.from(error, '/dev/events', { [name]: 'a hint' }).message, '(a hint)');
  }
  assert.is(errnoText(Errno.EDQUOT), 'Disk quota exceeded');
  assert.is(errnoText(-Errno.ESTALE), 'Stale file handle');
});

errors('keep the name that Node has for them', () => {
  try {
    readSync(-1, new Uint8Array(1));
    assert.unreachable();
  } catch (error) {
    assert.ok(!isSystemError(error)); // Node itself refuses the descriptor
  }
  try {
    readSync(2 ** 20 - 1, new Uint8Array(1));
    assert.unreachable();
  } catch (error) {
    assert.ok(isSystemError(error, 'EBADF'));
    assert.not(isSystemError(error, 'ENOENT'));
    assert.is(codeOf(error), 'EBADF');
  }
});

errors.run();
