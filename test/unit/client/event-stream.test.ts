/** The client's event stream, on a FIFO in the place of a mount's `stream`. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { EventStream } from '../../../fs/client/events/stream.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { suite } from '../../support/runner/suite.js';

const ALL = Filter.parse('');

const events = suite('an event stream of the client');

/** Calls `use` with an open stream, and a function that writes to it. */
async function withStream(
  use: (stream: EventStream, write: (text: string) => void) => Promise<void>,
): Promise<void> {
  const mount = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'stream-'));
  execFileSync('mkfifo', [`${mount}/stream`]);
  const writer = openSync(`${mount}/stream`, constants.O_RDWR);
  const stream = new EventStream(mount, ALL, '.test');
  try {
    await use(stream, (text) => void writeSync(writer, text));
  } finally {
    stream.close();
    closeSync(writer);
    rmSync(mount, { recursive: true });
  }
}

events('ends a pending forEach when it is closed', () =>
  withStream(async (stream, write) => {
    const seen: string[] = [];
    const first = new Promise<void>((came) => {
      void stream
        .forEach((batch) => {
          seen.push(...batch.map(({ devpath }) => devpath));
          came();
          return true;
        })
        .then(() => seen.push('end'));
    });
    write('add@/a\nACTION=add\n\n');
    await first;
    stream.close();
    write('add@/b\nACTION=add\n\n');
    await sleep(20);
    assert.equal(seen, ['/a', 'end']);
  }),
);

events('ends forEach when the callback closes it', () =>
  withStream(async (stream, write) => {
    write('add@/a\nACTION=add\n\n');
    await stream.forEach(() => {
      stream.close();
      return true;
    });
  }),
);

events('calls no callback after one has returned false', () =>
  withStream(async (stream, write) => {
    let calls = 0;
    write('add@/a\nACTION=add\n\n');
    await stream.forEach(() => ++calls < 0);
    write('add@/b\nACTION=add\n\n');
    await sleep(20);
    assert.is(calls, 1);
  }),
);

events('ends forEach at once after it was closed, and closes its descriptor once', () =>
  withStream(async (stream) => {
    stream.close();
    const other = openSync('/dev/null', 'r'); // it has got the descriptor's number
    stream.close();
    await stream.forEach(() => true);
    closeSync(other); // throws EBADF if the second close() has closed it
  }),
);

events.run();
