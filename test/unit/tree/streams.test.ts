/** Blocking reads and polls, asked as the kernel asks them, without a mount: see test/support/kernel.ts. */
import * as assert from 'uvu/assert';
import {
  Child,
  MemoryKernel,
  type KernelOptions,
  O_NONBLOCK,
  O_WRONLY,
  type Pending,
  refusal,
} from '../../support/kernel.js';
import { type Suite, suite } from '../../support/suite.js';
import { lostIn, records } from '../events/reading.js';

const POLLIN = 0x41; // with POLLRDNORM

/** A test with a kernel of its own and a directory of this process's. */
function withKernel(of: Suite, options: KernelOptions = {}) {
  return (
    sentence: string,
    body: (kernel: MemoryKernel, own: number) => Promise<void> | void,
  ): void => {
    of(sentence, async () => {
      const kernel = MemoryKernel.started(options);
      try {
        await body(kernel, kernel.mkdir('own'));
        assert.equal(kernel.complaints, []);
      } finally {
        kernel.close();
      }
    });
  };
}

/** The record of `kernel.event(seqnum)`. */
function record(seqnum: number): string {
  return `add@/devices/x\nACTION=add\nSUBSYSTEM=mem\nSEQNUM=${seqnum}\n\n`;
}

function recordsOf(...seqnums: number[]): string {
  return seqnums.map(record).join('');
}

function results(reads: readonly Pending[]): (string | undefined)[] {
  return reads.map(({ result }) => result);
}

// ---- what both kinds have in common

