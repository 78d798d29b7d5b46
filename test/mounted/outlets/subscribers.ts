/** The tests of both sockets, which socket.test.ts and fd-socket.test.ts run. */
import * as assert from 'uvu/assert';
import { chmodSync, existsSync, mkdtempSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Reader,
  Storm,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { EVENTFS_NODE, mountPoint, run, startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY_FOR_EVER } from '../../support/mount/other-user.js';
import { statOf, stateOf } from '../../support/processes.js';

export const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'sockets-'));
chmodSync(scratch, 0o711); // Clients of other users must pass.
export const SOCKETS = { socket: join(scratch, 'socket'), fd: join(scratch, 'fd') } as const;
type SocketKind = keyof typeof SOCKETS;
const KEYS = { socket: 'SOCKET', fd: 'FDSOCKET' } as const;

export const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);
export const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Starts a client that sends a filter, and resolves once the daemon has answered the filter. */
export async function subscribe(kind: SocketKind, filter = '\n'): Promise<Reader> {
  const client = new Reader(SOCKETS[kind], [compiled('subscriber'), filter]);
  await client.has(1, 20_000); // The answer to its filter.
  assert.match(
    client.records[0],
    /^filter@\/eventfs\nACTION=filter\nDEVPATH=\/eventfs\nSUBSYSTEM=eventfs\nFILTER=/,
  );
  return client;
}

/** Starts a client that behaves as `mode` says, and resolves once the daemon lists it. */
export async function openClient(kind: SocketKind, mode: string): Promise<Reader> {
  const client = new Reader(SOCKETS[kind], [compiled('subscriber'), mode]);
  const known = (): boolean =>
    Object.values(statusOf(`${daemon.path}/log`)).some((row) =>
      row.startsWith(`pid=${client.process.pid} `),
    );
  await until(known, 'the daemon does not list the client', 20_000);
  return client;
}

const eventsOf = (client: Reader): string[] =>
  client.records.filter((record) => !/^(filter|error|overflow|end)@/.test(record));
const lostOf = (client: Reader): number =>
  valuesOf(
    'LOST',
    client.records.filter((record) => record.startsWith('overflow@')),
  )
    .map(Number)
    .reduce((a, b) => a + b, 0);

/** Checks that a client got each of `count` numbered events in order, or its loss at that place. */
export async function accounts(client: Reader, count: number, ms = 30_000): Promise<void> {
  await until(
    () => eventsOf(client).length + lostOf(client) >= count,
    () => `${eventsOf(client).length} events and ${lostOf(client)} lost, of ${count}`,
    ms,
  );
  let next = 0;
  for (const record of client.records.slice(1)) {
    if (record.startsWith('overflow@')) next += Number(valuesOf('LOST', [record])[0]);
    else assert.is(Number(valuesOf('N', [record])[0]), next++);
  }
  assert.is(next, count);
}

