/** Connects a tree to the recorder of its changes. */
import type { Endings } from '../../owners/endings.js';
import type { Recorder } from '../../state/recorder.js';
import type { Turns } from '../turns.js';
import { recordEndings } from './endings-record.js';
import { type LivingTree, living } from './living.js';

/** A tree whose changes are recorded. */
interface RecordedTree extends LivingTree {
  readonly turns: Turns;
  readonly owners: { readonly endings: Endings };
}

/** Makes the recorder record a new tree, and write again what a compaction needs. */
export function recordTree(tree: RecordedTree, recorder: Recorder): void {
  recorder.counters = tree.counters;
  recorder.living = () => living(tree);
  recorder.counted();
  recorder.changed(tree.root);
  recordEndings(tree.owners.endings, recorder);
  recorder.onDue = () => tree.turns.add(recorder);
  recorder.makeRoom = () => {
    if (!tree.bus.log.reserve()) return;
    recorder.counted();
    tree.streams.recordGroupsIfDue();
  };
}
