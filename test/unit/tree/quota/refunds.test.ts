/** Refunds at the end of owners, open files and accounts. */
import * as assert from 'uvu/assert';
import { cpuMs } from '../../../support/runner/budget.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, O_RDWR } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { FATTR, accountsOf, quotasOf, withQuotas } from './ledger.js';
import { QuotaLedger } from '../../../../fs/tree/quota/ledger.js';

const quota = suite('a quota');

quota(
  "is refunded at the owner's death, open files included, and stays exact as they are closed",
  async () => {
    const { kernel, child, user, own } = withQuotas({});
    const { arena } = kernel.bus.log;
    const files = ['a', 'b', 'linked', 'shared'].map((name) =>
      kernel.create(own, name, O_RDWR, 0o644, user),
    );
    for (const { fh } of files) kernel.write(fh, 'x'.repeat(1000));
    const other = kernel.mkdir('other', { pid: process.pid, uid: 1001, gid: 101 });
    kernel.link(files[2].nodeid, other, 'linked');
    const again = kernel.link(files[3].nodeid, other, 'shared');
    const through = kernel.open(again, 0, { uid: 1001, gid: 101 });
    kernel.unlink(other, 'shared');
    kernel.unlink(own, 'a');
    const by = { uid: 1002, gid: 102 };
    const reader = kernel.open(files[1].nodeid, 0, by);
    await child.die();
    kernel.owners.watch.drain();
    assert.equal(accountsOf(kernel)['uid 1001'].bytes, 1000, 'what is linked elsewhere stays');
    assert.is(kernel.cat(kernel.lookup(other, 'linked').nodeid), 'x'.repeat(1000));
    assert.is(kernel.read(through), 'x'.repeat(1000), 'what is open elsewhere stays');
    assert.equal(
      [accountsOf(kernel)['uid 1000'].bytes, accountsOf(kernel)['uid 1000'].events],
      [1000, 1],
      'which is charged where it was unlinked last',
    );
    assert.ok(arena.live < 2 * mostRoom(1000), `${arena.live} bytes are live`);
    assert.is(
      refusal(() => kernel.read(reader)),
      'ESTALE',
    );
    for (const fh of [...files.map((file) => file.fh), through, reader]) kernel.release(fh);
    kernel.unlink(other, 'linked');
    kernel.rmdir('other');
    assert.equal(accountsOf(kernel), {});
    assert.is(arena.live, 0);
    kernel.close();
  },
);

/** Returns the most room that a text may take. */
function mostRoom(size: number): number {
  return size + size / 8 + 64;
}

quota('of bytes includes cut files, whose text keeps little spare room', () => {
  const { kernel, own } = withQuotas({});
  const { arena } = kernel.bus.log;
  const { nodeid, fh } = kernel.create(own, 'file', O_RDWR);
  for (const size of [65_536, 0, 1, 100, 65_000, 1000, 40_000, 39_000, 20_000, 1, 0]) {
    kernel.setattr(nodeid, { valid: FATTR.size, size });
    assert.ok(arena.live <= mostRoom(size), `${arena.live} bytes for ${size}`);
    assert.is(kernel.cat(nodeid).length, size);
  }
  for (let size = 0; size < 65_536; size += 512) {
    kernel.write(fh, 'y'.repeat(512), size);
    assert.ok(arena.live <= mostRoom(size + 512), `${arena.live} bytes for ${size + 512}`);
  }
  kernel.release(fh);
  kernel.close();
});

quota('has no account for a holder of nothing, and a later charge counts', () => {
  const ledger = new QuotaLedger(quotasOf({ memory: 100 }));
  const [one, other] = [ledger.account(5, 6), ledger.account(7, 6)];
  for (const tab of [one, other, one]) {
    tab.chargeItem('memory', 60);
    tab.refundItem('memory', 60);
  }
  assert.equal([ledger.users.size, ledger.groups.size], [0, 0]);
  const same = ledger.account(5, 6);
  one.chargeItem('memory', 60);
  assert.throws(
    () => same.chargeItem('memory', 60),
    /EDQUOT: uid 5 holds 60 of 100 memory, and 60 more do not fit/,
  );
  ledger.setQuotas(quotasOf({ memory: 200 }));
  same.chargeItem('memory', 60);
  assert.is(ledger.users.get(5)!.memory, 120);
  one.refundItem('memory', 60);
  same.refundItem('memory', 60);
  assert.equal([ledger.users.size, ledger.groups.size, ledger.mount.memory], [0, 0, 0]);
});

quota('lists the users that have a bound, also after the bounds have changed', () => {
  const ledger = new QuotaLedger(quotasOf({}));
  const listed = (): string[] =>
    ledger
      .statusLines()
      .filter(([key]) => key.startsWith('QUOTA'))
      .map(([key, value]) => (key.startsWith('QUOTAS') ? `${key}=${value}` : key));
  for (let id = 1; id <= 100; id++) ledger.account(id, id).chargeItem('memory', 1);
  assert.equal(listed(), []);
  ledger.setQuotas(quotasOf({ memory: 5 }));
  assert.is(listed().length, 65);
  assert.is(listed().pop(), 'QUOTAS_NOT_LISTED=36');
  ledger.setQuotas(quotasOf({}));
  assert.equal(listed(), []);
});

quota(
  'frees the 30,000 links of one event in short turns when the owner dies',
  async () => {
    const { kernel, child, own } = withQuotas({});
    kernel.tree.configure({ queueLimits: { events: 100_000, bytes: 10 ** 9 } });
    const node = kernel.make(own, 'a', 'text');
    for (let n = 0; n < 30_000; n++) kernel.link(node, own, `link-${n}`);
    await child.die();
    const before = cpuMs();
    kernel.owners.watch.drain();
    assert.ok(cpuMs() - before < 20, `${cpuMs() - before} ms`);
    assert.is(kernel.tree.root.directories.size, 0);
    kernel.tree.turns.finish();
    assert.ok(cpuMs() - before < 300, `${cpuMs() - before} ms`);
    assert.equal(accountsOf(kernel), {});
    kernel.close();
  },
  60_000,
);

quota('follows the size of an unlinked open file as it grows and shrinks', () => {
  const kernel = MemoryKernel.started();
  const by = { pid: process.pid, uid: 1000, gid: 100 };
  const node = kernel.mkdir('own', by);
  const { nodeid, fh } = kernel.create(node, 'file', O_RDWR, 0o644, by);
  const bytes = (): number[] =>
    [
      kernel.tree.ledger.users.get(1000)!,
      kernel.tree.ledger.groups.get(100)!,
      kernel.tree.ledger.mount,
    ].map((account) => account.bytes);
  kernel.write(fh, 'x'.repeat(1000));
  kernel.unlink(node, 'file');
  assert.equal(bytes(), [1000, 1000, 1000]);
  kernel.setattr(nodeid, { valid: FATTR.size, size: 100 });
  assert.equal(bytes(), [100, 100, 100]);
  kernel.write(fh, 'y'.repeat(400), 100);
  assert.equal(bytes(), [500, 500, 500]);
  kernel.setattr(nodeid, { valid: FATTR.size, size: 0 });
  assert.equal(bytes(), [0, 0, 0]);
  kernel.release(fh);
  assert.equal(bytes(), [0, 0, 0]);
  kernel.close();
});

quota.run();