for (const path of ['stream', 'match/SUBSYSTEM==mem', 'own/.stream']) {
  const common = suite(`a read of ${path.slice(0, 9)}`);
  const read = withKernel(common);

  read('waits until an event comes', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const pending = kernel.startRead(fh);
    assert.is(pending.result, undefined);
    assert.is(kernel.parked.size, 1);
    kernel.event(1);
    assert.is(pending.result, record(1));
    assert.is(kernel.parked.size, 0);
  });

  read('does not wait when there is something', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    kernel.event(1);
    kernel.event(2);
    assert.is(kernel.read(fh), recordsOf(1, 2));
    assert.is(
      refusal(() => kernel.read(fh, 100, 0, O_NONBLOCK)),
      'EAGAIN',
    );
  });

  read('does not wait with O_NONBLOCK', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    assert.is(
      refusal(() => kernel.read(fh, 100, 0, O_NONBLOCK)),
      'EAGAIN',
    );
    assert.is(kernel.parked.size, 0);
    kernel.event(1);
    assert.is(kernel.read(fh, 100, 0, O_NONBLOCK), record(1));
  });

  read('is interrupted by a signal, once, and loses nothing', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const pending = kernel.startRead(fh);
    kernel.interruptRead(pending);
    assert.is(pending.result, 'EINTR');
    kernel.interruptRead(pending);
    assert.is(kernel.parked.size, 0);
    kernel.event(1);
    assert.is(kernel.read(fh), record(1));
  });

  read('that is answered is not interrupted any more', (kernel) => {
    const pending = kernel.startRead(kernel.open(kernel.walk(path)));
    kernel.event(1);
    kernel.interruptRead(pending);
    assert.is(pending.result, record(1));
  });

  read(
    'gets the beginning of a record that is larger than it, and the next read the rest',
    (kernel) => {
      const fh = kernel.open(kernel.walk(path));
      const pending = kernel.startRead(fh, 10);
      kernel.event(1);
      assert.is(pending.result, record(1).slice(0, 10));
      assert.is(kernel.poll(fh, 1), POLLIN);
      assert.is(kernel.read(fh, 1), record(1).slice(10, 11));
      kernel.event(2);
      assert.is(kernel.read(fh), record(1).slice(11) + record(2));
    },
  );

  read('gets whole records only, as many as fit', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
    const { length } = record(1);
    assert.is(kernel.read(fh, 2 * length + 5), recordsOf(1, 2));
    assert.is(kernel.read(fh, length), record(3));
  });

  read('brings the events from now on where another one of its kind was closed', (kernel) => {
    kernel.release(kernel.open(kernel.walk(path)));
    const fh = kernel.open(kernel.walk(path));
    kernel.event(1);
    assert.is(kernel.read(fh), record(1));
  });

  read('does not care for the offset', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    kernel.event(1);
    assert.is(kernel.read(fh, 1000, 12345), record(1));
  });

  read('ends with the end of the file when the daemon goes', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const pending = kernel.startRead(fh);
    kernel.ending = true;
    kernel.tree.end();
    assert.is(pending.result, '');
    assert.is(kernel.read(fh), '');
    assert.is(kernel.parked.size, 0);
  });

  read('of one open file by several threads gives each event to one of them', (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const reads = [kernel.startRead(fh), kernel.startRead(fh), kernel.startRead(fh)];
    kernel.event(1);
    kernel.event(2);
    assert.equal(results(reads), [record(1), record(2), undefined]);
    kernel.event(3);
    assert.is(reads[2].result, record(3));
  });

  read('of one open file by many threads does not keep others waiting', (kernel) => {
    const node = kernel.walk(path);
    const crowded = kernel.open(node);
    const crowd = Array.from({ length: 40 }, () => kernel.startRead(crowded));
    const others = Array.from({ length: 3 }, () => kernel.startRead(kernel.open(node)));
    for (let seqnum = 1; seqnum <= 43; seqnum++) kernel.event(seqnum);
    assert.not(results([...crowd, ...others]).includes(undefined));
  });

  read("is refused with EAGAIN when too many wait, and keeps nobody's place", (kernel) => {
    const fh = kernel.open(kernel.walk(path));
    const all = Array.from({ length: 1024 }, () => kernel.startRead(fh));
    assert.is(kernel.startRead(fh).result, 'EAGAIN');
    kernel.interruptRead(all[500]);
    const one = kernel.startRead(fh);
    assert.is(one.result, undefined);
    for (const pending of [...all, one])
      if (pending.result === undefined) kernel.interruptRead(pending);
    assert.is(kernel.parked.size, 0);
  });

  read(
    'tells pollers of an event once, and of the next when they have polled again, ready or not',
    (kernel) => {
      const node = kernel.walk(path);
      const [one, other] = [kernel.open(node), kernel.open(node)];
      assert.is(kernel.poll(one, 11), 0);
      assert.is(kernel.poll(one, 11), 0);
      assert.is(kernel.poll(other, 22), 0);
      kernel.event(1);
      assert.equal(kernel.wakeUps, [11, 22]);
      assert.is(kernel.poll(one, 11), POLLIN);
      assert.is(kernel.poll(one, 11), POLLIN);
      kernel.event(2);
      assert.equal(kernel.wakeUps, [11, 22, 11]);
      kernel.event(3);
      assert.equal(kernel.wakeUps, [11, 22, 11]);
      assert.is(kernel.read(one), recordsOf(1, 2, 3));
      assert.is(kernel.poll(one, 11), 0);
    },
  );

  read('forgets who polled when the file is closed', (kernel) => {
    const node = kernel.walk(path);
    const [one, other] = [kernel.open(node), kernel.open(node)];
    assert.is(kernel.poll(one, 11), 0);
    assert.is(kernel.poll(other, 22), 0);
    kernel.release(one);
    kernel.event(1);
    assert.equal(kernel.wakeUps, [22]);
  });

  common.run();
}

// ---- stream and match/

const streamSuite = suite('stream');
const stream = withKernel(streamSuite);

stream('gives every event to every open file', (kernel) => {
  const node = kernel.walk('stream');
  const reads = Array.from({ length: 100 }, (_, n) =>
    kernel.startRead(kernel.open(node), n % 3 === 0 ? 4096 : 65536),
  );
  kernel.event(1);
  assert.ok(results(reads).every((result) => result === record(1)));
});

stream('begins with the events that come after it was opened', (kernel) => {
  kernel.event(1);
  const fh = kernel.open(kernel.walk('stream'));
  kernel.event(2);
  assert.is(kernel.read(fh), record(2));
});

stream('gives those who wait the whole batch', (kernel) => {
  kernel.settles = false;
  const pending = kernel.startRead(kernel.open(kernel.walk('stream')));
  for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
  assert.is(pending.result, undefined);
  kernel.settle();
  assert.is(pending.result, recordsOf(1, 2, 3));
});

