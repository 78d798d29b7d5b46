/**
 * The table of POSIX cases (test/conformance/cases.ts), and random reads and writes, on a mount.
 */
import { exercise } from '../../conformance/fsx.js';
import { MountedSystem } from '../../conformance/processes.js';
import { conforms } from '../../conformance/system.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const OPERATIONS = 10_000;
const OPERATIONS_TIMEOUT_MS = 180_000;

const devfuse = mounted('on a mount');

conforms(devfuse, () => Promise.resolve(new MountedSystem(daemon.path)));

devfuse(
  'a file holds the bytes written, through any mix of reads, writes and truncations',
  async () => {
    const system = new MountedSystem(daemon.path);
    await exercise(system, OPERATIONS).finally(() => system.end());
  },
  OPERATIONS_TIMEOUT_MS,
);

devfuse.run();
