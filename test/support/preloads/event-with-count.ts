/**
 * Loaded into a daemon (node --import): makes the kernel send an event just before each time that
 * the daemon reads the last SEQNUM.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const SEQNUM = '/sys/kernel/uevent_seqnum';
const DEVICE = '/sys/class/mem/full/uevent';

const read = fs.readFileSync;
fs.readFileSync = ((...args: Parameters<typeof read>) => {
  if (args[0] === SEQNUM) fs.writeFileSync(DEVICE, 'change');
  return read(...args);
}) as typeof read;
syncBuiltinESMExports();
