/**
 * Readers of streams that are too slow: each lost event is counted, and the reader gets the number.
 */
import * as assert from 'uvu/assert';
import { constants } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Calls,
  Reader,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted } from '../../support/mount/mounted.js';
import { drain, drainText, numbers } from './common.js';

const lagging = mounted('a slow reader');

lagging('gets the exact number of lost events, and then the newest in order', async () => {
  const calls = new Calls();
  await calls.open(1, `${daemon.path}/stream`, constants.O_RDONLY | constants.O_NONBLOCK);
  publishNumbered(daemon.path, 10_000);
  const records = await drain(calls, 1);
  const lost = Number(valuesOf('LOST', records)[0]);
  assert.match(records[0], /^overflow@\/eventfs\nACTION=overflow\n/);
  assert.is(lost, 10_000 - 4096);
  assert.equal(valuesOf('N', records.slice(1)), numbers(4096, lost));
  publishNumbered(daemon.path, 1);
  assert.equal(valuesOf('N', await drain(calls, 1)), ['0']);
  await calls.end();
});

lagging('of match/ gets a number that counts only lost events that match its filter', async () => {
  const calls = new Calls();
  await calls.open(
    1,
    `${daemon.path}/match/KIND==third`,
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  await calls.open(
    2,
    `${daemon.path}/match/KIND==never`,
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  publish(
    daemon.path,
    ...numbers(10_000).map((n) =>
      eventText('/x', { N: n, KIND: Number(n) % 3 === 0 ? 'third' : 'other' }),
    ),
  );
  assert.is(Number(statusOf(`${daemon.path}/log`).STREAM_0.match(/lost=(\d+)/)![1]) > 0, true);
  const records = await drain(calls, 1);
  const lost = Number(valuesOf('LOST', records)[0]);
  assert.equal(
    valuesOf('N', records.slice(1)),
    numbers(10_000)
      .filter((n) => Number(n) % 3 === 0)
      .slice(lost),
  );
  assert.ok(lost > 1900 && lost < 2000, String(lost));
  assert.is((await calls.call('read', 2, 100)).errno, 'EAGAIN');
  await calls.end();
});

lagging('gets an overflow record for each of several losses', async () => {
  const calls = new Calls();
  await calls.open(1, `${daemon.path}/stream`, constants.O_RDONLY | constants.O_NONBLOCK);
  let [got, lost] = [0, 0];
  for (let round = 0; round < 3; round++) {
    publishNumbered(daemon.path, 5000);
    const { bytes } = await calls.call('read', 1, 1000);
    const records = bytes.split('\n\n').slice(0, -1);
    lost += Number(valuesOf('LOST', records)[0]);
    got += records.length - 1;
  }
  const rest = await drain(calls, 1);
  assert.is(got + lost + rest.length, 15_000);
  await calls.end();
});

lagging('gets the rest of a record that it has begun to read before it gets the loss', async () => {
  for (const path of [`${daemon.path}/stream`, `${daemon.path}/match/DEVPATH=*`]) {
    const calls = new Calls();
    await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
    publishNumbered(daemon.path, 2);
    const { bytes: start } = await calls.call('read', 1, 7);
    publishNumbered(daemon.path, 6000, 2);
    const text = start + (await drainText(calls, 1));
    const records = text.split('\n\n').slice(0, -1);
    assert.is(`${records[0]}\n`, eventText('/devices/n', { N: 0 }));
    assert.is(valuesOf('LOST', records)[1], String(6001 - 4096));
    assert.equal(valuesOf('N', records.slice(2)), numbers(4096, 6002 - 4096));
    await calls.end();
  }
});

lagging(
  'reads every event or gets it counted as lost, beside other readers and with small reads',
  async () => {
    const own = await directory();
    const count = 20_000;
    const kinds: readonly (readonly [string, (n: number) => boolean])[] = [
      ['stream', () => true],
      ['match/N==*7', (n) => n % 10 === 7],
      ['match/ODD==1', (n) => n % 2 === 1],
      [`${basename(own)}/.stream`, () => true],
    ];
    const commands = [
      ['cat'],
      ['dd', 'status=none', 'bs=100', 'if=/dev/stdin'],
      ['dd', 'status=none', 'bs=64k', 'if=/dev/stdin'],
    ];
    const readers: { reader: Reader; mine: (n: number) => boolean }[] = [];
    for (const [name, mine] of kinds) {
      for (let i = 0; i < (name.endsWith('.stream') ? 1 : 6); i++) {
        const command = commands[i % 3];
        const redirected = ['bash', '-c', `exec < "$0"; exec ${command.join(' ')}`];
        readers.push({ reader: await Reader.on(`${daemon.path}/${name}`, redirected), mine });
      }
    }
    for (let n = 0; n < count; n += 500) {
      publish(
        daemon.path,
        ...numbers(500, n).map((text) => eventText('/x', { N: text, ODD: Number(text) % 2 })),
      );
      await sleep((n / 500) % 7);
    }
    publish(
      daemon.path,
      ...numbers(10).map((n) => eventText('/end', { N: `${n}7`, ODD: 1, END: n })),
    );
    for (const { reader, mine } of readers) {
      await until(
        () => reader.text.endsWith('END=9\n\n'),
        `the reader of ${reader.path} did not get the last event`,
        20_000,
      );
      const records = reader.records.slice(0, -10);
      const lost = valuesOf(
        'LOST',
        records.filter((record) => record.startsWith('overflow@')),
      ).reduce((sum, value) => sum + Number(value), 0);
      const got = valuesOf(
        'N',
        records.filter((record) => record.startsWith('add@')),
      ).map(Number);
      assert.is(got.length + lost, numbers(count).map(Number).filter(mine).length, reader.path);
      assert.ok(
        got.every((n, i) => mine(n) && (i === 0 || n > got[i - 1])),
        `${reader.path} is not in order`,
      );
    }
  },
  60_000,
);

lagging.run();
