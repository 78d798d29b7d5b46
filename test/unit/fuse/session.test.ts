/** A session calls handlers, and replies once to each request. */
import * as assert from 'uvu/assert';
import { Errno, FsError } from '../../../fs/shared/errors.js';
import { Opcode } from '../../../fs/fuse/abi.js';
import { DONE, type Handler, NO_REPLY, OPERATIONS } from '../../../fs/fuse/opcodes.js';
import { suite } from '../../support/runner/suite.js';
import { decode } from './structs.js';
import { UNANSWERED, allHandlers, bytesOf, dispatch, started } from './bare-session.js';

const session = suite('a session');

session('answers every opcode without a row with ENOSYS', () => {
  let calls = 0;
  const { own, warnings } = started(allHandlers(() => (calls++, DONE)));
  const served = new Set<number>(OPERATIONS.map(({ opcode }) => opcode));
  const opcodes = [...Array(5000).keys(), 2 ** 20, 436207616, 2 ** 31, 2 ** 32 - 1].filter(
    (opcode) => !served.has(opcode),
  );
  assert.ok(opcodes.length > 4950);
  for (const opcode of opcodes) {
    for (const length of [0, 1, 8, 200]) {
      const reply = dispatch(own, bytesOf(opcode, Buffer.alloc(length)));
      assert.equal(
        decode('fuse_out_header', reply!),
        { len: 16, error: -Errno.ENOSYS, unique: 0x1234_5678_9abc },
        String(opcode),
      );
    }
  }
  assert.is(calls, 0);
  assert.equal(warnings, []);
});

session('replies once to each request, whatever its handler returns', () => {
  let outcome: Handler = () => DONE;
  const { own, warnings } = started(allHandlers((request, reply) => outcome(request, reply)));
  for (const { name, opcode } of OPERATIONS) {
    const ask = () => dispatch(own, bytesOf(opcode, Buffer.alloc(200), opcode + 2 ** 40));
    const errorOf = (reply: Buffer | null) => decode('fuse_out_header', reply!).error;
    outcome = () => NO_REPLY;
    assert.is(ask(), null);
    if (UNANSWERED.includes(name)) continue;
    outcome = () => DONE;
    assert.equal(decode('fuse_out_header', ask()!), {
      len: 16,
      error: 0,
      unique: opcode + 2 ** 40,
    });
    outcome = (_, reply) => reply.refuse(Errno.ENOENT, 'it is gone');
    assert.is(errorOf(ask()), -Errno.ENOENT);
    outcome = () => {
      throw new FsError(Errno.EDQUOT, 'too much');
    };
    assert.is(errorOf(ask()), -Errno.EDQUOT);
  }
  assert.equal(warnings, []);
});

session('answers EIO for a handler that throws, and names the operation once', () => {
  const failing: Handler = (_request, reply) => {
    reply.u64(1); // a partial reply, which must not be sent
    reply.sliceBytes = 100;
    throw new TypeError('it is broken');
  };
  const { own, warnings } = started(allHandlers(failing));
  for (const { name, opcode } of OPERATIONS) {
    warnings.length = 0;
    const reply = dispatch(own, bytesOf(opcode, Buffer.alloc(200)));
    if (UNANSWERED.includes(name)) assert.is(reply, null, name);
    else
      assert.equal(
        decode('fuse_out_header', reply!),
        { len: 16, error: -Errno.EIO, unique: 0x1234_5678_9abc },
        name,
      );
    assert.is(warnings.length, 1);
    assert.match(warnings[0], `${name} for node 77, from pid 4711: TypeError: it is broken`);
  }
});

session('survives a handler that throws no Error', () => {
  for (const thrown of ['a string', undefined, null, 7]) {
    const throwing: Handler = () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw thrown;
    };
    const { own, warnings } = started(allHandlers(throwing));
    assert.is(
      decode('fuse_out_header', dispatch(own, bytesOf(Opcode.FUSE_STATFS, Buffer.alloc(0)))!).error,
      -Errno.EIO,
    );
    assert.is(warnings.length, 1);
  }
});

session('has a row for every opcode that it serves, and none for FLUSH or READDIRPLUS', () => {
  const names = OPERATIONS.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  assert.ok(names.includes('FUSE_OPENDIR')); // ENOSYS there would enable directory caching
  assert.not(names.includes('FUSE_FLUSH') || names.includes('FUSE_READDIRPLUS'));
});

session.run();
