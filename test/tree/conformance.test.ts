/** The table of POSIX cases (test/conformance/cases.ts) on the tree in memory. */
import { MemorySystem } from '../conformance/memory.js';
import { conforms } from '../conformance/system.js';
import { suite } from '../support/suite.js';

const KERNELS_OWN = 'the kernel does it all by itself';

const memory = suite('in memory');

conforms(memory, () => Promise.resolve(new MemorySystem()), {});
void KERNELS_OWN;

memory.run();
