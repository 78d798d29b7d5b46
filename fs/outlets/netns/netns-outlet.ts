/**
 * Outlet to other network namespaces: the kernel's uevents, filtered, are sent to the uevent group
 * of each namespace by the kernel itself (Linux 4.18). So an unmodified udevd, mdevd or libudev
 * program in a container hears them: to it they come from the kernel.
 *
 * The kernel adds a SEQNUM of its own to each message, from the counter that all namespaces share.
 * The outlet removes the event's own. Events of programs are not sent: what a user publishes must
 * not look like the kernel's.
 */
import type { Bus } from '../../bus/bus.js';
import type { Event } from '../../bus/event.js';
import { UsageError, UserError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log/logger.js';
import { type StatusLines, netnsText } from '../../shared/status-lines.js';
import { NO_TRACE } from '../../shared/log/trace.js';
import {
  Filter,
  FilterError,
  type FilterLimits,
  OversizedFilter,
} from '../../uevent/filter/filter.js';
import { MAX_EVENT_BYTES } from '../../uevent/text.js';
import { writeLines } from '../libudev-writer.js';
import type { Outlet, OutletHost } from '../outlet.js';
import { Namespace } from './namespace.js';

/** A network namespace that gets events. */
export interface NetnsPlace {
  /** The file of the namespace. */
  readonly path: string;
  /** The filter's text; empty for all events. */
  readonly filter: string;
}

/** The size of the buffer for the messages of one batch. */
const MEMORY_BYTES = 4 * MAX_EVENT_BYTES;
const SEQNUM_LINE = '\nSEQNUM=';

/** Sends the kernel's events into network namespaces. */
export class NetnsOutlet implements Outlet {
  readonly #bus: Bus;
  readonly #namespaces: Namespace[] = [];
  readonly #memory = new Uint8Array(MEMORY_BYTES);
  /** The bytes of the batch in the memory. */
  #end = 0;
  /** How many events of the kernel the bus had counted at the last `take`. */
  #kernel: number;

  /**
   * Opens all namespaces, or none.
   *
   * @param leaveOut called with the error of a namespace that can't be opened. Throws it if the
   *   daemon must not serve without the namespace
   * @throws UserError if a path names no network namespace, or one that another path names too
   * @throws UsageError if a filter is not valid
   */
  constructor(
    places: readonly NetnsPlace[],
    { bus, filters, logger, trace, keeper, opened }: OutletHost,
    leaveOut: (error: unknown) => void,
  ) {
    this.#bus = bus;
    this.#kernel = bus.counted.kernel;
    const limits = filters.filterLimits;
    for (const { path, filter } of places) {
      try {
        this.#add(new Namespace(path, parse(path, filter, limits), logger, trace, keeper, opened));
      } catch (error) {
        this.#tryLeaveOut(error, leaveOut);
      }
    }
  }

  #tryLeaveOut(error: unknown, leaveOut: (error: unknown) => void): void {
    try {
      leaveOut(error);
    } catch (refused) {
      this.close();
      throw refused;
    }
  }

  #add(namespace: Namespace): void {
    const before = [...this.#namespaces];
    this.#namespaces.push(namespace);
    refuseTwin(namespace, before);
  }

  /**
   * Checks whether a namespace could be opened.
   *
   * @param before the namespaces that were checked before; this one is added
   * @throws UserError with the reason
   */
  static check(
    { path, filter }: NetnsPlace,
    limits: FilterLimits,
    logger: Logger,
    before: Namespace[],
  ): void {
    const namespace = new Namespace(path, parse(path, filter, limits), logger, NO_TRACE);
    namespace.close();
    refuseTwin(namespace, before);
    before.push(namespace);
  }

  /** Adds a kernel's event to the batch of each namespace whose filter matches. */
  take(event: Event): void {
    // The bus counts an event before it hands it on: an equal count means another source.
    const { kernel } = this.#bus.counted;
    if (kernel === this.#kernel) return;
    this.#kernel = kernel;
    let start = -1;
    for (const namespace of this.#namespaces) {
      if (!namespace.isOpen || !namespace.filter.matches(event)) continue;
      if (start < 0) {
        if (this.#end + event.length > MEMORY_BYTES) this.settle();
        start = this.#end;
        this.#end = this.#write(event, start);
      }
      if (namespace.isFull) namespace.send(this.#memory);
      namespace.add(start, this.#end - start);
    }
  }

  /**
   * Sends the batches.
   *
   * @returns false: no work is left for a later turn
   */
  settle(): boolean {
    if (this.#end === 0) return false;
    for (const namespace of this.#namespaces) namespace.send(this.#memory);
    this.#end = 0;
    return false;
  }

  /** Writes the event's lines but for SEQNUM. @returns the offset behind them */
  #write(event: Event, start: number): number {
    const end = writeLines(event, 0, this.#memory, start);
    const at = event.text.lastIndexOf(SEQNUM_LINE);
    if (at < 0) return end;
    const next = event.text.indexOf('\n', at + 1) + 1;
    this.#memory.copyWithin(start + at + 1, start + next, end);
    return end - (next - at - 1);
  }

  /** Returns the outlet's lines of `log/.status`. */
  statusLines(): StatusLines {
    const all = this.#namespaces;
    return [
      ['NETNS_OPEN', all.filter(({ isOpen }) => isOpen).length],
      ['NETNS_SENT', all.reduce((sum, { sent }) => sum + sent, 0)],
      ['NETNS_REFUSED', all.reduce((sum, { refused }) => sum + refused, 0)],
      ...all.map(
        ({ path, isOpen, sent, refused, filter }, index) =>
          [
            `NETNS_${index}`,
            netnsText({ path, isOpen, sent, refused, filter: filter.text }),
          ] as const,
      ),
    ];
  }

  /** Closes all sockets. */
  close(): void {
    for (const namespace of this.#namespaces) namespace.close();
  }
}

/** @throws UserError if one of the namespaces before is the same */
function refuseTwin({ path, identity }: Namespace, before: readonly Namespace[]): void {
  const twin = before.find((other) => other.identity === identity);
  if (twin !== undefined)
    throw new UserError(
      `--netns ${path}: it is the same network namespace as ${twin.path} (name it once)`,
    );
}

function parse(path: string, text: string, limits: FilterLimits): Filter {
  try {
    return Filter.parse(text, limits);
  } catch (error) {
    if (error instanceof FilterError || error instanceof OversizedFilter)
      throw new UsageError(`--netns ${path}: ${error.message}`);
    throw error;
  }
}
