/** Tests `eventfs watch --record` and `eventfs emit --replay` together. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import {
  Reader,
  eventText,
  publish,
  publishNumbered,
  statusOf,
} from '../../support/clients/clients.js';
import { Background, eventfs } from '../../support/mount/command.js';
import { EVENTFS, makeUevent, run, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const folder = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'replay-'));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text, 'latin1');
  return join(folder, name);
};

const replay = (path: string, ...args: readonly string[]): ReturnType<typeof eventfs> =>
  eventfs(['emit', '--mount', daemon.path, '--replay', path, ...args]);

/** Starts a watch that records, and resolves once both its streams are open. */
async function recorder(path: string, ...args: readonly string[]): Promise<Background> {
  const before = Number(statusOf(`${daemon.path}/log`).STREAMS);
  const child = new Background(['watch', '--mount', daemon.path, '--record', path, ...args]);
  // It opens the stream of the kernel's events first, to tell the source of each.
  await until(
    () => Number(statusOf(`${daemon.path}/log`).STREAMS) >= before + 2,
    'it does not watch',
    20_000,
  );
  return child;
}

const HEADER = '# eventfs recording 1\n';
const stamped = (monotonic: number, text: string): string =>
  `@ 1000.000 ${monotonic.toFixed(6)} kernel\n${text}\n`;

const command = mounted('a recording', ['--source', 'kernel']);
command.after(() => Background.killAll());

command('is published again with every key, SEQNUM included, as a publisher', async () => {
  const path = join(folder, 'keys');
  const filter = 'KERNEL==null|r*|two'; // other tests make the kernel send events too
  const child = await recorder(path, '--count', '3', filter);
  await makeUevent('change');
  publish(daemon.path, eventText('/r\xe9', { X: '\xff', SEQNUM: 12 }), 'add@/two\nA=1\nA=2\n');
  assert.is(await child.ended, 0);
  const reader = await Reader.on(`${daemon.path}/match/${filter}`);
  const before = statusOf(`${daemon.path}/log`);
  const { code, err } = await replay(path, '--speed', '0');
  assert.equal([code, err], [0, '']);
  const records = await reader.has(3);
  const recorded = readFileSync(path, 'latin1')
    .split(/^@ .*\n/m)
    .slice(1);
  assert.equal(
    records.map((record) => `${record}\n\n`),
    recorded,
  );
  const numbered = /^change@\/devices\/virtual\/mem\/null\n[^]*^SEQNUM=\d+$/m;
  assert.is(records.filter((record) => numbered.test(record)).length, 1);
  const after = statusOf(`${daemon.path}/log`);
  assert.is(Number(after.PUBLISHED) - Number(before.PUBLISHED), 3);
  await reader.kill();
});

command('keeps its pauses, or is faster by --speed', async () => {
  const path = file(
    'pauses',
    HEADER + [10, 10.6, 10.6, 0.5, 1].map((at) => stamped(at, eventText('/p'))).join(''),
  );
  const seconds = async (...args: readonly string[]): Promise<number> => {
    const started = performance.now();
    assert.equal((await replay(path, ...args)).code, 0);
    return (performance.now() - started) / 1000;
  };
  const [none, once, tenfold] = [
    await seconds('--speed', '0'),
    await seconds(),
    await seconds('--speed', '10'),
  ];
  assert.ok(once >= 1, `1 s of pauses took ${once} s`);
  assert.ok(tenfold < none + 0.7, `0.1 s of pauses took ${tenfold} s, none ${none} s`);
});

command('that was cut is published up to the cut, with a warning', async () => {
  const path = file(
    'cut',
    `${HEADER}${stamped(1, eventText('/one'))}${stamped(1, eventText('/two')).slice(0, -1)}`,
  );
  const reader = await Reader.on(`${daemon.path}/match/KERNEL==one|two`);
  const { code, err } = await replay(path);
  assert.equal(
    [code, err],
    [
      0,
      `eventfs: emit: ${path}: line 6: the recording ends in the middle of an event (1 event was published)\n`,
    ],
  );
  assert.equal(await reader.has(1), [eventText('/one').trimEnd()]);
  await reader.kill();
});

command('does not publish a loss, and says how many events are missing', async () => {
  const path = file(
    'lossy',
    `${HEADER}${stamped(1, eventText('/eventfs', { LOST: 7 }, 'overflow'))}${stamped(1, eventText('/x'))}`,
  );
  const reader = await Reader.on(`${daemon.path}/match/KERNEL==x`);
  const { code, err } = await replay(path);
  assert.equal(
    [code, err],
    [
      0,
      `eventfs: emit: ${path}: the recording lacks 7 events, which watch had lost (1 event was published)\n`,
    ],
  );
  assert.equal(await reader.has(1), [eventText('/x').trimEnd()]);
  await reader.kill();
});

command('of thousands of events is published whole', async () => {
  const path = join(folder, 'many');
  const child = await recorder(path, '--count', '3000', 'KERNEL==n');
  publishNumbered(daemon.path, 3000);
  assert.is(await child.ended, 0);
  const before = Number(statusOf(`${daemon.path}/log`).PUBLISHED);
  assert.is((await replay(path, '--speed', '0')).code, 0);
  assert.is(Number(statusOf(`${daemon.path}/log`).PUBLISHED) - before, 3000);
});

command('that is damaged, missing or something else is refused with one line', async () => {
  const damaged = file('damaged', `${HEADER}${stamped(1, eventText('/x'))}garbage\n`);
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [
      [damaged],
      1,
      /damaged: line 6: expected @ TIME MONOTONIC SOURCE \([^\n]*\); 1 events of [^\n]* were published before\n$/,
    ],
    [['/etc/passwd'], 100, /\/etc\/passwd: the file is no recording: [^\n]*\n$/],
    [['/nowhere/file'], 111, /\/nowhere\/file: No such file or directory \(check the path\)\n$/i],
    [[folder], 111, /: Illegal operation on a directory \(give a file\)\n$/i],
    [[damaged, 'A=b'], 100, /--replay: the events come from the file \(leave out KEY=VALUE\)\n$/],
    [[damaged, '--speed', 'x'], 100, /option '--speed <n>' argument 'x' is invalid[^\n]*\n$/],
  ];
  for (const [[path, ...args], expected, message] of cases) {
    const { code, err, out } = await replay(path, ...args);
    assert.equal([code, out], [expected, ''], err);
    assert.match(err, message);
    assert.is(err.split('\n').length, 2);
  }
  // bin/eventfs leaves these options to the Node program, which the C program does not have.
  const { code, err } = await run([EVENTFS, 'emit', '--speed=2', '--mount', daemon.path]);
  assert.equal([code, err], [100, 'eventfs: emit: --speed: it needs --replay FILE\n']);
});

command.run();