stream('keeps those apart who wait at different places', (kernel) => {
  const node = kernel.walk('stream');
  const [behind, level, small] = [kernel.open(node), kernel.open(node), kernel.open(node)];
  kernel.event(1);
  kernel.read(level);
  kernel.read(small, 20);
  assert.is(kernel.read(behind, 5), record(1).slice(0, 5));
  kernel.read(behind);
  kernel.read(small);
  const late = kernel.open(node);
  const reads = [
    kernel.startRead(behind),
    kernel.startRead(level, 30),
    kernel.startRead(small, 30),
    kernel.startRead(late),
  ];
  kernel.event(2);
  assert.equal(results(reads), [
    record(2),
    record(2).slice(0, 30),
    record(2).slice(0, 30),
    record(2),
  ]);
  for (const fh of [level, small]) assert.is(kernel.read(fh), record(2).slice(30));
});

stream('answers those who wait for the same at once, whenever they began to wait', (kernel) => {
  for (const path of ['stream', 'match/SUBSYSTEM==mem']) {
    const node = kernel.walk(path);
    const reads: Pending[] = [];
    for (let n = 0; n < 10; n++) {
      reads.push(kernel.startRead(kernel.open(node)));
      if (path !== 'stream') kernel.event(100 + n, 'SUBSYSTEM=net\n');
    }
    kernel.batches.length = 0;
    kernel.event(1);
    assert.equal(kernel.batches, [10]);
    assert.ok(results(reads).every((result) => result === record(1)));
  }
});

stream('lets those who were woken first come back while others are still to be woken', (kernel) => {
  const node = kernel.walk('stream');
  const handles = Array.from({ length: 160 }, () => kernel.open(node));
  const reads = handles.map((fh) => kernel.startRead(fh));
  kernel.settles = false;
  kernel.event(1);
  kernel.bus.settleSome();
  const woken = handles.filter((_, index) => reads[index].result === record(1));
  assert.ok(woken.length > 0 && woken.length < 160);
  const again = woken.map((fh) => kernel.startRead(fh));
  kernel.event(2);
  kernel.settle();
  assert.ok(results(again).every((result) => result === record(2)));
  assert.ok(results(reads.slice(woken.length)).every((result) => result === recordsOf(1, 2)));
  assert.is(kernel.parked.size, 0);
});

stream('cuts a record for each open file where its reads are full', (kernel) => {
  const node = kernel.walk('stream');
  const [one, other] = [kernel.open(node), kernel.open(node)];
  const reads = [
    kernel.startRead(one, 10),
    kernel.startRead(other, 20),
    kernel.startRead(one, 15),
    kernel.startRead(other, 15),
  ];
  kernel.event(1);
  assert.equal(
    results(reads),
    [
      [0, 10],
      [0, 20],
      [10, 25],
      [20, 35],
    ].map(([from, to]) => record(1).slice(from, to)),
  );
});

stream(
  'has a read that comes between an event and its being told wait with the others, unless it may not wait',
  (kernel) => {
    const node = kernel.walk('stream');
    const [one, other] = [kernel.open(node), kernel.open(node)];
    const waiting = kernel.startRead(one);
    kernel.settles = false;
    kernel.event(1);
    assert.is(kernel.read(one, 65536, 0, O_NONBLOCK), record(1)); // another thread's read of the same file
    const late = kernel.startRead(other);
    assert.is(late.result, undefined);
    kernel.event(2);
    kernel.settle();
    assert.is(late.result, record(1) + record(2));
    assert.is(waiting.result, record(2));
  },
);

stream(
  'hands over at once what others were told of, though something newer is not told yet',
  (kernel) => {
    const fh = kernel.open(kernel.walk('stream'));
    kernel.event(1);
    kernel.settle();
    kernel.settles = false;
    kernel.event(2);
    assert.is(kernel.read(fh), record(1) + record(2));
  },
);

