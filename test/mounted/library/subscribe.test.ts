/** subscribe() and publish(), in a process beside the daemon. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { type DeviceEvent, Filter, type NewEvent, publish, subscribe } from '../../../fs/index.js';
import { statusOf } from '../../support/clients/clients.js';
import { EVENTFS_NODE, makeUevent, run, until, within } from '../../support/mount/daemon.js';
import { configured } from '../../support/mount/config.js';
import { daemon, mounted, nothingIsOpen } from '../../support/mount/mounted.js';
import { failure, take, waitingBytes } from './common.js';

const RING_EVENTS = 1024;

const library = mounted('the library', [
  ...configured(`[log]\nring_events = ${RING_EVENTS}\n`).slice(2),
]);

/** Publishes one event for each devpath, in one call. */
async function send(...paths: readonly string[]): Promise<void> {
  const events = paths.map((devpath): NewEvent => ({
    action: 'add',
    devpath,
    properties: { SUBSYSTEM: 'mine' },
  }));
  await publish(events, { mount: daemon.path });
}

library('returns the events of a filter, in order, with their properties', async () => {
  const events = subscribe({ mount: daemon.path, filter: 'SUBSYSTEM==mine, DEVPATH!=/no' });
  await events.ready;
  await publish(
    [
      { action: 'change', devpath: '/a', properties: { SUBSYSTEM: 'mine', LABEL: 'Übung' } },
      { action: 'add', devpath: '/no', properties: { SUBSYSTEM: 'mine' } },
      { action: 'add', devpath: '/b' },
      { action: 'add', devpath: '/c', properties: { SUBSYSTEM: 'mine', SEQNUM: 17 } },
    ],
    { mount: daemon.path },
  );
  const { value } = await events.next();
  const { type, action, devpath, subsystem, seqnum, properties } = value as DeviceEvent;
  assert.equal(
    [type, action, devpath, subsystem, seqnum],
    ['event', 'change', '/a', 'mine', undefined],
  );
  assert.is(properties.LABEL, 'Übung');
  assert.equal(await take(events, 1), ['/c']);
  await events.return();
});

/** Returns the reason of a rejection; null if there is none. */
const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

library('rejects ready with the reason of an abort, whatever is under way then', async () => {
  const reason = new Error('enough');
  for (const options of [{}, { since: 0 }, { since: 0, filter: 'SUBSYSTEM==mine' }])
    for (let delay = -1; delay < 8; delay++) {
      const control = new AbortController();
      const events = subscribe({ mount: daemon.path, ...options, signal: control.signal });
      const opened = reasonOf(events.ready);
      if (delay >= 0) await sleep(delay);
      control.abort(reason);
      const failed = await opened;
      assert.ok(failed === null || failed === reason, String(failed));
      assert.is(await reasonOf(events.next()), reason);
    }
  const events = subscribe({ mount: daemon.path, since: 0 });
  const ended = events.return();
  await events.ready;
  await ended;
  await nothingIsOpen();
  assert.equal(readdirSync(daemon.path).sort(), ['log', 'match', 'publish']);
});

library('takes the filter of another copy of the package', async () => {
  const filter = { text: 'DEVPATH==/copy' } as unknown as Filter;
  const events = subscribe({ mount: daemon.path, filter });
  await events.ready;
  await send('/other', '/copy');
  assert.equal(await take(events, 1), ['/copy']);
  await events.return();
});

library('has one listener on a signal of many subscriptions', async () => {
  const warnings: Error[] = [];
  const warned = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', warned);
  const control = new AbortController();
  const all = Array.from({ length: 12 }, () =>
    subscribe({ mount: daemon.path, signal: control.signal }),
  );
  await Promise.all(all.map(({ ready }) => ready));
  const waiting = all.map((one) => one.next().then(() => 'event', String));
  await all[0].return();
  control.abort(new Error('enough'));
  const ends = await Promise.all(waiting);
  assert.equal(ends, ['event', ...ends.slice(1).fill('Error: enough')]);
  process.off('warning', warned);
  assert.equal(warnings, []);
});