/** Adds the suite of one socket. */
export function testSubscribers(kind: SocketKind): void {
  const option = kind === 'socket' ? '--socket' : '--fd-socket';
  const tests = mounted(`a subscriber of ${option}`, ['--source', 'none', option, SOCKETS[kind]]);

  tests('gets each event as one message, as the other subscribers do', async () => {
    const clients = [
      await subscribe(kind),
      await subscribe(kind),
      await subscribe(kind, 'SUBSYSTEM==net'),
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

  tests('gets every event from its connection on if it sends no filter', async () => {
    const client = await openClient(kind, '');
    publish(daemon.path, eventText('/devices/all'));
    await client.has(1);
    assert.is(`${client.records[0]}\n`, eventText('/devices/all'));
  });

  tests('is shown in status with its PID, its user and its filter', async () => {
    const client = await subscribe(kind, 'SUBSYSTEM==net\nACTION==add');
    const rows = Object.entries(statusOf(`${daemon.path}/log`)).filter(([key]) =>
      new RegExp(`^${KEYS[kind]}_\\d+$`).test(key),
    );
    assert.equal(
      rows.map(([, row]) => row.replace(/ id=\d+ /, ' ')),
      [
        `pid=${client.process.pid} uid=0 pending=0 lost=0 added=0 filter=SUBSYSTEM==net; ACTION==add`,
      ],
    );
    const { out } = await run([...EVENTFS_NODE, 'status', '--json', '--mount', daemon.path]);
    const { subscribers } = JSON.parse(out) as {
      subscribers: { what: string; pid: number; filter: string }[];
    };
    assert.equal(
      subscribers.map(({ what, pid, filter }) => ({ what, pid, filter })),
      [
        {
          what: KEYS[kind].toLowerCase(),
          pid: client.process.pid,
          filter: 'SUBSYSTEM==net; ACTION==add',
        },
      ],
    );
  });

  tests('gets the expected token after a bad filter, and is disconnected', async () => {
    const before = status(`${KEYS[kind]}_REFUSED`);
    const client = new Reader(SOCKETS[kind], [compiled('subscriber'), 'SUBSYSTEM']);
    await client.has(2);
    assert.match(
      client.records[0],
      /^error@\/eventfs\nACTION=error\nDEVPATH=\/eventfs\nSUBSYSTEM=eventfs\nERROR=column 10: expected == or != after SUBSYSTEM$/,
    );
    assert.match(client.records[1], /^end@/);
    assert.is(status(`${KEYS[kind]}_REFUSED`), before + 1);
    await until(() => status(`${KEYS[kind]}_SUBSCRIBERS`) === 0, 'the client is still there');
  });

  tests('gets every event after an empty message, and may send a filter later', async () => {
    const client = new Reader(SOCKETS[kind], [compiled('subscriber'), '!empty']);
    await client.has(3); // The answers to A==b, to nothing, to A==c.
    assert.equal(
      client.records.map((record) => /FILTER=(.*)$/m.exec(record)![1]),
      ['A==b', '', 'A==c'],
    );
    publish(daemon.path, eventText('/devices/b', { A: 'b' }), eventText('/devices/c', { A: 'c' }));
    await client.has(4);
    assert.match(client.records[3], /^add@\/devices\/c\n/);
  });

  tests(
    'gets the reason after a filter that is too large or too costly, and is disconnected',
    async () => {
      for (const [filter, why] of [
        [`A==${'b|'.repeat(32)}b`, 'a term has at most 32 alternatives'],
        ['A==b\n'.repeat(65), 'a filter has at most 64 terms'],
        ['#'.repeat(4097), 'a filter has at most 4096 bytes'],
      ] as const) {
        const client = new Reader(SOCKETS[kind], [compiled('subscriber'), filter]);
        await client.has(2);
        assert.match(client.records[0], `\nERROR=${why}`);
        assert.match(client.records[1], /^end@/);
      }
    },
  );

  tests('gets events after it has shut down its side', async () => {
    const client = await openClient(kind, '!half');
    publish(daemon.path, eventText('/devices/half'), eventText('/devices/half'));
    await client.has(2);
    const before = statOf(daemon.pid)!.cpuTicks;
    await sleep(300);
    // Of 30 ticks.
    assert.ok(statOf(daemon.pid)!.cpuTicks - before < 20, 'the client keeps the daemon busy');
    // On a busy machine a spinning daemon gets fewer ticks, but it does not sleep either.
    let sleeps = 0;
    for (let n = 0; n < 30; n++) {
      if (stateOf(daemon.pid) === 'S') sleeps++;
      await sleep(10);
    }
    assert.ok(sleeps >= 15, `the daemon slept at ${sleeps} of 30 looks`);
    await client.kill();
    await until(
      () => status(`${KEYS[kind]}_SUBSCRIBERS`) === 0,
      'the daemon did not notice its death',
    );
  });

  tests(
    'gets the number of its lost events at their place when it falls behind; others lose none',
    async () => {
      const [slow, fast] = [await subscribe(kind), await subscribe(kind)];
      slow.process.kill('SIGSTOP');
      const count = 7000; // More than the log and the socket hold.
      for (let first = 0; first < count; first += 100) {
        publishNumbered(daemon.path, 100, first, { V: 'v'.repeat(200) });
        await until(
          () => eventsOf(fast).length >= first + 100,
          'the fast client was held up',
          20_000,
        );
      }
      const [, row] = Object.entries(statusOf(`${daemon.path}/log`)).find(([, value]) =>
        value.startsWith(`pid=${slow.process.pid} `),
      )!;
      assert.match(row, / pending=[1-9]\d* lost=[1-9]\d* /);
      slow.process.kill('SIGCONT');
      await Promise.all([accounts(slow, count), accounts(fast, count)]);
      assert.ok(lostOf(slow) > 0, 'the slow client lost nothing');
      assert.is(lostOf(fast), 0);
      publishNumbered(daemon.path, 5, count);
      await Promise.all([accounts(slow, count + 5), accounts(fast, count + 5)]);
    },
    90_000,
  );

  tests(
    'gets the number of its lost matching events when it falls behind with a filter',
    async () => {
      const [slow, fast] = [await subscribe(kind, 'M==1'), await subscribe(kind, 'M==1')];
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
          'the fast client was held up',
          20_000,
        );
      }
      slow.process.kill('SIGCONT');
      await Promise.all([accounts(slow, batches * 10), accounts(fast, batches * 10)]);
      assert.ok(lostOf(slow) > 0, 'the slow client lost nothing');
    },
    90_000,
  );

  tests(
    'delays no other client and costs no memory if it never reads',
    async () => {
      const silent = await Promise.all(
        Array.from({ length: 30 }, () => openClient(kind, '!silent')),
      );
      const client = await subscribe(kind);
      const descriptors = descriptorsOf(daemon.pid);
      for (let first = 0; first < 2000; first += 100) {
        publishNumbered(daemon.path, 100, first, { V: 'v'.repeat(500) });
        await until(
          () => eventsOf(client).length >= first + 100,
          'the reading client was held up',
          20_000,
        );
      }
      await accounts(client, 2000);
      assert.ok(
        descriptorsOf(daemon.pid) <= descriptors,
        'the daemon keeps descriptors for clients that do not read',
      );
      await Promise.all(silent.map((one) => one.kill()));
      await until(
        () => status(`${KEYS[kind]}_SUBSCRIBERS`) === 1,
        'the silent clients are still there',
      );
    },
    60_000,
  );

  tests(
    'leaves nothing behind in 10,000 rounds of misbehaviour under a storm of events',
    async () => {
      const steady = await subscribe(kind);
      const before = descriptorsOf(daemon.pid);
      const storm = new Storm(daemon.path);
      try {
        const { out, err } = await run(
          [compiled('subscriber'), '!rounds', '10000', SOCKETS[kind]],
          {
            timeoutMs: 100_000,
          },
        );
        assert.is(out, 'done@/\n\n', err);
      } finally {
        storm.end();
      }
      await until(
        () => status(`${KEYS[kind]}_SUBSCRIBERS`) === 1,
        'some clients are still there',
        20_000,
      );
      await until(
        () => eventsOf(steady).length + lostOf(steady) >= storm.published,
        'the steady client did not get all',
        20_000,
      );
      assert.is(eventsOf(steady).length + lostOf(steady), storm.published);
      await until(
        () => descriptorsOf(daemon.pid) === before,
        () => `${descriptorsOf(daemon.pid)} descriptors, ${before} before`,
      );
    },
    120_000,
  );

  tests(
    "needs permission by the socket's mode only if it belongs to another user",
    async () => {
      const closed = await run([
        ...AS_NOBODY_FOR_EVER,
        compiled('subscriber'),
        '\n',
        SOCKETS[kind],
      ]);
      assert.match(closed.err, 'connect: Permission denied');
      assert.is(statSync(SOCKETS[kind]).mode & 0o777, 0o600);
      const open = join(scratch, `open-${kind}`);
      const other = await startDaemon(['--source', 'none', option, `${open}:0666`], mountPoint());
      try {
        assert.is(statSync(open).mode & 0o777, 0o666);
        const client = new Reader(open, [...AS_NOBODY_FOR_EVER, compiled('subscriber'), '\n']);
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
              compiled('subscriber'),
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
          'the daemon still charges their filters',
          20_000,
        );
        const others = Array.from(
          { length: 260 },
          () => new Reader(open, [...AS_NOBODY_FOR_EVER, compiled('subscriber'), '!silent']),
        );
        const refusals = (): number =>
          // Without the three costly ones.
          Number(statusOf(`${other.path}/log`)[`${KEYS[kind]}_REFUSED`]) - 3;
        await until(
          () => refusals() === 5,
          () => `the daemon refused ${refusals()}, not the 5 above 256`,
          60_000,
        );
        await Promise.all([client, ...others].map((one) => one.kill()));
      } finally {
        await other.stop();
      }
      assert.not(existsSync(open), 'the socket file was left');
    },
    90_000,
  );

  tests.run();
}