stream('is interrupted between an event and its being told, and loses nothing', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  const waiting = kernel.startRead(fh);
  kernel.settles = false;
  kernel.event(1);
  kernel.interruptRead(waiting);
  kernel.settle();
  assert.is(waiting.result, 'EINTR');
  assert.is(kernel.read(fh), record(1));
});

stream('cannot be written', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'), O_WRONLY);
  assert.is(
    refusal(() => kernel.write(fh, 'x')),
    'EINVAL',
  );
});

stream('shows in log/.status who reads and how far behind', (kernel) => {
  const fh = kernel.open(kernel.walk('match/SUBSYSTEM==mem'), 0, { pid: 4711 });
  kernel.event(1);
  kernel.event(2, 'SUBSYSTEM=net\n');
  assert.match(
    kernel.cat(kernel.walk('log/.status')),
    'STREAM_0=pid=4711 pending=1 lost=0 filter=SUBSYSTEM==mem\n',
  );
  kernel.read(fh);
  assert.match(kernel.cat(kernel.walk('log/.status')), 'pending=0');
});

streamSuite.run();

const smallSuite = suite('stream, when the log is small,');
const small = withKernel(smallSuite, { log: { bytes: 1000, events: 8 } });

small('says how many events are missing, where they are', (kernel) => {
  const fh = kernel.open(kernel.walk('stream'));
  for (let seqnum = 1; seqnum <= 20; seqnum++) kernel.event(seqnum);
  const [first, ...rest] = records(kernel.read(fh));
  assert.is(lostIn(first), 12);
  assert.equal(rest, [13, 14, 15, 16, 17, 18, 19, 20].map(record));
});

small('tells those who wait together and lost the same the same', (kernel) => {
  const node = kernel.walk('stream');
  const [one, other, level] = [kernel.open(node), kernel.open(node), kernel.open(node)];
  kernel.settles = false;
  const reads = [kernel.startRead(one), kernel.startRead(other)];
  for (let seqnum = 1; seqnum <= 10; seqnum++) kernel.event(seqnum);
  kernel.read(level);
  kernel.settle();
  assert.is(lostIn(records(reads[0].result!)[0]), 2);
  assert.is(reads[1].result, reads[0].result);
  const status = kernel.cat(kernel.walk('log/.status'));
  assert.is(status.match(/pending=0 lost=2/g)?.length, 3);
});

smallSuite.run();

// ---- .stream

const queueSuite = suite('.stream');
const queue = withKernel(queueSuite);

queue('takes what it reads off the directory', (kernel, own) => {
  for (const seqnum of [1, 2, 3]) kernel.event(seqnum);
  const fh = kernel.open(kernel.walk('own/.stream'));
  assert.is(kernel.read(fh, record(1).length), record(1));
  assert.equal(kernel.names(own), ['2', '3']);
  kernel.unlink(own, '2');
  assert.is(kernel.read(fh), record(3));
  assert.equal(kernel.names(own), []);
});

queue(
  'lets go of a file that it has handed over, though the kernel has not forgotten it',
  (kernel, own) => {
    kernel.event(1);
    const node = kernel.lookup(own, '1').nodeid;
    const fh = kernel.open(kernel.walk('own/.stream'));
    const nodes = kernel.status('NODES');
    kernel.read(fh);
    assert.is(kernel.status('NODES'), nodes - 1);
    assert.is(
      refusal(() => kernel.open(node)),
      'ESTALE',
    );
    kernel.forget(node);
    assert.is(kernel.status('NODES'), nodes - 1);
  },
);

queue('shares the events among those who wait, in order', (kernel) => {
  const node = kernel.walk('own/.stream');
  kernel.settles = false;
  const reads = Array.from({ length: 3 }, () => kernel.startRead(kernel.open(node)));
  for (let seqnum = 1; seqnum <= 7; seqnum++) kernel.event(seqnum);
  kernel.settle();
  assert.equal(results(reads), [recordsOf(1, 2, 3), recordsOf(4, 5), recordsOf(6, 7)]);
});

queue('lets those who wait keep waiting when there are more of them than events', (kernel) => {
  const node = kernel.walk('own/.stream');
  const reads = Array.from({ length: 3 }, () => kernel.startRead(kernel.open(node)));
  kernel.event(1);
  kernel.event(2);
  assert.equal(results(reads), [record(1), record(2), undefined]);
});

