/**
 * eventfs: a filesystem in which a directory has the lifetime of a process, fed by the kernel's device events.
 *
 * Three words carry the rest:
 *
 *   A *process directory* belongs to one live process, its owner. The moment the owner is dead, the directory and all
 *   that only it held are out of reach: no lookup finds it, and every handle and node from before says ESTALE.
 *   It is a *queue* that `ls` shows: the events that wait for one reader, in order, bounded, and what was lost is counted.
 *   A *stream* is a file whose read(2) hands over the next events and waits while there are none. `.stream` in a process
 *   directory takes them off its queue; `stream` and `match/<filter>` are cursors into the log that all events are in.
 *
 * The order to read in, along the way of one uevent and of one request:
 *
 *   sources/uevent-source.ts      a datagram comes, and is the kernel's (sources/kernel.ts) or udevd's (sources/udev.ts)
 *   uevent/text.ts                becomes text
 *   bus/bus.ts                    is appended once to bus/log.ts, and goes to every outlet; the tree is one
 *   bus/arena.ts                  is where its text goes once the log's ring lets go of it and somebody still holds it
 *   outlets/open-outlets.ts       the outlets, if options ask for them: netlink groups, sockets, descriptors, a fifodir
 *   tree/tree.ts                  gives a link to each process directory, and tells the streams
 *   tree/streams/streams.ts       answers those who wait, all at the same place with the same bytes
 *
 *   native/addon/fuse/            a request is read from /dev/fuse; before it is looked at, the dead are drained:
 *   owners/owners.ts              what a dead process owned ends here (docs/design.md, section 4)
 *   fuse/session.ts               finds the handler, and makes sure that there is exactly one reply
 *   drivers/devfuse/handlers.ts   does it on the tree; one method a request, with the system call that causes it
 *   tree/quota.ts                 charges whoever holds something, at tree/prices.ts; daemon/memory.ts gives back what is freed
 *   (drivers/fuse-native/ is the other driver, by libfuse and paths: docs/drivers.md)
 *
 * Imports go down only, types included, in this order (.dependency-cruiser.cjs, `make lint`):
 *
 *   index.ts, cli > client
 *   index.ts, cli > daemon > drivers, sources, outlets > tree > bus > uevent, owners, fuse > shared
 *
 * What a client can observe is plain data below Tree, so that a later daemon can take it up; closures hold none of it.
 */
export { Daemon } from './daemon/daemon.js';
export type { DaemonOptions } from './daemon/options.js';
export type { Logger } from './shared/logger.js';
export { TRACE_KINDS, Trace, type TraceKind } from './shared/trace.js';
export { Filter, FilterError } from './uevent/filter/filter.js';
