/** The cost of filters: the accounts that are charged, and the refusals. */
import { HANDLE_BYTES, QUEUE_STREAM_PRICE } from '../../../../fs/tree/prices.js';
import * as assert from 'uvu/assert';
import { FILTER_LIMITS, Filter, type FilterLimits } from '../../../../fs/uevent/filter/filter.js';
import { Child } from '../../../support/memory/child.js';
import { type By, refusal } from '../../../support/memory/connection.js';
import {
  MemoryKernel,
  O_APPEND,
  O_TRUNC,
  O_WRONLY,
  cstring,
} from '../../../support/memory/kernel.js';
import { cpuMs } from '../../../support/runner/budget.js';
import { suite } from '../../../support/runner/suite.js';
import {
  type Bounds,
  DEFAULT_QUOTAS,
  NO_BOUNDS,
  type Quotas,
} from '../../../../fs/tree/quota/bounds.js';

const filter = suite("a filter's charge");

const NAME = 'user.eventfs.filter';
const LARGE: FilterLimits = { text: 64 * 1024, terms: 16 * 1024, alternatives: 32 * 1024 };
/** A filter of the largest size and the highest cost. */
const COSTLY = `A==${Array.from('bcdefghijk', (char) => `*aaaa${char}*`).join('|')}`;

interface World {
  readonly kernel: MemoryKernel;
  readonly child: Child;
  readonly user: Required<By>;
  readonly held: (item: keyof Bounds, kind?: 'uid' | 'gid' | 'mount', id?: number) => number;
}

function world(limits = FILTER_LIMITS, quotas: Quotas = DEFAULT_QUOTAS): World {
  const kernel = MemoryKernel.started();
  kernel.tree.ledger.setQuotas(quotas);
  kernel.tree.configure({ filterLimits: limits });
  const child = new Child();
  const held: World['held'] = (item, kind = 'uid', id = 1000) => {
    const { users, groups, mount } = kernel.tree.ledger;
    return (kind === 'mount' ? mount : (kind === 'uid' ? users : groups).get(id))?.[item] ?? 0;
  };
  return { kernel, child, user: { pid: child.pid, uid: 1000, gid: 100 }, held };
}

function setXattr(kernel: MemoryKernel, node: number, value: string, by: By = {}): void {
  const text = Buffer.from(value, 'latin1');
  const sizeAndFlags = Buffer.from(Uint32Array.of(text.length, 0).buffer);
  kernel.ask('FUSE_SETXATTR', node, Buffer.concat([sizeAndFlags, cstring(NAME), text]), by);
}

async function end({ kernel, child, held }: World): Promise<void> {
  await child.die();
  kernel.drain();
  assert.equal(
    [held('memory'), held('filter_cost'), held('memory', 'mount'), held('filter_cost', 'mount')],
    [0, 0, 0, 0],
  );
  kernel.close();
}

filter('is bounded however the filter is set, and each error names the bound', async () => {
  const own = world();
  const { kernel, user } = own;
  const node = kernel.mkdir('own', user);
  const file = kernel.walk('own/.filter');
  const terms = Array.from({ length: 65 }, () => 'A==b').join('\n');
  const alternatives = `A==${'b|'.repeat(32)}b`;
  const text = `A==${'b'.repeat(4094)}`;
  kernel.put(file, 'A==old\n');
  for (const [bad, errno] of [
    [terms, 'EINVAL'],
    [alternatives, 'EINVAL'],
    [text, 'EFBIG'],
  ] as const) {
    assert.is(
      refusal(() => kernel.put(file, bad)),
      errno,
      bad.slice(0, 9),
    );
    assert.is(
      refusal(() => setXattr(kernel, node, bad)),
      errno,
      bad.slice(0, 9),
    );
    assert.is(kernel.cat(file), 'A==old\n');
  }
  assert.is(
    refusal(() => kernel.walk(`match/${alternatives}`)),
    'EINVAL',
  );
  kernel.tree.configure({ filterLimits: LARGE }); // as after SIGHUP
  for (const good of [terms, alternatives, text]) {
    kernel.put(file, good);
    setXattr(kernel, node, good);
  }
  await end(own);
});

