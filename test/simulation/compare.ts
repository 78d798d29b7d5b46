/** Compares the daemon's state with the model's, and checks that nothing is left at the end. */
import type { Tree } from '../../fs/tree/tree.js';
import { differenceOf, dumpTree } from './dump.js';
import type { ModelDirectory } from './model/directory.js';
import { type Model, check } from './model/model.js';
import { COUNTED } from './model/quota.js';

/** Compares queues and quotas. */
export function compareState(model: Model, tree: Tree): void {
  // The daemon has not drained the deaths yet that came since its last step.
  if (tree.root.size !== model.directories.length) return;
  // The contents of ended directories are charged until a turn frees them.
  if (tree.turns.pending === 0) compareQuotas(model, tree);
  for (const directory of model.directories) compareQueue(directory, tree);
}

function compareQueue(directory: ModelDirectory, tree: Tree): void {
  const { name } = directory;
  const real = tree.root.directories.get(name);
  check(real !== undefined, () => `the daemon has no directory ${name}`);
  const { queue } = real!;
  const names = [...queue.entries].map((entry) => entry.name).join(' ');
  const wanted = directory.entries.map((entry) => entry.name).join(' ');
  check(names === wanted, () => `${name} has ${names} instead of ${wanted}`);
  check(
    queue.lost === directory.lost,
    () => `${name} has lost ${queue.lost} instead of ${directory.lost}`,
  );
  for (const { name: file, event } of queue.entries) {
    const found = directory.find(file);
    if (found?.kind !== 'entry') continue;
    check(
      event.text === found.event.text,
      () => `${name}/${file}: ${event.text} instead of ${found.event.text}`,
    );
    event.dropCaches();
  }
}

function compareQuotas({ quotas }: Model, { ledger }: Tree): void {
  for (const item of COUNTED) {
    const [held, wanted] = [ledger.mount[item], quotas.mount.held[item]];
    check(held === wanted, () => `the mount holds ${held} ${item} instead of ${wanted}`);
    for (const [uid, sum] of quotas.users) {
      const user = ledger.users.get(uid)?.[item] ?? 0;
      check(
        user === sum.held[item],
        () => `uid ${uid} holds ${user} ${item} instead of ${sum.held[item]}`,
      );
    }
  }
}

/**
 * Checks that a tree whose clients are all gone holds nothing.
 *
 * @param isFirst whether no daemon served before this one: a later one may know nodes that the
 *   kernel has forgotten, because a FORGET is sent only once
 */
export function checkEmpty(tree: Tree, isFirst: boolean): void {
  const { ledger, owners, bus } = tree;
  check(owners.size === 0, () => `${owners.size} owners are left`);
  check(ledger.mount.isEmpty, () => `the ledger holds ${JSON.stringify(ledger.mount)}`);
  const status = new Map(tree.statusLines());
  check(status.get('HANDLES') === 0, () => `${status.get('HANDLES')} handles are left`);
  check(!isFirst || status.get('NODES') === 1, () => `${status.get('NODES')} nodes are left`);
  for (const { event } of bus.history.entries)
    check(event.links === 1 && event.opens === 0, () => `event ${event.name} is held`);
}

/** Compares a restored tree with the text of the one before. */
export function compareDumps(before: string, tree: Tree): void {
  const difference = differenceOf(before, dumpTree(tree));
  check(difference === null, () => `the restored tree differs: ${difference}`);
}
