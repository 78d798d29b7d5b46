/** The tests that both sockets stand: test/mounted/outlets/socket.test.ts and fd-socket.test.ts. */
import * as assert from 'uvu/assert';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stateOf } from '../../support/actor.js';
import {
  Reader,
  Storm,
  compile,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients.js';
import { EVENTFS, mountPoint, run, startDaemon, until } from '../../support/daemon.js';
import { daemon, mounted } from '../../support/mounted.js';
import { AS_NOBODY_FOR_EVER } from '../../support/other-user.js';

export const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'sockets-'));
chmodSync(scratch, 0o711); // clients that are not root must get through
export const PATHS = { socket: join(scratch, 'socket'), fd: join(scratch, 'fd') } as const;
export type Way = keyof typeof PATHS;
const KEYS = { socket: 'SOCKET', fd: 'FDSOCKET' } as const;

export const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);
export const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** A client that is known to the daemon, with a filter or without. */
export async function subscribe(way: Way, filter = '\n'): Promise<Reader> {
  const client = new Reader(PATHS[way], [compile('subscriber'), filter]);
  await client.has(1, 20_000); // the answer to its filter
  assert.match(
    client.records[0],
    /^filter@\/eventfs\nACTION=filter\nDEVPATH=\/eventfs\nSUBSYSTEM=eventfs\nFILTER=/,
  );
  return client;
}

/** A client that does something else, once the daemon knows of it. */
export async function unusual(way: Way, what: string): Promise<Reader> {
  const client = new Reader(PATHS[way], [compile('subscriber'), what]);
  const known = (): boolean =>
    Object.values(statusOf(`${daemon.path}/log`)).some((row) =>
      row.startsWith(`pid=${client.process.pid} `),
    );
  await until(known, 'the daemon does not know of it', 20_000);
  return client;
}

export const eventsOf = (client: Reader): string[] =>
  client.records.filter((record) => !/^(filter|error|overflow|end)@/.test(record));
const lostOf = (client: Reader): number =>
  valuesOf(
    'LOST',
    client.records.filter((record) => record.startsWith('overflow@')),
  )
    .map(Number)
    .reduce((a, b) => a + b, 0);

/** Checks that a client has seen each of `count` numbered events in order, or was told at that place of so many that it has not. */
export async function accounts(client: Reader, count: number, ms = 30_000): Promise<void> {
  await until(
    () => eventsOf(client).length + lostOf(client) >= count,
    `${eventsOf(client).length} events and ${lostOf(client)} lost, of ${count}`,
    ms,
  );
  let next = 0;
  for (const record of client.records.slice(1)) {
    if (record.startsWith('overflow@')) next += Number(valuesOf('LOST', [record])[0]);
    else assert.is(Number(valuesOf('N', [record])[0]), next++);
  }
  assert.is(next, count);
}