filter(
  'counts as memory and as cost for user, group and mount, as long as the filter exists',
  async () => {
    const own = world();
    const { kernel, user, held } = own;
    const node = kernel.mkdir('own', user);
    const bare = held('memory');
    const file = kernel.walk('own/.filter');
    const check = (text: string): void => {
      const { memory, cost } = Filter.parse(text);
      for (const [kind, id] of [
        ['uid', 1000],
        ['gid', 100],
        ['mount', 0],
      ] as const) {
        assert.equal(
          [held('memory', kind, id) - bare, held('filter_cost', kind, id)],
          [memory, cost],
          `${text} of ${kind}`,
        );
      }
    };
    kernel.put(file, COSTLY);
    check(COSTLY);
    setXattr(kernel, node, 'A==b');
    check('A==b');
    assert.is(
      refusal(() => setXattr(kernel, node, 'A==')),
      'EINVAL',
    );
    check('A==b');
    kernel.put(file, COSTLY);
    kernel.ask('FUSE_REMOVEXATTR', node, cstring(NAME));
    check('');
    kernel.put(file, COSTLY);
    kernel.put(file, '');
    check('');
    kernel.put(file, COSTLY);
    kernel.rmdir('own');
    assert.equal([held('memory'), held('filter_cost')], [0, 0]);
    await end(own);
  },
);

filter('moves with the directory to its new owner, or the chown fails', async () => {
  const own = world(FILTER_LIMITS, {
    ...DEFAULT_QUOTAS,
    uid: { others: { ...NO_BOUNDS, filter_cost: 4000 }, of: new Map() },
  });
  const { kernel, user, held } = own;
  const [first, second] = [
    kernel.mkdir('first', user),
    kernel.mkdir('second', { ...user, uid: 1001 }),
  ];
  kernel.put(kernel.walk('first/.filter'), COSTLY);
  const { cost } = Filter.parse(COSTLY);
  kernel.setattr(first, { valid: 2, uid: 1001 });
  assert.equal(
    [held('filter_cost'), held('filter_cost', 'uid', 1001), held('memory')],
    [0, cost, 0],
  );
  assert.is(
    refusal(() => kernel.put(kernel.walk('second/.filter'), COSTLY)),
    'EDQUOT',
  );
  assert.is(kernel.cat(kernel.walk('second/.filter')), '');
  kernel.setattr(second, { valid: 2, uid: 1002 });
  kernel.put(kernel.walk('second/.filter'), COSTLY);
  assert.is(
    refusal(() => kernel.setattr(second, { valid: 2, uid: 1001 })),
    'EDQUOT',
  );
  assert.equal([held('filter_cost', 'uid', 1001), held('filter_cost', 'uid', 1002)], [cost, cost]);
  await end(own);
});

filter('is refused to a user with too many costly filters, and the old filter stays', async () => {
  const own = world();
  const { kernel, user, held } = own;
  const most = Math.floor(DEFAULT_QUOTAS.uid.others.filter_cost / Filter.parse(COSTLY).cost);
  for (let n = 0; n < 24; n++) {
    kernel.mkdir(`d${n}`, user);
    const file = kernel.walk(`d${n}/.filter`);
    kernel.put(file, 'A==old\n');
    assert.is(
      refusal(() => kernel.put(file, COSTLY)),
      n < most ? 'none' : 'EDQUOT',
    );
    assert.is(kernel.cat(file), n < most ? `${COSTLY}\n` : 'A==old\n');
  }
  assert.ok(held('filter_cost') <= 32_768);
  kernel.mkdir('other', { ...user, uid: 1001 });
  kernel.put(kernel.walk('other/.filter'), COSTLY);
  await end(own);
});

filter('covers the heap of the filters of 256 directories', async () => {
  const own = world(LARGE);
  const { kernel, user, held } = own;
  const text = Array.from({ length: 1500 }, (_, n) =>
    `KEY_${n}==value ${n}`.replace(' ', '_'),
  ).join('\n');
  let refused = 0;
  for (let n = 0; n < 256; n++) {
    kernel.mkdir(`d${n}`, user);
    if (refusal(() => kernel.put(kernel.walk(`d${n}/.filter`), text)) === 'EDQUOT') refused++;
  }
  assert.ok(refused > 200, `${refused} were refused`);
  assert.ok(held('memory') <= DEFAULT_QUOTAS.uid.others.memory);
  await end(own);
});

