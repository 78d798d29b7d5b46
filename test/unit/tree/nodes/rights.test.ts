/**
 * The operations on a directory that are refused to another user, though its mode lets that user
 * write into it.
 */
import * as assert from 'uvu/assert';
import { Child } from '../../../support/memory/child.js';
import { type By, refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, cstring } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';

const rights = suite('another user');
const STICKY = 'user.eventfs_sticky';
const FILTER = 'user.eventfs.filter';

function set(kernel: MemoryKernel, node: number, name: string, value: string, by: By): void {
  const sizeAndFlags = Buffer.from(Uint32Array.of(value.length, 0).buffer);
  kernel.ask(
    'FUSE_SETXATTR',
    node,
    Buffer.concat([sizeAndFlags, cstring(name), Buffer.from(value)]),
    by,
  );
}

function remove(kernel: MemoryKernel, node: number, name: string, by: By): void {
  kernel.ask('FUSE_REMOVEXATTR', node, cstring(name), by);
}

rights(
  'cannot make a directory sticky, unmake it, or remove its filter; its own user and root can',
  async () => {
    const kernel = MemoryKernel.started();
    const owner = new Child();
    const by = (uid: number): By => ({ pid: owner.pid, uid, gid: 100 });
    const node = kernel.mkdir('open', by(1000), 0o777);
    for (const [name, value] of [
      [STICKY, ''],
      [FILTER, 'SUBSYSTEM==net'],
    ] as const) {
      assert.is(
        refusal(() => set(kernel, node, name, value, by(1001))),
        'EPERM',
        name,
      );
      for (const user of [1000, 0]) {
        set(kernel, node, name, value, by(user));
        assert.is(
          refusal(() => remove(kernel, node, name, by(1001))),
          'EPERM',
          name,
        );
        remove(kernel, node, name, by(user));
      }
    }
    set(kernel, node, STICKY, '', by(1000));
    await owner.die();
    kernel.drain();
    assert.is(
      refusal(() => kernel.lookup(1, 'open')),
      'none',
      'it is not sticky',
    );
    assert.is(
      refusal(() => remove(kernel, node, STICKY, { uid: 1001, gid: 100 })),
      'EPERM',
    );
    assert.is(
      refusal(() => kernel.lookup(1, 'open')),
      'none',
      'it has ended',
    );
    remove(kernel, node, STICKY, { uid: 1000, gid: 100 });
    assert.is(
      refusal(() => kernel.lookup(1, 'open')),
      'ENOENT',
    );
    kernel.close();
  },
);

rights.run();
