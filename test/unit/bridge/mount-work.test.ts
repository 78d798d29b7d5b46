/** The calls to a fleet's mount that wait for a daemon that does not answer. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { MountWork } from '../../../fs/bridge/mount-work.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const tests = suite('the work on a mount of a fleet');

const HOSTS = ['web1', 'web2', 'db1'] as const;

/** The events of a host, as `N5`, and the sums of the losses between them, as `L7`. */
class Seen {
  readonly #list: string[] = [];
  #losses = 0;
  /** All losses. */
  lost = 0;

  loses(count: number): void {
    this.#losses += count;
    this.lost += count;
  }
  sees(n: number): void {
    this.#list.push(`L${this.#losses}`, `N${n}`);
    this.#losses = 0;
  }
  get text(): string {
    return [...this.#list, `L${this.#losses}`].join(' ');
  }
}

/** One host, as its events come, and as the mount gets them. */
class Host {
  readonly sent = new Seen();
  readonly got = new Seen();
  isOnline = false;
  /** The lost events when the host came last, and each time when it went. */
  lostAtStart = 0;
  readonly lostAtEnds = new Set<number>();
  hasDirectory = false;
  /** The lost events that the mount knew of when it made the directory. */
  gotAtStart = 0;

  /** Whether the host comes or goes now, which it does by turns. */
  turns(isOnline: boolean): boolean {
    if (isOnline === this.isOnline) return false;
    this.isOnline = isOnline;
    if (isOnline) this.lostAtStart = this.sent.lost;
    else this.lostAtEnds.add(this.sent.lost);
    return true;
  }

  appears(): void {
    assert.not.ok(this.hasDirectory);
    this.hasDirectory = true;
    this.gotAtStart = this.got.lost;
  }

  vanishes(): void {
    this.hasDirectory = false;
    assert.ok(this.lostAtEnds.has(this.got.lost), 'its last losses come before its end');
  }

  check(): void {
    assert.is(this.got.text, this.sent.text);
    assert.is(this.hasDirectory, this.isOnline);
    if (this.isOnline) assert.ok(this.gotAtStart <= this.lostAtStart, 'its directory has all');
  }
}

/** A mount whose daemon answers when the test says so. */
class SlowMount {
  readonly hosts = new Map(HOSTS.map((name): [string, Host] => [name, new Host()]));
  readonly work = new MountWork(
    {
      write: (records) => this.#call(() => records.forEach((each) => this.#take(each))),
      appears: (host) => this.#call(() => this.hosts.get(host)!.appears()),
      vanishes: (host) => this.#call(() => this.hosts.get(host)!.vanishes()),
    },
    () => undefined,
    (error) => (this.#failure = error),
  );
  records = 0;
  #answer: (() => void) | null = null;
  #failure: unknown = null;

  #call(effect: () => void): Promise<void> {
    const answered = new Promise<void>((done) => (this.#answer = done));
    return answered.then(effect);
  }

  #take(record: Buffer): void {
    this.records++;
    const text = record.toString();
    const { got } = this.hosts.get(/^HOST=(\w+)$/m.exec(text)![1])!;
    const lost = /^LOST=(\d+)$/m.exec(text);
    if (lost === null) got.sees(Number(/^N=(\d+)$/m.exec(text)![1]));
    else got.loses(Number(lost[1]));
  }

  /** Answers one call. @returns false if none waits */
  async answer(): Promise<boolean> {
    this.work.start();
    const answer = this.#answer;
    this.#answer = null;
    answer?.();
    await new Promise((done) => setImmediate(done));
    if (this.#failure !== null) throw this.#failure as Error;
    return answer !== null;
  }

  async answerAll(): Promise<void> {
    while (await this.answer());
    for (const host of this.hosts.values()) host.check();
  }
}

const step = fc.record({
  name: fc.constantFrom(...HOSTS),
  kind: fc.constantFrom('event', 'lost', 'lost', 'comes', 'goes', 'answer'),
  count: fc.integer({ min: 1, max: 9 }),
});

tests('keeps each loss at its place among the events and the ends of its host', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const mount = new SlowMount();
      for (const [n, { name, kind, count }] of steps.entries()) {
        const host = mount.hosts.get(name)!;
        if (kind === 'answer') await mount.answer();
        else if (kind === 'lost') {
          host.sent.loses(count);
          mount.work.lost(name, count);
        } else if (kind === 'event') {
          host.sent.sees(n);
          mount.work.put(name, Buffer.from(`add@/x\nN=${n}\nHOST=${name}\n\n`));
        } else if (host.turns(kind === 'comes')) mount.work.change(name, host.isOnline);
      }
      await mount.answerAll();
    }),
    runs(300),
  );
});

tests('is bounded, whatever hosts without events lose while the daemon hangs', async () => {
  const mount = new SlowMount();
  const turn = (): void => {
    for (const [name, host] of mount.hosts) {
      for (const isOnline of [false, true]) {
        host.turns(isOnline);
        mount.work.change(name, isOnline);
        for (let count = 1; count < 9; count++) {
          host.sent.loses(count);
          mount.work.lost(name, count);
        }
      }
    }
  };
  for (const [name, host] of mount.hosts) {
    host.turns(true);
    mount.work.change(name, true);
  }
  await mount.answerAll();
  mount.records = 0;
  for (let n = 0; n < 10_000; n++) turn();
  assert.not.ok(mount.work.isBusy);
  await mount.answerAll();
  assert.ok(mount.records <= 3 * HOSTS.length, `${mount.records} records`);
});

tests('keeps a sum that is a number', async () => {
  const mount = new SlowMount();
  mount.work.lost('web1', Number.MAX_SAFE_INTEGER);
  mount.work.lost('web1', 1);
  while (await mount.answer());
  assert.is(mount.hosts.get('web1')!.got.lost, Number.MAX_SAFE_INTEGER);
});

tests.run();
