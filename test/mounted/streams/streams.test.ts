/** Streams: `stream`, `match/<filter>` and a process directory's `.stream`, as cat, poll and many readers see them. */
import * as assert from 'uvu/assert';
import {
  chmodSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  mkdtempSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  Calls,
  Reader,
  Storm,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients.js';
import { Shell, run, startDaemon, until, within } from '../../support/daemon.js';
import { daemon, directory, mounted, nothingIsOpen, shell } from '../../support/mounted.js';
import { AS_NOBODY } from '../../support/other-user.js';

const EPOLLIN = 0x001;
const POLLIN = 0x001;
const POLLRDNORM = 0x040;
const EPOLLET = 0x80000000;

const numbers = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, i) => String(first + i));

/** The paths of a stream of each kind, which take every event; the directory of the last is new. */
async function* eachKind(): AsyncGenerator<string> {
  yield `${daemon.path}/stream`;
  yield `${daemon.path}/match/DEVPATH==*`;
  yield `${await directory()}/.stream`;
}

const stream = mounted('a stream');

stream('gives the events from now on only, as records that an empty line ends', async () => {
  publishNumbered(daemon.path, 3);
  const reader = await Reader.on(`${daemon.path}/stream`);
  publishNumbered(daemon.path, 2, 3);
  await reader.has(2);
  assert.is(
    reader.text,
    `${eventText('/devices/n', { N: 3 })}\n${eventText('/devices/n', { N: 4 })}\n`,
  );
  await reader.kill();
});

stream('gives every reader everything', async () => {
  const readers = await Promise.all(numbers(5).map(() => Reader.on(`${daemon.path}/stream`)));
  publishNumbered(daemon.path, 500);
  for (const reader of readers) {
    assert.equal(valuesOf('N', await reader.has(500)), numbers(500));
    await reader.kill();
  }
});

stream('gives only what matches by match/, to each reader by its own filter', async () => {
  const net = await Reader.on(`${daemon.path}/match/SUBSYSTEM=net`);
  const both = await Reader.on(`${daemon.path}/match/SUBSYSTEM==net|block,ACTION!=remove`);
  const odd = await Reader.on(`${daemon.path}/match/N==*[13579]; N==2`);
  const other = await Reader.on(`${daemon.path}/match/SUBSYSTEM == net`);
  for (const [n, [subsystem, action]] of [
    ['net', 'add'],
    ['block', 'add'],
    ['net', 'remove'],
    ['usb', 'add'],
    ['net', 'change'],
  ].entries()) {
    publish(daemon.path, eventText('/x', { SUBSYSTEM: subsystem, N: n }, action));
  }
  assert.equal(valuesOf('N', await net.has(3)), ['0', '2', '4']);
  assert.equal(valuesOf('N', await both.has(3)), ['0', '1', '4']);
  assert.equal(valuesOf('N', await odd.has(3)), ['1', '2', '3']);
  assert.equal(valuesOf('N', await other.has(3)), ['0', '2', '4']);
  for (const reader of [net, both, odd, other]) await reader.kill();
});

stream('has no match/ file for what is no filter', async () => {
  for (const name of ['nonsense', 'A', 'A==', '==x', 'A=="x', 'A==b B==c', '\x01']) {
    const { err, code } = await run(['cat', `${daemon.path}/match/${name}`]);
    assert.is(code, 1);
    assert.match(err, 'Invalid argument', name);
  }
  const { err } = await run(['cat', `${daemon.path}/match/A==${'b'.repeat(253)}`]);
  assert.match(err, 'File name too long');
  assert.equal(readdirSync(`${daemon.path}/match`), []);
});

stream(
  'can be kept from others by chmod, but for a match/ file, which is made anew each time',
  async () => {
    const nobody = [...AS_NOBODY, 'timeout', '0.1', 'cat'];
    const path = `${daemon.path}/stream`;
    assert.is((await run([...nobody, path])).code, 124);
    chmodSync(path, 0o440);
    assert.match((await run([...nobody, path])).err, 'Permission denied');
    chmodSync(path, 0o444);
    assert.throws(() => chmodSync(`${daemon.path}/match/A==b`, 0o400), /EPERM/);
  },
);

