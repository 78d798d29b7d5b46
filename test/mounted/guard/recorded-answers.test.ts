/**
 * Recorded answers: a daemon has recorded the answer to a blocked read, and is killed before it
 * sends the answer. The next daemon sends it, unless the directory's owner has died meanwhile.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Actor, statusOf } from '../../support/clients/actor.js';
import { eventText, publish } from '../../support/clients/clients.js';
import { hasSaid, mountPoint, startDaemon, until } from '../../support/mount/daemon.js';
import { withPreload } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';
import { cleanUp, prepare } from '../lifecycle/common.js';

const answers = suite('a recorded answer');
const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'answers-'));

answers.before(prepare);
answers.after(async () => {
  await Actor.endAll();
  rmSync(scratch, { recursive: true });
  await cleanUp();
});

for (const [what, dies] of [
  ['reaches its reader from the next daemon', false],
  ['reaches no reader once the owner is dead', true],
] as const)
  answers(what, async () => {
    const victim = join(scratch, `victim-${dies}`);
    const guarded = await startDaemon(['--guard', '--source', 'none'], mountPoint(), {
      eventfs: withPreload('dies-before-answers'),
      env: { EVENTFS_TEST_VICTIM: victim },
    });
    const owner = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const other = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const directory = `${guarded.path}/${owner.pid}`;
    mkdirSync(directory);
    const reader = new Actor();
    const read = reader.ask(`read ${await reader.get(`open ${directory}/.stream`)}`);
    await until(async () => (await statusOf(directory, 'WAITING')) === '1', 'no read waits');
    writeFileSync(victim, String(dies ? owner.pid : other.pid));
    publish(guarded.path, eventText('/x'));
    await hasSaid(guarded, /this one goes on/);
    assert.is(await read, dies ? 'ESTALE' : `ok ${eventText('/x').length + 1}`);
    for (const child of [owner, other]) child.kill('SIGKILL');
    await reader.kill();
    await guarded.stop();
  });

answers.run();
