/** Quotas, overflow policies and the configuration file on a real mount. */
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Calls,
  Reader,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { type Daemon, Shell, run, startDaemon, until, within } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { NOBODY, asUser, eventfsForOthers } from '../../support/mount/other-user.js';
import { memoryKib } from '../../support/processes.js';

const file = join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), `eventfs-${process.pid}.toml`);
const CONFIG = `
list_links = false
sticky = ["kept:1777"]

[queue]
events = 4096

[quota.uid.default]
directories = 3
streams = 2
events = 500
bytes = "1 MiB"
`;
writeFileSync(file, CONFIG);

const quota = mounted('a quota', ['--source', 'none', '--config', file]);

/** Writes the file, and sends SIGHUP. @returns the daemon's log line that matches `says` */
async function reload(text: string, says: RegExp): Promise<string> {
  const before = daemon.log().length;
  writeFileSync(file, text);
  process.kill(daemon.pid, 'SIGHUP');
  return until(
    () => says.exec(daemon.log().slice(before))?.[0] ?? '',
    () => `the daemon did not log ${says}, but ${daemon.log().slice(before)}`,
    20_000,
  );
}

quota(
  'refuses most of 100,000 creates by one user, and others are served meanwhile',
  async () => {
    const user = new Shell([...asUser(NOBODY), 'bash']);
    await user.run(`mkdir ${daemon.path}/$$.own`);
    const greedy = run(
      [...asUser(NOBODY), compiled('fill-quota'), `${daemon.path}/${user.pid}.own`, '100000'],
      { timeoutMs: 120_000 },
    );
    const other = await directory();
    let served = 0;
    let isOver = false;
    void greedy.finally(() => (isOver = true));
    do {
      assert.is((await run([...asUser(NOBODY - 1), 'ls', daemon.path])).code, 0);
      publish(daemon.path, eventText('/x'));
      assert.is((await shell.run(`cat ${other}/tail > /dev/null && rm ${other}/head`)).code, 0);
      served++;
    } while (!isOver);
    const { out, err, code } = await greedy;
    assert.is(code, 0, err);
    // Each published event either pushed out a file, which made room, or was lost.
    assert.match(out, /^created \d+, EDQUOT \d+\n$/);
    const [created, refused] = out.match(/\d+/g)!.map(Number);
    assert.is(created + refused, 100_000);
    assert.ok(
      created >= 500 - served && created <= 500 + served,
      `${created} were created, ${served} were served`,
    );
    assert.match(statusOf(`${daemon.path}/log`)[`QUOTA_UID_${NOBODY}`], /events=500\/500/);
    await user.kill();
    await until(
      () => statusOf(`${daemon.path}/log`)[`QUOTA_UID_${NOBODY}`] === undefined,
      "the user's account was not closed",
    );
  },
  150_000,
);

quota(
  'refuses a fourth directory and a third stream until another one ends',
  async () => {
    const user = new Shell([...asUser(NOBODY), 'bash']);
    const made = await user.run(`cd ${daemon.path}; mkdir $$.1 $$.2 $$.3 $$.4`);
    assert.match(made.out, /\.4.*Disk quota exceeded/);
    await user.run('exec 5<stream 6<match/A==b');
    assert.match((await user.run('cat $$.1/.stream')).out, 'Disk quota exceeded');
    assert.is((await user.run('exec 5<&-; sleep 0; exec 5<$$.1/.stream')).code, 0);
    await user.run('rmdir $$.1; mkdir $$.4');
    assert.ok(readdirSync(daemon.path).includes(`${user.pid}.4`));
    const refused = await run([
      ...asUser(NOBODY),
      ...eventfsForOthers(),
      ...['exec', '--mount', daemon.path, '--', 'true'],
    ]);
    assert.match(
      refused.err,
      /Disk quota exceeded \(a quota is used up: eventfs doctor names it\)/,
    );
    await user.kill();
    const again = new Shell([...asUser(NOBODY), 'bash']);
    assert.is((await again.run(`cd ${daemon.path}; mkdir $$.1 $$.2 $$.3`)).out, '');
    await again.kill();
  },
  60_000,
);