/** The suite of a socket. */
export function testSubscribers(way: Way): void {
  const option = way === 'socket' ? '--socket' : '--fd-socket';
  const tests = mounted(`a subscriber of ${option}`, ['--source', 'none', option, PATHS[way]]);

  tests('gets each event as one message, and the others get the same', async () => {
    const clients = [
      await subscribe(way),
      await subscribe(way),
      await subscribe(way, 'SUBSYSTEM==net'),
    ];
    const texts = [
      eventText('/devices/1', { SUBSYSTEM: 'net', V: '\x01\xff=' }),
      eventText('/devices/2', { SUBSYSTEM: 'mem' }),
    ];
    publish(daemon.path, ...texts);
    await Promise.all(clients.slice(0, 2).map((client) => client.has(3)));
    for (const client of clients.slice(0, 2))
      assert.equal(
        eventsOf(client).map((record) => `${record}\n`),
        texts,
      );
    publish(daemon.path, eventText('/devices/3', { SUBSYSTEM: 'net' }));
    await clients[2].has(3);
    assert.equal(
      eventsOf(clients[2]).map((record) => record.split('\n')[0]),
      ['add@/devices/1', 'add@/devices/3'],
    );
  });

  tests('needs no filter: it has everything from the moment that it is known', async () => {
    const client = await unusual(way, '');
    publish(daemon.path, eventText('/devices/all'));
    await client.has(1);
    assert.is(`${client.records[0]}\n`, eventText('/devices/all'));
  });

  tests('is shown in status with its PID, its user and its filter', async () => {
    const client = await subscribe(way, 'SUBSYSTEM==net\nACTION==add');
    const rows = Object.entries(statusOf(`${daemon.path}/log`)).filter(([key]) =>
      new RegExp(`^${KEYS[way]}_\\d+$`).test(key),
    );
    assert.equal(
      rows.map(([, row]) => row),
      [`pid=${client.process.pid} uid=0 pending=0 lost=0 filter=SUBSYSTEM==net; ACTION==add`],
    );
    const { out } = await run([
      process.execPath,
      EVENTFS,
      'status',
      '--json',
      '--mount',
      daemon.path,
    ]);
    const { subscribers } = JSON.parse(out) as {
      subscribers: { what: string; pid: number; filter: string }[];
    };
    assert.equal(
      subscribers.map(({ what, pid, filter }) => ({ what, pid, filter })),
      [
        {
          what: KEYS[way].toLowerCase(),
          pid: client.process.pid,
          filter: 'SUBSYSTEM==net; ACTION==add',
        },
      ],
    );
  });

  tests('that sends a bad filter is told what was expected, and sent off', async () => {
    const before = status(`${KEYS[way]}_REFUSED`);
    const client = new Reader(PATHS[way], [compile('subscriber'), 'SUBSYSTEM']);
    await client.has(2);
    assert.match(
      client.records[0],
      /^error@\/eventfs\nACTION=error\nDEVPATH=\/eventfs\nSUBSYSTEM=eventfs\nERROR=column 10: expected == or != after SUBSYSTEM$/,
    );
    assert.match(client.records[1], /^end@/);
    assert.is(status(`${KEYS[way]}_REFUSED`), before + 1);
    await until(() => status(`${KEYS[way]}_SUBSCRIBERS`) === 0, 'it is still there');
  });

  tests('that sends an empty message takes everything, and is still heard', async () => {
    const client = new Reader(PATHS[way], [compile('subscriber'), '!empty']);
    await client.has(3); // A==b, nothing, A==c
    assert.equal(
      client.records.map((record) => /FILTER=(.*)$/m.exec(record)![1]),
      ['A==b', '', 'A==c'],
    );
    publish(daemon.path, eventText('/devices/b', { A: 'b' }), eventText('/devices/c', { A: 'c' }));
    await client.has(4);
    assert.match(client.records[3], /^add@\/devices\/c\n/);
  });

  tests('whose filter is too large or costs too much is told why, and sent off', async () => {
    for (const [filter, why] of [
      [`A==${'b|'.repeat(32)}b`, 'a term has at most 32 alternatives'],
      ['A==b\n'.repeat(65), 'a filter has at most 64 terms'],
      ['#'.repeat(4097), 'a filter has at most 4096 bytes'],
    ] as const) {
      const client = new Reader(PATHS[way], [compile('subscriber'), filter]);
      await client.has(2);
      assert.match(client.records[0], `\nERROR=${why}`);
      assert.match(client.records[1], /^end@/);
    }
  });

  tests('that has shut down its side goes on being sent to', async () => {
    const client = await unusual(way, '!half');
    publish(daemon.path, eventText('/devices/half'), eventText('/devices/half'));
    await client.has(2);
    const { utime } = cpuOf(daemon.pid);
    await new Promise((done) => setTimeout(done, 300));
    assert.ok(cpuOf(daemon.pid).utime - utime < 20, 'the daemon is kept busy by it'); // of 30 ticks
    // On a machine where others have the CPU one that is kept busy gets fewer, but does not sleep either.
    let sleeps = 0;
    for (let n = 0; n < 30; n++) {
      if (stateOf(daemon.pid) === 'S') sleeps++;
      await new Promise((done) => setTimeout(done, 10));
    }
    assert.ok(sleeps >= 15, `it slept at ${sleeps} of 30 looks`);
    await client.kill();
    await until(() => status(`${KEYS[way]}_SUBSCRIBERS`) === 0, 'its death was not noticed');
  });

  tests(
    'that falls behind loses a known number, at a known place, and the others nothing',
    async () => {
      const [slow, fast] = [await subscribe(way), await subscribe(way)];
      slow.process.kill('SIGSTOP');
      const count = 7000; // more than the log and the socket hold
      for (let first = 0; first < count; first += 100) {
        publishNumbered(daemon.path, 100, first, { V: 'v'.repeat(200) });
        await until(() => eventsOf(fast).length >= first + 100, 'the fast one was held up', 20_000);
      }
      const [, row] = Object.entries(statusOf(`${daemon.path}/log`)).find(([, value]) =>
        value.startsWith(`pid=${slow.process.pid} `),
      )!;
      assert.match(row, / pending=[1-9]\d* lost=[1-9]\d* /);
      slow.process.kill('SIGCONT');
      await Promise.all([accounts(slow, count), accounts(fast, count)]);
      assert.ok(lostOf(slow) > 0, 'it lost nothing');
      assert.is(lostOf(fast), 0);
      publishNumbered(daemon.path, 5, count);
      await Promise.all([accounts(slow, count + 5), accounts(fast, count + 5)]);
    },
    90_000,
  );

  tests(
    'that falls behind with a filter loses a known number of what matches',
    async () => {
      const [slow, fast] = [await subscribe(way, 'M==1'), await subscribe(way, 'M==1')];
      slow.process.kill('SIGSTOP');
      const batches = 300;
      for (let batch = 0; batch < batches; batch++) {
        const texts = Array.from({ length: 40 }, (_, i) =>
          eventText(
            '/devices/n',
            i % 4 === 0 ? { M: 1, N: batch * 10 + i / 4, V: 'v'.repeat(800) } : { M: 0 },
          ),
        );
        publish(daemon.path, ...texts);
        await until(
          () => eventsOf(fast).length >= (batch + 1) * 10,
          'the fast one was held up',
          20_000,
        );
      }
      slow.process.kill('SIGCONT');
      await Promise.all([accounts(slow, batches * 10), accounts(fast, batches * 10)]);
      assert.ok(lostOf(slow) > 0, 'it lost nothing');
    },
    90_000,
  );

  tests(
    'that never reads holds up nobody, costs no memory, and can change its mind',
    async () => {
      const silent = await Promise.all(Array.from({ length: 30 }, () => unusual(way, '!silent')));
      const client = await subscribe(way);
      const descriptors = descriptorsOf(daemon.pid);
      for (let first = 0; first < 2000; first += 100) {
        publishNumbered(daemon.path, 100, first, { V: 'v'.repeat(500) });
        await until(() => eventsOf(client).length >= first + 100, 'it was held up', 20_000);
      }
      await accounts(client, 2000);
      assert.ok(
        descriptorsOf(daemon.pid) <= descriptors,
        'descriptors wait for those who do not read',
      );
      await Promise.all(silent.map((one) => one.kill()));
      await until(() => status(`${KEYS[way]}_SUBSCRIBERS`) === 1, 'they are still there');
    },
    60_000,
  );

  tests(
    'that misbehaves leaves nothing behind, in 10,000 rounds under a storm of events',
    async () => {
      const steady = await subscribe(way);
      const before = descriptorsOf(daemon.pid);
      const storm = new Storm(daemon.path);
      try {
        const { out, err } = await run([compile('subscriber'), '!rounds', '10000', PATHS[way]], {
          timeoutMs: 100_000,
        });
        assert.is(out, 'done@/\n\n', err);
      } finally {
        storm.end();
      }
      await until(() => status(`${KEYS[way]}_SUBSCRIBERS`) === 1, 'some are still there', 20_000);
      await until(
        () => eventsOf(steady).length + lostOf(steady) >= storm.published,
        'the steady one did not get all',
        20_000,
      );
      assert.is(eventsOf(steady).length + lostOf(steady), storm.published);
      await until(
        () => descriptorsOf(daemon.pid) === before,
        `${descriptorsOf(daemon.pid)} descriptors, ${before} before`,
      );
    },
    120_000,
  );

  tests(
    "of another user is let in by the socket's mode only",
    async () => {
      const closed = await run([...AS_NOBODY_FOR_EVER, compile('subscriber'), '\n', PATHS[way]]);
      assert.match(closed.err, 'connect: Permission denied');
      assert.is(statSync(PATHS[way]).mode & 0o777, 0o600);
      const open = join(scratch, `open-${way}`);
      const other = await startDaemon(['--source', 'none', option, `${open}:0666`], mountPoint());
      try {
        assert.is(statSync(open).mode & 0o777, 0o666);
        const client = new Reader(open, [...AS_NOBODY_FOR_EVER, compile('subscriber'), '\n']);
        await client.has(1, 20_000);
        assert.match(
          Object.values(statusOf(`${other.path}/log`)).join('\n'),
          `pid=${client.process.pid} uid=65534 `,
        );
        const account = (): string | undefined => statusOf(`${other.path}/log`).QUOTA_UID_65534;
        const costly = Array.from(
          { length: 12 },
          (_, n) =>
            new Reader(open, [
              ...AS_NOBODY_FOR_EVER,
              compile('subscriber'),
              `A==${n}${'|*a*'.repeat(10)}`,
            ]),
        );
        await Promise.all(costly.map(async (one) => one.has(1, 20_000)));
        const told = costly.map(
          ({ records: [first] }) => /^ERROR=(.*)$/m.exec(first)?.[1] ?? 'taken',
        );
        assert.is(told.filter((why) => why === 'taken').length, 9, told.join());
        assert.match(
          told.join(),
          /uid 65534 holds \d+ of 32768 filter_cost, and \d+ more do not fit/,
        );
        assert.match(account() ?? '', /filter_cost=3\d{4}\/32768/);
        await Promise.all(costly.map((one) => one.kill()));
        await until(
          () => account()?.includes('filter_cost=0/') ?? true,
          'their filters are still charged',
          20_000,
        );
        const others = Array.from(
          { length: 260 },
          () => new Reader(open, [...AS_NOBODY_FOR_EVER, compile('subscriber'), '!silent']),
        );
        const refusals = (): number =>
          Number(statusOf(`${other.path}/log`)[`${KEYS[way]}_REFUSED`]) - 3; // without the costly three
        await until(
          () => refusals() === 5,
          `${refusals()} were refused, not the 5 above 256`,
          60_000,
        );
        await Promise.all([client, ...others].map((one) => one.kill()));
      } finally {
        await other.stop();
      }
      assert.not(existsSync(open), 'the socket was left');
    },
    90_000,
  );

  tests.run();
}

/** Ticks of the processor that a process has had, of 10 ms each. */
function cpuOf(pid: number): { utime: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return { utime: Number(fields[11]) + Number(fields[12]) };
}
