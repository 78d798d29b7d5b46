/**
 * Loaded into a daemon (node --import): its sources of uevents do not read in the event loop.
 */
import { UeventSource } from '../../../fs/sources/uevent-source.js';

UeventSource.prototype.start = () => undefined;
