/**
 * A daemon that has no descriptor left for a while. Its questions to the kernel have no answer in
 * that time. The daemon does not take this for an answer: nothing ends, and nothing is logged.
 */
import * as assert from 'uvu/assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { Reader, STACK_TRACE, killClients, statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { startApart } from '../../support/mount/apart.js';
import { killDaemons, makeUevent, run, startDaemon, until } from '../../support/mount/daemon.js';
import { setLimit } from '../../support/mount/limits.js';
import { suite } from '../../support/runner/suite.js';

/** Longer than a daemon waits after a request until it looks at its memory: fs/daemon/memory.ts. */
const IDLE_MS = 2500;
/** The limit that leaves no descriptor: the standard streams have those below. */
const NONE = 3;

const full = suite('a daemon without descriptors');

full.after(async () => {
  await killClients();
  await killDaemons();
});

full('looks at its memory later', async () => {
  const daemon = await startDaemon();
  const restore = await setLimit(daemon, 'nofile', NONE);
  await run(['stat', `${daemon.path}/log`]);
  await sleep(IDLE_MS);
  await restore();
  assert.is((await run(['stat', `${daemon.path}/log`])).code, 0);
  assert.not.match(daemon.log(), STACK_TRACE);
  assert.is(await daemon.stop(), 0);
});

full('keeps a network namespace whose name it cannot look up', async () => {
  const apart = await startApart(
    ['--source', 'kernel', '--netns', 'box'],
    'ip netns add box; ip netns set box auto;',
  );
  const ip = (...words: readonly string[]): ReturnType<typeof run> =>
    run([...apart.enter, 'ip', ...words]);
  const listener = new Reader('listen', [
    ...apart.enter,
    ...['ip', 'netns', 'exec', 'box', compiled('stream-netlink')],
  ]);
  await listener.has(1, 10_000);
  const restore = await setLimit(apart, 'nofile', NONE);
  await ip('netns', 'add', 'other');
  await sleep(100); // the change of the directory wakes the daemon
  await restore();
  await until(async () => {
    await makeUevent('change');
    return listener.text.includes('/devices/virtual/mem/null');
  }, 'no event came');
  assert.is(statusOf(`${apart.path}/log`).NETNS_OPEN, '1');
  // The daemon sees later that the file has gone
  const restoreAgain = await setLimit(apart, 'nofile', NONE);
  await ip('netns', 'delete', 'box');
  await sleep(100);
  await restoreAgain();
  await until(() => statusOf(`${apart.path}/log`).NETNS_OPEN === '0', 'the socket stayed open');
  assert.not.match(apart.log(), STACK_TRACE);
  await killClients();
  assert.is(await apart.stop(), 0);
});

full.run();