queue(
  'gives the rest of a record to the next read of the same file, though others wait before it',
  (kernel) => {
    const node = kernel.walk('own/.stream');
    const [one, other] = [kernel.open(node), kernel.open(node)];
    const reads = [kernel.startRead(one, 10), kernel.startRead(other), kernel.startRead(one)];
    kernel.event(1);
    assert.equal(results(reads), [record(1).slice(0, 10), undefined, record(1).slice(10)]);
  },
);

queue(
  'leaves a file in the directory until it has been written, then wakes who waits',
  (kernel, own) => {
    const fh = kernel.open(kernel.walk('own/.stream'));
    const waiting = kernel.startRead(fh);
    assert.is(kernel.poll(fh, 7), 0);
    const file = kernel.create(own, 'file');
    kernel.write(file.fh, 'mine@/x\n');
    assert.is(waiting.result, undefined);
    kernel.event(1);
    assert.is(waiting.result, record(1));
    assert.is(kernel.poll(fh, 7), 0);
    kernel.release(file.fh);
    assert.equal(kernel.wakeUps, [7, 7]);
    assert.is(kernel.read(fh), 'mine@/x\n\n');
    assert.equal(kernel.names(own), []);
  },
);

queue(
  'ends the record of a file that has no line end, or nothing at all, as it ends others',
  (kernel, own) => {
    kernel.make(own, 'a', 'a@/x');
    kernel.make(own, 'b', 'b@/x\n');
    kernel.make(own, 'c', '');
    kernel.make(own, 'd', 'long');
    const node = kernel.lookup(own, 'd').nodeid;
    kernel.put(node, 'd');
    assert.is(kernel.read(kernel.open(kernel.walk('own/.stream'))), 'a@/x\n\nb@/x\n\n\n\nd\n\n');
  },
);

queue(
  'says how many events the directory has lost, before the first that is left',
  (kernel, own) => {
    for (let seqnum = 1; seqnum <= 4100; seqnum++) kernel.event(seqnum);
    const fh = kernel.open(kernel.walk('own/.stream'));
    const [first, second] = records(kernel.read(fh, 4096));
    assert.is(lostIn(first), 4);
    assert.is(second, record(5));
    kernel.event(4101);
    const pending = kernel.names(own).length;
    assert.match(kernel.cat(kernel.walk('own/.status')), `PENDING=${pending}\n`);
    assert.match(kernel.cat(kernel.walk('own/.status')), 'LOST=4\n');
  },
);

queue(
  'fails with ESTALE when the directory is removed, and so does all that was open in it',
  (kernel, own) => {
    kernel.names(own);
    const [file, event] = [kernel.create(own, 'file'), 1];
    kernel.event(event);
    const status = kernel.open(kernel.walk('own/.status'));
    const held = kernel.open(kernel.lookup(own, '1').nodeid);
    const dh = kernel.opendir(own);
    const fh = kernel.open(kernel.walk('own/.stream'));
    kernel.unlink(own, 'file');
    kernel.read(fh);
    const waiting = kernel.startRead(fh);
    assert.is(kernel.poll(fh, 7), 0);
    kernel.rmdir('own');
    assert.is(waiting.result, 'ESTALE');
    assert.equal(kernel.wakeUps, [7]);
    const stale = [
      () => kernel.read(fh),
      () => kernel.poll(fh, 7),
      () => kernel.read(status),
      () => kernel.read(held),
      () => kernel.write(file.fh, 'x'),
      () => kernel.readdir(dh),
      () => kernel.getattr(own),
      () => kernel.getattr(file.nodeid),
      () => kernel.lookup(own, 'file'),
      () => kernel.opendir(own),
      () => kernel.create(own, 'other'),
      () => kernel.unlink(own, 'file'),
    ];
    assert.equal(
      stale.map(refusal),
      stale.map(() => 'ESTALE'),
    );
    assert.is(
      refusal(() => kernel.walk('own')),
      'ENOENT',
    );
    for (const open of [fh, status, held, file.fh]) kernel.release(open);
    kernel.releasedir(dh);
    kernel.forgetAll();
    assert.equal(kernel.books, {
      directories: 0,
      owners: 0,
      handles: 0,
      parked: 0,
      unanswered: 0,
      groups: 0,
      waiting: 0,
      nodes: 0,
      known: 0,
    });
  },
);

