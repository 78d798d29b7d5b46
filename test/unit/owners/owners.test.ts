/** The checks for an owner that need no privilege: dead processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { until } from '../../support/mount/daemon.js';
import { named } from '../../support/memory/owners.js';
import { stateOf } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';

const owner = suite('an owner');

owner('that is a zombie is dead', async () => {
  const parent = spawn(
    'python3',
    [
      '-c',
      'import os, time\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(1000)',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [text] = (await once(parent.stdout, 'data')) as [Buffer];
  const zombie = Number(text.toString());
  await until(() => stateOf(zombie) === 'Z', 'it did not end');
  assert.is(named(zombie, process.pid), 'ESRCH');
  const gone = once(parent, 'exit');
  parent.kill('SIGKILL');
  await gone;
});

owner.run();