library('applies a filter that can not be a file name itself', async () => {
  const filter = new Filter('DEVPATH==/a/b; DEVPATH==/c');
  const events = subscribe({ mount: daemon.path, filter });
  await events.ready;
  await send('/x', '/a/b', '/y', '/c');
  assert.equal(await take(events, 2), ['/a/b', '/c']);
  await events.return();
});

library('reads the kernel without a mount', async () => {
  const events = subscribe({ netlink: 'kernel', filter: 'SUBSYSTEM==mem, ACTION==change' });
  await events.ready;
  await makeUevent('add');
  await makeUevent('change');
  const { value } = await within(20_000, events.next(), 'no uevent came');
  const { action, devpath, seqnum } = value as DeviceEvent;
  assert.equal([action, devpath], ['change', '/devices/virtual/mem/null']);
  assert.ok(seqnum! > 0);
  await events.return();
});

library('leaves events in the kernel while no loop wants them, and loses none', async () => {
  const events = subscribe({ netlink: 'kernel', filter: 'SUBSYSTEM==mem, SYNTH_UUID==0' });
  await events.ready;
  await makeUevent('add');
  await take(events, 1);
  for (let n = 0; n < 300; n++) await makeUevent(n % 2 === 0 ? 'bind' : 'unbind');
  await sleep(50);
  assert.ok(waitingBytes(1) > 0, 'the kernel keeps nothing');
  const actions: string[] = [];
  while (actions.length < 300) {
    const { value } = await within(20_000, events.next(), `${actions.length} uevents came`);
    actions.push((value as DeviceEvent).action);
  }
  assert.ok(actions.every((action, n) => action === (n % 2 === 0 ? 'bind' : 'unbind')));
  await events.return();
});

library('begins with the kept events after a SEQNUM, and leaves no directory', async () => {
  const since = Number(readFileSync('/sys/kernel/uevent_seqnum', 'latin1'));
  await makeUevent('add');
  await makeUevent('remove');
  const all = [1, 2].map(() =>
    subscribe({ mount: daemon.path, filter: 'SUBSYSTEM==mem, ACTION==remove', since }),
  );
  for (const events of all) {
    const { value } = await within(20_000, events.next(), 'the kept event did not come');
    assert.ok((value as DeviceEvent).seqnum! > since);
  }
  const own = (): string[] =>
    readdirSync(daemon.path).filter((name) => name.startsWith(`${process.pid}.`));
  assert.is(own().length, 2);
  for (const events of all) await events.return();
  assert.equal(own(), []);
});

library('counts what a slow loop has lost, at its place', async () => {
  const events = subscribe({ mount: daemon.path, filter: 'SUBSYSTEM==mine' });
  await events.ready;
  await send('/first');
  assert.equal(await take(events, 1), ['/first']);
  const names = Array.from({ length: 3 * RING_EVENTS }, (_, n) => `/n${n}`);
  await send(...names);
  const [lost, ...rest] = await take(events, 2);
  assert.type(lost, 'number');
  assert.is(rest[0], names[lost as number]);
  assert.ok((lost as number) >= 2 * RING_EVENTS, `${lost} lost`);
  await events.return();
});

library('serves several loops, and side-by-side readers of one', async () => {
  const both = [1, 2].map(() => subscribe({ mount: daemon.path, filter: 'SUBSYSTEM==mine' }));
  await Promise.all(both.map(({ ready }) => ready));
  const waiting = [both[0].next(), both[0].next(), both[1].next()];
  await send('/a', '/b');
  const got = await within(20_000, Promise.all(waiting), 'no events came');
  assert.equal(
    got.map(({ value }) => (value as DeviceEvent).devpath),
    ['/a', '/b', '/a'],
  );
  await Promise.all(both.map((events) => events.return()));
});

