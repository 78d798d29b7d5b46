/**
 * Tests the subscribers of a socket against the log's ring: bursts larger than it, repeated losses.
 */
import * as assert from 'uvu/assert';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sendToAll } from '#native';
import { Bus } from '../../../fs/bus/bus.js';
import { FILTER_LIMITS } from '../../../fs/uevent/filter/filter.js';
import { Log } from '../../../fs/bus/log.js';
import { NO_KEEPER } from '../../../fs/shared/kernel/keeper.js';
import { NO_TRACE } from '../../../fs/shared/log/trace.js';
import { IdAllocator } from '../../../fs/shared/id-allocator.js';
import { UeventText } from '../../../fs/uevent/text.js';
import { Listener } from '../../../fs/outlets/listener.js';
import type { Deliver } from '../../../fs/outlets/socket/delivery.js';
import { SocketOutlet } from '../../../fs/outlets/socket/socket-outlet.js';
import { Reader, killClients, valuesOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { until } from '../../support/mount/daemon.js';
import { collecting } from '../../support/memory/logger.js';
import { suite } from '../../support/runner/suite.js';
import { QuotaLedger } from '../../../fs/tree/quota/ledger.js';

const ring = suite('a subscriber behind the ring');
const RING_EVENTS = 64;
const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'ring-'));
let serial = 0;
const worlds = new Set<World>();

class World {
  readonly bus = new Bus(new Log({ bytes: 64 * 1024, events: RING_EVENTS }), new IdAllocator(1));
  readonly path = join(scratch, String(++serial));
  readonly warnings: string[] = [];
  readonly outlet: SocketOutlet;
  /** The most messages that a socket takes of a batch; the rest waits. */
  most = Infinity;
  #published = 0;

  constructor() {
    const deliver: Deliver = (sockets, count, memory, slices, messages, failed) => {
      if (messages <= this.most) return sendToAll(sockets, count, memory, slices, messages, failed);
      // The buffer of each socket is full after `most` messages.
      const incomplete = sendToAll(sockets, count, memory, slices, this.most, failed);
      assert.is(incomplete, 0, 'the sockets have no room');
      for (let i = 0; i < count; i++) failed.set([i, this.most], 2 * i);
      return count;
    };
    this.outlet = new SocketOutlet('SOCKET', new Listener(this.path, 0o600), deliver, {
      bus: this.bus,
      filters: { ledger: new QuotaLedger(), filterLimits: FILTER_LIMITS },
      logger: collecting(this.warnings),
      trace: NO_TRACE,
      keeper: NO_KEEPER,
    });
    this.bus.attach(this.outlet);
    this.outlet.start();
    worlds.add(this);
  }

  /** Publishes numbered events as one batch. */
  burst(count: number): void {
    for (let i = 0; i < count; i++) {
      const bytes = Buffer.from(`add@/n\nACTION=add\nN=${this.#published++}\n`, 'latin1');
      const text = new UeventText();
      text.readPublished(bytes, 0, bytes.length);
      this.bus.publishKernel(text);
    }
    this.bus.settleSome();
  }

  async subscribe(filter = '\n'): Promise<Reader> {
    const client = new Reader(this.path, [compiled('subscriber'), filter]);
    await client.has(1, 20_000);
    await until(() => this.row(client) !== undefined, 'the subscriber is not listed');
    return client;
  }

  row(client: Reader): string | undefined {
    return this.outlet
      .statusLines()
      .map(([, value]) => String(value))
      .find((value) => value.startsWith(`pid=${client.process.pid} `));
  }

  lostOf(client: Reader): number {
    return Number(/ lost=(\d+) /.exec(this.row(client)!)![1]);
  }

  close(): void {
    assert.equal(this.warnings, []);
    worlds.delete(this);
    this.outlet.close();
  }
}

/** Returns the numbers of a client's events, and its losses as negative numbers, in order. */
function seen(client: Reader): number[] {
  return client.records
    .slice(1)
    .map((record) =>
      record.startsWith('overflow@')
        ? -Number(valuesOf('LOST', [record])[0])
        : Number(valuesOf('N', [record])[0]),
    );
}

const range = (first: number, end: number): number[] =>
  Array.from({ length: end - first }, (_, i) => first + i);

ring.after(async () => {
  for (const world of worlds) world.outlet.close(); // A failed test leaves its own.
  await killClients();
});

for (const filter of ['\n', 'ACTION==add']) {
  ring(
    `gets the losses of two bursts larger than the ring, ${filter === '\n' ? 'without' : 'with'} a filter, and counts both`,
    async () => {
      const world = new World();
      const clients = [await world.subscribe(filter), await world.subscribe(filter)];
      world.burst(3);
      world.burst(RING_EVENTS + 36);
      const first = [...range(0, 3), -36, ...range(39, 103)];
      for (const client of clients) {
        await until(
          () => seen(client).length >= first.length,
          () => `${seen(client).length} of ${first.length} records came`,
        );
        assert.equal(seen(client), first);
        assert.is(world.lostOf(client), 36);
      }
      world.burst(2);
      world.burst(RING_EVENTS + 10);
      const all = [...first, 103, 104, -10, ...range(115, 179)];
      for (const client of clients) {
        await until(
          () => seen(client).length >= all.length,
          () => `${seen(client).length} of ${all.length} records came`,
        );
        assert.equal(seen(client), all);
        assert.is(world.lostOf(client), 46, 'only the last losses count');
      }
      world.close();
    },
  );
}

ring(
  'gets no event and no loss of a burst before its start that was larger than the ring',
  async () => {
    const world = new World();
    const early = await world.subscribe('ACTION==add');
    await early.kill();
    await until(() => world.row(early) === undefined, 'the first subscriber is still there');
    world.burst(RING_EVENTS + 5);
    const late = await world.subscribe('ACTION==add');
    world.burst(2);
    await late.has(3);
    assert.equal(seen(late), [RING_EVENTS + 5, RING_EVENTS + 6]);
    world.close();
  },
);

ring('gets each event once if its socket takes only a part of a batch', async () => {
  const world = new World();
  const client = await world.subscribe();
  for (const most of [0, 1, 3, 7]) {
    world.most = most;
    world.burst(20);
    world.most = Infinity;
    await until(() => world.row(client)!.includes(' pending=0 '), 'the rest is not sent');
  }
  await client.has(81);
  assert.equal(seen(client), range(0, 80));
  world.close();
});

ring.run();
