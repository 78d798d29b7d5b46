/** `head` and `tail` while other processes change the queue: they always lead to a real end. */
import * as assert from 'uvu/assert';
import { constants } from 'node:fs';
import { Calls } from '../../support/clients/clients.js';
import { directory, mounted } from '../../support/mount/mounted.js';

const ROUNDS = 3000;
/** How many events the queue holds at least. */
const DEPTH = 4;
const { O_WRONLY, O_CREAT } = constants;

const ends = mounted('head and tail');

/** Creates `first`, `first + 1`, ... and takes the oldest off each time; all at once, in order. */
async function turnOver(calls: Calls, own: string, first: number, rounds: number): Promise<void> {
  const answers = [];
  for (let n = first; n < first + rounds; n++) {
    answers.push(
      calls.begin('open', 1, `${own}/${n}`, O_WRONLY | O_CREAT, 0o644),
      calls.begin('write', 1, `text of ${n}`),
      calls.begin('close', 1),
    );
    // Also through a name that the order must survive.
    answers.push(
      calls.begin('rename', `${own}/${n}`, `${own}/renamed`, 0),
      calls.begin('rename', `${own}/renamed`, `${own}/${n}`, 0),
    );
    answers.push(calls.begin('unlink', `${own}/head`));
  }
  for (const { value, errno } of await Promise.all(answers)) assert.ok(value >= 0, errno);
}

async function prepared(): Promise<{
  own: string;
  writer: Calls;
  reader: Calls;
  turned: () => Promise<void>;
}> {
  const own = await directory();
  const [writer, reader] = [new Calls(), new Calls()];
  for (let n = 0; n < DEPTH; n++) {
    await writer.open(1, `${own}/${n}`, O_WRONLY | O_CREAT);
    await writer.call('write', 1, `text of ${n}`);
    await writer.call('close', 1);
  }
  return { own, writer, reader, turned: () => turnOver(writer, own, DEPTH, ROUNDS) };
}

ends(
  'are there at every moment, and move on in order only',
  async () => {
    const { own, writer, reader, turned } = await prepared();
    let over = false;
    const turning = turned().finally(() => (over = true));
    const last = { head: -1, tail: -1 };
    let looked = 0;
    while (!over) {
      const answers = Array.from({ length: 100 }, (_, n) =>
        reader.begin('readlink', `${own}/${n % 2 === 0 ? 'head' : 'tail'}`),
      );
      for (const [n, answer] of answers.entries()) {
        const { errno, bytes } = await answer;
        assert.is(errno, '');
        const end = n % 2 === 0 ? 'head' : 'tail';
        if (bytes === 'renamed') continue;
        assert.ok(Number(bytes) >= last[end], `${end} went from ${last[end]} to ${bytes}`);
        last[end] = Number(bytes);
        looked++;
      }
    }
    await turning;
    assert.ok(looked > 100);
    for (const [end, n] of [
      ['head', ROUNDS],
      ['tail', ROUNDS + DEPTH - 1],
    ] as const)
      assert.is((await reader.call('readlink', `${own}/${end}`)).bytes, String(n));
    await writer.end();
    await reader.end();
  },
  120_000,
);

ends(
  'open a whole event or, if that has been taken off in between, none',
  async () => {
    const { own, writer, reader, turned } = await prepared();
    let over = false;
    const turning = turned().finally(() => (over = true));
    let [read, last] = [0, -1];
    while (!over) {
      const answers = Array.from({ length: 50 }, () => [
        reader.begin('open', 1, `${own}/head`, 0, 0),
        reader.begin('read', 1, 100),
        reader.begin('close', 1),
      ]);
      for (const [opened, got] of answers) {
        const { errno } = await opened;
        assert.ok(errno === '' || errno === 'ENOENT' || errno === 'ESTALE', errno);
        if (errno !== '') continue;
        const { bytes } = await got;
        const [, n] = /^text of (\d+)$/.exec(bytes) ?? [];
        assert.ok(Number(n) >= last, `${bytes} after ${last}`);
        last = Number(n);
        read++;
      }
    }
    await turning;
    assert.ok(read > 0);
    await writer.end();
    await reader.end();
  },
  120_000,
);

ends.run();
