/** Makes the process directories and the ghosts of the last daemon again, without their entries. */
import { Owner } from '../../owners/owners.js';
import type { Pid } from '../../owners/process.js';
import type { Fields } from '../../state/schema.js';
import { timeOf } from '../../state/times.js';
import { Filter } from '../../uevent/filter/filter.js';
import type { NodeId } from '../nodes/node.js';
import { ProcessDirectory } from '../nodes/process-directory.js';
import { directoryPrice } from '../prices.js';
import type { Tree } from '../tree.js';

/** Makes a directory, and charges it even beyond a quota. */
export function restoreDirectory(
  tree: Tree,
  state: Fields<'directory'>,
  owner: Owner,
): ProcessDirectory {
  const filter = Filter.parse(state.filter);
  const account = tree.ledger.account(state.uid, state.gid);
  const { directories, memory } = directoryPrice(state.name);
  account.forceChargeItem('directories', directories);
  account.forceChargeItem('memory', memory + filter.memory);
  account.forceChargeItem('filter_cost', filter.cost);
  const directory = new ProcessDirectory(
    tree,
    tree.root,
    state.id as NodeId,
    state.name,
    owner,
    state.mode,
    account,
    state.madeBy,
    timeOf(state, 'born'),
  );
  directory.filter = filter;
  directory.restore(state);
  tree.root.adopt(directory);
  tree.rememberAlways(directory);
  return directory;
}

/** Makes a ghost: a directory that had ended with its owner. */
export function restoreGhost(tree: Tree, state: Fields<'ghost'>): void {
  const { id, name, mode, uid, gid } = state;
  const nobody = new Owner(0 as Pid, -1);
  const account = tree.ledger.account(uid, gid);
  const ghost = new ProcessDirectory(
    tree,
    tree.root,
    id as NodeId,
    name,
    nobody,
    mode,
    account,
    uid,
    timeOf(state, 'born'),
  );
  ghost.lifetime.isEnded = true;
  ghost.queue.journal = null;
  tree.inotify.queueDelete(ghost);
}