queue(
  'fails with ESTALE when the owner dies, and nothing in the directory succeeds again',
  async (kernel) => {
    const child = new Child();
    const directory = kernel.mkdir(String(child.pid), child.by);
    kernel.event(1);
    const event = kernel.lookup(directory, '1').nodeid;
    const held = kernel.open(event);
    const filter = kernel.walk(`${child.pid}/.filter`);
    const filterHandle = kernel.open(filter, O_WRONLY);
    const dh = kernel.opendir(directory);
    const file = kernel.create(directory, 'file');
    const fh = kernel.open(kernel.walk(`${child.pid}/.stream`));
    kernel.read(fh);
    const waiting = kernel.startRead(fh);
    await child.die();
    const stale = [
      () => kernel.read(held),
      () => kernel.getattr(directory),
      () => kernel.getattr(event),
      () => kernel.open(event),
      () => kernel.readdir(dh),
      () => kernel.opendir(directory),
      () => kernel.lookup(directory, '1'),
      () => kernel.lookup(directory, 'nothing'),
      () => kernel.write(file.fh, 'x'),
      () => kernel.write(filterHandle, 'A==1'),
      () => kernel.cat(filter),
      () => kernel.setattr(directory, { valid: 1, mode: 0o777 }),
      () => kernel.setattr(filter, { valid: 8, size: 0 }),
      () => kernel.create(directory, 'new'),
      () => kernel.unlink(directory, 'file'),
      () => kernel.mkdir('sub', {}, 0o755, directory),
      () => kernel.rmdir('sub', directory),
      () => kernel.read(fh),
      () => kernel.poll(fh, 1),
    ];
    assert.equal(
      stale.map(refusal),
      stale.map(() => 'ESTALE'),
    );
    assert.is(waiting.result, 'ESTALE');
    assert.is(
      refusal(() => kernel.walk(String(child.pid))),
      'ENOENT',
    );
    assert.is(
      refusal(() => kernel.rmdir(String(child.pid))),
      'ENOENT',
    );
    assert.not(kernel.names(1).includes(String(child.pid)));
    assert.is(kernel.books.owners, 1);
    for (const open of [held, filterHandle, file.fh, fh]) kernel.release(open);
    kernel.releasedir(dh);
  },
);

queueSuite.run();

/*
 * `.stream` of a directory and a death that comes between an event and its being told.
 */
const deathSuite = suite('a death');
const death = withKernel(deathSuite);

death('between an event and its being told fails who waits, once', async (kernel) => {
  const child = new Child();
  kernel.mkdir(String(child.pid), child.by);
  const waiting = kernel.startRead(kernel.open(kernel.walk(`${child.pid}/.stream`)));
  kernel.settles = false;
  kernel.event(1);
  await child.die();
  kernel.names(1);
  kernel.settle();
  assert.is(waiting.result, 'ESTALE');
  assert.is(kernel.parked.size, 0);
});

death("ends all directories of the process and none of others'", async (kernel) => {
  const [one, other] = [new Child(), new Child()];
  for (const label of ['a', 'b', 'c']) {
    for (const { pid, by } of [one, other]) kernel.mkdir(`${pid}.${label}`, by);
  }
  kernel.mkdir('named', one.by);
  assert.is(kernel.books.owners, 3);
  await one.die();
  assert.equal(kernel.names(1).slice(0, -3), [
    'own',
    ...['a', 'b', 'c'].map((label) => `${other.pid}.${label}`),
  ]);
  assert.is(kernel.books.owners, 2);
  await other.die();
});

death('leaves alone what the process reads elsewhere', async (kernel) => {
  const child = new Child();
  kernel.mkdir(String(child.pid), child.by);
  const waiting = kernel.startRead(kernel.open(kernel.walk('stream'), 0, child.by));
  await child.die();
  kernel.event(1);
  assert.is(waiting.result, record(1));
});

deathSuite.run();
