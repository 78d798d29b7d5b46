/** The helper process that releases a starved queue of io_uring: it ends with the mount. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { RingStallRescuer } from '../../../fs/drivers/devfuse/io-uring/ring-stall-rescuer.js';
import { until } from '../../support/mount/daemon.js';
import { isDead } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const rescuer = suite('a rescuer of starved queues');

/** Returns the PID that the helper has written, or 0. */
function pidIn(path: string): number {
  try {
    return Number(readFileSync(path, 'latin1'));
  } catch {
    return 0;
  }
}

rescuer('kills a helper that runs when it stops, and starts no other', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eventfs-rescuer-'));
  const [program, pidFile] = [join(folder, 'helper'), join(folder, 'pid')];
  writeFileSync(program, `#!/bin/sh\necho $$ > ${pidFile}\nexec sleep 1000\n`);
  chmodSync(program, 0o755);
  const own = new RingStallRescuer({ starvedQueue: () => 0 }, folder, 0, program);
  own.told();
  await until(() => pidIn(pidFile) > 0, 'the helper did not start');
  const started = performance.now();
  own.stop();
  const pid = pidIn(pidFile);
  await until(() => isDead(pid), 'the helper still runs');
  assert.ok(performance.now() - started < 400, 'only its timeout of 500 ms ended the helper');
  own.told();
  await sleep(250);
  assert.is(own.helped, 1);
  rmSync(folder, { recursive: true });
});

rescuer.run();
