/** The things that dead owners leave, and the pidfds that stay open for so long. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { openPidfd } from '#native';
import { Endings } from '../../../fs/owners/endings.js';
import { Estates } from '../../../fs/owners/estates.js';
import { type Mortal, Owner } from '../../../fs/owners/owner.js';
import type { Pid } from '../../../fs/owners/process.js';
import { Errno, FsError } from '../../../fs/shared/errors.js';
import { suite } from '../../support/runner/suite.js';

const estates = suite('the estates of dead owners');

/** Returns an owner that has been killed and waited for. */
async function deadOwner(): Promise<Owner> {
  const child = spawn('sleep', ['1000']);
  const owner = new Owner(child.pid! as Pid, openPidfd(child.pid!));
  child.kill('SIGKILL');
  await once(child, 'exit');
  return owner;
}

/** A thing that notes that it is removed. */
class Thing implements Mortal {
  isRemoved = false;
  constructor(readonly isSticky = false) {}
  ownerDied(): void {
    this.isRemoved = true;
  }
  describe(): string {
    return 'a thing';
  }
}

estates('are removed thing by thing, in the order of the deaths', async () => {
  const endings = new Endings();
  const left = new Estates(endings);
  let asked = 0;
  left.postponeBy(() => asked++);
  const owners = [await deadOwner(), await deadOwner()];
  const things = owners.map(() => [new Thing(), new Thing(true), new Thing()]);
  for (const [n, owner] of owners.entries()) {
    for (const thing of things[n]) owner.own(thing);
    left.add(owner);
  }
  assert.equal([asked, left.ending], [1, 4]);
  assert.is([...left.things()].length, 6);
  for (let done = 1; done <= 6; done++) {
    assert.is(left.step(), done === 6);
    const removed = things.flat().map(({ isRemoved }) => isRemoved);
    assert.equal(
      removed,
      things.flat().map((_, n) => n < done),
    );
    assert.is(endings.pending, Math.floor(done / 3));
  }
  assert.is(left.ending, 0);
  endings.finish();
  assert.is(endings.counts.signalled, 2);
});

estates('are empty if the owner owned nothing, or if each thing was taken before', async () => {
  const endings = new Endings();
  const left = new Estates(endings);
  left.postponeBy(() => undefined);
  const [poor, rich] = [await deadOwner(), await deadOwner()];
  const thing = new Thing();
  rich.own(thing);
  left.add(poor);
  left.add(rich);
  left.remove(rich, thing);
  left.remove(rich, thing);
  assert.equal([thing.isRemoved, left.ending], [true, 0]);
  left.finish();
  endings.finish();
  assert.is(endings.counts.signalled, 2);
});

estates('keep no pidfd that the daemon needs, and count each death once', async () => {
  const endings = new Endings();
  const left = new Estates(endings);
  left.postponeBy(() => undefined);
  const full = new FsError(Errno.ENFILE, 'no descriptor is left');
  assert.throws(() => left.makeRoom(full), /no descriptor is left/);
  const owner = await deadOwner();
  const thing = new Thing();
  owner.own(thing);
  left.add(owner);
  assert.throws(() => left.makeRoom(new FsError(Errno.ESRCH, 'no process')), /no process/);
  left.makeRoom(full);
  assert.equal([endings.counts.signalled, endings.pending, thing.isRemoved], [1, 0, false]);
  assert.throws(() => left.makeRoom(full), /no descriptor is left/);
  left.finish();
  assert.is(thing.isRemoved, true);
  endings.finish();
  assert.is(endings.counts.signalled, 1);
});

estates.run();
