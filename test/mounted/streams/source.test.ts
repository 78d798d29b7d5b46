/**
 * The source of an event: the attribute `user.eventfs.source`, and the key SOURCE of filters. No
 * publisher can set it.
 */
import * as assert from 'uvu/assert';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader, eventText, publish, valuesOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { eventfs } from '../../support/mount/command.js';
import { EVENTFS_SCRIPT, Shell, makeUevent, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { NOBODY, asUser } from '../../support/mount/other-user.js';

const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'source-'));
const SOCKET = join(scratch, 'socket');

const source = mounted('the source of an event', ['--source', 'kernel', '--socket', SOCKET]);
source.after(() => rmSync(scratch, { recursive: true }));

/** Runs commands in the suite's shell, and returns what they print. */
async function sh(commands: string): Promise<string> {
  return (await shell.run(`cd ${daemon.path}; ${commands}; cd /`)).out.trim();
}

const SHOWN = 'getfattr --absolute-names --only-values -n user.eventfs.source';

/** Publishes an event as another user than root. */
async function publishAsNobody(text: string): Promise<void> {
  await sh(`chmod 0222 publish`);
  const user = new Shell([...asUser(NOBODY), 'bash']);
  await user.run(`printf '${text.replaceAll('\n', '\\n')}' > ${daemon.path}/publish`);
  await user.kill();
}

/** Makes one event of each source, with N=number. The kernel's comes last, and has none. */
async function makeAll(number: number): Promise<void> {
  publish(daemon.path, eventText('/a/b', { N: number, BY: 'root', SOURCE: 'kernel' }));
  await publishAsNobody(`add@/a/b\nN=${number}\nBY=nobody\nSOURCE=publish:0\n`);
  await makeUevent();
}

/** Makes a directory that takes the events with this filter only. */
async function filtered(filter: string): Promise<string> {
  const own = await directory();
  writeFileSync(`${own}/.filter`, filter);
  // Other programs of the machine may have made events before
  for (const name of readdirSync(own)) if (/^\d/.test(name)) rmSync(join(own, name));
  return own;
}

source('is an attribute of the file in each directory that has it', async () => {
  const own = await filtered('DEVPATH==/first');
  await publishAsNobody('add@/first\n');
  assert.is(await sh(`${SHOWN} ${own}/head`), `publish:${NOBODY}`);
  // Only now: other programs of the machine make such events too
  writeFileSync(`${own}/.filter`, 'DEVPATH==/devices/virtual/mem/null');
  await makeUevent();
  await until(async () => (await sh(`ls ${own} | wc -l`)) !== '1', 'no event');
  assert.is(await sh(`${SHOWN} ${own}/tail`), 'kernel');
  publish(daemon.path, eventText('/second'));
  const logged = await sh('grep -l @/second log/*');
  assert.is(await sh(`${SHOWN} ${logged}`), 'publish:0');
  const other = await directory();
  const linked = `ln $(readlink -f ${own}/head) ${other}/linked; ${SHOWN} ${other}/linked`;
  assert.is(await sh(linked), `publish:${NOBODY}`);
  assert.match(await sh(`getfattr -d ${logged}`), /^user\.eventfs\.source="publish:0"$/m);
});

source(
  'names the user that has made a file, also after chown(2), link(2) and rename(2)',
  async () => {
    const own = await directory('0777');
    const user = new Shell([...asUser(NOBODY), 'bash']);
    await user.run(`echo add@/z > ${own}/made; chmod 0666 ${own}/made`);
    await user.kill();
    const other = await directory();
    await sh(`chown 0:0 ${own}/made; echo N=1 >> ${own}/made; ln ${own}/made ${other}/linked`);
    await sh(`mv ${own}/made ${own}/moved; echo add@/r > ${own}/root`);
    assert.is(await sh(`${SHOWN} ${own}/moved`), `file:${NOBODY}`);
    assert.is(await sh(`${SHOWN} ${other}/linked`), `file:${NOBODY}`);
    assert.is(await sh(`${SHOWN} ${own}/root`), 'file:0');
  },
);

source(
  'cannot be set or removed, also not by root, and copies with attributes succeed',
  async () => {
    const own = await filtered('DEVPATH==/x');
    publish(daemon.path, eventText('/x'));
    await sh(`echo add@/r > ${own}/root`);
    for (const file of [`${own}/head`, `${own}/root`, 'log/tail'])
      for (const call of ['-n user.eventfs.source -v kernel', '-x user.eventfs.source'])
        assert.match(await sh(`setfattr ${call} ${file}`), /Operation not permitted/);
    assert.match(await sh(`setfattr -n user.other -v 1 ${own}/root`), /not supported/);
    const copied = `cp -a ${own}/root ${scratch}/saved && cp -a ${scratch}/saved ${own}/copy && echo ok`;
    assert.is(await sh(copied), 'ok');
    assert.is(await sh(`${SHOWN} ${own}/copy`), 'file:0');
  },
);

