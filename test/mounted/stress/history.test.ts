/**
 * Clients of all kinds write down each of their calls, and the history checker (tools/history)
 * looks for a result that cannot be: after the death of an owner, out of order, twice, not at all.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Historians } from '../../support/clients/history.js';
import { configured } from '../../support/mount/config.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { figure } from '../../support/runner/output.js';

const SECONDS = Number(process.env.EVENTFS_HISTORY_SECONDS ?? 4);
const SEED = Number(process.env.EVENTFS_TEST_SEED ?? Date.now() % 2 ** 31);
/** Clients share two CPUs with the daemon. */
const LONGEST_MS = 5000;

/** So small that slow readers lose events. */
const BOUNDS = '[queue]\nevents = 300\n[log]\nhistory_events = 256\nring_events = 400\n';

const histories = mounted('the histories of clients', [
  ...configured(BOUNDS).slice(2),
  '--source',
  'kernel',
]);
let historians: Historians | null = null;
histories.after(() => historians?.kill());

histories(
  `have only results that can be, in ${SECONDS} s`,
  async () => {
    historians = new Historians(daemon.path);
    await historians.start({
      publishers: 4,
      rate: 125,
      uevents: 20,
      deaths: 30,
      names: 2,
      calls: 300,
      pauseMs: 1500,
      seed: SEED,
    });
    await sleep(SECONDS * 1000);
    assert.equal(historians.ended, []);
    await historians.end();
    await historians.close();
    const found = historians.check(LONGEST_MS);
    assert.equal(found.violations, [], `seed ${SEED}: ${historians.out}\n${found.report()}`);
    const { deaths, delivered, published, lost } = found.figures;
    assert.ok(
      deaths > 10 * SECONDS && published > 300 * SECONDS && delivered > published,
      found.report(),
    );
    assert.ok(lost > 0, 'the slow readers have lost nothing');
    figure(found.report());
  },
  (SECONDS + 60) * 1000,
);

histories.run();
