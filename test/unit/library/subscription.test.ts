/** The iterator of a subscription, with batches from memory. */
import * as assert from 'uvu/assert';
import { type EventText, parseEvent } from '../../../fs/client/events/text.js';
import { BatchSubscription, type EventBatches } from '../../../fs/library/subscription.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { overflowText } from '../../../fs/uevent/text.js';
import { suite } from '../../support/runner/suite.js';

const subscription = suite('a subscription');

const event = (name: string): string => `add@/${name}\nACTION=add\nDEVPATH=/${name}\n`;
const loss = (count: number): string => overflowText(count).toString('latin1');

/** A source whose batches the test delivers. */
class Memory implements EventBatches {
  takes = 0;
  isClosed = false;
  #deliver: ((batch: Iterable<EventText>) => void) | null = null;
  #fail: ((error: Error) => void) | null = null;

  constructor(private readonly opened: Promise<Filter | null> = Promise.resolve(null)) {}

  open(): Promise<Filter | null> {
    return this.opened;
  }

  take(): Promise<Iterable<EventText>> {
    this.takes++;
    return new Promise((deliver, fail) => {
      this.#deliver = deliver;
      this.#fail = fail;
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }

  deliver(...texts: string[]): void {
    this.#deliver!(texts.map((text) => parseEvent(text)));
  }

  fail(error: Error): void {
    this.#fail!(error);
  }
}

/** Lets all promises that are settled by now run their reactions. */
const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

function names(results: readonly IteratorResult<unknown, undefined>[]): unknown[] {
  return results.map(({ done, value }) => {
    if (done === true) return 'done';
    const { type, devpath, lost } = value as { type: string; devpath?: string; lost?: number };
    return type === 'loss' ? lost : devpath;
  });
}

subscription('takes a batch only if a reader waits and none is left', async () => {
  const source = new Memory();
  const events = new BatchSubscription(source);
  await turn();
  assert.is(source.takes, 0);
  const first = events.next();
  await turn();
  assert.is(source.takes, 1);
  source.deliver(event('a'), event('b'), event('c'));
  assert.equal(names([await first, await events.next()]), ['/a', '/b']);
  await turn();
  assert.is(source.takes, 1);
  assert.equal(names([await events.next()]), ['/c']);
  await turn();
  assert.is(source.takes, 1);
  const last = events.next();
  await turn();
  assert.is(source.takes, 2);
  await events.return();
  assert.equal(names([await last]), ['done']);
});

subscription('serves readers that wait side by side in their order', async () => {
  const source = new Memory();
  const events = new BatchSubscription(source);
  const waiting = [events.next(), events.next(), events.next()];
  await turn();
  assert.is(source.takes, 1);
  source.deliver(event('a'), event('b'));
  await turn();
  assert.is(source.takes, 2);
  source.deliver(event('c'));
  assert.equal(names(await Promise.all(waiting)), ['/a', '/b', '/c']);
  await events.return();
});

subscription('applies the filter that the source leaves to it, and lets losses pass', async () => {
  const source = new Memory(Promise.resolve(Filter.parse('DEVPATH==/b*')));
  const events = new BatchSubscription(source);
  const waiting = [events.next(), events.next()];
  await turn();
  source.deliver(event('a'));
  await turn();
  assert.is(source.takes, 2);
  source.deliver(event('a'), loss(7), event('b'));
  assert.equal(names(await Promise.all(waiting)), [7, '/b']);
  await events.return();
});

subscription('passes an error to the first reader, and is at its end then', async () => {
  const source = new Memory();
  const events = new BatchSubscription(source);
  const waiting = [events.next(), events.next()];
  await turn();
  source.fail(new Error('the end'));
  const [first, second] = await Promise.allSettled(waiting);
  assert.is(String((first as PromiseRejectedResult).reason), 'Error: the end');
  assert.equal(second, { status: 'fulfilled', value: { done: true, value: undefined } });
  assert.ok(source.isClosed);
  assert.equal(names([await events.next()]), ['done']);
});

subscription('keeps an error of the opening for the next reader', async () => {
  const source = new Memory(Promise.reject(new Error('no mount')));
  const events = new BatchSubscription(source);
  await turn();
  assert.ok(source.isClosed);
  const outcomes = await Promise.allSettled([events.ready, events.next(), events.next()]);
  assert.equal(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled'],
  );
});

subscription('ends with the reason of the signal, also if that has aborted before', async () => {
  for (const isEarly of [true, false]) {
    const source = new Memory();
    const control = new AbortController();
    if (isEarly) control.abort(new Error('enough'));
    const events = new BatchSubscription(source, control.signal);
    const waiting = events.next();
    if (!isEarly) control.abort(new Error('enough'));
    try {
      await waiting;
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, 'enough');
    }
    assert.ok(source.isClosed);
    assert.equal(names([await events.next()]), ['done']);
  }
});

subscription('leaves no listener at the signal after its end', async () => {
  const control = new AbortController();
  let listeners = 0;
  const { signal } = control;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (
    listeners--,
    remove(...args)
  );
  const events = new BatchSubscription(new Memory(), signal);
  assert.is(listeners, 1);
  await events.return();
  assert.is(listeners, 0);
});

subscription('drops the rest of a batch when a loop is left', async () => {
  const source = new Memory();
  const events = new BatchSubscription(source);
  void turn().then(() => source.deliver(event('a'), event('b')));
  for await (const one of events) {
    assert.is(one.type, 'event');
    break;
  }
  assert.ok(source.isClosed);
  assert.equal(names([await events.next()]), ['done']);
});

subscription.run();
