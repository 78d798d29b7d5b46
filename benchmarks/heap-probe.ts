/**
 * Loaded into a daemon (NODE_OPTIONS=--import): at SIGUSR2 it forces a garbage collection, and
 * writes the remaining memory to EVENTFS_HEAP_FILE, as process.memoryUsage() reports it.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const file = process.env.EVENTFS_HEAP_FILE ?? '';

process.on('SIGUSR2', () => {
  for (let round = 0; round < 3; round++) collect();
  writeFileSync(`${file}.new`, JSON.stringify(process.memoryUsage()));
  renameSync(`${file}.new`, file);
});
