/**
 * The time between an owner's death and the removal of its directories, which takes turns: they
 * have ended for all processes.
 */
import * as assert from 'uvu/assert';
import type { Estates } from '../../../fs/owners/estates.js';
import type { ProcessDirectory } from '../../../fs/tree/nodes/process-directory.js';
import type { Journal } from '../../../fs/state/journal.js';
import type { Fields } from '../../../fs/state/schema.js';
import { FUSE_ROOT_ID } from '../../../fs/fuse/abi.js';
import { Child } from '../../support/memory/child.js';
import { refusal } from '../../support/memory/connection.js';
import { MemoryKernel, cstring } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';
import { quotasOf } from './quota/ledger.js';

const dead = suite('the directories of a dead owner that are not removed yet');

const STICKY = Buffer.concat([Buffer.alloc(8), cstring('user.eventfs_sticky')]);

/** A kernel whose tree removes nothing until `remove` is called, and a process in it. */
class Scene {
  readonly kernel = MemoryKernel.started();
  readonly child = new Child();
  readonly by = { pid: this.child.pid, uid: 1000, gid: 1000 };
  #task: Estates | null = null;

  constructor() {
    this.kernel.owners.estates.postponeBy((task) => (this.#task = task));
  }

  /** Kills the process, and has the daemon learn it with the next request. */
  async kill(): Promise<void> {
    await this.child.die();
    this.kernel.getattr(FUSE_ROOT_ID);
  }

  /** Does all that is left to do. */
  remove(): void {
    this.#task?.finish();
    this.kernel.tree.turns.finish();
    this.kernel.owners.endings.finish();
  }

  /** How many things are not removed. */
  get left(): number {
    return this.kernel.owners.estates.ending;
  }

  get links(): number {
    return this.kernel.getattr(FUSE_ROOT_ID)['attr.nlink'];
  }
}

function deadTest(sentence: string, body: (scene: Scene) => Promise<void>): void {
  dead(sentence, async () => {
    const scene = new Scene();
    const { kernel } = scene;
    try {
      await body(scene);
      scene.remove();
      assert.is(scene.left, 0);
      assert.is(kernel.owners.size, 0);
      assert.is(kernel.status('DIRECTORIES'), 0);
      assert.is(kernel.status('OWNERS_SIGNALLED'), 1);
      assert.is(scene.links, 4);
    } finally {
      kernel.close();
    }
  });
}

deadTest('are not found, listed, counted or filled', async (scene) => {
  const { kernel, by } = scene;
  const nodes = Array.from({ length: 100 }, (_, n) => kernel.mkdir(`d${n}`, by));
  const fh = kernel.open(kernel.walk('d7/.stream'));
  const waiting = kernel.startRead(fh);
  const [handle, file] = [kernel.opendir(nodes[3]), kernel.make(nodes[4], 'mine', 'A=1\n')];
  assert.is(scene.links, 104);
  await scene.kill();
  assert.is(scene.left, 100);
  assert.is(scene.links, 4);
  kernel.event(1);
  assert.is(kernel.status('DIRECTORIES'), 0);
  assert.is(kernel.status('DIRECTORIES_PENDING'), 0);
  assert.equal(kernel.names(FUSE_ROOT_ID), ['log', 'match', 'publish']);
  for (const [n, node] of nodes.entries()) {
    assert.is(
      refusal(() => kernel.lookup(FUSE_ROOT_ID, `d${n}`)),
      'ENOENT',
    );
    assert.is(
      refusal(() => kernel.getattr(node)),
      'ESTALE',
    );
    assert.is(
      refusal(() => kernel.rmdir(`d${n}`)),
      'ENOENT',
    );
  }
  assert.is(
    refusal(() => kernel.readdir(handle)),
    'ESTALE',
  );
  assert.is(
    refusal(() => kernel.open(file)),
    'ESTALE',
  );
  assert.is(
    refusal(() => kernel.read(fh)),
    'ESTALE',
  );
  assert.ok(waiting.result === undefined || waiting.result === 'ESTALE', String(waiting.result));
  scene.remove();
  assert.is(waiting.result, 'ESTALE');
});

deadTest('give their names and their places to new ones', async (scene) => {
  const { kernel, by } = scene;
  const heir = new Child();
  const next = { ...by, pid: heir.pid };
  kernel.tree.ledger.setQuotas(quotasOf({ directories: 3 }));
  for (const name of ['a', 'b', 'c']) kernel.mkdir(name, by);
  assert.is(
    refusal(() => kernel.mkdir('d', by)),
    'EDQUOT',
  );
  await scene.kill();
  const node = kernel.mkdir('c', next);
  assert.is(scene.left, 1, 'one gave its place, another one its name');
  for (const name of ['b', 'a']) kernel.mkdir(name, next);
  assert.is(
    refusal(() => kernel.mkdir('d', next)),
    'EDQUOT',
  );
  scene.remove();
  for (const name of ['a', 'b', 'c']) kernel.walk(name);
  assert.is(kernel.walk('c'), node);
  assert.is(scene.links, 7);
  for (const name of ['a', 'b', 'c']) kernel.rmdir(name, FUSE_ROOT_ID, next);
  await heir.die();
});

deadTest('are not removed for a user whom that does not help', async (scene) => {
  const { kernel, by } = scene;
  const other = { pid: process.pid, uid: 2000, gid: 2000 };
  kernel.tree.ledger.setQuotas(quotasOf({ directories: 1 }));
  kernel.mkdir('theirs', by);
  kernel.mkdir('ours', other);
  await scene.kill();
  assert.is(
    refusal(() => kernel.mkdir('more', other)),
    'EDQUOT',
  );
  assert.is(scene.left, 1);
  kernel.rmdir('ours', FUSE_ROOT_ID, other);
});

deadTest('make room for each user if the mount is full', async (scene) => {
  const { kernel, by } = scene;
  const other = { pid: process.pid, uid: 2000, gid: 2000 };
  kernel.tree.ledger.setQuotas(quotasOf({}, {}, { directories: 2 }));
  for (const name of ['a', 'b']) kernel.mkdir(name, by);
  assert.is(
    refusal(() => kernel.mkdir('c', other)),
    'ENOSPC',
  );
  await scene.kill();
  kernel.mkdir('c', other);
  assert.is(scene.left, 1);
  kernel.rmdir('c', FUSE_ROOT_ID, other);
});

deadTest(
  'stay in the records of a guarded daemon, with the owner that the next one looks for',
  async (scene) => {
    const { kernel, by } = scene;
    kernel.mkdir('a', by);
    const directory = kernel.tree.root.lookup('a') as ProcessDirectory;
    const recorded = (): Fields<'directory'>[] => {
      const found: Fields<'directory'>[] = [];
      const put = (_kind: string, fields: Fields<'directory'>): void => void found.push(fields);
      directory.record({ put } as unknown as Journal);
      return found;
    };
    await scene.kill();
    const [{ ownerPid, isOrphaned }] = recorded();
    assert.equal([ownerPid, isOrphaned], [by.pid, 0]);
    scene.remove();
    assert.equal(recorded(), []);
  },
);

deadTest('leave the sticky ones, which end if they are sticky no more', async (scene) => {
  const { kernel, by } = scene;
  const [kept, freed] = ['kept', 'freed'].map((name) => kernel.mkdir(name, by));
  kernel.mkdir('gone', by);
  for (const node of [kept, freed]) kernel.ask('FUSE_SETXATTR', node, STICKY, by);
  await scene.kill();
  assert.is(scene.left, 1);
  assert.equal(kernel.names(FUSE_ROOT_ID).slice(0, -3), ['kept', 'freed']);
  kernel.ask('FUSE_REMOVEXATTR', freed, cstring('user.eventfs_sticky'), by);
  assert.is(
    refusal(() => kernel.getattr(freed)),
    'ESTALE',
  );
  assert.is(scene.links, 5);
  scene.remove();
  assert.is(kernel.walk('kept'), kept);
  kernel.ask('FUSE_REMOVEXATTR', kept, cstring('user.eventfs_sticky'), by);
  assert.is(
    refusal(() => kernel.getattr(kept)),
    'ESTALE',
  );
});

dead.run();
