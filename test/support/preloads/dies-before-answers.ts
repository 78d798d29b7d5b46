/**
 * Loaded into a daemon (node --import): once the file EVENTFS_TEST_VICTIM is there, it kills the
 * process that the file names, and itself, after it has recorded the next answer to parked
 * reads and before it sends the answer. The file is removed, so that the next daemon does not die.
 */
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { Transactions } from '../../../fs/drivers/devfuse/transactions.js';
import { isDead } from '../processes.js';

const victim = process.env.EVENTFS_TEST_VICTIM!;

// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own `this`
const { answers } = Transactions.prototype;

Transactions.prototype.answers = function (reads, uniques, copied) {
  answers.call(this, reads, uniques, copied);
  if (!existsSync(victim)) return;
  const pid = Number(readFileSync(victim, 'latin1'));
  unlinkSync(victim);
  process.kill(pid, 'SIGKILL');
  while (!isDead(pid));
  process.kill(process.pid, 'SIGKILL');
};
