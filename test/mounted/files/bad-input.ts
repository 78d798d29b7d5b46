/** Shared by the tests of bad input: the errnos that must not occur, and the state afterwards. */
import * as assert from 'uvu/assert';
import { type Answer, statusOf } from '../../support/clients/clients.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, shell } from '../../support/mount/mounted.js';
import { type Suite } from '../../support/runner/suite.js';

export const NODE_MODES = {
  regular: 0o100644,
  fifo: 0o010644,
  socket: 0o140644,
  character: 0o020644,
  block: 0o060644,
} as const;

/** @returns the errnos in the answers */
export const errnos = (answers: readonly Answer[]): Set<string> =>
  new Set(answers.map(({ errno }) => errno).filter((errno) => errno !== ''));

/** Asserts that no answer has an errno that shows a mistake of the daemon or of the test. */
export function noneIsOurFault(answers: readonly Answer[]): void {
  const faults = ['EIO', 'unknown', 'EPROTO', 'ENOTCONN', 'ECONNABORTED', 'ECANCELED', 'EFAULT'];
  for (const errno of faults) {
    assert.not(errnos(answers).has(errno), `${errno} among ${[...errnos(answers)].join(' ')}`);
  }
}

/** The option of a daemon whose filters may have any length. */
export const LONG_FILTERS = '[filter]\ntext = "64 KiB"\nterms = 16384\nalternatives = 32768\n';

/** Adds a last test: the directories can be removed, and the daemon has logged nothing. */
export function leavesNothing(bad: Suite): void {
  bad('leaves no directory, and no line in the log', async () => {
    await shell.run(`cd ${daemon.path}; rm -rf [0-9]*.*; cd /`, 25_000);
    await until(() => statusOf(`${daemon.path}/log`).DIRECTORIES === '0', 'directories are left');
    assert.is(daemon.log(), '');
  });
}
