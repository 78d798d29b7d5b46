/** Tests `eventfs wait`: it ends with an event, or at its time-out. */
import * as assert from 'uvu/assert';
import { EventStream } from '../../../fs/client/events/stream.js';
import { eventText, publish, publishNumbered, statusOf } from '../../support/clients/clients.js';
import { Background, eventfs } from '../../support/mount/command.js';
import { EVENTFS, EVENTFS_SCRIPT, run, startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';

/** Starts wait, and resolves once its stream is open. */
async function waiting(...args: readonly string[]): Promise<Background> {
  const before = Number(statusOf(`${daemon.path}/log`).STREAMS);
  const child = new Background(['wait', '--mount', daemon.path, ...args]);
  await until(
    () => Number(statusOf(`${daemon.path}/log`).STREAMS) > before,
    'it does not wait',
    20_000,
  );
  return child;
}

const command = mounted('eventfs wait');
command.after(() => Background.killAll());

command('prints the first event that matches, and ends with 0', async () => {
  const child = await waiting('N==2|3', '--timeout', '60');
  publish(
    daemon.path,
    eventText('/one', { N: 1 }),
    eventText('/two', { N: 2 }),
    eventText('/three', { N: 3 }),
  );
  assert.is(await child.ended, 0);
  assert.equal([child.out, child.err], ['add@/two\nACTION=add\nN=2\n', '']);
});

command(
  'waits without end if it has no time-out, and for any event if it has no filter',
  async () => {
    const child = await waiting();
    publish(daemon.path, eventText('/any'));
    assert.equal([await child.ended, child.out], [0, 'add@/any\nACTION=add\n']);
  },
);

command('ends once nothing reads its output any more', async () => {
  const wait = `${process.execPath} ${EVENTFS_SCRIPT} wait --mount ${daemon.path} N==never`;
  const { out } = await run(['bash', '-c', `${wait} | true; echo \${PIPESTATUS[0]}`]);
  assert.is(out, '111\n');
});

command('ends with 1 at its time-out, and prints nothing', async () => {
  for (const seconds of ['0', '0.05', '.05', '0.']) {
    const { code, out, err } = await eventfs([
      'wait',
      '--mount',
      daemon.path,
      'N==never',
      '--timeout',
      seconds,
    ]);
    assert.equal([code, out, err], [1, '', '']);
  }
});

command('takes a kept event also with a time-out of 0', async () => {
  publish(daemon.path, eventText('/kept', { KEPT: 1 }));
  const args = ['wait', '--mount', daemon.path, 'KEPT==1', '--since', '0', '--timeout', '0'];
  assert.equal((await eventfs(args)).out, 'add@/kept\nACTION=add\nKEPT=1\n');
  // Whether a timer of 0 s comes first is a matter of luck; without the event loop none comes.
  const stream = new EventStream(daemon.path, Filter.parse('KEPT==1'), '.test', '0');
  let taken = 0;
  void stream.forEach((events) => (taken = events.length) === 0);
  stream.close();
  assert.is(taken, 1);
});

command('finds kept events with --since', async () => {
  publish(daemon.path, eventText('/before', { B: 1 }), eventText('/before', { B: 2 }));
  const found = await eventfs([
    'wait',
    '--mount',
    daemon.path,
    '--since',
    '0',
    'DEVPATH==/before, B==2',
    '--timeout',
    '60',
  ]);
  assert.equal([found.code, found.out], [0, 'add@/before\nACTION=add\nB=2\n']);
  const { code } = await eventfs([
    'wait',
    '--mount',
    daemon.path,
    'DEVPATH==/before',
    '--timeout',
    '0.1',
  ]);
  assert.is(code, 1);
});

command('ends at once with --existing if a device matches', async () => {
  const found = await eventfs([
    'wait',
    '--mount',
    daemon.path,
    '--existing',
    'SUBSYSTEM==mem, DEVNAME==null',
    '--timeout',
    '60',
  ]);
  assert.is(found.code, 0);
  assert.match(
    found.out,
    /^add@\/devices\/virtual\/mem\/null\nACTION=add\nDEVPATH=\/devices\/virtual\/mem\/null\nSUBSYSTEM=mem\nMAJOR=1\nMINOR=3\nDEVNAME=null\n/,
  );
  const { code } = await eventfs([
    'wait',
    '--mount',
    daemon.path,
    '--existing',
    'SUBSYSTEM==nothing-has-this',
    '--timeout',
    '0.1',
  ]);
  assert.is(code, 1);
});

command('reports lost events, and goes on', async () => {
  const child = await waiting('SUBSYSTEM==many', '--timeout', '60');
  child.process.kill('SIGSTOP');
  publishNumbered(daemon.path, 5000, 0, { SUBSYSTEM: 'many' });
  child.process.kill('SIGCONT');
  assert.is(await child.ended, 0);
  assert.match(child.err, /^eventfs: wait: \d+ events were lost, and the awaited event may be/);
  assert.match(child.out, /^add@\/devices\/n\n/);
});

command('ends by a signal', async () => {
  assert.is(await (await waiting('N==never')).stop('SIGINT'), 'SIGINT');
});

command('fails when the daemon ends', async () => {
  const other = await startDaemon();
  const child = new Background(['wait', '--mount', other.path, 'N==never']);
  await until(() => statusOf(`${other.path}/log`).STREAMS === '1', 'it does not wait', 20_000);
  await other.stop();
  assert.equal(
    [await child.ended, child.err],
    [103, `eventfs: wait: ${other.path}: its daemon has ended (try eventfs doctor)\n`],
  );
});

command('refuses a time-out that is no number of seconds', async () => {
  for (const seconds of ['x', '-1', '1e99', '', '.', '1.2.3', '.5s']) {
    const { code, err } = await eventfs(['wait', '--mount', daemon.path, '--timeout', seconds]);
    assert.is(code, 100);
    assert.match(err, /^eventfs: option '--timeout <s>'[^\n]*\n$/);
  }
});

command(
  'misses no event between a check and its start with --since',
  async () => {
    const other = await startDaemon([]);
    const made = 'DEVPATH==/devices/virtual/mem/null, ACTION==change';
    const script = `since=$(cat /sys/kernel/uevent_seqnum); echo change >/sys/class/mem/null/uevent; "$1" wait --mount "$2" --since "$since" "$3" --timeout 60`;
    const { code, out } = await run(['sh', '-c', script, 'sh', EVENTFS, other.path, made], {
      timeoutMs: 60_000,
    });
    assert.is(code, 0);
    assert.match(out, /^change@\/devices\/virtual\/mem\/null\n/);
    await other.stop();
  },
  60_000,
);

command.run();
