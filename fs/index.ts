/**
 * The public API of eventfs: a filesystem in which a directory has the lifetime of a process. The
 * kernel's device events feed it.
 *
 * Three terms explain the rest:
 *
 *   A *process directory* belongs to one live process, its owner. When the owner is dead, the
 *   directory and everything that only it held are unreachable: no lookup finds the directory, and
 *   every older handle and node fails with ESTALE.
 *   It is a *queue* that `ls` shows: the events that wait for one reader, in order and bounded.
 *   Lost events are counted.
 *   A *stream* is a file whose read(2) returns the next events, and waits while there are none.
 *   `.stream` in a process directory takes events off its queue. `stream` and `match/<filter>` are
 *   cursors into the log, which holds all events.
 *
 * Read the files in this order, along the way of one uevent and of one request:
 *
 *   sources/uevent-source.ts      receives a datagram, and checks that the kernel
 *                                 (sources/kernel.ts) or udevd (sources/udev.ts) sent it
 *   uevent/text.ts                converts it to text
 *   bus/bus.ts                    appends the text once to bus/log.ts, and hands the event to every
 *                                 listener; the tree is one
 *   bus/arena.ts                  keeps the text after the log's ring drops it, while it is in use
 *   outlets/open-outlets.ts       opens the outlets that the options ask for: netlink groups,
 *                                 sockets, descriptors, a fifodir
 *   tree/tree.ts                  links the event into process directories, and notifies streams
 *   tree/streams/streams.ts       answers blocked readers; all at the same place get the same bytes
 *
 *   native/addon/fuse/            reads a request from /dev/fuse; drains deaths before it looks at
 *                                 the request
 *   owners/owners.ts              ends what a dead process owned (docs/design.md, section 4)
 *   fuse/session.ts               finds the handler, and makes sure that there is exactly one reply
 *   drivers/devfuse/handlers/     execute the request on the tree: one method a request, with the
 *                                 system call that causes it
 *   tree/quota/ledger.ts          charges users for what they hold, at the prices of tree/prices.ts
 *   daemon/memory.ts              returns freed memory to the system
 *   (drivers/fuse-native/ is the other driver, by libfuse and paths: docs/drivers.md)
 *
 * Imports go down only, types included, in this order (.dependency-cruiser.cjs, `make lint`):
 *
 *   index.ts, cli > client
 *   index.ts, cli > daemon > drivers, sources, outlets > tree > bus > uevent, owners, fuse > shared
 *
 * Everything that a client can observe is plain data below Tree; closures hold none of it. So a
 * later daemon can take it up.
 */
export { Daemon } from './daemon/daemon.js';
export type { DaemonOptions } from './daemon/options.js';
export type { Logger } from './shared/logger.js';
export { TRACE_KINDS, Trace, type TraceKind } from './shared/trace.js';
export { Filter, FilterError } from './uevent/filter/filter.js';
