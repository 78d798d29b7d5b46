/** Loaded into a daemon (node --import): whenever it asks the kernel for its last SEQNUM, an event has come just before. */
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
