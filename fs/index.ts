/**
 * eventfs in a program: subscribe to device events, publish events, and mount the filesystem in
 * which a directory has the lifetime of a process.
 *
 * ```ts
 * import { subscribe } from 'eventfs';
 *
 * for await (const event of subscribe({ filter: 'SUBSYSTEM==usb' })) console.log(event);
 * ```
 *
 * {@link subscribe} reads a mount, or netlink if there is none. {@link publish} writes to a mount,
 * and {@link mount} makes one. Every function throws an {@link EventfsError}, whose code a program
 * can compare.
 *
 * @module eventfs
 */
export { EventfsError, type EventfsErrorCode } from './library/errors.js';
export type { DeviceEvent, EventOrLoss, Loss } from './library/event.js';
export { Filter } from './library/filter.js';
export { type Mount, type MountOptions, type SourceName, mount } from './library/mount.js';
export type { NetlinkName } from './library/netlink-batches.js';
export { type NewEvent, type PublishOptions, publish } from './library/publish.js';
export { type SubscribeOptions, subscribe } from './library/subscribe.js';
export type { Subscription } from './library/subscription.js';
