/**
 * Loaded into a daemon (node --import): a kernel without file handles of pidfds, before Linux 6.14.
 */
import { system } from '../../../fs/owners/system.js';

system.pidfdHandle = () => '';
system.openPidfdHandle = () => -1;
