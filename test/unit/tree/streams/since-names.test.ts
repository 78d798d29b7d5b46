/** `.since` with the names of events: many hosts of a fleet send events with the same SEQNUM. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { LogIndex } from '../../../../fs/bus/event.js';
import { WEIGHED } from '../../../../fs/bus/log.js';
import { runs } from '../../../support/runner/budget.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, O_NONBLOCK, O_RDONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { lostIn, records } from '../../bus/reading.js';

const names = suite('.since with a name');

/** One event that has come. */
interface Come {
  readonly name: string;
  readonly weight: number;
  readonly record: string;
}

/** A kernel in memory with a short history, and all events that have come. */
class World {
  readonly kernel = MemoryKernel.started({ history: { events: 6, bytes: 4096 } });
  readonly all: Come[] = [];
  #publish = this.kernel.open(this.kernel.walk('publish'), 1);
  #directories = 0;

  #note(weight = 1): void {
    const { log } = this.kernel.bus;
    const event = log.at((log.next - 1) as LogIndex);
    this.all.push({ name: event.name, weight, record: `${event.text}\n` });
  }

  /** Publishes an event of a host. @param seqnum the host's SEQNUM, or none */
  host(name: string, seqnum?: number): void {
    const tail = seqnum === undefined ? '' : `SEQNUM=${seqnum}\n`;
    this.kernel.write(this.#publish, `add@/devices/x\nACTION=add\nHOST=${name}\n${tail}`);
    this.#note();
  }

  local(seqnum: number): void {
    this.kernel.event(seqnum);
    this.#note();
  }

  lose(count: number): void {
    this.kernel.bus.publishLoss(count);
    this.#note(count);
  }

  /** Makes a directory, writes a name to its `.since`, and takes all from it. */
  after(name: string): string[] {
    const { kernel } = this;
    const directory = `d${this.#directories++}`;
    kernel.mkdir(directory);
    kernel.put(kernel.walk(`${directory}/.since`), `${name}\n`);
    assert.is(kernel.cat(kernel.walk(`${directory}/.since`)), `${name}\n`);
    const fh = kernel.open(kernel.walk(`${directory}/.stream`), O_RDONLY | O_NONBLOCK);
    let output = '';
    try {
      for (;;) output += kernel.read(fh, 1024 * 1024, 0, O_NONBLOCK);
    } catch {
      kernel.release(fh); // EAGAIN: that was all
    }
    kernel.rmdir(directory);
    return records(output);
  }

  /** Checks that `output` is exactly the events behind `from`, with the number of the lost ones. */
  account(output: readonly string[], from: number): void {
    const expected = this.all.slice(from);
    let at = 0;
    for (const record of output) {
      if (expected[at]?.record === record) {
        at++;
        continue;
      }
      let lost = lostIn(record) ?? NaN;
      while (lost > 0) lost -= expected[at++]?.weight ?? NaN;
      assert.is(lost, 0, `${record} is not ${expected[at]?.record}`);
    }
    assert.is(at, expected.length);
  }

  close(): void {
    this.kernel.release(this.#publish);
    assert.equal(this.kernel.warnings, []);
    this.kernel.close();
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ host: fc.nat(3), seqnum: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 2, arbitrary: fc.record({ host: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ local: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ lose: fc.integer({ min: 1, max: 5 }) }) },
);

names('continues exactly behind each event that ever came, and no name comes twice', () => {
  const property = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const world = new World();
    for (const one of steps) {
      // The hosts' SEQNUMs stay below this machine's.
      if ('local' in one) world.local(Math.max(9, world.kernel.bus.lastSeqnum) + one.local);
      else if ('lose' in one) world.lose(one.lose);
      else world.host(`web${one.host}`, 'seqnum' in one ? one.seqnum : undefined);
    }
    const all = world.all.map(({ name }) => name);
    assert.is(new Set(all).size, all.length, all.join(' '));
    for (const [index, name] of all.entries()) world.account(world.after(name), index + 1);
    world.close();
  });
  fc.assert(property, runs(200));
});

names('counts what is gone, however long ago the event came', () => {
  const world = new World();
  world.host('web1', 7);
  world.host('web2', 7);
  for (let n = 0; n < WEIGHED + 10; n++) world.host('web3', 7);
  for (const [from, name] of [
    [2, '7.2'],
    [3, '7.3'],
    [11, '7.11'],
  ] as const)
    world.account(world.after(name), from);
  // The name `7` came before all that is known: only the events since then are counted.
  assert.is(lostIn(world.after('7')[0]), WEIGHED - 6);
  world.close();
});

names('refuses a name that no event of the mount has had: ENOENT', () => {
  const world = new World();
  world.host('web1', 7);
  world.host('web2', 7);
  world.kernel.mkdir('own');
  const since = world.kernel.walk('own/.since');
  for (const [name, errno] of [
    ['7.3', 'ENOENT'],
    ['6.2', 'ENOENT'],
    ['7.0', 'ENOENT'],
    ['7.2', 'none'],
    ['7.x', 'EINVAL'],
    ['7.2.1', 'EINVAL'],
  ] as const)
    assert.is(
      refusal(() => world.kernel.put(since, name)),
      errno,
      name,
    );
  world.close();
});

names.run();
