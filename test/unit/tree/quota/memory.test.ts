/** Quotas of memory. */
import * as assert from 'uvu/assert';
import { HANDLE_BYTES, LINK_BYTES, specialHeap } from '../../../../fs/tree/prices.js';
import { refusal } from '../../../support/memory/connection.js';
import { cstring } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { encode } from '../../fuse/structs.js';
import { S_IFIFO, accountsOf, fileOf, ownDirectory, withQuotas } from './ledger.js';

const quota = suite('a quota');

quota(
  'of memory refuses names, filters, texts and open files, and a refusal charges nothing',
  () => {
    const { kernel, user, own } = withQuotas({
      memory: ownDirectory + fileOf('file') + 2 * HANDLE_BYTES,
    });
    const node = kernel.make(own, 'file', '');
    const by = { uid: user.uid, gid: user.gid };
    const open = [kernel.open(node, 0, by), kernel.opendir(own, by)];
    const full = accountsOf(kernel);
    for (const attempt of [
      () => kernel.make(own, 'more', ''),
      () => kernel.mknod(own, 'fifo', S_IFIFO),
      () => kernel.symlink(own, 'link', 'x'),
      () => kernel.link(node, own, 'more'),
      () => kernel.rename(own, 'file', own, 'longer'),
      () => kernel.open(node, 0, by),
      () => kernel.open(kernel.walk('stream'), 0, by),
      () => kernel.open(kernel.lookup(own, '.status').nodeid, 0, by),
      () => kernel.mkdir('second', user),
      () =>
        kernel.ask(
          'FUSE_SETXATTR',
          own,
          Buffer.concat([
            Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]),
            cstring('user.eventfs.filter'),
            Buffer.from('A==b'),
          ]),
        ),
    ]) {
      assert.is(refusal(attempt), 'EDQUOT', String(attempt));
      assert.equal(accountsOf(kernel), full);
    }
    // A listing needs no quota: it shows what to remove.
    const names = kernel.names(own, 4096, by);
    assert.equal(names, ['file']);
    const uncharged = kernel.opendir(own, by);
    kernel.ask('FUSE_FSYNCDIR', own, encode('fuse_fsync_in', { fh: uncharged }));
    assert.equal(accountsOf(kernel), full);
    kernel.releasedir(uncharged);
    assert.equal(accountsOf(kernel), full);
    kernel.release(open[0]);
    kernel.release(open[1], 'FUSE_RELEASEDIR');
    kernel.rename(own, 'file', own, 'longer');
    kernel.open(kernel.lookup(own, '.filter').nodeid, 0, by);
    kernel.close();
  },
);

quota("of memory counts a symlink's target through renames until it is removed or replaced", () => {
  const target = 't'.repeat(4000);
  const link = (name: string): number => LINK_BYTES + specialHeap(name, target);
  const { kernel, user, own } = withQuotas({
    memory: 2 * ownDirectory + link('a') + link('longer'),
  });
  const two = kernel.mkdir('two', user);
  const theirs = kernel.mkdir('the', { ...user, uid: 1001 });
  const empty = accountsOf(kernel);
  kernel.symlink(own, 'a', target);
  kernel.symlink(two, 'b', target);
  assert.is(
    refusal(() => kernel.symlink(own, 'c', target)),
    'EDQUOT',
  );
  kernel.rename(two, 'b', own, 'longer');
  assert.is(
    refusal(() => kernel.rename(own, 'longer', own, 'longest')),
    'EDQUOT',
  );
  kernel.rename(own, 'longer', two, 'a');
  kernel.rename(two, 'a', own, 'a'); // it replaces the other symlink
  kernel.symlink(own, 'c', target);
  for (const name of ['a', 'c']) kernel.rename(own, name, theirs, name);
  kernel.symlink(own, 'a', target);
  assert.is(
    refusal(() => kernel.rename(own, 'a', theirs, 'd')),
    'EDQUOT',
  );
  kernel.rename(own, 'a', theirs, 'a');
  for (const name of kernel.names(theirs)) kernel.unlink(theirs, name);
  assert.equal(accountsOf(kernel), empty);
  kernel.close();
});

quota('of memory has a reserve for readers, which nothing else may take', () => {
  const most = ownDirectory + fileOf('file') + 64 * HANDLE_BYTES;
  const { kernel, user, own } = withQuotas({ memory: most });
  const by = { uid: user.uid, gid: user.gid };
  const node = kernel.make(own, 'file', 'text');
  for (let n = 0; n < 64; n++) kernel.open(node, 0, by);
  assert.is(kernel.tree.ledger.account(user.uid, user.gid).fitsItem('memory', 1), false);
  const open = kernel.open(node, 0, by);
  assert.is(kernel.read(open, 100).toString(), 'text');
  const status = kernel.open(kernel.lookup(own, '.status').nodeid, 0, by);
  assert.match(kernel.read(status, 4096).toString(), /^PENDING=1$/m);
  assert.is(
    refusal(() => kernel.make(own, 'more', '')),
    'EDQUOT',
  );
  const reserve = [];
  const another = () => reserve.push(kernel.open(node, 0, by));
  while (refusal(another) === 'none') continue;
  assert.is(refusal(another), 'EDQUOT');
  assert.ok(reserve.length > 0 && reserve.length <= 4, `${reserve.length}`);
  kernel.close();
});

quota("of the mount's memory refuses an open with ENFILE, and root has a reserve", () => {
  const { kernel, own } = withQuotas(
    {},
    {},
    { memory: ownDirectory + fileOf('file') + 100 * HANDLE_BYTES },
  );
  const node = kernel.make(own, 'file', '');
  for (let n = 0; n < 100; n++) kernel.open(node, 0, { uid: 1000 });
  assert.is(
    refusal(() => kernel.open(node, 0, { uid: 1000 })),
    'ENFILE',
  );
  for (let n = 0; n < 6; n++) kernel.open(node, 0, {});
  assert.is(
    refusal(() => kernel.open(node, 0, {})),
    'ENFILE',
  );
  kernel.close();
});

quota.run();