stream('takes events off the queue by .stream', async () => {
  const own = await directory();
  publishNumbered(daemon.path, 3);
  const reader = await Reader.on(`${own}/.stream`);
  assert.equal(valuesOf('N', await reader.has(3)), numbers(3));
  assert.equal(readdirSync(own), []);
  await shell.run(`echo mine > ${own}/mine`);
  await until(() => reader.text.endsWith('mine\n\n'), 'the file of a user did not come');
  assert.equal(readdirSync(own), []);
  await reader.kill();
});

stream(
  'leaves a file in the queue while somebody writes it, and takes what came after',
  async () => {
    const own = await directory();
    const calls = new Calls();
    await calls.open(1, `${own}/half`, constants.O_WRONLY | constants.O_CREAT);
    await calls.call('write', 1, 'first\n');
    const reader = await Reader.on(`${own}/.stream`);
    publishNumbered(daemon.path, 2);
    assert.equal(valuesOf('N', await reader.has(2)), numbers(2));
    assert.equal(readdirSync(own), ['half']);
    await calls.call('write', 1, 'second\n');
    await calls.call('close', 1);
    await reader.has(3);
    assert.ok(reader.text.endsWith('first\nsecond\n\n'));
    assert.equal(readdirSync(own), []);
    await calls.open(1, `${own}/read-only`, constants.O_RDONLY | constants.O_CREAT);
    await until(() => readdirSync(own).length === 0, 'a file that nobody writes was left');
    await reader.kill();
    await calls.end();
  },
);

stream(
  'shares the events of one .stream among its readers: each goes to one, none is lost',
  async () => {
    const own = await directory();
    const readers = await Promise.all(numbers(4).map(() => Reader.on(`${own}/.stream`)));
    for (let first = 0; first < 1000; first += 50) {
      publishNumbered(daemon.path, 50, first);
      await new Promise((done) => setTimeout(done, 2));
    }
    await until(
      () => readers.reduce((sum, { records }) => sum + records.length, 0) >= 1000,
      'not all events came',
    );
    const shares = readers.map(({ records }) => valuesOf('N', records).map(Number));
    assert.equal(
      shares.flat().sort((a, b) => a - b),
      numbers(1000).map(Number),
    );
    for (const share of shares)
      assert.equal(
        share,
        [...share].sort((a, b) => a - b),
      );
    assert.ok(shares.filter((share) => share.length > 0).length > 1, 'one reader got everything');
    for (const reader of readers) await reader.kill();
  },
);

stream('gives readers that ask for one byte at a time the whole text', async () => {
  for await (const path of eachKind()) {
    const reader = await Reader.on(path, ['sh', '-c', 'exec < "$0"; exec dd bs=1 status=none']);
    publishNumbered(daemon.path, 50);
    assert.equal(valuesOf('N', await reader.has(50)), numbers(50));
    assert.is(
      reader.text.length,
      numbers(50).reduce((sum, n) => sum + eventText('/devices/n', { N: n }).length + 1, 0),
    );
    await reader.kill();
  }
});

stream('can be read line by line by bash, and by head', async () => {
  for await (const path of eachKind()) {
    const bash = await Reader.on(path, [
      'bash',
      '-c',
      'exec 3< "$0"; while IFS= read -r line <&3; do echo "$line"; done',
    ]);
    const head = await Reader.on(path, ['bash', '-c', 'exec < "$0"; exec head -n 2']);
    publishNumbered(daemon.path, path.endsWith('.stream') ? 2 : 1);
    await bash.has(1);
    assert.is(await within(5000, head.ended, 'head did not end'), 0);
    assert.match(head.text, /^add@\/devices\/n\nACTION=add\n$/);
    await bash.kill();
  }
});

