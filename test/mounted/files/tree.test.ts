/** What `ls`, `cat`, `rm` and `echo` do on a mount. */
import * as assert from 'uvu/assert';
import {
  chmodSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import {
  Calls,
  Reader,
  Storm,
  eventText,
  publish,
  publishNumbered,
  statusOf,
  valuesOf,
} from '../../support/clients.js';
import { Shell, run, until } from '../../support/daemon.js';
import { daemon, directory as newDirectory, mounted, shell } from '../../support/mounted.js';
import { AS_NOBODY } from '../../support/other-user.js';

/** The directory of the test that runs. */
let own: string;

async function directory(mode?: string): Promise<string> {
  own = await newDirectory(mode);
  return own;
}

/** Runs commands in the test's shell, in the directory; gives what they print. They must succeed. */
async function sh(commands: string): Promise<string> {
  const { out, code } = await shell.run(`cd ${own}\n${commands}`, 20_000);
  assert.is(code, 0, `${commands}: ${out}`);
  return out;
}

/** The same for commands that must fail; gives what they complain. */
async function fails(commands: string): Promise<string> {
  const { out, code } = await shell.run(`cd ${own}\n${commands}`);
  assert.is.not(code, 0, `'${commands}' succeeded: ${out}`);
  return out;
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

const root = mounted('the root');

root('lists what is always there, with its types and modes', async () => {
  const { out } = await run([
    'find',
    daemon.path,
    '-maxdepth',
    '1',
    '-printf',
    '%P %y %m %U:%G\\n',
  ]);
  assert.equal(lines(out).sort(), [
    ' d 1777 0:0',
    'log d 555 0:0',
    'match d 555 0:0',
    'publish f 200 0:0',
  ]);
});

root('lists directories in the order in which they were made', async () => {
  const names = ['z', 'b', 'a', 'y'].map((label) => `${shell.pid}.${label}`);
  await shell.run(`cd ${daemon.path}; mkdir ${names.join(' ')}`);
  const { out } = await run(['ls', '-f', daemon.path]);
  assert.equal(
    lines(out).filter((name) => names.includes(name)),
    names,
  );
  await shell.run(`rmdir ${names.join(' ')}`);
});

root('lists thousands of directories, each once', async () => {
  const names = Array.from({ length: 3000 }, (_, i) => `${shell.pid}.many-${i}`);
  await shell.run(`cd ${daemon.path}; mkdir ${shell.pid}.many-{0..2999}`);
  const listed = readdirSync(daemon.path).filter((name) => name.includes('many'));
  assert.equal(listed.sort(), names.sort());
  assert.is(statSync(daemon.path).nlink, 4 + names.length);
  const { out, code } = await shell.run(`rmdir ${shell.pid}.many-*`);
  assert.is(code, 0, out);
});

root('gives the same inode numbers in readdir as in stat, and the type of each', async () => {
  await directory();
  const calls = new Calls();
  await calls.open(1, daemon.path, constants.O_RDONLY | constants.O_DIRECTORY);
  const { rest } = await calls.call('getdents', 1);
  for (const entry of rest) {
    const [name, inode, type] = entry.split('/');
    const info = statSync(`${daemon.path}/${name}`);
    if (name !== '..') assert.is(Number(inode), info.ino, name);
    assert.is(Number(type), info.isDirectory() ? 4 : 8, name);
  }
  await calls.end();
});

root('refuses to lose what is always there', async () => {
  own = daemon.path;
  assert.match(await fails('rmdir log'), 'Operation not permitted');
  assert.match(await fails('rm publish'), 'Operation not permitted');
  assert.match(await fails('rm stream'), 'Operation not permitted');
  assert.match(await fails('rmdir match'), 'Operation not permitted');
  assert.match(await fails('mkdir stream'), 'File exists');
  assert.match(await fails('echo > file'), 'Operation not permitted');
});

root('lets the administrator change its mode, and keeps it', () => {
  chmodSync(daemon.path, 0o1770);
  assert.is(statSync(daemon.path).mode & 0o7777, 0o1770);
  chmodSync(daemon.path, 0o1777);
  assert.is(statSync(daemon.path).mode & 0o7777, 0o1777);
});

root.run();

const files = mounted('a process directory');

files("has the mode that mkdir's umask leaves it", async () => {
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

files('tells the exact size of an event, and its text byte for byte', async () => {
  await directory();
  const text = eventText('/devices/\xff\x01/x', { SUBSYSTEM: 'mine', VALUE: 'a=b \t\xe4\xf6 "$`' });
  publish(daemon.path, text);
  const [name] = readdirSync(own);
  assert.is(statSync(`${own}/${name}`).size, text.length);
  assert.is(readFileSync(`${own}/${name}`, 'latin1'), text);
});

files('gives the same inode numbers in readdir as in stat, and d_type', async () => {
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
  'gives one event the same inode number in every queue, and counts the queues as links',
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
  assert.equal(lines(await sh('ls -f')), ['.', '..', '9', '10', '100', '2', '1', 'zzz']);
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
  'lists what was there when the listing began, and comes to an end however fast events come',
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

files('pops the oldest by rm head and the newest by rm tail, until both are gone', async () => {
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
});

files('gives a loop of cat head and rm head every event once, in order', async () => {
  await directory();
  publishNumbered(daemon.path, 100);
  const out = await sh('while cat head && rm head; do :; done 2>/dev/null');
  assert.equal(
    valuesOf('N', out.split(/(?=add@)/)),
    Array.from({ length: 100 }, (_, n) => String(n)),
  );
});

files('refuses to change an event that was delivered, and says so', async () => {
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

files('takes files that users make, and shows what they write', async () => {
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
  'keeps the place of a file that is written again, and lets pwrite fill it anywhere',
  async () => {
    await directory();
    await sh('echo 1 > a; echo 2 > b; echo 3 > a');
    assert.equal(lines(await sh('ls -f')), ['.', '..', 'a', 'b']);
    await sh('dd if=<(printf xyz) of=b bs=1 seek=4 conv=notrunc status=none');
    assert.is(readFileSync(`${own}/b`, 'latin1'), '2\n\0\0xyz');
  },
);

files('takes a file of 64 KiB and refuses one byte more, which changes nothing', async () => {
  await directory();
  await sh('head -c 65536 /dev/zero > large');
  assert.is(statSync(`${own}/large`).size, 65536);
  assert.match(await fails('echo >> large'), 'File too large');
  assert.match(await fails('truncate -s 65537 large'), 'File too large');
  assert.is(statSync(`${own}/large`).size, 65536);
  assert.is(Number(statusOf(own).BYTES), 65536);
});

files('survives create, rm and create of one name in one queue', async () => {
  await directory();
  for (let round = 0; round < 50; round++) {
    await sh(`echo ${round} > same; rm same; echo again ${round} > same`);
    assert.is(await sh('cat same'), `again ${round}\n`);
    await sh('rm same');
  }
  assert.equal([statusOf(own).PENDING, statusOf(own).BYTES], ['0', '0']);
});

files('keeps a file that is unlinked while open, and leaves nothing behind', async () => {
  await directory();
  publishNumbered(daemon.path, 1);
  await sh('echo mine > mine');
  const [event] = readdirSync(own);
  const calls = new Calls();
  await calls.open(1, `${own}/${event}`);
  await calls.open(2, `${own}/mine`, constants.O_RDWR);
  await sh(`rm ${event} mine`);
  assert.equal(readdirSync(own), []);
  publishNumbered(daemon.path, 5000); // the log forgets it too
  await sh('rm -r . 2>/dev/null; rm *');
  assert.match((await calls.call('read', 1, 4096)).bytes, 'N=0\n');
  assert.is((await calls.call('read', 2, 100)).bytes, 'mine\n');
  assert.is((await calls.call('write', 2, 'more')).value, 4);
  assert.is((await calls.call('pread', 2, 100, 0)).bytes, 'mine\nmore');
  assert.equal((await calls.call('fstat', 2)).rest.slice(1), ['9', '100644', '0']);
  assert.equal(readdirSync(own), []);
  await calls.end();
});

files('takes names of 255 bytes and no longer ones', async () => {
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

files('takes names with line ends, blanks and bytes that are no UTF-8', async () => {
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

files('takes no directories, and no files by the names of its ends', async () => {
  await directory();
  assert.match(await fails('mkdir sub'), 'Operation not permitted');
  assert.match(await fails('echo x > head'), 'Operation not permitted');
  assert.match(await fails('echo x > tail'), 'Operation not permitted');
  for (const name of ['.stream', '.status', '.filter'])
    assert.match(await fails(`rm -f ${name}`), 'Operation not permitted');
  assert.equal(readdirSync(own), []);
});

files('gives another name to an event whose own a user has taken', async () => {
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

files('is removed by rmdir when it is empty and by rm -r when it is not', async () => {
  await directory();
  await sh(`rmdir ${own}`);
  await directory();
  publishNumbered(daemon.path, 10);
  assert.match(await fails(`rmdir ${own}`), 'Directory not empty');
  await sh('echo mine > mine');
  await sh(`rm -r ${own}`);
  assert.not(readdirSync(daemon.path).includes(own.slice(daemon.path.length + 1)));
});

files('is removed by rm -r though an event comes after it was listed as empty', async () => {
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
  'keeps the newest 4,096 events, counts the rest and tells the reader of .stream first',
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

files('tells of itself in .status', async () => {
  await directory();
  publishNumbered(daemon.path, 2);
  await sh("echo 'SUBSYSTEM==block, ACTION==add|remove; KERNEL==sd?' > .filter");
  const reader = await Reader.on(`${own}/.stream`);
  await until(() => statusOf(own).WAITING === '1', 'nobody waits');
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

const filter = mounted('.filter');

/** What the directory has taken, by the events' WHAT. */
const taken = async (): Promise<string[]> =>
  valuesOf(
    'WHAT',
    (await sh('cat $(ls -f | tail -n +3) /dev/null'))
      .split(/(?=^\w+@)/m)
      .filter((text) => text !== ''),
  );

const publishKinds = (...whats: readonly string[]): void => {
  const kinds: Readonly<Record<string, string>> = {
    net: eventText('/net/eth0', { SUBSYSTEM: 'net', WHAT: 'net' }),
    block: eventText('/block/sda', { SUBSYSTEM: 'block', WHAT: 'block' }),
    gone: eventText('/block/sda', { SUBSYSTEM: 'block', WHAT: 'gone' }, 'remove'),
    usb: eventText('/usb/1', { SUBSYSTEM: 'usb', WHAT: 'usb' }),
  };
  publish(daemon.path, ...whats.map((what) => kinds[what]));
};

filter('takes everything until it is set, and then what matches', async () => {
  await directory();
  assert.is(await sh('cat .filter'), '');
  publishKinds('net', 'block');
  assert.equal(await taken(), ['net', 'block']);
  await sh("rm *; echo 'SUBSYSTEM==block, ACTION==add' > .filter");
  assert.is(await sh('cat .filter'), 'SUBSYSTEM==block, ACTION==add\n');
  assert.is(statSync(`${own}/.filter`).size, 30);
  publishKinds('net', 'block', 'gone');
  assert.equal(await taken(), ['block']);
});

filter('leaves what was delivered before it was set', async () => {
  await directory();
  publishKinds('net');
  await sh('echo SUBSYSTEM=block > .filter');
  publishKinds('net', 'block');
  assert.equal(await taken(), ['net', 'block']);
});

filter('takes alternatives by >> and everything again by : >', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter; echo SUBSYSTEM=usb >> .filter');
  assert.is(await sh('cat .filter'), 'SUBSYSTEM==block\nSUBSYSTEM==usb\n');
  publishKinds('net', 'block', 'usb');
  assert.equal(await taken(), ['block', 'usb']);
  await sh('rm *; : > .filter');
  assert.is(await sh('cat .filter'), '');
  publishKinds('net', 'usb');
  assert.equal(await taken(), ['net', 'usb']);
  await sh('echo SUBSYSTEM=usb > .filter; truncate -s 0 .filter');
  assert.is(await sh('cat .filter'), '');
});

filter(
  'takes several lines, as bash writes them one by one and as others write them at once',
  async () => {
    for (const command of [
      "printf 'SUBSYSTEM=block\\n# and\\nSUBSYSTEM=usb\\n' > .filter",
      'dash -c "printf \'SUBSYSTEM=block\\n# and\\nSUBSYSTEM=usb\\n\' > .filter"',
      'cat > .filter <<< "SUBSYSTEM=block; SUBSYSTEM=usb"',
      '(echo "# mine"; echo "  SUBSYSTEM =  block "; echo; echo SUBSYSTEM=usb) > .filter',
      'cp <(echo SUBSYSTEM=block; echo SUBSYSTEM=usb) .filter',
      'echo SUBSYSTEM=block | tee .filter >/dev/null; echo SUBSYSTEM=usb | tee -a .filter > /dev/null',
    ]) {
      await directory();
      await sh(command);
      assert.is(await sh('cat .filter'), 'SUBSYSTEM==block\nSUBSYSTEM==usb\n', command);
    }
  },
);

filter('refuses a bad one with EINVAL and stays as it was', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter');
  for (const bad of [
    'nonsense',
    'SUBSYSTEM',
    '==block',
    'SUBSYSTEM==',
    'SUBSYSTEM==block KERNEL==sda',
    'SUBSYSTEM=="block',
  ]) {
    assert.match(await fails(`echo '${bad}' > .filter`), 'Invalid argument');
    assert.match(await fails(`echo '${bad}' >> .filter`), 'Invalid argument');
    assert.is(await sh('cat .filter'), 'SUBSYSTEM==block\n');
  }
  publishKinds('net', 'block');
  assert.equal(await taken(), ['block']);
});

filter('never lets everything in while it is replaced', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter');
  const fd = openSync(`${own}/.filter`, constants.O_WRONLY | constants.O_TRUNC);
  publishKinds('net');
  writeSync(fd, 'SUBSYSTEM=usb\n');
  publishKinds('net', 'block', 'usb');
  closeSync(fd);
  assert.equal(await taken(), ['usb']);
});

filter('tells of a loss whatever it is', async () => {
  await directory();
  await sh('echo SUBSYSTEM=block > .filter');
  publish(
    daemon.path,
    ...Array.from({ length: 4100 }, () => eventText('/block/sda', { SUBSYSTEM: 'block' })),
  );
  const reader = await Reader.on(`${own}/.stream`);
  assert.match((await reader.has(4097))[0], 'LOST=4\n'.trimEnd());
  await reader.kill();
});

filter.run();

const log = mounted('log/');

log('shows the last 1,024 events and nothing else', async () => {
  own = `${daemon.path}/log`;
  publishNumbered(daemon.path, 1500);
  assert.is(readdirSync(own).length, 1024);
  assert.match(await sh('cat head'), 'N=476\n');
  assert.match(await sh('cat tail'), 'N=1499\n');
  publishNumbered(daemon.path, 1, 1500);
  assert.match(await sh('cat tail'), 'N=1500\n');
});

log('keeps at most 1 MiB of text', () => {
  own = `${daemon.path}/log`;
  publish(
    daemon.path,
    ...Array.from({ length: 30 }, (_, n) =>
      eventText('/large', { N: n, VALUE: 'v'.repeat(60_000) }),
    ),
  );
  const bytes = readdirSync(own).reduce((sum, name) => sum + statSync(`${own}/${name}`).size, 0);
  assert.ok(bytes <= 1024 * 1024 && bytes > 1024 * 1024 - 61_000, String(bytes));
});

log('lets nobody remove or make anything', async () => {
  own = `${daemon.path}/log`;
  publishNumbered(daemon.path, 3);
  for (const command of [
    'rm tail',
    'rm head',
    'rm $(ls | head -1)',
    'echo > mine',
    'mkdir mine',
    'rm .status',
    'echo x >> tail',
  ]) {
    assert.match(await fails(command), 'Operation not permitted', command);
  }
  assert.match(await fails('cat .stream'), 'No such file');
  assert.match(await fails('cat .filter'), 'No such file');
});

log('tells of the daemon in .status', async () => {
  const before = statusOf(`${daemon.path}/log`);
  publishNumbered(daemon.path, 7);
  const after = statusOf(`${daemon.path}/log`);
  assert.is(after.DAEMON, String(daemon.pid));
  assert.is(Number(after.PUBLISHED) - Number(before.PUBLISHED), 7);
  assert.equal(
    [after.KERNEL, after.DIRECTORIES, after.OWNERS, after.STREAMS, after.HANDLES],
    ['0', '0', '0', '0', '0'],
  );
  await directory();
  const reader = await Reader.on(`${daemon.path}/match/SUBSYSTEM=net`);
  const { DIRECTORIES, OWNERS, STREAMS, STREAM_0 } = statusOf(`${daemon.path}/log`);
  assert.equal([DIRECTORIES, OWNERS, STREAMS], ['1', '1', '1']);
  assert.is(STREAM_0, `pid=${reader.process.pid} pending=0 lost=0 filter=SUBSYSTEM==net`);
  await reader.kill();
});

log.run();

const others = mounted('another user');

/** Runs a command as nobody; gives what it says and its exit code. */
const asNobody = (command: string): ReturnType<typeof run> =>
  run([...AS_NOBODY, 'sh', '-c', `cd ${own}; ${command}`]);

others("can't read another's events, set its filter, take events off or make files", async () => {
  await directory();
  publishNumbered(daemon.path, 2);
  const [name] = readdirSync(own);
  for (const command of [
    `cat ${name}`,
    'cat head',
    'echo A=b > .filter',
    'cat .stream',
    `rm ${name}`,
    'rm head',
    'echo x > mine',
    `rmdir ${own}`,
    `rm -rf ${own}`,
  ]) {
    const { err, code } = await asNobody(command);
    assert.is.not(code, 0, command);
    assert.match(err, /Permission denied|Operation not permitted/, command);
  }
  assert.is(readdirSync(own).length, 2);
  assert.is((await asNobody('ls; readlink head; cat .filter; cat .status')).code, 0);
});

others("can't even list a directory of mode 0700", async () => {
  await directory('0700');
  const { err } = await asNobody(`ls ${own}`);
  assert.match(err, 'Permission denied');
});

others("can't publish, and can't make directories for processes that are not its own", async () => {
  own = daemon.path;
  assert.match((await asNobody('echo add@/x > publish')).err, 'Permission denied');
  assert.match((await asNobody('cat publish')).err, 'Permission denied');
  assert.match((await asNobody(`mkdir ${shell.pid}.stolen`)).err, 'Operation not permitted');
  assert.match((await asNobody('mkdir 1')).err, 'Operation not permitted');
});

others('has a directory and streams of its own', async () => {
  own = daemon.path;
  const { out, code } = await asNobody(
    'mkdir $$ && cd $$ && stat -c %u . && echo mine > mine && cat mine .status && echo A=b > .filter && cat .filter && rm mine && timeout 0.2 cat ../stream; ls; rmdir ../$$',
  );
  assert.is(code, 0, out);
  assert.match(out, /^65534\nmine\nOWNER=\d+\n/);
  assert.match(out, 'A==b\n');
});

others('reads the events of its own directory', async () => {
  own = daemon.path;
  const nobody = new Shell([...AS_NOBODY, 'bash']);
  await nobody.run(`mkdir -m 700 ${daemon.path}/$$ && cd ${daemon.path}/$$`);
  publishNumbered(daemon.path, 1);
  const { out, code } = await nobody.run('stat -c "%a %u:%g" $(ls); cat head && rm head && ls -A');
  assert.is(code, 0, out);
  assert.match(out, /^440 65534:65534\nadd@\/devices\/n\nACTION=add\nN=0\n$/);
  await nobody.kill();
});

others.run();
