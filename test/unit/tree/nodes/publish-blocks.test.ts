/**
 * `publish` without a mount: records in blocks of any size are published whole, or the writer gets
 * an error.
 */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { MAX_EVENT_BYTES } from '../../../../fs/uevent/text.js';
import { MAX_WRITE_BYTES } from '../../../../fs/shared/kernel/write-size.js';
import { runs } from '../../../support/runner/budget.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, O_WRONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';

const publishing = suite('publish in blocks');

/** An open `publish`, and the texts of its events without their last line ends. */
class Publisher {
  readonly kernel = MemoryKernel.started();
  readonly events: string[] = [];
  readonly fh: number;

  constructor() {
    this.kernel.bus.attach({
      take: (event) => void this.events.push(event.text.slice(0, -1)),
      settle: () => false,
    });
    this.fh = this.kernel.open(this.kernel.walk('publish'), O_WRONLY);
  }

  /**
   * Makes one write(2) of at most MAX_WRITE_BYTES. Returns the bytes written, or the errno's name.
   */
  write(text: string): number | string {
    let taken = 0;
    const code = refusal(() => (taken = this.kernel.write(this.fh, text)));
    return code === 'none' ? taken : code;
  }

  /**
   * Writes as full_write() of coreutils does: it writes the rest after a short write. Returns '' or
   * the errno's name.
   */
  writeAll(text: string): string {
    for (let done = 0; done < text.length;) {
      const taken = this.write(text.slice(done, done + MAX_WRITE_BYTES));
      if (typeof taken === 'string') return taken;
      assert.ok(taken > 0, 'write(2) took nothing');
      done += taken;
    }
    return '';
  }

  close(): void {
    this.kernel.release(this.fh);
    assert.equal(this.kernel.warnings, []);
    this.kernel.close();
  }

  get cut(): number {
    return this.kernel.bus.counted.cut;
  }
}

const value = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', maxLength: 30 }).map((text) => text.replaceAll('\n', '')),
  fc.nat({ max: 3000 }).map((length) => 'y'.repeat(length)),
);
const record = fc
  .array(value, { minLength: 1, maxLength: 4 })
  .map((values) =>
    ['add@/devices/r', 'ACTION=add', ...values.map((text, i) => `KEY${i}=${text}`)].join('\n'),
  );
const recordList = fc.array(record, { minLength: 1, maxLength: 12 });

/** Returns the text in blocks of the given sizes, repeated. */
function blocksOf(text: string, sizes: readonly number[]): string[] {
  const blocks: string[] = [];
  for (let at = 0, i = 0; at < text.length; at += sizes[i++ % sizes.length])
    blocks.push(text.slice(at, at + sizes[i % sizes.length]));
  return blocks;
}

publishing(
  'publishes each record once and whole for any block sizes, once a block has ended inside the second record',
  () => {
    fc.assert(
      fc.property(
        recordList,
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 3 }),
        (all, sizes, lineEnds) => {
          const publisher = new Publisher();
          const text = all.map((each) => `${each}${'\n'.repeat(1 + lineEnds)}`).join('');
          for (const block of ['add@/one\n\nadd@/t', ...blocksOf(`wo\n\n${text}`, sizes)])
            assert.is(publisher.writeAll(block), '');
          publisher.close();
          assert.equal(publisher.events, ['add@/one', 'add@/two', ...all]);
          assert.is(publisher.cut, 0);
        },
      ),
      runs(300),
    );
  },
);

publishing('publishes each record once and whole where the kernel splits a large write', () => {
  for (const size of [10, 1000, 1300, MAX_EVENT_BYTES - 20]) {
    const publisher = new Publisher();
    const all = Array.from(
      { length: Math.ceil(400_000 / size) },
      (_, n) => `add@/r\nN=${n}\nX=${'y'.repeat(size)}`,
    );
    assert.is(publisher.writeAll(all.map((each) => `${each}\n\n`).join('')), '');
    publisher.close();
    assert.equal(publisher.events, all);
  }
});

publishing('publishes no part of a record if its writer ends within a line, and counts it', () => {
  fc.assert(
    fc.property(recordList, fc.nat(), (all, at) => {
      const publisher = new Publisher();
      const text = all.map((each) => `${each}\n\n`).join('');
      const length = all[0].length + 2 + (at % (text.length - all[0].length - 1));
      assert.is(publisher.writeAll(text.slice(0, length)), '');
      const whole = text.slice(0, length).split('\n\n').slice(0, -1);
      const rest = text.slice(0, length).slice(whole.join('\n\n').length + 2);
      publisher.close();
      const isCut = rest !== '' && !rest.endsWith('\n');
      assert.equal(publisher.events, rest === '' || isCut ? whole : [...whole, rest.slice(0, -1)]);
      assert.is(publisher.cut, isCut ? 1 : 0);
    }),
    runs(300),
  );
});