quota(
  'is shown by df, in bytes and in events',
  async () => {
    const user = new Shell([...asUser(NOBODY), 'bash']);
    await user.run(`cd ${daemon.path}; mkdir $$; head -c 51200 /dev/zero > $$/file`);
    const df = async (what: string): Promise<string> =>
      (await user.run(`df -B1 --output=${what} . | tail -1`)).out.trim().replace(/\s+/g, ' ');
    assert.is(await df('size,used,avail'), '1048576 51200 997376');
    assert.is(await df('itotal,iused,iavail'), '500 1 499');
    const root = (await run(['df', '--output=itotal,iused', daemon.path])).out
      .trim()
      .split('\n')[1]
      .trim()
      .split(/\s+/)
      .map(Number);
    assert.is(root[0], Number(statusOf(`${daemon.path}/log`).MOST_EVENTS));
    assert.is(root[1], Number(statusOf(`${daemon.path}/log`).EVENTS));
    await user.kill();
  },
  60_000,
);

quota(
  'that SIGHUP changes applies to existing queues at once',
  async () => {
    const own = await directory();
    for (let n = 1; n <= 6; n++) await shell.run(`echo ${n} > ${own}/${n}`);
    await reload(
      CONFIG.replace('events = 4096', 'events = 4\noverflow = "refuse"').replace(
        'list_links = false',
        'list_links = true',
      ),
      /read again\n/,
    );
    assert.is((await shell.run(`ls ${own} | tr '\\n' ' '`)).out, '1 2 3 4 5 6 head tail ');
    assert.match((await shell.run(`echo 7 > ${own}/7`)).out, 'Disk quota exceeded');
    assert.match((await shell.run(`ln ${own}/1 ${own}/8`)).out, 'Disk quota exceeded');
    assert.is(statusOf(own).OVERFLOW, 'refuse');
    await reload(CONFIG.replace('events = 4096', 'events = 4'), /read again\n/);
    await shell.run(`echo 9 > ${own}/9`);
    assert.is((await shell.run(`ls ${own} | tr '\\n' ' '`)).out, '4 5 6 9 ');
    assert.is(statusOf(own).LOST, '3');
    await reload(CONFIG, /read again\n/);
  },
  60_000,
);

quota(
  'that is invalid is refused with line and reason, and the old settings stay',
  async () => {
    const own = await directory();
    const broken = {
      'events = 4096': [
        'events = -3',
        'events = nan',
        'events = "many"',
        'events = 1e99',
        'overflow = "panic"',
        'events = ',
        'evnets = 4',
      ],
    };
    for (const [good, all] of Object.entries(broken)) {
      for (const bad of all) {
        const said = await reload(CONFIG.replace(good, bad), /.*\(the old settings stay\)\n/);
        assert.match(said, `eventfs: mount: ${file}:6: `);
        assert.is(statusOf(own).MOST_EVENTS, '4096');
      }
    }
    await reload(
      CONFIG.replace('kept:1777', 'other'),
      /sticky: only the next mount applies this change\n/,
    );
    assert.ok(readdirSync(daemon.path).includes('kept'));
    await reload(CONFIG, /read again\n/);
  },
  60_000,
);

quota(
  'that is invalid resets no setting to its default',
  async () => {
    const own = await directory();
    await reload(
      'list_links = true\n[queue]\nevents = 5\nbytes = "128 KiB"\noverflow = "refuse"\n[log]\nhistory_events = 7\n[limits]\nevents = 12345\n',
      /read again\n/,
    );
    const settings = async (): Promise<readonly string[]> => {
      const { MOST_EVENTS, MOST_BYTES, OVERFLOW } = statusOf(own);
      publishNumbered(daemon.path, 10);
      return [
        MOST_EVENTS,
        MOST_BYTES,
        OVERFLOW,
        statusOf(`${daemon.path}/log`).MOST_EVENTS,
        (
          await shell.run(
            `ls ${own} | grep -c -e head -e tail; ls ${daemon.path}/log | grep -c '\\.'`,
          )
        ).out,
      ];
    };
    const before = await settings();
    assert.equal(before, ['5', String(128 * 1024), 'refuse', '12345', before[4]]);
    assert.match(before[4], /^2\n7\n$/);
    for (const bad of [
      '[queue]\nevents = -3\n',
      'x =',
      '[quota.uid.alice]\n',
      '[log]\nring_events = 100\nhistory_events = 200\n',
    ]) {
      await reload(bad, /.*\(the old settings stay\)\n/);
      assert.equal(await settings(), before, bad);
    }
    await reload(CONFIG, /read again\n/);
  },
  60_000,
);