filter(
  'stays small for a filter in writes of four bytes, which is parsed a few times only',
  async () => {
    const own = world(LARGE);
    const { kernel, user } = own;
    kernel.mkdir('own', user);
    const file = kernel.walk('own/.filter');
    const original = Filter.parse.bind(Filter);
    let parsed = 0;
    Filter.parse = (text, limits) => {
      parsed += text.length;
      return original(text, limits);
    };
    try {
      for (const flags of [O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND]) {
        const head = `A==${'b'.repeat(30_000)}\n`;
        kernel.put(file, head);
        parsed = 0;
        const fh = kernel.open(file, flags);
        let at = 0;
        if ((flags & O_TRUNC) !== 0) at += kernel.write(fh, head, at);
        for (let n = 0; n < 2000; n++) at += kernel.write(fh, 'C=d\n', at, flags & O_APPEND);
        kernel.release(fh);
        assert.is(kernel.cat(file), `${head}${'C==d\n'.repeat(2000)}`);
        assert.ok(parsed < 6 * 50_000, `${parsed} bytes were parsed`);
      }
    } finally {
      Filter.parse = original;
    }
    await end(own);
  },
);

filter(
  'applies to a filter that no reader has looked at: the next event uses it, and an invalid one is logged once',
  async () => {
    const own = world(LARGE);
    const { kernel, user } = own;
    const { treeWarnings } = kernel;
    const node = kernel.mkdir('own', user);
    const file = kernel.walk('own/.filter');
    const long = `A==${'b'.repeat(20_000)}\n`;
    const fh = kernel.open(file, O_WRONLY | O_TRUNC);
    let at = kernel.write(fh, long, 0);
    at += kernel.write(fh, 'A==c\n', at);
    assert.is(kernel.cat(file), long, 'what holds is shown');
    kernel.event(1, 'A=c\n');
    kernel.event(2, 'A=d\n');
    assert.equal(kernel.names(node), ['1']);
    at += kernel.write(fh, 'A==d\n', at);
    kernel.write(fh, 'A=', at);
    kernel.event(3, 'A=c\n');
    kernel.event(4, 'A=d\n');
    assert.equal(kernel.names(node), ['1', '3']);
    assert.equal(treeWarnings.length, 1);
    assert.match(
      treeWarnings[0],
      /^own\/\.filter: EINVAL: column \d+: expected a pattern after A== .*\(the old filter stays\)$/,
    );
    kernel.release(fh);
    assert.equal(treeWarnings.length, 1);

    // At close(2), and before another write that appends.
    const [one, other] = [
      kernel.open(file, O_WRONLY | O_TRUNC),
      kernel.open(file, O_WRONLY | O_APPEND),
    ];
    kernel.write(one, long, 0);
    kernel.write(one, 'A==e\n', long.length);
    kernel.write(other, 'A==f\n', 0, O_APPEND);
    assert.is(kernel.cat(file), `${long}A==e\nA==f\n`);
    kernel.write(other, 'A==g\n', 0, O_APPEND);
    kernel.release(one);
    kernel.release(other);
    assert.is(kernel.cat(file), `${long}A==e\nA==f\nA==g\n`);
    assert.equal(treeWarnings.length, 1);
    await end(own);
  },
);