library('ends by its signal, by return() and by the end of a loop', async () => {
  const control = new AbortController();
  const events = subscribe({ mount: daemon.path, signal: control.signal });
  await events.ready;
  const waiting = events.next();
  control.abort(new Error('enough'));
  assert.is(await waiting.catch(String), 'Error: enough');

  const other = subscribe({ mount: daemon.path });
  await other.ready;
  const last = other.next();
  await other.return();
  assert.equal(await last, { done: true, value: undefined });

  const third = subscribe({ mount: daemon.path, filter: 'SUBSYSTEM==mine' });
  await third.ready;
  await send('/a');
  for await (const event of third) {
    assert.is(event.type, 'event');
    break;
  }
  await nothingIsOpen();
});

library('says what is wrong and what to do', async () => {
  const outside = await failure(subscribe({ mount: '/proc' }).ready);
  assert.is(outside.code, 'NOT_MOUNTED');
  assert.match(outside.message, '/proc: eventfs is not mounted here (run eventfs mount /proc');
  const nowhere = await failure(publish({ action: 'a', devpath: '/x' }, { mount: '/no/where' }));
  assert.is(nowhere.code, 'NOT_MOUNTED');
  const long = await failure(
    publish(
      { action: 'add', devpath: '/x', properties: { LONG: 'x'.repeat(70_000) } },
      { mount: daemon.path },
    ),
  );
  assert.is(long.code, 'BAD_EVENT');
  const below = subscribe({ mount: `${daemon.path}/log` });
  assert.is((await failure(below.ready)).code, 'NOT_MOUNTED');
  const filter = `DEVPATH==/${'x'.repeat(100_000)}`;
  const tooLong = await failure(subscribe({ mount: daemon.path, filter, since: 0 }).next());
  assert.equal([tooLong.code, tooLong.errno], ['REFUSED', 'EFBIG']);
  assert.match(tooLong.message, /[.]filter: File too large [(]shorten the filter/);
});

library('accepts a symlink to the mount, and events of the command', async () => {
  const events = subscribe({ mount: daemon.path, filter: 'SUBSYSTEM==mine' });
  await events.ready;
  const { code } = await run([
    ...[...EVENTFS_NODE, 'emit', '--mount', daemon.path],
    ...['ACTION=add', 'DEVPATH=/by/emit', 'SUBSYSTEM=mine'],
  ]);
  assert.is(code, 0);
  assert.equal(await take(events, 1), ['/by/emit']);
  await events.return();
});

library(
  'waits for a daemon that hangs neither in the event loop nor in the pool',
  async () => {
    const count = 6; // libuv's pool has four threads
    const all = Array.from({ length: count }, () => subscribe({ mount: daemon.path }));
    await Promise.all(all.map(({ ready }) => ready));
    const waiting = all.map((events) => events.next());
    process.kill(daemon.pid, 'SIGSTOP');
    try {
      const began = performance.now();
      const late = subscribe({ mount: daemon.path });
      const refused = [
        failure(late.ready),
        failure(publish({ action: 'add', devpath: '/x' }, { mount: daemon.path })),
      ];
      let turns = 0;
      const timer = setInterval(() => turns++, 5);
      await Promise.all([1, 2, 3, 4, 5].map(() => readFile('/proc/self/stat')));
      assert.ok(performance.now() - began < 1000, 'the pool waits');
      for (const error of await Promise.all(refused)) {
        assert.is(error.code, 'DAEMON_STUCK');
        assert.match(error.message, 'does not answer within 2 s (run eventfs umount');
      }
      clearInterval(timer);
      assert.ok(turns > 100, `the event loop turned ${turns} times in 2 s`);
      const ending = performance.now();
      await Promise.all(all.map((events) => events.return()));
      assert.ok(performance.now() - ending < 4000, 'return() waits for the daemon');
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
    for (const { done } of await Promise.all(waiting)) assert.ok(done);
    await nothingIsOpen();
    await until(() => statSync(`${daemon.path}/publish`).isFile(), 'the daemon does not go on');
    assert.is(statusOf(`${daemon.path}/log`).STREAMS, '0');
  },
  60_000,
);

library.run();
