/** `log/.metrics`: Prometheus' text format, checked by Debian's promtool. */
import * as assert from 'uvu/assert';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { Reader, publishNumbered, statusOf } from '../../support/clients/clients.js';
import { run, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';

/** The name of a sticky directory that the format must escape. */
const ODD = 'a"b\\c d';

const metrics = mounted('log/.metrics', [
  '--source',
  'none',
  '--sticky',
  'global:1733',
  '--sticky',
  `${ODD}:0700`,
]);

/** Returns the value of one sample, named without the prefix. */
function value(sample: string): number {
  const text = readFileSync(`${daemon.path}/log/.metrics`, 'utf8');
  const line = text.split('\n').find((one) => one.startsWith(`eventfs_${sample} `));
  assert.ok(line !== undefined, `${sample} is not in:\n${text}`);
  return Number(line.slice(line.lastIndexOf(' ')));
}

metrics('is accepted by promtool, and every user may read it', async () => {
  const path = `${daemon.path}/log/.metrics`;
  const { out } = await run([...AS_NOBODY, 'cat', path]);
  assert.ok(statSync(path).size > 1000, 'cat and node_exporter see a file with a size');
  const checked = await run(['promtool', 'check', 'metrics'], {
    input: Buffer.from(out, 'latin1'),
  });
  assert.equal([checked.code, checked.out, checked.err], [0, '', '']);
});

metrics('counts events, and what each kind of subscriber has and has lost', async () => {
  const path = await directory();
  const reader = await Reader.on(`${daemon.path}/match/N=x`);
  publishNumbered(daemon.path, 5000);
  assert.is(value('events_total{source="published"}'), 5000);
  assert.is(value('events_total{source="kernel"}'), 0);
  assert.is(value('subscribers{kind="directory"}'), 3);
  assert.is(value('subscribers{kind="stream"}'), 1);
  assert.is(value('pending_events{kind="directory"}'), 3 * 4096);
  assert.is(value('pending_events_max{kind="directory"}'), 4096);
  assert.is(value('directory_added_events_total{directory="global"}'), 5000);
  assert.is(value('directory_pending_events{directory="a\\"b\\\\c d"}'), 4096);
  assert.is(value('lost_events_total{kind="directory"}'), 3 * 904);
  rmSync(path, { recursive: true });
  assert.is(value('subscribers{kind="directory"}'), 2);
  assert.is(value('lost_events_total{kind="directory"}'), 3 * 904);
  await reader.kill();
});

metrics('keeps the losses of a stream that is closed', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  reader.process.kill('SIGSTOP');
  publishNumbered(daemon.path, 10_000);
  const lost = value('lost_events_total{kind="stream"}');
  assert.ok(lost >= 10_000 - 4096 - 1000, String(lost));
  await reader.kill();
  await until(() => value('subscribers{kind="stream"}') === 0, 'the stream stays open');
  assert.is(value('lost_events_total{kind="stream"}'), lost);
  assert.is(Number(statusOf(`${daemon.path}/log`).STREAMS_LOST), lost);
});

metrics('is a name like any other in a process directory', async () => {
  const path = await directory();
  assert.is(
    (await run(['sh', '-c', `echo mine > ${path}/.metrics; cat ${path}/.metrics`])).out,
    'mine\n',
  );
  const refused = await run(['rm', `${daemon.path}/log/.metrics`]);
  assert.match(refused.err, 'Operation not permitted');
});

metrics.run();
