/** The lines of a process directory's `.status`, and its description for the trace. */
import type { Entry, Queue } from '../../../bus/queue.js';
import { quoted } from '../../../shared/escape.js';
import type { StatusLines } from '../../../shared/status-lines.js';
import type { Filter } from '../../../uevent/filter/filter.js';

/** A directory with a `.status`. */
interface ReportedDirectory {
  readonly name: string;
  readonly isSticky: boolean;
  readonly specials: { readonly size: number } | null;
  readonly owner: { readonly pid: number };
  readonly queue: Queue<Entry>;
  readonly uid: number;
  readonly gid: number;
  readonly readers: { readonly opened: number; readonly reads: { readonly size: number } };
  readonly watch: { readonly raised: number } | null;
  readonly filter: Filter;
}

/** Returns the lines. */
export function directoryStatus(directory: ReportedDirectory): StatusLines {
  return [
    ['OWNER', directory.owner.pid],
    ['PENDING', directory.queue.entries.size],
    ['BYTES', directory.queue.bytes],
    ['LOST', directory.queue.lost],
    ['ADDED', directory.queue.entries.added],
    ['OLDEST', directory.queue.entries.first()?.event.time.sec ?? 0],
    ['UID', directory.uid],
    ['GID', directory.gid],
    ['MOST_EVENTS', directory.queue.limits.events],
    ['MOST_BYTES', directory.queue.limits.bytes],
    ['OVERFLOW', directory.queue.limits.overflow ?? 'drop-oldest'],
    ['STREAMS', directory.readers.opened],
    ['WAITING', directory.readers.reads.size],
    ['NOTICES', directory.watch?.raised ?? 0],
    ['FILTER', directory.filter.text.replaceAll('\n', '; ')],
  ];
}

/**
 * Returns the effects of the owner's death on the directory, in words, for the trace.
 * @param memory the memory that the directory is charged for, in bytes
 */
export function describeDirectory(directory: ReportedDirectory, memory: number): string {
  const name = quoted(directory.name);
  if (directory.isSticky) return `${name} stays because it is sticky`;
  const { queue, readers, specials } = directory;
  const events = `events=${queue.entries.size} bytes=${queue.bytes} special_files=${specials?.size ?? 0}`;
  return `${name} ends: ${events} open_streams=${readers.opened} blocked_reads=${readers.reads.size} freed_memory=${memory}`;
}