publishing(
  'accepts a last record without an empty line at close(2), or before the next header',
  () => {
    const publisher = new Publisher();
    assert.is(publisher.write('add@/a\nN=1\n\nadd@/b\nN=2\n'), 12);
    assert.is(publisher.write('add@/b\nN=2\n'), 11);
    assert.equal(publisher.events, ['add@/a\nN=1']);
    assert.is(publisher.write('add@/c\nN=3\n'), 11);
    assert.equal(publisher.events, ['add@/a\nN=1', 'add@/b\nN=2']);
    publisher.close();
    assert.equal(publisher.events, ['add@/a\nN=1', 'add@/b\nN=2', 'add@/c\nN=3']);
  },
);

publishing('publishes a write of one event at once, also after writes of several', () => {
  const publisher = new Publisher();
  assert.is(publisher.writeAll('add@/a\nN=1\n\nadd@/b\nN=2\n\n'.repeat(300)), '');
  assert.is(publisher.events.length, 600);
  assert.is(publisher.write('add@/c\nN=3\n'), 11);
  assert.is(publisher.write('add@/d\nN=4'), 10);
  assert.equal(publisher.events.slice(600), ['add@/c\nN=3', 'add@/d\nN=4']);
  publisher.close();
});

publishing('publishes an event of its own after a short write whose rest the writer omits', () => {
  const publisher = new Publisher();
  assert.is(publisher.write('add@/a\nN=1\n\nadd@/b\nN=2\nLONG=1\n'), 12);
  assert.is(publisher.write('add@/c\nN=3\n'), 11);
  assert.equal(publisher.events, ['add@/a\nN=1', 'add@/c\nN=3']);
  publisher.close();
});

publishing('ends a write that holds the daemon for too long, to the end of a record', () => {
  const publisher = new Publisher();
  const text = 'add@/x\nN=1\n\n'.repeat(10_000); // 10 ms of work or more
  const taken = publisher.write(text);
  assert.type(taken, 'number');
  assert.ok(Number(taken) < text.length, `${taken} of ${text.length} bytes in one write`);
  assert.is(taken, publisher.events.length * 12);
  assert.is(publisher.writeAll(text.slice(Number(taken))), '');
  assert.is(publisher.events.length, 10_000);
  publisher.close();
});

publishing("keeps a partly accepted write's rest until an empty line ends it", () => {
  const publisher = new Publisher();
  assert.is(publisher.writeAll(`${'add@/x\nN=1\n\n'.repeat(256)}add@/y\nN=tw`), '');
  assert.is(publisher.events.length, 256);
  assert.is(publisher.write('o\n\n'), 3);
  assert.is(publisher.events.at(-1), 'add@/y\nN=two');
  publisher.close();
});

publishing('reports an invalid record by a short write, then by EINVAL', () => {
  for (const bad of [
    'nonsense\n\n',
    'add@/y\nnonsense\n',
    'add@/y\nnonsense\nX=',
    'add@/y\n=1\n\nadd@/z\n\n',
  ]) {
    const publisher = new Publisher();
    assert.is(publisher.write(`add@/x\nN=1\n\n${bad}`), 12, bad);
    assert.is(publisher.write(bad), 'EINVAL', bad);
    publisher.close();
    assert.equal(publisher.events, ['add@/x\nN=1'], bad);
  }
});

publishing(
  'refuses a larger event than allowed with EFBIG, in any form and any number of writes',
  () => {
    const large = 'v'.repeat(MAX_EVENT_BYTES);
    const largest = 'v'.repeat(MAX_WRITE_BYTES - 20);
    const forms: readonly (readonly string[])[] = [
      [`add@/x\nV=${large}\n`],
      [`add@/x\nV=${large}`],
      [`add@/x\nV=${large}\n\n`],
      [`add@/x\0V=${large}\0`],
      [`add@/x\0V=${largest}`], // the first piece of a larger write
      [`add@/x\nV=${largest}`],
      [`add@/x\nnonsense\nV=${large}`],
      ['add@/x\n', `V=${large}\n`],
      ['add@/x\n', 'V=', large],
      ['add@/w\n\nadd@/x\nV=', large],
      ['add@/w\n\nadd@/x\nV=', large.slice(100), large],
      [`${large}v`],
      ['\0'.repeat(MAX_EVENT_BYTES + 1)],
    ];
    for (const writes of forms) {
      const publisher = new Publisher();
      const outcomes = writes.map((text) => publisher.writeAll(text));
      const what = JSON.stringify(writes.map((text) => text.slice(0, 30)));
      assert.ok(outcomes.includes('EFBIG'), `${what}: ${outcomes.join()}`);
      publisher.close();
      assert.ok(
        publisher.events.every((event) => event === 'add@/w' || event === 'add@/x'),
        what,
      );
    }
  },
);

publishing('accepts the largest event in any form', () => {
  const text = `add@/x\nV=${'v'.repeat(MAX_EVENT_BYTES - 10)}`;
  for (const form of [
    text,
    `${text}\n`,
    `${text}\n\n`,
    `${text}\n\n\n`,
    `${text.replace('\n', '\0')}\0`,
  ]) {
    const publisher = new Publisher();
    assert.is(publisher.write(form), form.length);
    publisher.close();
    assert.equal(publisher.events, [text]);
  }
});

publishing.run();