stream('can be read into a file by cat, cp and grep', async () => {
  const to = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'to-'));
  const commands = {
    cat: 'cat stream >',
    cp: 'cp stream',
    grep: 'grep --line-buffered ^N= stream >',
  };
  const readers: Reader[] = [];
  for (const [name, command] of Object.entries(commands)) {
    const reader = new Reader(`exec ${command} ${to}/${name}`, [
      'env',
      '-C',
      daemon.path,
      'bash',
      '-c',
    ]);
    await until(
      () => Number(statusOf(`${daemon.path}/log`).STREAMS) > readers.length,
      `${name} does not read`,
    );
    readers.push(reader);
  }
  publishNumbered(daemon.path, 3);
  for (const name of Object.keys(commands)) {
    await until(
      () => readFileSync(`${to}/${name}`, 'latin1').includes('N=2\n'),
      `${name} did not get the events`,
    );
  }
  for (const reader of readers) await reader.kill();
});

stream('can be read into several buffers at once, as musl does', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path);
    for (const [first, second] of [
      [0, 1024],
      [10, 1024],
      [1, 1],
      [500, 500],
      [4096, 4096],
    ]) {
      publishNumbered(daemon.path, 1);
      const record = `${eventText('/devices/n', { N: 0 })}\n`;
      let text = '';
      while (text.length < record.length)
        text += (await calls.call('readv', 1, first, second)).bytes;
      assert.is(text, record);
    }
    await calls.end();
  }
});

stream(
  'does not tell sendfile that it has ended, which busybox cat would take for the end',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
      await calls.call('pipe', 2, 3);
      assert.ok((await calls.call('sendfile', 1, 3, 4096)).value !== 0, 'it has ended');
      publishNumbered(daemon.path, 1);
      assert.ok((await calls.call('sendfile', 1, 3, 4096)).value !== 0, 'it has ended');
      assert.match((await calls.call('read', 1, 4096)).bytes, 'N=0\n\n');
      await calls.end();
    }
  },
);

stream('gives EAGAIN to who would rather not wait', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
    assert.is((await calls.call('read', 1, 100)).errno, 'EAGAIN');
    publishNumbered(daemon.path, 1);
    assert.match((await calls.call('read', 1, 100)).bytes, 'N=0\n\n');
    assert.is((await calls.call('read', 1, 100)).errno, 'EAGAIN');
    await calls.open(2, path);
    await calls.call('nonblock', 2, 1);
    assert.is((await calls.call('read', 2, 100)).errno, 'EAGAIN');
    await calls.end();
  }
});

stream('cannot be seeked, nor read at an offset', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
    for (const whence of [0, 1, 2])
      assert.is((await calls.call('lseek', 1, 0, whence)).errno, 'ESPIPE');
    assert.is((await calls.call('pread', 1, 10, 0)).errno, 'ESPIPE');
    assert.is((await calls.call('read', 1, 0)).value, 0);
    await calls.end();
  }
});

stream('lets a signal interrupt a blocked read, and loses nothing by it', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path);
    for (let round = 0; round < 20; round++) {
      await calls.call('alarm', 1 + (round % 5), 0);
      assert.is((await calls.call('read', 1, 4096)).errno, 'EINTR');
    }
    publishNumbered(daemon.path, 2);
    assert.match((await calls.call('read', 1, 4096)).bytes, /N=0\n\n[^]*N=1\n\n/);
    await calls.end();
  }
});

stream(
  'gives the slot of each blocked read back, whether an event or a signal ends it',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path);
      for (let n = 0; n < 200; n++) {
        const isInterrupted = n % 4 === 0;
        if (isInterrupted) await calls.call('alarm', 1, 0);
        const read = calls.begin('read', 1, 4096);
        if (!isInterrupted) {
          await calls.sleeps();
          publishNumbered(daemon.path, 1, n);
        }
        assert.is(
          (await within(5000, read, 'the read did not end')).errno,
          isInterrupted ? 'EINTR' : '',
        );
      }
      assert.is(statusOf(`${daemon.path}/log`).PARKED, '0', basename(path));
      await calls.end();
    }
  },
  60_000,
);

stream('loses nothing to signals that come together with events', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path);
    let text = '';
    for (let n = 0; n < 200; n++) {
      await calls.call('alarm', 1, 0);
      const read = calls.begin('read', 1, 4096);
      await new Promise((done) => setTimeout(done, n % 2));
      publishNumbered(daemon.path, 1, n);
      text += (await within(5000, read, 'the read did not end')).bytes;
    }
    await calls.call('nonblock', 1, 1);
    text += (await calls.call('read', 1, 65536)).bytes;
    assert.equal(valuesOf('N', text.split('\n\n').slice(0, -1)), numbers(200));
    await calls.end();
  }
});

