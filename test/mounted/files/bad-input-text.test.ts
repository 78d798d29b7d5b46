/**
 * Invalid text, many clients, and clients that never read or close: the daemon serves the others.
 */
import * as assert from 'uvu/assert';
import { constants, readFileSync, readdirSync } from 'node:fs';
import {
  type Answer,
  Calls,
  Reader,
  Storm,
  eventText,
  publish,
  publishNumbered,
  statusOf,
} from '../../support/clients/clients.js';
import { run, until } from '../../support/mount/daemon.js';
import { configured } from '../../support/mount/config.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { memoryKib } from '../../support/processes.js';
import { LONG_FILTERS, NODE_MODES, errnos, leavesNothing, noneIsOurFault } from './bad-input.js';

const { O_CREAT, O_TRUNC, O_NONBLOCK, O_WRONLY, O_RDWR, O_RDONLY } = constants;

const bad = mounted('bad input', configured(LONG_FILTERS));

bad(
  'of random bytes in every writable file changes nothing else',
  async () => {
    const own = await directory();
    await shell.run(`echo SUBSYSTEM==kept > ${own}/.filter`);
    const calls = new Calls();
    await calls.open(1, `${daemon.path}/publish`, O_WRONLY);
    await calls.open(2, `${own}/.filter`, O_WRONLY);
    await calls.open(3, `${own}/file`, O_RDWR | O_CREAT);
    const random = generator(7);
    const answers: Promise<Answer>[] = [];
    for (let round = 0; round < 1000; round++) {
      const noise = Array.from({ length: random(round % 10 === 0 ? 5000 : 60) }, () =>
        String.fromCharCode(random(256)),
      ).join('');
      const likely = [
        'add@/',
        'A=b\n',
        '\n',
        '\0',
        'SEQNUM=',
        'SUBSYSTEM==',
        '"',
        '|',
        ',',
        ';',
        '\\',
        '[',
        noise,
      ]
        .map((part) => (random(3) === 0 ? part : ''))
        .join('');
      for (const slot of [1, 2, 3]) {
        // No filter begins with @.
        answers.push(calls.begin('write', slot, slot === 2 ? `@${likely}` : likely));
        answers.push(calls.begin('pwrite', slot, slot === 2 ? '@' : noise, random(70_000)));
      }
    }
    const given = await Promise.all(answers);
    noneIsOurFault(given);
    for (const errno of errnos(given)) assert.match(errno, /^(EINVAL|EFBIG|ESPIPE)$/);
    await calls.end();
    assert.is(readFileSync(`${own}/.filter`, 'latin1'), 'SUBSYSTEM==kept\n');
  },
  60_000,
);

/** @returns a generator of pseudo-random numbers from 0 to `below` - 1 */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

bad(
  'in a filter of any length and depth is parsed within 20 s',
  async () => {
    const own = await directory();
    const calls = new Calls();
    await calls.open(1, `${own}/.filter`, O_WRONLY);
    const filters = [
      'A==b\n'.repeat(13_000),
      `A==${'b|'.repeat(32_000)}b`,
      `A==${'*'.repeat(65_000)}`,
      `A==${'[a-z]*'.repeat(10_900)}`,
      `A==${'*a'.repeat(32_000)}b`,
      `A==${'\\'.repeat(65_000)}`,
      `A==${'['.repeat(65_000)}`,
      `A=="${'a'.repeat(65_000)}`,
      `${'#'.repeat(65_000)}`,
      `${'A'.repeat(65_000)}==b`,
      '#'.repeat(100_000),
    ];
    for (const filter of filters) {
      const before = Date.now();
      const { errno } = await calls.call('pwrite', 1, filter, 0);
      assert.ok(errno === '' || errno === 'EINVAL' || errno === 'EFBIG', errno);
      publish(
        daemon.path,
        eventText('/x', { A: 'a'.repeat(5000) }),
        eventText('/x', { A: `${'a'.repeat(60_000)}c` }),
      );
      assert.ok(Date.now() - before < 20_000, `${filter.slice(0, 20)}: ${Date.now() - before} ms`);
    }
    await calls.end();
  },
  60_000,
);

bad(
  'from six clients at once, while events flow, leaves the daemon running',
  async () => {
    const own = await directory('0777');
    const workers = Array.from({ length: 6 }, () => new Calls());
    const storm = new Storm(daemon.path);
    const all = await Promise.all(
      workers.map((calls, n) => randomCalls(calls, own, generator(n + 1))),
    );
    storm.end();
    noneIsOurFault(all.flat());
    for (const calls of workers) await calls.end();
    await shell.run(`rm -rf ${own}`);
    assert.match((await run(['ls', daemon.path])).out, 'publish\n');
  },
  120_000,
);

