/** The parked reads by `unique`, against a map, and the quota of reads. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { ParkedReads } from '../../../fs/drivers/devfuse/parked-reads.js';
import { InHeader } from '../../../fs/fuse/abi.js';
import type { Handle, ParkedRead } from '../../../fs/tree/nodes/node.js';
import { type Bounds, NO_BOUNDS } from '../../../fs/tree/quota/bounds.js';
import { QuotaLedger } from '../../../fs/tree/quota/ledger.js';
import { cpuMs, runs } from '../../support/runner/budget.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';

const reads = suite('parked reads');

const NO_HANDLE = {} as Handle;
const request = new Uint32Array(16);

function ledgerOf(others: Partial<Bounds> = {}): QuotaLedger {
  return new QuotaLedger({
    mount: NO_BOUNDS,
    uid: { others: { ...NO_BOUNDS, ...others }, of: new Map() },
    gid: { others: NO_BOUNDS, of: new Map() },
  });
}

function park(parked: ParkedReads, low: number, high: number, uid = 1000): ParkedRead | undefined {
  request[InHeader.unique >>> 2] = low;
  request[(InHeader.unique >>> 2) + 1] = high;
  request[InHeader.uid >>> 2] = uid;
  return parked.park(request, NO_HANDLE, 4096);
}

reads('are found by `unique`, and only while they wait', () => {
  // Numbers that often collide, and numbers that count up as the kernel's.
  const unique = fc.tuple(
    fc.oneof(
      fc.nat(40),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.nat(6).map((n) => n * 32),
    ),
    fc.oneof(fc.constant(0), fc.nat(3)),
  );
  const steps = fc.array(fc.record({ unique, frees: fc.boolean(), which: fc.nat(99) }), {
    maxLength: 200,
    size: 'max',
  });
  fc.assert(
    fc.property(steps, (all) => {
      const ledger = ledgerOf();
      const parked = new ParkedReads(8, ledger);
      const model = new Map<string, ParkedRead>();
      for (const {
        unique: [low, high],
        frees,
        which,
      } of all) {
        const key = `${low} ${high}`;
        if (frees && model.size > 0) {
          const [gone, read] = [...model][which % model.size];
          parked.free(read);
          model.delete(gone);
        } else if (!model.has(key)) {
          const read = park(parked, low, high);
          assert.is(read !== undefined, model.size < 8);
          if (read !== undefined) model.set(key, read);
        }
        assert.is(parked.size, model.size);
        assert.is(ledger.mount.reads, model.size);
        assert.is(parked.find(low, high), model.get(key));
        for (const [other, read] of model)
          assert.is(parked.find(...(other.split(' ').map(Number) as [number, number])), read);
      }
    }),
    runs(200),
  );
});

/** Readers wait in the order of their reads. They are answered in that order, and killed in any. */
const ORDERS: readonly [string, (n: number) => number][] = [
  ['first to last', (n) => n],
  ['last to first', (n) => 26_999 - n],
  ['at random', (n) => (n * 7919) % 27_000],
];

for (const [order, place] of ORDERS) {
  reads(`end 27,000 times ${order} without delay`, () => {
    const parked = new ParkedReads(65_536, ledgerOf());
    for (let n = 0; n < 27_000; n++) park(parked, 2 * n, 0);
    const before = cpuMs();
    for (let n = 0; n < 27_000; n++) parked.free(parked.find(2 * place(n), 0)!);
    assert.ok(cpuMs() - before < 200, `${cpuMs() - before} ms`);
    assert.is(parked.size, 0);
  });
}

reads('of one user are bounded by the quota, without effect on other users', () => {
  const ledger = ledgerOf({ reads: 2 });
  const parked = new ParkedReads(100, ledger);
  const first = park(parked, 2, 0)!;
  park(parked, 4, 0);
  assert.is(park(parked, 6, 0), undefined);
  assert.ok(park(parked, 8, 0, 1001) !== undefined);
  parked.free(first);
  assert.ok(park(parked, 10, 0) !== undefined);
  assert.is(ledger.users.get(1000)!.reads, 2);
});

reads(
  "over the user's quota fail with EAGAIN, and the reader's user counts, not the opener's",
  () => {
    const kernel = MemoryKernel.started();
    kernel.tree.ledger.setQuotas({
      mount: NO_BOUNDS,
      uid: { others: { ...NO_BOUNDS, reads: 1 }, of: new Map() },
      gid: { others: NO_BOUNDS, of: new Map() },
    });
    const fh = kernel.open(kernel.walk('stream'), 0, { uid: 1000 });
    const waiting = kernel.startRead(fh, 4096, { uid: 1001 });
    assert.is(kernel.startRead(fh, 4096, { uid: 1001 }).result, 'EAGAIN');
    const own = kernel.startRead(fh, 4096, { uid: 1000 });
    kernel.event(1);
    assert.equal([waiting.result === undefined, own.result === undefined], [false, true]);
    assert.is(kernel.tree.ledger.users.get(1001), undefined);
    kernel.interruptRead(own);
    kernel.release(fh);
    assert.is(kernel.tree.ledger.users.size, 0);
    kernel.close();
  },
);

reads(
  'free their slots when they are answered, interrupted or ended: 65,619 in a row succeed',
  () => {
    const kernel = MemoryKernel.started({ mostParked: 64 });
    const fh = kernel.open(kernel.walk('stream'));
    for (let n = 0; n < 65_619; n++) {
      const read = kernel.startRead(fh, 4096);
      assert.is(read.result, undefined, `read ${n}`);
      if (n % 3 === 0) kernel.interruptRead(read);
      else kernel.event(n);
      assert.is(read.result === 'EINTR', n % 3 === 0);
      assert.is(kernel.parked.size, 0);
    }
    kernel.release(fh);
    assert.equal([kernel.tree.ledger.mount.reads, kernel.tree.ledger.mount.streams], [0, 0]);
    kernel.close();
  },
);

reads.run();
