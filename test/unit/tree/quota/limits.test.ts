/** A full quota refuses; the amounts that are charged for each operation. */
import * as assert from 'uvu/assert';
import { directoryPrice } from '../../../../fs/tree/prices.js';
import { FsError } from '../../../../fs/shared/errors.js';
import { type By, refusal } from '../../../support/memory/connection.js';
import { O_RDWR } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import {
  FATTR,
  S_IFIFO,
  accountsOf,
  fileOf,
  only,
  ownDirectory,
  quotasOf,
  withQuotas,
} from './ledger.js';

const quota = suite('a quota');

quota(
  'of directories refuses the next mkdir of that user, not of another user or root',
  async () => {
    const { kernel, child, user } = withQuotas({ directories: 2 });
    kernel.mkdir('second', user);
    assert.is(
      refusal(() => kernel.mkdir('third', user)),
      'EDQUOT',
    );
    kernel.mkdir('other', { ...user, uid: 1001 });
    for (let n = 0; n < 5; n++) kernel.mkdir(`root${n}`, { pid: child.pid });
    kernel.rmdir('second');
    kernel.mkdir('third', user);
    await child.die();
    kernel.drain();
    assert.equal(accountsOf(kernel), {});
    kernel.close();
  },
);

quota('names the holder and the amounts in its reason', () => {
  const { kernel, child } = withQuotas({ directories: 1 });
  try {
    kernel.tree.root.mkdir('next', 0o755, { uid: 1000, gid: 100, pid: child.pid });
    assert.unreachable('it was not refused');
  } catch (error) {
    assert.is((error as FsError).why, 'uid 1000 holds 1 of 1 directories');
  }
  assert.is(kernel.status('REFUSED'), 1);
  kernel.close();
});

quota('is not charged for a mkdir that fails for another reason', () => {
  const { kernel, user } = withQuotas({ directories: 2 });
  for (let n = 0; n < 5; n++)
    assert.is(
      refusal(() => kernel.mkdir(`999999999.${n}`, user)),
      'ESRCH',
    );
  assert.is(accountsOf(kernel)['uid 1000'].directories, 1);
  assert.is(kernel.owners.size, 1);
  kernel.close();
});

quota('of streams counts every open of stream, match and .stream', () => {
  const { kernel, user, own } = withQuotas({ streams: 3 });
  const paths = ['stream', 'match/A==b'].map((path) => kernel.walk(path));
  const nodes = [...paths, kernel.lookup(own, '.stream').nodeid];
  const open = nodes.map((node) => kernel.open(node, 0, user));
  for (const node of nodes)
    assert.is(
      refusal(() => kernel.open(node, 0, user)),
      'EDQUOT',
    );
  kernel.open(nodes[0], 0, { ...user, uid: 1001 });
  kernel.release(open[2]);
  kernel.open(nodes[1], 0, user);
  kernel.close();
});

quota(
  'of events refuses create, mknod, link, a FIFO and a symlink for every caller, and removes nothing',
  () => {
    const { kernel, user, own } = withQuotas({ events: 2 });
    const root = kernel.mkdir('root', { pid: user.pid });
    const source = kernel.make(root, 'source', 'text');
    kernel.make(own, '1', 'one');
    kernel.mknod(own, 'fifo', S_IFIFO);
    for (const attempt of [
      () => kernel.make(own, '2', ''),
      () => kernel.mknod(own, '2', 0o100644),
      () => kernel.mknod(own, '2', S_IFIFO),
      () => kernel.symlink(own, '2', 'x'),
      () => kernel.link(source, own, '2'),
      () => kernel.rename(root, 'source', own, '2'),
    ]) {
      assert.is(refusal(attempt), 'EDQUOT');
      assert.equal(kernel.names(own), ['1', 'fifo']);
    }
    assert.equal(kernel.names(root), ['source']);
    kernel.unlink(own, 'fifo');
    kernel.rename(root, 'source', own, '2');
    assert.equal(kernel.names(own), ['1', '2']);
    kernel.close();
  },
);

quota('of bytes refuses a write and a truncate, and leaves the file as it was', () => {
  const { kernel, own } = withQuotas({ bytes: 100 });
  const { nodeid, fh } = kernel.create(own, 'file', O_RDWR);
  kernel.write(fh, 'x'.repeat(60));
  assert.is(
    refusal(() => kernel.write(fh, 'y'.repeat(60), 50)),
    'EDQUOT',
  );
  assert.is(
    refusal(() => kernel.setattr(nodeid, { valid: FATTR.size, size: 101 })),
    'EDQUOT',
  );
  assert.is(kernel.getattr(nodeid)['attr.size'], 60);
  kernel.link(nodeid, kernel.mkdir('root', { pid: process.pid }), 'twice');
  assert.is(
    refusal(() => kernel.link(nodeid, own, 'twice')),
    'EDQUOT',
  );
  kernel.setattr(nodeid, { valid: FATTR.size, size: 50 });
  kernel.link(nodeid, own, 'twice');
  assert.is(
    refusal(() => kernel.write(fh, 'z', 50)),
    'EDQUOT',
  );
  assert.is(accountsOf(kernel)['uid 1000'].bytes, 100);
  kernel.close();
});

