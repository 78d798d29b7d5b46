/** `subscribe`: events as an async iterator, from a mount or from netlink. */
import { isEventName } from '../uevent/event-name.js';
import { DEFAULT_DIRECTORY } from '../shared/kernel/mountinfo.js';
import { checkOptions } from './check-options.js';
import { EventfsError } from './errors.js';
import { Filter, parsedFilter } from './filter.js';
import { MountBatches } from './mount-batches.js';
import { NETLINK_NAMES, NetlinkBatches, type NetlinkName } from './netlink-batches.js';
import { BatchSubscription, type Subscription } from './subscription.js';

/** The options of {@link subscribe}. */
export interface SubscribeOptions {
  /** The events to return (default: all). */
  readonly filter?: string | Filter | undefined;
  /** The directory that eventfs is mounted on (default `/dev/events`). */
  readonly mount?: string | undefined;
  /**
   * Reads the kernel's or udevd's netlink group itself, without a mount. Events that programs
   * publish on a mount are not there.
   */
  readonly netlink?: NetlinkName | undefined;
  /**
   * A SEQNUM, or the name of an event's file, as in `1041.7`: the events after it that the daemon
   * has kept come first. Only with a mount.
   */
  readonly since?: number | string | undefined;
  /** Ends the subscription: the iterator throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS = [
  'filter',
  'mount',
  'netlink',
  'since',
  'signal',
] as const satisfies readonly (keyof SubscribeOptions)[];

/**
 * Subscribes to events.
 *
 * The subscription opens at once; {@link Subscription.ready} tells when. It reads only while the
 * loop waits for the next event. The daemon or the kernel keeps the events that come in the
 * meantime, up to its bounds; the number of those that it drops is a {@link Loss} at their place.
 *
 * Neither the event loop nor a thread of libuv's pool waits for a daemon: each subscription to a
 * mount has a thread of its own until it ends. End it by leaving the loop, by the signal or by
 * `return()`; until then it keeps the process alive.
 *
 * @param options the source, the filter and the end
 * @returns an async iterator of events and losses
 * @throws EventfsError `BAD_OPTION`, or `BAD_FILTER`
 *
 * @example
 * ```ts
 * for await (const event of subscribe({ filter: 'SUBSYSTEM==block, ACTION==add' })) {
 *   if (event.type === 'loss') console.log(`${event.lost} events are missing`);
 *   else console.log(event.properties.DEVNAME);
 * }
 * ```
 */
export function subscribe(options: SubscribeOptions = {}): Subscription {
  checkOptions('subscribe', options, OPTIONS);
  const { filter = '', mount, netlink, since, signal } = options;
  const parsed = parsedFilter(filterOf(filter));
  if (since !== undefined && !isEventName(String(since)))
    throw new EventfsError(
      'BAD_OPTION',
      "since: it is neither a SEQNUM nor an event's name (use 1041 or '1041.7')",
    );
  if (netlink === undefined)
    return new BatchSubscription(
      new MountBatches(mount ?? DEFAULT_DIRECTORY, parsed, since),
      signal,
    );
  if (!NETLINK_NAMES.includes(netlink))
    throw new EventfsError('BAD_OPTION', "netlink: it is not a group (use 'kernel' or 'udev')");
  if (mount !== undefined || since !== undefined)
    throw new EventfsError(
      'BAD_OPTION',
      `netlink: netlink excludes ${mount === undefined ? 'since' : 'mount'} (leave one of them out)`,
    );
  return new BatchSubscription(new NetlinkBatches(netlink, parsed), signal);
}

/** Takes a filter by its text if it is of another copy of the package, whose class is another. */
function filterOf(filter: string | Filter): Filter {
  if (filter instanceof Filter) return filter;
  const { text } = Object(filter) as { readonly text?: unknown };
  return new Filter(typeof text === 'string' ? text : filter);
}
