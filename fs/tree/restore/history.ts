/** Makes `log/` again. */
import type { Fields } from '../../state/schema.js';
import type { StateTable } from '../../state/table.js';
import type { Tree } from '../tree.js';
import { restoreEntry, restoreFile } from './entries.js';
import type { RestoredEvents } from './events.js';

/**
 * Fills `log/` with the last events. An event's position in it is a constant plus the event's
 * number.
 * @param counters say which events are there
 * @throws UserError if one is missing
 */
export function restoreHistory(
  tree: Tree,
  counters: Fields<'counters'>,
  events: RestoredEvents,
  table: StateTable,
): void {
  const { log } = tree;
  const { queue } = log;
  const nodes = new Map(table.links(log.id).map(({ position, node }) => [position, node]));
  const start = queue.entries.nextPosition;
  for (let number = counters.historyFirst; number < counters.next; number++) {
    const event = events.numbered(number);
    const node = nodes.get(start + number);
    if (node === undefined) restoreEntry(queue, start + number, event);
    else restoreFile(tree, log, start + number, event.name, event, node);
  }
  queue.entries.goOnAt(start + counters.next);
  queue.lost = counters.historyLost;
  if (queue.lost > 0) queue.losses.restore(`${start} ${queue.lost}`);
  const announcedTo = table.get('queue', log.id)?.announcedTo ?? -1;
  if (announcedTo >= 0) tree.inotify.restore(log, announcedTo);
}
