/**
 * A user who writes costly and oversized filters: a daemon with the default quotas refuses or
 * charges them, and still serves other users.
 */
import * as assert from 'uvu/assert';
import { constants, readFileSync } from 'node:fs';
import { Calls, eventText, publish, statusOf } from '../../support/clients/clients.js';
import { Shell } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { NOBODY, AS_NOBODY } from '../../support/mount/other-user.js';

const filters = mounted('a user who writes filters');

/** Ten alternatives, each as slow to search as a pattern can be. */
const COSTLY = `V==${Array.from('bcdefghijk', (char) => `*aaaa${char}*`).join('|')}`;

/** @returns the daemon's processor time for an event in ms, the smallest of 15 */
function eventMs(bytes: number): number {
  const used = (): number =>
    Number(readFileSync(`/proc/${daemon.pid}/schedstat`, 'latin1').split(' ')[0]);
  const times = Array.from({ length: 15 }, () => {
    const before = used();
    publish(daemon.path, eventText('/x', { V: 'a'.repeat(bytes) }));
    return (used() - before) / 1e6;
  });
  return Math.min(...times);
}

filters(
  'cannot store 256 KiB of filter, is charged for the filters of 256 directories, and delays no other',
  async () => {
    const user = new Shell([...AS_NOBODY, 'bash']);
    const { out } = await user.run(
      `cd ${daemon.path}
     head -c 262144 /dev/zero | tr '\\0' '#' > /tmp/eventfs-large-$$
     { for i in $(seq 60); do echo "KEY_$i==a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|r|s|t|u|v"; done; } > /tmp/eventfs-full-$$
     for i in $(seq 256); do mkdir $$.$i; done
     large=0 full=0
     for i in $(seq 256); do
       cat /tmp/eventfs-large-$$ 2>/dev/null > $$.$i/.filter && large=$((large+1))
       cat /tmp/eventfs-full-$$ 2>/dev/null > $$.$i/.filter && full=$((full+1))
     done 2>/dev/null
     rm /tmp/eventfs-*-$$
     echo $large $full`,
      60_000,
    );
    const [large, full] = out.trim().split('\n').at(-1)!.split(' ').map(Number);
    assert.is(large, 0, out);
    assert.ok(full >= 10 && full < 256, out);
    const [, cost] = /filter_cost=(\d+)\/32768/.exec(
      statusOf(`${daemon.path}/log`)[`QUOTA_UID_${NOBODY}`],
    )!;
    assert.ok(Number(cost) > 30_000);
    const own = await directory();
    assert.is((await shell.run(`echo A==b > ${own}/.filter; cat ${own}/.filter`)).out, 'A==b\n');
    publish(daemon.path, eventText('/x', { A: 'b' }));
    assert.is((await shell.run(`ls ${own} | wc -l`)).out, '1\n');
    await user.kill();
  },
  120_000,
);

filters(
  'gets EDQUOT after a few costly filters, so that an event costs less than 20 ms more',
  async () => {
    const before = [1900, 60_000].map(eventMs);
    const user = new Shell([...AS_NOBODY, 'bash']);
    const { out } = await user.run(
      `cd ${daemon.path}; for i in $(seq 24); do mkdir $$.$i; echo '${COSTLY}' > $$.$i/.filter; done 2>&1 | sort | uniq -c`,
    );
    assert.match(out, /Disk quota exceeded/);
    for (const [n, bytes] of [1900, 60_000].entries()) {
      const ms = eventMs(bytes) - before[n];
      assert.ok(ms < 20, `an event of ${bytes} bytes costs ${ms} ms more`); // 5 on an idle machine
    }
    await user.kill();
  },
  60_000,
);

filters('gets EINVAL from the write of the 65th term, and EFBIG above 4,096 bytes', async () => {
  const own = await directory();
  const calls = new Calls();
  await calls.open(1, `${own}/.filter`, 0o1001);
  for (let n = 0; n < 1023; n++)
    assert.is((await calls.call('write', 1, 'A=b\n')).errno, n < 64 ? '' : 'EINVAL');
  assert.is((await calls.call('pwrite', 1, '#'.repeat(4097), 0)).errno, 'EFBIG');
  await calls.end();
  assert.is((await shell.run(`wc -l < ${own}/.filter`)).out, '64\n');
});

filters('gets EFBIG for a filter of over 4,096 bytes, and keeps the old filter', async () => {
  const own = await directory();
  const calls = new Calls();
  const file = `${own}/.filter`;
  assert.is((await shell.run(`echo SUBSYSTEM==net > ${file}`)).code, 0);
  await calls.open(0, file, constants.O_WRONLY);
  assert.is((await calls.call('write', 0, '#'.repeat(4097))).errno, 'EFBIG');
  assert.is(readFileSync(file, 'latin1'), 'SUBSYSTEM==net\n');
  assert.is((await calls.call('write', 0, '#'.repeat(4096))).value, 4096);
  await calls.end();
});

filters.run();
