import * as assert from 'uvu/assert';
import { clock } from '../../../fs/shared/clock.js';
import { HeldBack } from '../../../fs/tree/inotify/held-back.js';
import type { WatchedDirectory } from '../../../fs/tree/inotify/watch-state.js';
import { suite } from '../../support/runner/suite.js';

const held = suite('a directory whose lock was held');
const { monotonicMs } = clock;
let nowMs = 0;
held.before(() => void (clock.monotonicMs = () => nowMs));
held.after(() => void (clock.monotonicMs = monotonicMs));

function directory(ino: number, uid = 1000): WatchedDirectory {
  return { ino, uid } as WatchedDirectory;
}

/** Returns the inodes whose events come. */
function coming(all: HeldBack, ...directories: WatchedDirectory[]): number[] {
  return [...all.without(new Set(directories))].map(({ ino }) => ino);
}

held('has its events held back for 1 s, and for longer each time until a minute is calm', () => {
  const all = new HeldBack();
  assert.ok(all.add(directory(7)));
  nowMs += 100_000; // however long the lock is held
  assert.equal(coming(all, directory(7), directory(8)), [8]);
  assert.is(all.loosen(7), 1000);
  assert.equal(coming(all, directory(7)), []);
  all.end(7);
  assert.equal(coming(all, directory(7)), [7]);
  const quickly = (): number => {
    all.add(directory(7));
    return all.loosen(7);
  };
  assert.equal([1, 2, 3, 4, 5].map(quickly), [2000, 4000, 8000, 16_000, 16_000]);
  assert.not.ok(all.isCalm);
  nowMs += 60_001;
  assert.ok(all.isCalm);
  assert.is(quickly(), 1000);
});

held('holds all events of its user back if there are four, but not those of the mount', () => {
  const all = new HeldBack();
  for (const ino of [1, 2, 3]) all.add(directory(ino));
  for (const ino of [11, 12, 13, 14]) all.add(directory(ino, 0));
  assert.equal(coming(all, directory(4), directory(15, 0)), [4, 15]);
  all.add(directory(5));
  assert.equal(coming(all, directory(4), directory(15, 0), directory(6, 1001)), [15, 6]);
});

held('is one of at most 64 in which a notifier is stuck', () => {
  const all = new HeldBack();
  for (let ino = 0; ino < 64; ino++) assert.ok(all.add(directory(ino, ino)));
  assert.not.ok(all.add(directory(64)));
  all.loosen(0);
  assert.ok(all.add(directory(64)));
});

held.run();
