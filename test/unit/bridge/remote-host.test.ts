/** Events of another host over a network that loses, repeats and reorders messages. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { History, type Message } from '../../../fs/bridge/protocol/history.js';
import { parseMessage } from '../../../fs/bridge/protocol/payload.js';
import { type HostSink, RemoteHost } from '../../../fs/bridge/protocol/remote-host.js';
import type { HostState, Question } from '../../../fs/bridge/protocol/state.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const remote = suite('the events of another host');

const LIMITS = { bytes: 400, largest: 400, events: 4 };
const KEPT = { bytes: 10_000, events: 12 };
const REMOTE = { heldBytes: 1500, graceMs: 10, answerMs: 50, questions: 3 };
/** The state of a host that is online and has no events yet. */
const ONLINE: HostState = {
  online: true,
  session: 'a-1',
  connection: 1,
  machine: 'm',
  first: 1,
  next: 1,
  ended: [],
};

/** Checks that numbers come in order, and counts each number that is missing. */
class Reader implements HostSink {
  /** The number behind the last event or loss. */
  at = 1;
  events = 0;
  missing = 0;
  isThere = false;
  readonly asked: Question[] = [];

  appears(): void {
    assert.not.ok(this.isThere, 'it appears once');
    this.isThere = true;
  }
  vanishes(): void {
    assert.ok(this.isThere, 'it vanishes once');
    this.isThere = false;
  }
  event(_host: string, text: Buffer): void {
    const number = Number(/^N=(\d+)$/m.exec(text.toString())![1]);
    assert.is(number, this.at, 'in order, none twice');
    this.at++;
    this.events++;
  }
  lost(_host: string, count: number): void {
    assert.ok(count > 0);
    this.at += count;
    this.missing += count;
  }
  ask(_host: string, question: Question): void {
    this.asked.push(question);
  }
}

/** A host, a network and a reader. */
class World {
  readonly history = new History(KEPT);
  readonly reader = new Reader();
  readonly host = new RemoteHost('web1', this.reader, REMOTE);
  now = 0;
  connection = 1;
  #network: Message[] = [];

  publish(count: number): void {
    for (let i = 0; i < count; i++)
      this.history.add(Buffer.from(`add@/x\nN=${this.history.next}\n\n`), 1);
  }

  /** Adds a loss of events in the host's own queue. */
  lose(count: number): void {
    this.history.add(Buffer.from(`overflow@/eventfs\nLOST=${count}\n\n`), count);
  }

  send(): void {
    const message = this.history.take(LIMITS);
    if (message !== null) this.#network.push(message);
  }

  state(online = true): void {
    const { first, next } = this.history;
    const state: HostState = {
      online,
      session: 'boot-1',
      connection: this.connection,
      machine: 'm',
      first,
      next,
      ended: [],
    };
    this.host.takeState(state, this.now);
  }

  /** Delivers, loses or repeats one message of those under way. */
  deliver(which: number, copies: number): void {
    if (this.#network.length === 0) return;
    const [message] = this.#network.splice(which % this.#network.length, 1);
    for (let i = 0; i < copies; i++) this.#arrive(message);
  }

  #arrive({ seq, count, payload }: Message): void {
    const properties = { session: 'boot-1', seq: String(seq), count: String(count) };
    const parsed = parseMessage(payload, properties);
    assert.ok(parsed !== null);
    this.host.takeMessage(parsed, this.now);
  }

  /** Lets time pass, and answers the questions, or loses them. */
  tick(ms: number, answers: boolean): void {
    this.now += ms;
    this.host.tick(this.now);
    for (const { from, to } of this.reader.asked.splice(0)) {
      for (let at = from; answers && at < to;) {
        const message = this.history.range(at, to, LIMITS)!;
        this.#network.push(message);
        at += message.count;
      }
    }
  }

  reconnect(): void {
    this.#network = [];
    this.history.rewind();
    this.connection++;
    this.host.pause();
    this.state();
  }

  /** Delivers all messages, as a good network does. */
  end(): void {
    this.history.rewind();
    for (let i = 0; i < 1000; i++) {
      this.send();
      this.deliver(0, 1);
    }
    this.state();
    for (let i = 0; i < 100; i++) {
      this.tick(60, true);
      for (let j = 0; j < 30; j++) this.deliver(0, 1);
    }
  }
}

type Step = (world: World) => void;
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.integer({ min: 1, max: 9 }).map(
    (count): Step =>
      (world) =>
        world.publish(count),
  ),
  fc.integer({ min: 1, max: 5 }).map(
    (count): Step =>
      (world) =>
        world.lose(count),
  ),
  fc.constant<Step>((world) => world.send()),
  fc.constant<Step>((world) => world.send()),
  fc.tuple(fc.nat(9), fc.nat(2)).map(
    ([which, copies]): Step =>
      (world) =>
        world.deliver(which, copies),
  ),
  fc.constant<Step>((world) => world.state()),
  fc.tuple(fc.nat(60), fc.boolean()).map(
    ([ms, good]): Step =>
      (world) =>
        world.tick(ms, good),
  ),
  fc.constant<Step>((world) => world.reconnect()),
  fc.constant<Step>((world) => world.state(false)),
);

remote('and their losses add up to what the host has counted, in order and none twice', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const world = new World();
      world.state();
      for (const each of steps) each(world);
      world.end();
      const { reader, history } = world;
      assert.is(reader.at, history.next);
      assert.is(reader.events + reader.missing, history.next - 1);
      assert.is(world.host.counted.lost, reader.missing);
    }),
    runs(400),
  );
});