filter(
  'bounds .since: it does not hold up other requests, and unmatched events are lost by number',
  async () => {
    const own = world();
    const { kernel, user } = own;
    const count = 1000;
    for (let n = 1; n <= count; n++) kernel.event(n, `A=${'a'.repeat(900)}\nN=${n}\n`);
    const replay = (
      name: string,
      text: string,
    ): { ms: number; pending: number; lost: number; last: string } => {
      const node = kernel.mkdir(name, user);
      kernel.put(kernel.walk(`${name}/.filter`), text);
      const begin = cpuMs();
      kernel.put(kernel.walk(`${name}/.since`), '0\n');
      const ms = cpuMs() - begin;
      const directory = kernel.tree.root.directories.get(name)!;
      return {
        ms,
        pending: directory.queue.entries.size,
        lost: directory.queue.lost,
        last: kernel.names(node).at(-1)!,
      };
    };
    const slow = Array.from({ length: 8 }, () => COSTLY.replace('==', '!='));
    const { ms, pending, lost, last } = replay('slow', slow.join(', '));
    assert.is(pending + lost, count);
    assert.ok(
      pending > 0 && lost > 0 && last === '1000',
      `${pending} joined, ${lost} were lost, ${last} is the last`,
    );
    assert.ok(ms < 100, `it took ${ms} ms`); // 6 ms on an idle machine
    const quick = replay('quick', 'A!=b, N==*');
    assert.equal([quick.pending, quick.lost], [count, 0]);
    await end(own);
  },
);

filter('of a stream goes to its opener, with its share of the ring', async () => {
  const own = world();
  const { kernel, user, held } = own;
  const node = kernel.walk('match/A==*b*');
  const { memory, cost } = Filter.parse('A==*b*');
  const numbers = 8 * kernel.bus.log.limits.events;
  const before = held('memory');
  const open = [kernel.open(node, 0, user), kernel.open(node, 0, user)];
  const aStream = HANDLE_BYTES + QUEUE_STREAM_PRICE.memory; // of any stream
  assert.equal(
    [held('memory') - before, held('filter_cost')],
    [2 * (aStream + memory + numbers), 2 * cost],
  );
  for (const fh of open) kernel.release(fh);
  assert.equal([held('memory'), held('filter_cost')], [before, 0]);
  let opened = 0;
  while (refusal(() => open.push(kernel.open(node, 0, user))) === 'none') opened++;
  assert.is(opened, Math.floor(32_768 / cost));
  assert.is(held('streams'), opened);
  for (const fh of open.slice(2)) kernel.release(fh);
  await end(own);
});

filter(
  'is bounded by size: a larger filter is EFBIG by any kind of write and the old one stays; the largest is accepted',
  () => {
    const { kernel, user } = world();
    const node = kernel.mkdir('own', user);
    const file = kernel.lookup(node, '.filter').nodeid;
    const most = `A==b\n#${'c'.repeat(FILTER_LIMITS.text - 'A==b\n#'.length)}`;
    kernel.put(file, 'OLD==1');
    assert.is(
      refusal(() => kernel.put(file, `${most}c`)),
      'EFBIG',
    );
    assert.is(kernel.cat(file), 'OLD==1\n');
    assert.is(
      refusal(() => kernel.put(file, most)),
      'none',
    );
    kernel.put(file, 'OLD==1');
    for (const appends of [false, true]) {
      const fh = kernel.open(file, O_WRONLY | (appends ? O_APPEND : O_TRUNC), user);
      let written = 0;
      const writes = (text: string): string =>
        refusal(
          () => (written += kernel.write(fh, text, appends ? 0 : written, appends ? O_APPEND : 0)),
        );
      assert.is(writes('A==b\n'), 'none');
      while (written + 500 <= FILTER_LIMITS.text - 20)
        assert.is(writes(`#${'d'.repeat(498)}\n`), 'none');
      assert.is(writes(`#${'d'.repeat(498)}\n`), 'EFBIG');
      assert.is(writes('C==d\n'), 'none', 'after a write that was refused the next one is, too');
      kernel.release(fh);
      assert.match(kernel.cat(file), /A==b[^]*C==d\n$/);
      kernel.put(file, 'OLD==1');
    }
    kernel.close();
  },
);

filter('stays as it was after a refused append', () => {
  const kernel = MemoryKernel.started();
  kernel.mkdir('d');
  const file = kernel.walk('d/.filter');
  const fh = kernel.open(file, O_WRONLY | O_APPEND);
  kernel.write(fh, 'A==b\n', 0, O_APPEND);
  assert.is(
    refusal(() => kernel.write(fh, 'nonsense\n', 0, O_APPEND)),
    'EINVAL',
  );
  kernel.write(fh, 'C==d\n', 0, O_APPEND);
  kernel.release(fh);
  assert.is(kernel.cat(file), 'A==b\nC==d\n');
  kernel.close();
});

filter.run();
