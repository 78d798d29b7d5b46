/** The text of `log/.metrics`, in memory. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { metricsText } from '../../../../fs/tree/metrics/exposition.js';
import { samplesOf } from '../../../../fs/tree/metrics/samples.js';
import type { StatusLines } from '../../../../fs/shared/status-lines.js';
import { runs } from '../../../support/runner/budget.js';
import { suite } from '../../../support/runner/suite.js';

const metrics = suite('the metrics');

/** Reads a label's value back, as Prometheus does. */
function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
}

metrics('have any bytes as a label, on one line', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (array) => {
      const bytes = Buffer.from(array);
      const directory = bytes.toString('latin1');
      const text = metricsText([
        { family: 'directory_pending_events', labels: { directory }, value: 7 },
      ]);
      const lines = Buffer.from(text, 'latin1').toString().split('\n');
      assert.is(lines.length, 4);
      const [, label] = /^eventfs_directory_pending_events\{directory="(.*)"\} 7$/su.exec(
        lines[2],
      )!;
      assert.is(unescaped(label), bytes.toString());
    }),
    runs(200),
  );
});

metrics('have each sample once, and no line of a single stream', () => {
  const lines: StatusLines = [
    ['KERNEL', 5],
    ['TRANSPORT', 'io-uring'],
    ['NOTIFIER', 0],
    ['COLLECTION_MS', 12],
    ['MOST_FILTER_COST', 'unlimited'],
    ['REFUSED_UID_MEMORY', 3],
    ['QUOTA_UID_1000', 'directories=2/256 events=1/unlimited'],
    ['SOCKET_SUBSCRIBERS', 2],
    ['SOCKET_0', 'pid=1 uid=0 id=1 pending=3 lost=0 added=9 filter='],
    ['SOCKET_1', 'pid=2 uid=0 id=2 pending=4 lost=1 added=9 filter=A==b'],
    ['STREAM_0', 'pid=3 id=0 pending=5 lost=0 added=9 filter='],
  ];
  const shown = metricsText(samplesOf(lines))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  assert.equal(shown, [
    'eventfs_daemon_info{transport="io-uring"} 1',
    'eventfs_events_total{source="kernel"} 5',
    'eventfs_subscribers{kind="socket"} 2',
    'eventfs_pending_events{kind="socket"} 7',
    'eventfs_pending_events_max{kind="socket"} 4',
    'eventfs_quota_held{kind="uid",id="1000",item="directories"} 2',
    'eventfs_quota_limit{kind="uid",id="1000",item="directories"} 256',
    'eventfs_limit_refusals_total{limit="uid_memory"} 3',
    'eventfs_notifier_up 0',
    'eventfs_last_collection_seconds 0.012',
  ]);
});

metrics.run();