source('is the user that opened publish, although root writes into the open file', async () => {
  await sh('chmod 0222 publish');
  const program = `import os
os.seteuid(${NOBODY})
fd = os.open("${daemon.path}/publish", os.O_WRONLY)
os.seteuid(0)
os.write(fd, b"add@/opened\\nACTION=add\\n")`;
  const own = await filtered('DEVPATH==/opened');
  await sh(`python3 -c '${program}'`);
  assert.is(await sh(`${SHOWN} ${own}/head`), `publish:${NOBODY}`);
});

source('is a key of .filter, match/ and sockets, and SOURCE= in a text is none', async () => {
  const filters = [
    ['SOURCE==publish:0', ['root']],
    [`SOURCE==publish:${NOBODY}`, ['nobody']],
    ['SOURCE==publish:*', ['root', 'nobody']],
    ['SOURCE!=kernel', ['root', 'nobody']],
    ['SOURCE==kernel, N==?*', []],
    ['SOURCE==kernel', []],
  ] as const;
  const queues = await Promise.all(filters.map(([filter]) => filtered(filter)));
  const streams = await Promise.all(
    filters.map(([filter]) => Reader.on(`${daemon.path}/match/${filter}`)),
  );
  const clients = await Promise.all(
    filters.map(async ([filter]) => {
      const client = new Reader(SOCKET, [compiled('subscriber'), filter]);
      await client.has(1);
      return client;
    }),
  );
  await makeAll(1);
  const kernel = /^DEVPATH=\/devices\/virtual\/mem\/null$/m;
  const counts = filters.map(([filter, by]) => (filter === 'SOURCE==kernel' ? 1 : by.length));
  for (const [place, [filter, by]] of filters.entries()) {
    const queued = await sh(
      `for file in $(ls -f ${queues[place]} | grep -v '^\\.'); do cat ${queues[place]}/$file; echo; done`,
    );
    const streamed = (await streams[place].has(counts[place])).join('\n\n');
    const sent = (await clients[place].has(1 + counts[place])).slice(1).join('\n\n');
    for (const text of [queued, streamed, sent]) {
      const records = text.split('\n\n').filter((record) => /^BY=/m.test(record));
      assert.equal(valuesOf('BY', records), [...by], `${filter}: ${text}`);
      assert.is(kernel.test(text), filter === 'SOURCE==kernel', filter);
    }
  }
});

source('is a key of the commands, with a filter that can be no name too', async () => {
  const since = await sh('cat /sys/kernel/uevent_seqnum');
  await makeAll(2);
  const filter = `SOURCE==publish:${NOBODY}, DEVPATH==/a/b`;
  const found = await eventfs([
    'wait',
    '--mount',
    daemon.path,
    '--since',
    since,
    filter,
    '--timeout',
    '10',
  ]);
  assert.match(found.out, /^BY=nobody$/m);
  const waiting = eventfs(['wait', '--mount', daemon.path, filter, '--timeout', '10']);
  await until(() => sh('ls').then((names) => names.includes('.wait')), 'it does not wait', 20_000);
  const refilled = `cat /dev/null $(echo *.wait)/.filter`;
  await until(() => sh(refilled).then((text) => text === filter), 'it has no filter');
  await makeAll(3);
  const { out, code } = await waiting;
  assert.equal([code, /^N=3\n.*^BY=nobody$/ms.test(out)], [0, true], out);
  const ran = await shell.run(
    `timeout -s TERM 10 ${process.execPath} ${EVENTFS_SCRIPT} run --mount ${daemon.path} --since ${since} '${filter}' -- sh -c 'echo $EVENT_BY$EVENT_N >> ${scratch}/ran; [ $EVENT_N = 2 ] || kill $PPID'`,
    15_000,
  );
  assert.is(await sh(`cat ${scratch}/ran`), 'nobody2\nnobody3', ran.out);
  const device = await eventfs([
    'wait',
    '--mount',
    daemon.path,
    '--existing',
    'SOURCE==kernel, DEVNAME==null',
    '--timeout',
    '0',
  ]);
  assert.match(device.out, /^DEVNAME=null$/m);
});

source('is a key of exec, for events from before the filter was set too', async () => {
  appendFileSync(`${daemon.path}/publish`, eventText('/p', { BY: 'root' }));
  const { out } = await eventfs([
    ...['exec', '--mount', daemon.path, '--since', '0', '--filter', 'SOURCE==publish:0, BY==root'],
    ...[
      '--',
      'sh',
      '-c',
      `getfattr --only-values --absolute-names -n user.eventfs.source $EVENTS_DIR/head`,
    ],
  ]);
  assert.is(out, 'publish:0');
});

source.run();
