/** `eventfs watch`: prints events as they come, and records them. */
import { EventClock } from '../../../client/events/clock.js';
import type { EventSources } from '../../../client/events/sources.js';
import { EventStream } from '../../../client/events/stream.js';
import { parseFilter } from '../../../client/events/text.js';
import { daemonEnded } from '../../../client/ended.js';
import { ExitCode } from '../../terminal/explain.js';
import { adviseOnFilter } from '../../terminal/filter-advice.js';
import { announce, printError } from '../../terminal/output.js';
import { EventOutput } from '../../terminal/event-output.js';
import { type FormatOptions, formatOf } from './event-lines.js';
import type { Recorder } from './recorder.js';
import { type WatchedEvent, watched } from './watched-event.js';

/** The options of `eventfs watch`. */
export interface WatchOptions extends FormatOptions {
  /** How many events to print. */
  readonly count?: number;
  /** The time after which `watch` ends, in seconds. */
  readonly timeout?: number;
  /** The file of a recording. */
  readonly record?: string;
  /** A SEQNUM: kept events after it come first. */
  readonly since?: string;
}

/** How a watch ends. `unread`: the output has no reader. */
type End = 'counted' | 'late' | 'unread' | 'ended';

/**
 * Prints matching events until `count` of them came, the time is over, or the output has no reader.
 * The exit code is 1 if the time is over before `count` events came.
 *
 * @param filterText the events to print, as a filter
 * @param checkedMount the mount's path; rejected if eventfs is not mounted there
 * @throws UsageError for a wrong format
 * @throws UserError if the filter is invalid, eventfs is not mounted there, its daemon ends, or the
 *   recording can't be written
 */
export async function watch(
  filterText: string,
  options: WatchOptions,
  checkedMount: Promise<string>,
): Promise<void> {
  const filter = parseFilter(filterText);
  const format = await formatOf(options);
  const mount = await checkedMount;
  adviseOnFilter('watch', filter);
  const recorder =
    options.record === undefined
      ? null
      : new (await import('./recorder.js')).Recorder(options.record);
  const sources = showsSources(options)
    ? new (await import('../../../client/events/sources.js')).EventSources(mount, filter)
    : null;
  const stream = new EventStream(mount, filter, '.watch', options.since);
  announce(`watch: waiting for ${filter.all ? 'events' : filterText} in ${mount}`);
  const session = new WatchSession(mount, { stream, sources }, format, recorder, options);
  const end = await session.run();
  if (end === 'ended') throw daemonEnded(mount, 'try eventfs doctor');
  const { count, timeout } = options;
  if (end !== 'late' || count === undefined) return;
  printError(`watch: ${session.shown} of ${count} events came within ${timeout} s`);
  process.exitCode = ExitCode.failed;
}

function showsSources({ json, format, record }: WatchOptions): boolean {
  return json === true || format?.includes('{source') === true || record !== undefined;
}

/** One run of the command. */
class WatchSession {
  /** How many events were printed; overflow records do not count. */
  shown = 0;
  readonly #clock: EventClock;
  readonly #output = new EventOutput();
  /** As of performance.now(). */
  readonly #deadline: number;
  #end: End = 'ended';

  constructor(
    mount: string,
    private readonly input: { readonly stream: EventStream; readonly sources: EventSources | null },
    private readonly format: (watched: WatchedEvent) => string,
    private readonly recorder: Recorder | null,
    private readonly options: WatchOptions,
  ) {
    const { json, format: template, record, since, timeout = Infinity } = options;
    const showsTimes = json === true || template !== undefined || record !== undefined;
    const directory = `${mount}/${input.stream.queue.replace(/\/\.stream$/, '')}`;
    this.#clock = new EventClock(showsTimes && since !== undefined ? directory : null);
    this.#deadline = performance.now() + timeout * 1000;
  }

  /** Prints until an end is reached, and closes everything. */
  async run(): Promise<End> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<End>((end) => {
        const { timeout } = this.options;
        if (timeout !== undefined) timer = setTimeout(() => end('late'), timeout * 1000);
      });
      const unread = this.#output.unread.then((): End => 'unread');
      const { stream, sources } = this.input;
      const read = stream.forEach((events) => {
        this.#clock.tick();
        sources?.tick();
        return this.#take(events.map((each) => watched(each, stream.queue, this.#clock, sources)));
      });
      return await Promise.race([unread, late, read.then(() => this.#end)]);
    } finally {
      clearTimeout(timer);
      this.input.stream.close();
      this.input.sources?.close();
      this.#output.close();
      this.recorder?.close();
    }
  }

  /** Prints and records events. @returns false at the end */
  #take(events: readonly WatchedEvent[]): boolean {
    const { count = Infinity } = this.options;
    let taken = 0;
    while (taken < events.length && this.shown < count)
      if (events[taken++].loss === 0) this.shown++;
    const chosen = events.slice(0, taken);
    this.recorder?.write(chosen);
    if (!this.#output.write(chosen.map(this.format).join(''), this.#deadline))
      this.#end = performance.now() < this.#deadline ? 'unread' : 'late';
    else if (this.shown >= count) this.#end = 'counted';
    else return true;
    return false;
  }
}