quota(
  'with drop-newest puts an overflow record into .stream at the place of the loss',
  async () => {
    await reload(
      CONFIG.replace('events = 4096', 'events = 3\noverflow = "drop-newest"'),
      /read again\n/,
    );
    const own = await directory();
    publishNumbered(daemon.path, 5);
    const calls = new Calls();
    await calls.open(1, `${own}/.stream`);
    const first = (await calls.call('read', 1, 60)).bytes;
    assert.equal(valuesOf('N', first.split('\n\n').slice(0, -1)), ['0']);
    publishNumbered(daemon.path, 1, 5);
    const rest = (await calls.call('read', 1, 60_000)).bytes.split('\n\n').slice(0, -1);
    assert.equal(
      rest.map((record) => valuesOf('N', [record])[0] || valuesOf('LOST', [record])[0]),
      ['1', '2', '2', '5'],
    );
    assert.match(rest[2], /^overflow@\/eventfs\n/);
    await calls.end();
    await reload(CONFIG, /read again\n/);
  },
  60_000,
);

quota(
  'bounds a writer that never closes and a reader that never reads; others are served',
  async () => {
    const own = await directory('0733');
    const writer = new Calls(asUser(NOBODY));
    await writer.open(1, `${own}/open`, 0o101, 0o644);
    await writer.call('write', 1, 'half an event');
    const idle = new Calls();
    await idle.open(1, `${own}/.stream`);
    await idle.open(2, `${daemon.path}/stream`);
    const before = rssKiB();
    const reader = await Reader.on(`${daemon.path}/match/LAST==1`);
    for (let n = 0; n < 20_000; n += 1000)
      publishNumbered(daemon.path, 1000, n, { PAD: 'x'.repeat(200) });
    publish(daemon.path, eventText('/last', { LAST: 1 }));
    await reader.has(1, 20_000);
    const { PENDING, LOST } = statusOf(own);
    assert.is(PENDING, '4096');
    assert.is(Number(LOST), 20_002 - 4096); // with the unfinished file
    assert.ok(rssKiB() - before < 64 * 1024, `${rssKiB() - before} KiB more`);
    await reader.kill();
    await idle.end();
    await writer.end();
  },
  90_000,
);

function rssKiB(): number {
  return memoryKib(daemon.pid);
}

quota(
  'is not needed to refuse owners beyond the descriptor limit with ENFILE until some are dead',
  async () => {
    const small: Daemon = await startDaemon(['--source', 'none'], undefined, {
      under: ['prlimit', '--nofile=96:96'],
    });
    const bomb = new Shell();
    const { out } = await bomb.run(
      `for i in $(seq 100); do (mkdir ${small.path}/$BASHPID && exec sleep 1000) & done 2>&1; sleep 0`,
    );
    assert.is(out.includes('Input/output error'), false, out);
    const full = 'Too many open files in system';
    const told = await until(
      async () =>
        (await bomb.run(`mkdir ${small.path}/$$.x; rmdir ${small.path}/$$.x`)).out.includes(full),
      'the descriptor limit was not reached',
      20_000,
    );
    assert.ok(told);
    const owners = readdirSync(small.path).filter((name) => /^\d+$/.test(name));
    assert.ok(owners.length > 20 && owners.length < 96, `${owners.length} owners`);
    // Existing owners are served: they get events, and streams open.
    const reader = await Reader.on(`${small.path}/stream`);
    publish(small.path, eventText('/x', { A: 'b' }));
    await reader.has(1);
    assert.match(readFileSync(`${small.path}/${owners[0]}/head`, 'latin1'), 'A=b');
    await reader.kill();
    await bomb.run('kill -9 $(jobs -p); wait', 20_000);
    await until(
      () => readdirSync(small.path).every((name) => !/^\d+$/.test(name)),
      'the directories of dead owners stay',
      20_000,
    );
    // Their pidfds are closed in a later turn than their directories end.
    await until(
      async () => (await bomb.run(`mkdir ${small.path}/$$`)).out === '',
      'the descriptors of dead owners stay open',
      20_000,
    );
    assert.not.match(small.log(), /EIO|^\s+at /m);
    await bomb.kill();
    await within(20_000, small.stop(), 'the daemon did not stop');
  },
  90_000,
);

quota.run();
