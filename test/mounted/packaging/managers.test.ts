/** Tests packaging/managers: the rules by which mdev, mdevd, vdev and udev publish each event. */
import * as assert from 'uvu/assert';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader } from '../../support/clients/clients.js';
import { EMIT_HELPER, PROJECT, run } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const rules = (name: string): string => join(PROJECT, 'packaging/managers', name);
const scratch = (): string =>
  mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'managers-'));
/** The helper in the files. `make install` puts its prefix there. */
const INSTALLED = '@PREFIX@/bin/eventfs-emit';

const managers = mounted('a device manager');

managers('mdev.conf makes busybox mdev publish an event', async () => {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const file = join(scratch(), 'mdev.conf');
  writeFileSync(
    file,
    readFileSync(rules('mdev.conf'), 'utf8').replaceAll(
      INSTALLED,
      `${EMIT_HELPER} --mount /run/events`,
    ),
  );
  // mdev makes nodes in /dev and reads its rules in /etc: both are private here.
  const script = `mount -t tmpfs tmpfs /run; mkdir /run/events; mount --bind "$1" /run/events; cp "$2" /run/mdev.conf; mount -t tmpfs tmpfs /etc; cp /run/mdev.conf /etc; mount -t tmpfs tmpfs /dev; exec busybox mdev`;
  const env = {
    PATH: process.env.PATH,
    ACTION: 'add',
    DEVPATH: '/devices/virtual/mem/null',
    SUBSYSTEM: 'mem',
    DEVNAME: 'null',
    MAJOR: '1',
    MINOR: '3',
    SEQNUM: '4711',
    HOME: '/root',
  };
  const { code, out, err } = await run(
    ['unshare', '--mount', 'sh', '-ec', script, 'sh', daemon.path, file],
    { env },
  );
  assert.equal([code, out, err], [0, '', '']);
  const [record] = await reader.has(1);
  const [header, ...properties] = record.split('\n');
  assert.is(header, 'add@/devices/virtual/mem/null');
  assert.equal(properties.sort(), [
    'ACTION=add',
    'DEVNAME=null',
    'DEVPATH=/devices/virtual/mem/null',
    'MAJOR=1',
    'MDEV=null',
    'MINOR=3',
    'SEQNUM=4711',
    'SUBSYSTEM=mem',
  ]);
  await reader.kill();
});

managers('mdevd.conf has the same rules as mdev.conf', () => {
  const lines = (name: string): string[] =>
    readFileSync(rules(name), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
  assert.equal(lines('mdevd.conf'), lines('mdev.conf'));
  assert.ok(lines('mdevd.conf').length > 0);
  for (const line of lines('mdevd.conf'))
    assert.match(line, /^-?\S+\t+\d+:\d+ [0-7]{3}( \*@PREFIX@\/\S+ --environment)?$/);
});

managers('eventfs.act is an action of vdevd that runs the helper', () => {
  const lines = readFileSync(rules('eventfs.act'), 'utf8').trim().split('\n');
  assert.is(lines[0], '[vdev-action]');
  assert.ok(lines.length > 2);
  for (const line of lines.slice(1)) assert.match(line, /^(event|OS_\w+|command)=/);
  // emit.test.ts tests the variables.
  assert.ok(lines.includes(`command=${INSTALLED} --environment`));
});

managers('99-eventfs.rules makes udev run the helper for an event', async () => {
  const script =
    'mount -t tmpfs tmpfs /run; mkdir -p /run/udev/rules.d; sed s,@PREFIX@,/usr/local, "$1" >/run/udev/rules.d/99-eventfs.rules; exec udevadm test --action=add /sys/class/mem/null';
  const { code, out, err } = await run([
    'unshare',
    '--mount',
    'sh',
    '-ec',
    script,
    'sh',
    rules('99-eventfs.rules'),
  ]);
  assert.is(code, 0, err);
  // udev 252 prints run: 'COMMAND', udev 257 prints a list of RUN{program} : COMMAND.
  const queued = [...(out + err).matchAll(/(?:run: '([^'\n]*)'|RUN\{program\} : ([^\n]*))\n/g)].map(
    ([, older, newer]) => older ?? newer,
  );
  assert.ok(queued.includes('/usr/local/bin/eventfs-emit --environment'), out + err);
  assert.not.match(out + err, /99-eventfs\.rules:\d+[^\n]*(Invalid|invalid|error|Unknown)/);
});

managers.run();