remote('are complete if the host still has what the network has lost', () => {
  const world = new World();
  world.state();
  world.publish(10);
  for (let i = 0; i < 3; i++) world.send();
  world.deliver(0, 0); // 1 to 4 are lost on the way
  world.deliver(1, 1); // 9 and 10 come first
  world.deliver(0, 2);
  assert.is(world.reader.at, 1);
  world.tick(0, true);
  assert.is(world.host.counted.questions, 0, 'messages may come in another order');
  world.tick(10, true);
  world.deliver(0, 1);
  assert.is(world.reader.at, 11);
  assert.is(world.reader.missing, 0);
  assert.is(world.host.due, Infinity);
});

remote('are lost if no answer comes, and the reader goes on', () => {
  const world = new World();
  world.state();
  world.publish(8);
  world.send();
  world.send();
  world.deliver(0, 0);
  world.deliver(0, 1);
  for (let i = 0; i < 10; i++) world.tick(60, false);
  assert.is(world.host.counted.questions, REMOTE.questions);
  assert.is(world.reader.missing, 4);
  assert.is(world.reader.at, 9);
});

remote('end with the will of the present connection only', () => {
  const world = new World();
  world.state();
  world.connection = 2;
  world.state();
  world.connection = 1;
  world.state(false);
  assert.ok(world.reader.isThere, 'a late will');
  world.connection = 2;
  world.state(false);
  assert.not.ok(world.reader.isThere);
});

remote('go on in an earlier session whose host connects again, as its state was restored', () => {
  const world = new World();
  const takes = (session: string, connection: number, online = true): void =>
    world.host.takeState({ ...ONLINE, online, session, connection }, 0);
  const event = (session: string, seq: number, n: number): void =>
    world.host.takeMessage(
      { session, seq, pieces: [{ weight: 1, text: Buffer.from(`add@/x\nN=${n}\n`) }] },
      0,
    );
  takes('boot-1', 1000);
  event('boot-1', 1, 1);
  takes('boot-2', 2000);
  event('boot-2', 1, 2);
  takes('boot-2', 2000, false);
  takes('boot-1', 1000);
  assert.not.ok(world.reader.isThere, 'a state that the broker has kept');
  takes('boot-1', 3000, false);
  takes('boot-1', 3000);
  assert.ok(world.reader.isThere);
  event('boot-1', 2, 3);
  takes('boot-2', 2000, false);
  assert.ok(world.reader.isThere, 'a late will');
  assert.equal([world.reader.events, world.reader.missing], [3, 0]);
});

remote('of a later session begin at its first one, and the rest of the earlier one is lost', () => {
  const world = new World();
  world.state();
  world.publish(3);
  const state = (session: string, ended: HostState['ended']): void =>
    world.host.takeState({ ...ONLINE, session, next: 5, ended }, 0);
  state('boot-3', [
    { session: 'boot-1', next: 7 },
    { session: 'boot-2', next: 3 },
  ]);
  assert.is(world.reader.missing, 6 + 2);
  state('boot-2', []);
  world.tick(10, false);
  assert.is(world.host.counted.questions, 1);
  assert.is(world.host.due, 60, 'the state of an earlier session changes nothing');
});

remote('go on where a session stopped that a broker with an old state brings back', () => {
  const world = new World();
  world.state();
  const takes = (session: string, next: number, ended: HostState['ended'] = []): void =>
    world.host.takeState({ ...ONLINE, session, next, ended }, 0);
  const event = (session: string, seq: number, n: number): void =>
    world.host.takeMessage(
      { session, seq, pieces: [{ weight: 1, text: Buffer.from(`add@/x\nN=${n}\n`) }] },
      0,
    );
  event('boot-1', 1, 1);
  takes('later-1', 1, [{ session: 'boot-1', next: 2 }]);
  event('later-1', 1, 2);
  takes('boot-1', 2); // the broker was killed, and knows the host's state of yesterday
  takes('later-1', 2, [{ session: 'boot-1', next: 2 }]);
  event('later-1', 1, 2);
  event('later-1', 2, 3);
  assert.is(world.reader.events, 3);
  assert.is(world.reader.missing, 0);
  assert.is(world.host.due, Infinity, 'no event is asked for again');
});

remote('use bounded memory, of each host and of all', () => {
  const reader = new Reader();
  const memory = { bytes: 0, most: 4000 };
  const limits = { ...REMOTE, heldBytes: 3000 };
  const hosts = ['one', 'two'].map((name) => new RemoteHost(name, reader, limits, memory));
  for (const host of hosts) {
    host.takeState(ONLINE, 0);
    reader.isThere = false;
    // A gap before each of them, and losses alone.
    for (let n = 1; n <= 1000; n++)
      host.takeMessage({ session: 'a-1', seq: 2 * n, pieces: [{ weight: 1, text: null }] }, 0);
  }
  assert.ok(reader.missing > 3900, 'most gaps are counted as lost');
  assert.ok(memory.bytes > 2000 && memory.bytes <= 4500, String(memory.bytes));
  for (const host of hosts) {
    reader.isThere = true;
    host.end();
  }
  assert.is(memory.bytes, 0);
  assert.is(reader.missing, 4000);
});

remote('of one message that are no events are one loss', () => {
  const losses: number[] = [];
  const reader = Object.assign(new Reader(), {
    lost: (_: string, count: number) => losses.push(count),
  });
  const host = new RemoteHost('web1', reader, REMOTE);
  host.takeState(ONLINE, 0);
  const pieces = Array.from({ length: 5 }, () => ({ weight: 2, text: null }));
  host.takeMessage({ session: 'a-1', seq: 1, pieces }, 0);
  assert.equal(losses, [10]);
});

remote.run();