stream('lets go of cat at once by Ctrl-C, SIGTERM and SIGKILL', async () => {
  for await (const path of eachKind()) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const reader = await Reader.on(path);
      await until(
        () => /fuse|request_wait/.test(readFileSync(`/proc/${reader.process.pid}/wchan`, 'latin1')),
        'it does not wait',
      );
      const before = Date.now();
      reader.process.kill(signal);
      assert.is(await within(2000, reader.ended, `cat did not end by ${signal}`), signal);
      assert.ok(Date.now() - before < 500);
    }
  }
  await nothingIsOpen();
});

stream('goes on after Ctrl-Z and fg', async () => {
  for await (const path of eachKind()) {
    const reader = await Reader.on(path);
    publishNumbered(daemon.path, 1);
    await reader.has(1);
    for (let round = 1; round < 5; round++) {
      reader.process.kill('SIGSTOP');
      publishNumbered(daemon.path, 1, round);
      reader.process.kill('SIGCONT');
      assert.equal(valuesOf('N', await reader.has(round + 1)), numbers(round + 1));
    }
    assert.is(reader.err, '');
    await reader.kill();
  }
});

stream(
  'shares its events among duplicates of its descriptor and threads that read it',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
      await calls.call('dup', 1, 2);
      publishNumbered(daemon.path, 1);
      assert.match((await calls.call('read', 2, 4096)).bytes, 'N=0');
      assert.is((await calls.call('read', 1, 4096)).errno, 'EAGAIN');
      await calls.call('nonblock', 1, 0);
      const length = numbers(500).reduce(
        (sum, n) => sum + eventText('/devices/n', { N: n }).length + 1,
        0,
      );
      const threads = calls.begin('threads', 1, 4, length);
      for (let first = 0; first < 500; first += 20) {
        publishNumbered(daemon.path, 20, first);
        await new Promise((done) => setTimeout(done, 2));
      }
      const { bytes } = await within(10_000, threads, 'the threads did not get everything');
      assert.equal(
        valuesOf('N', bytes.split('\n\n').slice(0, -1))
          .map(Number)
          .sort((a, b) => a - b),
        numbers(500).map(Number),
      );
      await calls.end();
    }
  },
);

stream('is not starved by many threads that read another one', async () => {
  for await (const path of eachKind()) {
    const crowd = new Calls();
    await crowd.open(1, path);
    void crowd.begin('threads', 1, 40, 1e9);
    await until(() => readdirSync(`/proc/${crowd.pid}/task`).length === 41, 'not all threads run');
    await new Promise((done) => setTimeout(done, 100));
    const reader = await Reader.on(
      path.endsWith('.stream') ? `${await directory()}/.stream` : path,
    );
    for (let n = 0; n < 10; n++) {
      publishNumbered(daemon.path, 1, n);
      await reader.has(n + 1, 1000);
    }
    assert.equal(valuesOf('N', reader.records), numbers(10));
    await reader.kill();
    await crowd.end();
  }
});

stream('can be open five hundred times', async () => {
  const fds = numbers(500).map((n) =>
    openSync(
      `${daemon.path}/${Number(n) % 2 === 0 ? 'stream' : `match/N!=${n}`}`,
      constants.O_RDONLY | constants.O_NONBLOCK,
    ),
  );
  assert.is(statusOf(`${daemon.path}/log`).STREAMS, '500');
  publishNumbered(daemon.path, 20);
  const buffer = Buffer.alloc(65536);
  for (const [i, fd] of fds.entries()) {
    const records = buffer.toString('latin1', 0, readSync(fd, buffer)).split('\n\n').slice(0, -1);
    assert.equal(
      valuesOf('N', records),
      numbers(20).filter((n) => i % 2 === 0 || n !== String(i)),
    );
    closeSync(fd);
  }
  await nothingIsOpen();
});

