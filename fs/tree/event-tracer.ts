/**
 * Writes one trace line an event: its source, how many directories and streams received it, and how
 * many readers lost an event because of it.
 */
import type { Event } from '../bus/event.js';
import { quoted } from '../shared/escape.js';
import type { Trace, TraceLine } from '../shared/log/trace.js';
import type { ProcessDirectory } from './nodes/process-directory.js';
import type { StreamHandle } from './streams/stream-handle.js';
import type { Tree } from './tree.js';

/** A receiver that can lose events: a process directory by its bounds, a stream by the ring. */
type Reader = ProcessDirectory | StreamHandle;

/**
 * Traces the events of the tree's bus while tracing of events is switched on. The tracer is
 * attached to the bus after the tree, so that it can count the receivers of an event that is
 * delivered already.
 * @param tree the tree to look at
 * @param trace switches the tracer on and off, and writes its lines
 */
export function traceEvents(tree: Tree, trace: Trace): void {
  const { bus } = tree;
  let tracer: EventTracer | null = null;
  trace.watch(() => {
    if ((trace.events !== null) === (tracer !== null)) return;
    if (tracer !== null) bus.detach(tracer);
    tracer = trace.events === null ? null : new EventTracer(tree, trace.events);
    if (tracer !== null) bus.attach(tracer);
  });
}

class EventTracer {
  /** The number of lost events of each reader, as of the last event. */
  readonly #lost = new WeakMap<Reader, number>();

  constructor(
    private readonly tree: Tree,
    private readonly line: TraceLine,
  ) {
    this.#losers();
  }

  /** Writes the trace line of an event that the tree has received already. */
  take(event: Event): void {
    const source = sourceOf(event);
    const directories = this.#directoriesWith(event);
    const streams = this.#streamsFor(event);
    const losers = this.#losers();
    const lost = losers === 0 ? '' : ` lost_by=${losers}`;
    const text = `${quoted(event.name)} ${quoted(event.action)} ${quoted(event.devpath)} ${event.length} bytes from ${source}: directories=${directories} streams=${streams}${lost}`;
    this.line(text, { event: event.name, source, directories, streams, losers });
  }

  /** Traces nothing: the answers to readers have their own lines. */
  settle(): boolean {
    return false;
  }

  #directoriesWith(event: Event): number {
    let count = 0;
    for (const { queue } of this.tree.root.directories)
      if (queue.entries.last()?.event === event) count++;
    return count;
  }

  #streamsFor(event: Event): number {
    let count = 0;
    for (const { filter, handles } of this.tree.streams.groups.values())
      if (event.always || filter.all || filter.matches(event)) count += handles.size;
    return count;
  }

  /** Returns how many readers have lost events since the last call. */
  #losers(): number {
    let count = 0;
    const note = (reader: Reader, lost: number): void => {
      if (lost > (this.#lost.get(reader) ?? 0)) count++;
      this.#lost.set(reader, lost);
    };
    for (const directory of this.tree.root.directories) note(directory, directory.queue.lost);
    for (const { handles } of this.tree.streams.groups.values())
      for (const handle of handles) note(handle, handle.cursor.lost);
    return count;
  }
}

function sourceOf({ always, weight, source }: Event): string {
  if (always) return `the daemon, for ${weight} that a source lost`;
  return source === 'kernel' ? 'the kernel' : source;
}