quota('counts an unlinked file until it is closed', () => {
  const { kernel, own } = withQuotas({ events: 2, bytes: 100 });
  const { fh } = kernel.create(own, 'file', O_RDWR);
  kernel.write(fh, 'x'.repeat(60));
  kernel.unlink(own, 'file');
  assert.is(accountsOf(kernel)['uid 1000'].bytes, 60);
  assert.is(
    refusal(() => kernel.write(fh, 'y', 100)),
    'EDQUOT',
  );
  kernel.write(fh, 'y', 99);
  kernel.make(own, 'next', '');
  assert.is(
    refusal(() => kernel.make(own, 'third', '')),
    'EDQUOT',
  );
  kernel.release(fh);
  assert.equal(
    accountsOf(kernel)['uid 1000'],
    only({ directories: 1, events: 1, bytes: 0, memory: ownDirectory + fileOf('next') }),
  );
  kernel.close();
});

quota('stays exact, and the text stays, if a link into a full queue drops the same event', () => {
  for (const isOpen of [false, true]) {
    const { kernel, own } = withQuotas({});
    kernel.tree.configure({ queueLimits: { events: 1, bytes: 1000 } });
    const node = kernel.make(own, 'a', 'text');
    const open = isOpen ? kernel.open(node, O_RDWR) : null;
    kernel.link(node, own, 'b');
    assert.equal(kernel.names(own), ['b']);
    assert.is(kernel.cat(kernel.lookup(own, 'b').nodeid), 'text');
    if (open !== null) kernel.release(open);
    assert.equal(
      accountsOf(kernel)['uid 1000'],
      only({ directories: 1, events: 1, bytes: 4, memory: ownDirectory + fileOf('b') }),
    );
    kernel.unlink(own, 'b');
    assert.is(accountsOf(kernel)['uid 1000'].bytes, 0);
    kernel.close();
  }
});

quota('lets a rename between directories of one user pass when it is full', () => {
  const { kernel, user, own } = withQuotas({ events: 2, bytes: 8 });
  const second = kernel.mkdir('second', user);
  kernel.make(own, 'a', 'text');
  kernel.make(second, 'b', 'more');
  kernel.rename(own, 'a', second, 'a');
  assert.equal(kernel.names(second), ['b', 'a']);
  kernel.rename(second, 'b', second, 'a');
  assert.equal(kernel.names(second), ['a']);
  kernel.close();
});

quota('moves with chown, or refuses the chown', () => {
  const { kernel, user, own } = withQuotas({ directories: 1, events: 2 });
  kernel.make(own, 'a', 'text');
  kernel.mkdir('other', { ...user, uid: 1001, gid: 101 });
  const chown = (uid: number, gid: number) =>
    refusal(() => kernel.setattr(own, { valid: FATTR.uid | FATTR.gid, uid, gid }));
  assert.is(chown(1001, 101), 'EDQUOT');
  assert.is(kernel.getattr(own)['attr.uid'], 1000);
  assert.is(chown(1002, 101), 'none');
  assert.equal(
    accountsOf(kernel)['uid 1002'],
    only({ directories: 1, events: 1, bytes: 4, memory: ownDirectory + fileOf('a') }),
  );
  assert.equal(
    accountsOf(kernel)['gid 101'],
    only({
      directories: 2,
      events: 1,
      bytes: 4,
      memory: ownDirectory + directoryPrice('other').memory + fileOf('a'),
    }),
  );
  assert.is(accountsOf(kernel)['uid 1000'], undefined);
  kernel.close();
});

quota("of a group and of the mount applies too; the mount's error is ENOSPC, also for root", () => {
  const { kernel, user } = withQuotas({}, { directories: 2 }, { directories: 3 });
  kernel.mkdir('b', { ...user, uid: 1001 });
  assert.is(
    refusal(() => kernel.mkdir('c', { ...user, uid: 1002 })),
    'EDQUOT',
  );
  kernel.mkdir('c', { ...user, gid: 101 });
  assert.is(
    refusal(() => kernel.mkdir('d', { pid: user.pid })),
    'ENOSPC',
  );
  kernel.close();
});

quota('removes nothing if it is lowered, and refuses more', () => {
  const { kernel, own } = withQuotas({});
  for (const name of ['a', 'b', 'c']) kernel.make(own, name, name);
  kernel.tree.ledger.setQuotas(quotasOf({ events: 2 }));
  assert.equal(kernel.names(own), ['a', 'b', 'c']);
  assert.is(
    refusal(() => kernel.make(own, 'd', '')),
    'EDQUOT',
  );
  kernel.rename(own, 'a', own, 'z');
  const second = kernel.mkdir('second', { pid: process.pid, uid: 1000, gid: 100 });
  kernel.rename(own, 'z', second, 'z');
  kernel.rename(second, 'z', own, 'z');
  for (const name of ['z', 'b']) kernel.unlink(own, name);
  kernel.make(own, 'd', '');
  kernel.close();
});

quota("is reported by statfs to its user; root gets the mount's", () => {
  const { kernel, own } = withQuotas(
    { bytes: 10_240, events: 20 },
    {},
    { bytes: 102_400, events: 500 },
  );
  kernel.make(own, 'a', 'x'.repeat(1025));
  const blocks = (by: By) => {
    const body = kernel.ask('FUSE_STATFS', 1, Buffer.alloc(0), by);
    return Array.from({ length: 5 }, (_, n) => Number(body.readBigUInt64LE(n * 8)));
  };
  assert.equal(blocks({ uid: 1000, gid: 100 }), [20, 17, 17, 20, 19]);
  assert.equal(blocks({ uid: 1001, gid: 100 }), [20, 20, 20, 20, 20]);
  assert.equal(blocks({}), [200, 197, 197, 500, 499]);
  kernel.make(own, 'b', 'x'.repeat(9000));
  assert.equal(blocks({ uid: 1000, gid: 100 }), [20, 0, 0, 20, 18]);
  kernel.close();
});

quota.run();