stream('tells of the end when the daemon goes', async () => {
  const other = await startDaemon();
  const readers = [
    await Reader.on(`${other.path}/stream`),
    await Reader.on(`${other.path}/match/A==b`),
  ];
  const owner = new Shell();
  await owner.run(`mkdir ${other.path}/$$`);
  readers.push(await Reader.on(`${other.path}/${owner.pid}/.stream`));
  for (const reader of readers) {
    await until(
      () => /fuse|request_wait/.test(readFileSync(`/proc/${reader.process.pid}/wchan`, 'latin1')),
      `${reader.path} does not wait`,
    );
  }
  assert.is(await other.stop(), 0);
  for (const reader of readers)
    assert.is(await within(2000, reader.ended, `${reader.path} did not end`), 0, reader.err);
  await owner.kill();
});

stream('leaves nothing behind of readers that are killed while events flow', async () => {
  const own = await directory();
  const paths = [`${daemon.path}/stream`, `${daemon.path}/match/SUBSYSTEM==net`, `${own}/.stream`];
  const storm = new Storm(daemon.path);
  for (let round = 0; round < 10; round++) {
    const readers = await Promise.all(numbers(20).map((n) => Reader.on(paths[Number(n) % 3])));
    await Promise.all(readers.map((reader) => reader.kill(round % 2 === 0 ? 'SIGKILL' : 'SIGINT')));
  }
  storm.end();
  await until(
    () => statusOf(own).WAITING === '0' && statusOf(own).STREAMS === '0',
    'somebody waits',
  );
  await nothingIsOpen();
});

stream.run();

const lagging = mounted('a reader that lags');