/** Makes 1,500 random calls on few names, so that they collide. None of them blocks. */
async function randomCalls(
  calls: Calls,
  own: string,
  random: (below: number) => number,
): Promise<Answer[]> {
  const path = (): string => {
    const names = [
      'a',
      'b',
      'head',
      'tail',
      '.stream',
      '.filter',
      '.status',
      `../${shell.pid}.chaos`,
      `../${shell.pid}.chaos/a`,
      '../stream',
      '../match/A==b',
      '../log/head',
      '',
    ];
    return `${own}/${names[random(names.length)]}`;
  };
  const slot = (): number => random(8);
  const flags = (): number =>
    O_NONBLOCK |
    [O_RDONLY, O_WRONLY, O_RDWR][random(3)] |
    (random(2) === 0 ? O_CREAT : 0) |
    (random(4) === 0 ? O_TRUNC : 0);
  const kinds: (() => Promise<Answer>)[] = [
    () => calls.begin('open', slot(), path(), flags(), 0o666),
    () => calls.begin('open', slot(), path(), flags(), 0o666),
    () => calls.begin('read', slot(), random(5000)),
    () => calls.begin('write', slot(), 'x'.repeat(random(3000))),
    () => calls.begin('pwrite', slot(), 'y', random(70_000)),
    () => calls.begin('close', slot()),
    () => calls.begin('unlink', path()),
    () => calls.begin('unlink', path()),
    () => calls.begin('mkdir', path(), 0o777),
    () => calls.begin('rmdir', path()),
    () => calls.begin('stat', path()),
    () => calls.begin('truncate', path(), random(70_000)),
    () => calls.begin('poll', 0, 5, slot()),
    () => calls.begin('getdents', slot()),
    () => calls.begin('chmod', path(), 0o600 | random(0o200)),
    () => calls.begin('readlink', path()),
    () => calls.begin('link', path(), path()),
    () => calls.begin('rename', path(), path(), random(4)),
    () => calls.begin('rename', path(), path(), 0),
    () =>
      calls.begin(
        'mknod',
        path(),
        [NODE_MODES.fifo, NODE_MODES.socket, NODE_MODES.regular][random(3)],
        0,
      ),
    () =>
      calls.begin(
        'setxattr',
        path(),
        ['user.eventfs_sticky', 'user.eventfs.filter', 'user.x'][random(3)],
        '1',
      ),
    () => calls.begin('removexattr', path(), 'user.eventfs_sticky'),
  ];
  // A slot that was never opened stands for standard input or output.
  for (let i = 0; i < 8; i++) await calls.open(i, daemon.path);
  const answers = Array.from({ length: 1500 }, () => kinds[random(kinds.length)]());
  return Promise.all(answers);
}

bad(
  'by readers that never read and writers that never close delays no other, and bounds the memory',
  async () => {
    const own = await directory();
    const idle = new Calls();
    for (let slot = 0; slot < 100; slot++)
      await idle.open(
        slot,
        `${daemon.path}/${['stream', 'match/SUBSYSTEM=mine', 'match/N==*7'][slot % 3]}`,
      );
    for (let slot = 100; slot < 120; slot++) await idle.open(slot, `${own}/.stream`);
    const resident = (): number => memoryKib(daemon.pid);
    const busy = await Reader.on(`${daemon.path}/match/SUBSYSTEM=mine`);
    const padding = 'x'.repeat(1000);
    const publishMine = async (count: number, first: number): Promise<void> => {
      for (let n = first; n < first + count; n += 500) {
        publishNumbered(daemon.path, 500, n, { SUBSYSTEM: 'mine', PADDING: padding });
        await until(
          () => busy.text.includes(`\nN=${n + 499}\n`),
          'the busy reader did not get the event',
          20_000,
        );
        busy.text = busy.text.slice(busy.text.lastIndexOf('\n\n') + 2);
      }
    };
    await publishMine(5000, 0); // more than the log and the queue can hold
    const before = resident();
    await publishMine(8000, 5000);
    // If each of 120 readers kept its events, their text alone would take 8 MiB each.
    assert.ok(resident() - before < 64 * 1024, `${before} to ${resident()} KiB`);
    // A file that is never closed never becomes an event, and later events push it out.
    for (let slot = 200; slot < 232; slot++) {
      await idle.open(slot, `${own}/never-closed-${slot}`, O_WRONLY | O_CREAT);
      await idle.call('fill', slot, 65_536, 0);
    }
    const { PENDING, BYTES } = statusOf(own);
    assert.ok(
      Number(PENDING) <= 4096 && Number(BYTES) <= 4 * 1024 * 1024,
      `${PENDING} events, ${BYTES} bytes`,
    );
    await publishMine(4500, 13_000);
    assert.not.match(readdirSync(own).join(' '), 'never-closed');
    for (let slot = 0; slot < 3; slot++)
      assert.match((await idle.call('read', slot, 4096)).bytes, 'LOST=');
    await busy.kill();
    await idle.end();
    await shell.run(`rm -rf ${own}`);
  },
  120_000,
);

leavesNothing(bad);
bad.run();
