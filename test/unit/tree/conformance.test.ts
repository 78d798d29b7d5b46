/**
 * The table of POSIX cases (test/conformance/cases.ts) and random file operations, on the tree in
 * memory.
 */
import * as assert from 'uvu/assert';
import { exercise } from '../../conformance/fsx.js';
import { MemorySystem } from '../../conformance/memory.js';
import { conforms } from '../../conformance/system.js';
import { suite } from '../../support/runner/suite.js';

const OPERATIONS = 20_000;
const OPERATIONS_TIMEOUT_MS = 120_000;
const KERNELS_OWN = 'the kernel does it all by itself, or never asks';
const OTHER_FILESYSTEMS = 'there is no other filesystem in memory';
const PAGE_CACHE =
  'there is no page cache in memory; test/unit/tree/nodes/process-directory.test.ts tests such a READ';

const memory = suite('in memory');

conforms(memory, () => Promise.resolve(new MemorySystem()), {
  'link: is refused out of the mount': OTHER_FILESYSTEMS,
  'rename: out of the mount': OTHER_FILESYSTEMS,
  'open: with O_PATH': KERNELS_OWN,
  'open: with O_TMPFILE': KERNELS_OWN,
  'link: is refused of a file that has no name any more': KERNELS_OWN,
  'a file: has neither holes nor room set aside': KERNELS_OWN,
  'a file: is copied by copy_file_range': KERNELS_OWN,
  'a file: is locked by': KERNELS_OWN,
  'a file: of a process is not read into the page cache': PAGE_CACHE,
  'a file: of log/ can be sent, spliced and mapped': PAGE_CACHE,
  'mknod: makes a FIFO that carries bytes': KERNELS_OWN,
  'mknod: of a socket is bind': KERNELS_OWN,
  'other calls: ioctl': KERNELS_OWN,
  'permissions: of the root let a user make a directory':
    'the caller’s permission to signal is that of the test process, which is root’s',
});

memory(
  'a file returns the written bytes after any mix of reads, writes and truncations',
  async () => {
    const system = new MemorySystem();
    await exercise(system, OPERATIONS);
    assert.equal(system.kernel.warnings, []);
    await system.end();
  },
  OPERATIONS_TIMEOUT_MS,
);

memory.run();
