/**
 * The processes that a caller may name as the owner of a directory: the rules of kill(2), and
 * callers whose /proc/<pid>/status is long.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { readStatus } from '../../../fs/owners/process.js';
import { until } from '../../support/mount/daemon.js';
import { named } from '../../support/memory/owners.js';
import { suite } from '../../support/runner/suite.js';

const owner = suite('an owner');
const children: ChildProcess[] = [];

owner.after(async () => {
  for (const child of children) {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
});

/** Starts a process that runs `prepare` in Python and sleeps. @returns its PID */
async function sleeper(prepare: string): Promise<number> {
  const child = spawn(
    'python3',
    ['-c', `import os, time\n${prepare}\nprint("ready", flush=True)\ntime.sleep(1000)`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  children.push(child);
  await once(child.stdout, 'data');
  return child.pid!;
}

owner(
  'can be named by a process that may signal it: its real and saved user IDs count',
  async () => {
    const one = await sleeper('os.setresuid(2001, 2001, 2001)');
    const other = await sleeper('os.setresuid(2002, 2002, 2002)');
    // Its effective user is 2001; it belongs to 2002.
    const borrowed = await sleeper('os.setresuid(2002, 2001, 2002)');
    const saved = await sleeper('os.setresuid(2002, 2002, 2001)');
    assert.equal([named(one, one), named(other, one)], ['ok', 'EPERM']);
    assert.is(named(borrowed, one), 'EPERM', 'the effective user of the target counts');
    assert.is(named(borrowed, other), 'ok');
    assert.is(named(saved, one), 'ok');
    assert.is(named(one, borrowed), 'ok', 'the effective user of the caller counts');
  },
);

owner(
  'can be named by a process with CAP_KILL, and by none with other capabilities only',
  async () => {
    const setpriv = (capability: string): number => {
      const kept = [
        '--reuid=2003',
        '--clear-groups',
        `--inh-caps=-all,+${capability}`,
        `--ambient-caps=-all,+${capability}`,
        `--bounding-set=-all,+${capability}`,
      ];
      const child = spawn('setpriv', [...kept, 'sleep', '1000'], { stdio: 'ignore' });
      children.push(child);
      return child.pid!;
    };
    const [kill, fsetid] = [setpriv('kill'), setpriv('fsetid')];
    for (const pid of [kill, fsetid])
      await until(
        () => readFileSync(`/proc/${pid}/comm`, 'latin1') === 'sleep\n',
        'the process did not start',
      );
    assert.equal([named(process.pid, kill), named(process.pid, fsetid)], ['ok', 'EPERM']);
  },
);

owner('may be in 4,000 groups', async () => {
  const many = await sleeper(
    'os.setgroups(range(100000, 104000))\nos.setresgid(2005, 2005, 2005)\nos.setresuid(2004, 2004, 2004)',
  );
  const length = readFileSync(`/proc/${many}/status`, 'latin1').length;
  assert.ok(length > 16 * 1024, `/proc/<pid>/status has ${length} bytes`);
  const { pid, parent, namespacePids, realUid, effectiveGid, mayKill } = readStatus(many)!;
  assert.equal(
    { pid, parent, namespacePids, realUid, effectiveGid, mayKill },
    {
      pid: many,
      parent: process.pid,
      namespacePids: [many],
      realUid: 2004,
      effectiveGid: 2005,
      mayKill: false,
    },
  );
  assert.is(named(many, many), 'ok');
  assert.is(named(process.pid, many), 'EPERM');
});

owner.run();
