/** Events and files in a process directory, as ls, cat, rm and echo see them. */
import * as assert from 'uvu/assert';
import { constants, readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import {
  Calls,
  Reader,
  Storm,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, mounted, shell } from '../../support/mount/mounted.js';
import { directory, fails, lines, own, sh } from './common.js';

const files = mounted('a process directory');

files('has the mode of the mkdir without the bits of the umask', async () => {
  for (const [umask, mode] of [
    ['022', '755'],
    ['077', '700'],
    ['000', '777'],
  ]) {
    const name = `${daemon.path}/${shell.pid}.umask${umask}`;
    const { out } = await shell.run(
      `(umask ${umask}; mkdir ${name}); stat -c %a ${name}; rmdir ${name}`,
    );
    assert.is(out.trim(), mode);
  }
});

files(
  'shows an event as a file of mode 0440 with the user and group of the directory',
  async () => {
    await directory();
    publishNumbered(daemon.path, 1);
    assert.match(await sh('stat -c "%F %a %u:%g" $(ls)'), /^regular file 440 0:0$/m);
    await sh('chown 1234:5678 .');
    assert.match(await sh('stat -c "%a %u:%g" $(ls)'), /^440 1234:5678$/m);
  },
);

files('shows the exact size of an event, and its text byte for byte', async () => {
  await directory();
  const text = eventText('/devices/\xff\x01/x', { SUBSYSTEM: 'mine', VALUE: 'a=b \t\xe4\xf6 "$`' });
  publish(daemon.path, text);
  const [name] = readdirSync(own);
  assert.is(statSync(`${own}/${name}`).size, text.length);
  assert.is(readFileSync(`${own}/${name}`, 'latin1'), text);
});

files('returns the same inode numbers and types by readdir as by stat', async () => {
  await directory();
  publishNumbered(daemon.path, 3);
  await sh('echo hello > mine');
  const calls = new Calls();
  await calls.open(1, own, constants.O_RDONLY | constants.O_DIRECTORY);
  const { rest } = await calls.call('getdents', 1);
  assert.is(rest.length, 6);
  const inodes = new Set<string>();
  for (const entry of rest) {
    const [name, inode, type] = entry.split('/');
    assert.is(Number(inode), statSync(`${own}/${name}`).ino, name);
    assert.is(Number(type), name.startsWith('.') ? 4 : 8, name);
    inodes.add(inode);
  }
  assert.is(inodes.size, 6);
  await calls.end();
});

files(
  'shows the same inode number of an event in every queue, and counts the queues as links',
  async () => {
    const first = await directory();
    const second = await directory();
    publishNumbered(daemon.path, 1);
    const [name] = readdirSync(first);
    const [one, two, logged] = [
      `${first}/${name}`,
      `${second}/${name}`,
      `${daemon.path}/log/${name}`,
    ].map((path) => statSync(path));
    assert.is(one.ino, two.ino);
    assert.is(one.ino, logged.ino);
    assert.ok(one.nlink >= 3);
    const before = one.nlink;
    await sh(`rm ${name}`);
    assert.is(statSync(`${first}/${name}`).nlink, before - 1);
  },
);

files('lists events oldest first, whatever their names', async () => {
  await directory();
  publish(daemon.path, ...[9, 10, 100, 2].map((seqnum) => eventText('/x', { SEQNUM: seqnum })));
  await sh('touch 1 zzz');
  // A SEQNUM below an earlier one gets the event's place too.
  const names = lines(await sh('ls -f')).map((name) => name.replace(/^2\.\d+$/, '2.n'));
  assert.equal(names, ['.', '..', '9', '10', '100', '2.n', '1', 'zzz']);
});

files('finds head, tail and the dot files by name, and lists none of them', async () => {
  await directory();
  publishNumbered(daemon.path, 3);
  const names = lines(await sh('ls -A'));
  assert.is(names.length, 3);
  assert.equal(lines(await sh('readlink head tail')), [names[0], names[2]]);
  assert.equal(lines(await sh('stat -c "%N %F" head tail')), [
    `'head' -> '${names[0]}' symbolic link`,
    `'tail' -> '${names[2]}' symbolic link`,
  ]);
  assert.equal(lines(await sh('stat -c "%n %F %a" .filter .status .stream')), [
    '.filter regular empty file 644',
    '.status regular file 444',
    '.stream regular file 400',
  ]);
});

files(
  'lists the events from the start of the listing, and ends although more come meanwhile',
  async () => {
    await directory();
    publishNumbered(daemon.path, 3);
    const before = readdirSync(own);
    const calls = new Calls();
    await calls.open(1, own, constants.O_RDONLY | constants.O_DIRECTORY);
    const listed: string[] = [];
    for (let round = 0; round < 50; round++) {
      const { value, rest } = await calls.call('getdents_some', 1, 64);
      if (value === 0) break;
      listed.push(...rest);
      publishNumbered(daemon.path, 2);
    }
    assert.equal(listed, ['.', '..', ...before]);
    await calls.end();
  },
);

files(
  'removes the oldest event by rm head and the newest by rm tail, until both links vanish',
  async () => {
    await directory();
    publishNumbered(daemon.path, 4);
    assert.match(await sh('cat head'), 'N=0\n');
    assert.match(await sh('cat tail'), 'N=3\n');
    assert.match(await sh('rm head; cat head'), 'N=1\n');
    assert.match(await sh('rm tail; cat tail'), 'N=2\n');
    assert.match(await sh('cat head && rm head; cat head'), /N=1\n[^]*N=2\n/);
    await sh('rm tail');
    assert.equal(readdirSync(own), []);
    for (const end of ['head', 'tail']) {
      assert.match(await fails(`cat ${end}`), 'No such file');
      assert.match(await fails(`rm ${end}`), 'No such file');
      assert.match(await fails(`readlink -v ${end}`), 'No such file');
    }
  },
);

files('returns every event once, in order, to a loop of cat head and rm head', async () => {
  await directory();
  publishNumbered(daemon.path, 100);
  const out = await sh('while cat head && rm head; do :; done 2>/dev/null');
  assert.equal(
    valuesOf('N', out.split(/(?=add@)/)),
    Array.from({ length: 100 }, (_, n) => String(n)),
  );
});

files('refuses every change of a delivered event with EPERM', async () => {
  await directory();
  publishNumbered(daemon.path, 1);
  for (const command of [
    'echo x > head',
    'echo x >> head',
    'truncate -s 0 head',
    'touch head',
    'chmod 600 head',
    'chown 1:1 head',
  ]) {
    assert.match(await fails(command), 'Operation not permitted');
  }
  assert.match(await sh('cat head'), 'N=0\n');
});

files('takes files that users make, and returns their text', async () => {
  await directory();
  await sh('echo hello > greeting');
  assert.is(await sh('cat greeting'), 'hello\n');
  await sh('echo again >> greeting; printf x >> greeting');
  assert.is(await sh('cat greeting'), 'hello\nagain\nx');
  assert.is(statSync(`${own}/greeting`).size, 13);
  await sh('echo new > greeting');
  assert.is(await sh('cat greeting head tail'), 'new\nnew\nnew\n');
  assert.match(await sh('(umask 027; echo > private); stat -c "%a %u" private'), '640 0');
  await sh('chmod 600 private; chown 1:2 private; touch -d @1000000000 private');
  assert.match(await sh('stat -c "%a %u:%g %Y" private'), '600 1:2 1000000000');
  await sh('truncate -s 3 greeting; truncate -s 5 greeting');
  assert.is(readFileSync(`${own}/greeting`, 'latin1'), 'new\0\0');
  await sh('rm greeting private');
  assert.equal(readdirSync(own), []);
});

files(
  'keeps the place of a file that is written again, and takes pwrite at any offset',
  async () => {
    await directory();
    await sh('echo 1 > a; echo 2 > b; echo 3 > a');
    assert.equal(lines(await sh('ls -f')), ['.', '..', 'a', 'b']);
    await sh('dd if=<(printf xyz) of=b bs=1 seek=4 conv=notrunc status=none');
    assert.is(readFileSync(`${own}/b`, 'latin1'), '2\n\0\0xyz');
  },
);

files(
  'takes a file of 64 KiB, and refuses one byte more with EFBIG, which changes nothing',
  async () => {
    await directory();
    await sh('head -c 65536 /dev/zero > large');
    assert.is(statSync(`${own}/large`).size, 65536);
    assert.match(await fails('echo >> large'), 'File too large');
    assert.match(await fails('truncate -s 65537 large'), 'File too large');
    assert.is(statSync(`${own}/large`).size, 65536);
    assert.is(Number(statusOf(own).BYTES), 65536);
  },
);

files('takes create, rm and create of one name again and again', async () => {
  await directory();
  for (let round = 0; round < 50; round++) {
    await sh(`echo ${round} > same; rm same; echo again ${round} > same`);
    assert.is(await sh('cat same'), `again ${round}\n`);
    await sh('rm same');
  }
  assert.equal([statusOf(own).PENDING, statusOf(own).BYTES], ['0', '0']);
});

files('keeps a file that is unlinked while it is open', async () => {
  await directory();
  publishNumbered(daemon.path, 1);
  await sh('echo mine > mine');
  const [event] = readdirSync(own);
  const calls = new Calls();
  await calls.open(1, `${own}/${event}`);
  await calls.open(2, `${own}/mine`, constants.O_RDWR);
  await sh(`rm ${event} mine`);
  assert.equal(readdirSync(own), []);
  publishNumbered(daemon.path, 5000); // so that the event leaves the log too
  await sh('rm -r . 2>/dev/null; rm *');
  assert.match((await calls.call('read', 1, 4096)).bytes, 'N=0\n');
  assert.is((await calls.call('read', 2, 100)).bytes, 'mine\n');
  assert.is((await calls.call('write', 2, 'more')).value, 4);
  assert.is((await calls.call('pread', 2, 100, 0)).bytes, 'mine\nmore');
  assert.equal((await calls.call('fstat', 2)).rest.slice(1), ['9', '100644', '0']);
  assert.equal(readdirSync(own), []);
  await calls.end();
});

files('takes names of 255 bytes, and refuses longer ones with ENAMETOOLONG', async () => {
  await directory();
  const name = 'n'.repeat(255);
  await sh(`echo 255 > ${name}`);
  assert.equal(readdirSync(own), [name]);
  assert.is(await sh(`cat ${name}; rm ${name}`), '255\n');
  assert.match(await fails(`echo 256 > ${name}n`), 'File name too long');
  assert.match(await fails(`cat ${name}n`), 'File name too long');
  const label = `${shell.pid}.`.padEnd(255, 'd');
  await sh(`mkdir ../${label} && rmdir ../${label}`);
  assert.match(await fails(`mkdir ../${label}d`), 'File name too long');
});

files('takes names with newlines, blanks and bytes that are not UTF-8', async () => {
  await directory();
  for (const name of [
    'two\nlines',
    ' ',
    '\x01',
    '\xff\xfe',
    'caf\xc3\xa9',
    '-rf',
    '*',
    '\\',
    '"\'$`',
  ]) {
    const path = Buffer.from(`${own}/${name}`, 'latin1');
    writeFileSync(path, name);
    assert.equal(readdirSync(own, 'latin1' as BufferEncoding), [name]);
    assert.is(readFileSync(path, 'utf8'), name);
    await sh('rm head');
  }
});

files('refuses subdirectories with EPERM, and files named head or tail with EEXIST', async () => {
  await directory();
  assert.match(await fails('mkdir sub'), 'Operation not permitted');
  assert.match(await fails('echo x > head'), 'File exists');
  assert.match(await fails('mkfifo tail'), 'File exists');
  for (const name of ['.stream', '.status', '.filter'])
    assert.match(await fails(`rm -f ${name}`), 'Operation not permitted');
  assert.equal(readdirSync(own), []);
});

files('delivers an event under another name if a user has taken its own', async () => {
  await directory();
  await sh('echo mine > 777');
  publish(daemon.path, eventText('/x', { SEQNUM: 777 }), eventText('/y', { SEQNUM: 777 }));
  const names = lines(await sh('ls -f')).slice(2);
  assert.is(names.length, 3);
  assert.is(names[0], '777');
  assert.is(await sh('cat 777'), 'mine\n');
  assert.match(await sh(`cat ${names[1]}`), 'add@/x\n');
  assert.match(await sh(`cat ${names[2]}`), 'add@/y\n');
});

files('is removed by rmdir if it is empty, else by rm -r', async () => {
  await directory();
  await sh(`rmdir ${own}`);
  await directory();
  publishNumbered(daemon.path, 10);
  assert.match(await fails(`rmdir ${own}`), 'Directory not empty');
  await sh('echo mine > mine');
  await sh(`rm -r ${own}`);
  assert.not(readdirSync(daemon.path).includes(own.slice(daemon.path.length + 1)));
});

files('is removed by rm -r although an event comes after the listing', async () => {
  await directory();
  assert.equal(readdirSync(own), []);
  publishNumbered(daemon.path, 1);
  rmdirSync(own);
});

files('is removed by rm -r while a thousand events a second come', async () => {
  const storm = new Storm(daemon.path);
  try {
    for (let round = 0; round < 20; round++) {
      await directory();
      await until(() => round % 2 === 0 || readdirSync(own).length > 20, 'no storm');
      await sh(`cd /; rm -r ${own}`);
      assert.not(readdirSync(daemon.path).includes(own.slice(daemon.path.length + 1)));
    }
  } finally {
    storm.end();
  }
  assert.ok(storm.published > 100);
});

files(
  'keeps the newest 4,096 events, and .stream first returns the number of lost ones',
  async () => {
    await directory();
    publishNumbered(daemon.path, 5000);
    assert.is(readdirSync(own).length, 4096);
    assert.match(await sh('cat head'), 'N=904\n');
    assert.match(await sh('cat tail'), 'N=4999\n');
    assert.equal([statusOf(own).PENDING, statusOf(own).LOST], ['4096', '904']);
    const reader = await Reader.on(`${own}/.stream`);
    const records = await reader.has(4097);
    assert.match(records[0], /^overflow@\/eventfs\n[^]*^LOST=904$/m);
    assert.equal(
      valuesOf('N', records.slice(1)),
      Array.from({ length: 4096 }, (_, i) => String(904 + i)),
    );
    publishNumbered(daemon.path, 1);
    assert.match((await reader.has(4098))[4097], 'N=0');
    assert.equal(
      [statusOf(own).PENDING, statusOf(own).LOST, statusOf(own).BYTES],
      ['0', '904', '0'],
    );
    await reader.kill();
  },
);

files('keeps at most 4 MiB of events', async () => {
  await directory();
  const value = 'v'.repeat(60_000);
  publish(
    daemon.path,
    ...Array.from({ length: 100 }, (_, n) => eventText('/large', { N: n, VALUE: value })),
  );
  const { PENDING, BYTES, LOST } = statusOf(own);
  assert.is(Number(PENDING) + Number(LOST), 100);
  assert.ok(Number(BYTES) <= 4 * 1024 * 1024 && Number(BYTES) > 4 * 1024 * 1024 - 61_000, BYTES);
});

files('shows its owner, counts and filter in .status', async () => {
  await directory();
  publishNumbered(daemon.path, 2);
  await sh("echo 'SUBSYSTEM==block, ACTION==add|remove; KERNEL==sd?' > .filter");
  const reader = await Reader.on(`${own}/.stream`);
  await until(() => statusOf(own).WAITING === '1', 'no reader waits');
  const { OWNER, PENDING, BYTES, LOST, STREAMS, WAITING, FILTER } = statusOf(own);
  assert.equal(
    [OWNER, PENDING, BYTES, LOST, STREAMS, WAITING],
    [String(shell.pid), '0', '0', '0', '1', '1'],
  );
  assert.is(FILTER, 'SUBSYSTEM==block, ACTION==add|remove; KERNEL==sd?');
  assert.is(statSync(`${own}/.status`).size, readFileSync(`${own}/.status`).length);
  await reader.kill();
  await until(() => statusOf(own).STREAMS === '0', 'the stream is still open');
});

files.run();
