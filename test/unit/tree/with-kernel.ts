/** Tests of the mounted tree without a mount: each has a kernel in memory of its own. */
import * as assert from 'uvu/assert';
import type { KernelOptions } from '../../support/memory/connection.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import type { Suite } from '../../support/runner/suite.js';

/** A function that adds a test with a kernel of its own and the node id of its directory `own`. */
type TestWithKernel = (
  sentence: string,
  body: (kernel: MemoryKernel, own: number) => Promise<void> | void,
) => void;

/**
 * Returns a function that adds a test with a kernel of its own and a directory `own` of this
 * process. The session may log nothing.
 */
export function withKernel(of: Suite, options: KernelOptions = {}): TestWithKernel {
  return (sentence, body) => {
    of(sentence, async () => {
      const kernel = MemoryKernel.started(options);
      try {
        await body(kernel, kernel.mkdir('own'));
        assert.equal(kernel.warnings, []);
      } finally {
        kernel.close();
      }
    });
  };
}

/** Returns the text of `kernel.event(seqnum, more)`. */
export function eventText(seqnum: number, more = 'SUBSYSTEM=mem\n'): string {
  return `add@/devices/x\nACTION=add\n${more}SEQNUM=${seqnum}\n`;
}