lagging('is told how many events it has lost, exactly, and gets the newest in order', async () => {
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

lagging('is told of those events only that its filter would have let pass', async () => {
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

lagging('is told of several losses one after the other', async () => {
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

lagging(
  'gets the rest of a record that it has begun to read, whatever was lost behind it',
  async () => {
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
  },
);

/** Everything that can be read without waiting. */
async function drainText(calls: Calls, slot: number): Promise<string> {
  let text = '';
  for (;;) {
    const { value, bytes, errno } = await calls.call('read', slot, 65_536);
    if (value <= 0) {
      assert.is(errno, 'EAGAIN');
      return text;
    }
    text += bytes;
  }
}

async function drain(calls: Calls, slot: number): Promise<string[]> {
  return (await drainText(calls, slot)).split('\n\n').slice(0, -1);
}

lagging(
  'has read or lost every event, whoever else reads, however little at a time',
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
      await new Promise((done) => setTimeout(done, (n / 500) % 7));
    }
    publish(
      daemon.path,
      ...numbers(10).map((n) => eventText('/end', { N: `${n}7`, ODD: 1, END: n })),
    );
    for (const { reader, mine } of readers) {
      await until(
        () => reader.text.endsWith('END=9\n\n'),
        `${reader.path} did not come to the end`,
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

const polling = mounted('poll');

polling('says when a stream can be read, and until it has been read', async () => {
  for await (const path of eachKind()) {
    const calls = new Calls();
    await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
    assert.equal(await poll(calls, 1, 0), 0);
    assert.equal(await poll(calls, 1, 20), 0);
    const waiting = calls.begin('poll', 5000, POLLIN, 1);
    await calls.sleeps(/poll/);
    publishNumbered(daemon.path, 2);
    assert.equal(Number((await waiting).rest[0]), POLLIN);
    assert.equal(await poll(calls, 1, 0), POLLIN);
    assert.equal(await poll(calls, 1, 0, POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
    await calls.call('read', 1, 5);
    assert.equal(await poll(calls, 1, 0), POLLIN);
    await drainText(calls, 1);
    assert.equal(await poll(calls, 1, 0), 0);
    await calls.end();
  }
});

async function poll(calls: Calls, slot: number, ms: number, events = POLLIN): Promise<number> {
  return Number((await calls.call('poll', ms, events, slot)).rest[0]);
}

polling('is woken by the event that matches only', async () => {
  const calls = new Calls();
  await calls.open(
    1,
    `${daemon.path}/match/SUBSYSTEM==net`,
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  const waiting = calls.begin('poll', 5000, POLLIN, 1);
  await calls.sleeps(/poll/);
  publish(daemon.path, eventText('/x', { SUBSYSTEM: 'block' }));
  await new Promise((done) => setTimeout(done, 50));
  publish(daemon.path, eventText('/y', { SUBSYSTEM: 'net' }));
  assert.is((await waiting).value, 1);
  assert.match((await calls.call('read', 1, 4096)).bytes, /^add@\/y/);
  await calls.end();
});

polling('wakes select and epoll alike, of the streams that have events', async () => {
  const calls = new Calls();
  const paths = [
    `${daemon.path}/stream`,
    `${daemon.path}/match/DEVPATH==*`,
    `${await directory()}/.stream`,
    `${daemon.path}/match/N==never`,
  ];
  for (const [i, path] of paths.entries())
    await calls.open(i, path, constants.O_RDONLY | constants.O_NONBLOCK);
  await calls.call('epoll_create', 9);
  for (const i of paths.keys()) assert.is((await calls.call('epoll_add', 9, i, EPOLLIN)).errno, '');
  for (let round = 0; round < 3; round++) {
    const waiting =
      round % 2 === 0
        ? calls.begin('select', 5000, ...paths.keys())
        : calls.begin('epoll_wait', 9, 5000);
    await calls.sleeps(/poll|select/);
    publishNumbered(daemon.path, 1);
    assert.ok((await waiting).value > 0);
    assert.equal((await calls.call('select', 100, ...paths.keys())).rest, ['1', '1', '1', '0']);
    assert.equal([...(await calls.call('epoll_wait', 9, 100)).rest].sort(), ['0:1', '1:1', '2:1']);
    assert.equal([...(await calls.call('epoll_wait', 9, 100)).rest].sort(), ['0:1', '1:1', '2:1']);
    for (const i of [0, 1, 2]) await drainText(calls, i);
    assert.is((await calls.call('epoll_wait', 9, 0)).value, 0);
  }
  await calls.end();
});

polling(
  'wakes an edge-triggered epoll for every event that comes after it has read all',
  async () => {
    for await (const path of eachKind()) {
      const calls = new Calls();
      await calls.open(1, path, constants.O_RDONLY | constants.O_NONBLOCK);
      await calls.call('epoll_create', 9);
      await calls.call('epoll_add', 9, 1, EPOLLIN + EPOLLET);
      for (let n = 0; n < 5; n++) {
        const waiting = calls.begin('epoll_wait', 9, 2000);
        await calls.sleeps(/poll/);
        publishNumbered(daemon.path, 1, n);
        assert.equal((await waiting).rest, ['1:1'], `event ${n} of ${basename(path)}`);
        assert.is((await drain(calls, 1)).length, 1);
      }
      await calls.end();
    }
  },
);

polling('says that a regular file can always be read and publish always be written', async () => {
  const own = await directory();
  publishNumbered(daemon.path, 1);
  const calls = new Calls();
  await calls.open(1, `${own}/head`);
  await calls.open(2, `${daemon.path}/publish`, constants.O_WRONLY);
  assert.equal((await calls.call('poll', 0, 5, 1)).rest, ['5']);
  assert.equal((await calls.call('poll', 0, 5, 2)).rest, ['4']);
  await calls.end();
});

polling('says that a stream is over when its owner is dead or the daemon gone', async () => {
  const other = await startDaemon();
  const owner = new Shell();
  await owner.run(`mkdir ${other.path}/$$`);
  const calls = new Calls();
  await calls.open(
    1,
    `${other.path}/${owner.pid}/.stream`,
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  await calls.open(2, `${other.path}/stream`, constants.O_RDONLY | constants.O_NONBLOCK);
  const death = calls.begin('poll', 5000, POLLIN, 1);
  await calls.sleeps(/poll/);
  await owner.kill();
  assert.is(Number((await death).rest[0]) & 8, 8);
  assert.is((await calls.call('read', 1, 10)).errno, 'ESTALE');
  const end = calls.begin('poll', 5000, POLLIN, 2);
  await calls.sleeps(/poll/);
  await other.stop();
  assert.ok(Number((await end).rest[0]) !== 0);
  await calls.end();
});

polling.run();
