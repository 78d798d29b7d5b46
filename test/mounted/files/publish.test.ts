/** `publish`: events from the write(2) calls of many programs. */
import * as assert from 'uvu/assert';
import {
  chmodSync,
  chownSync,
  constants,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Calls,
  Reader,
  eventText,
  publish,
  statusOf,
  valuesOf,
} from '../../support/clients/clients.js';
import { run, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';

/**
 * Runs a command in the mount. @returns its stderr, its exit code, and the events that it published
 */
async function published(
  command: readonly string[],
  input?: Buffer,
): Promise<{ err: string; code: number | null; records: string[] }> {
  const reader = await Reader.on(`${daemon.path}/stream`);
  const { err, code } = await run(
    ['env', '-C', daemon.path, ...command],
    input === undefined ? {} : { input },
  );
  publish(daemon.path, 'end@/end\nACTION=end\n');
  await until(
    () => reader.text.endsWith('end@/end\nACTION=end\n\n'),
    'the last event did not come',
  );
  await reader.kill();
  return { err, code, records: reader.records.slice(0, -1) };
}

const bash = (commands: string): readonly string[] => ['bash', '-c', commands];

const THING = 'change@/my/thing\nACTION=change\nSUBSYSTEM=mine';

const shells = mounted('publish');

shells(
  'takes an event that bash writes line by line, and one that dash writes in one call',
  async () => {
    const command = "printf 'change@/my/thing\\nACTION=change\\nSUBSYSTEM=mine\\n' > publish";
    for (const program of ['bash', 'dash', 'sh']) {
      const { records, err } = await published([program, '-c', command]);
      assert.equal(records, [THING], `${program}: ${err}`);
    }
  },
);

shells('takes an event from echo, cat, tee, cp, dd and a here-document', async () => {
  const file = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'event-')), 'event');
  writeFileSync(file, `${THING}\n`);
  for (const command of [
    "echo -e 'change@/my/thing\\nACTION=change\\nSUBSYSTEM=mine' > publish",
    "echo -en 'change@/my/thing\\nACTION=change\\nSUBSYSTEM=mine\\n\\n' > publish",
    '(echo change@/my/thing; echo ACTION=change; echo SUBSYSTEM=mine) > publish',
    'cat > publish <<END\nchange@/my/thing\nACTION=change\nSUBSYSTEM=mine\nEND',
    `cat ${file} > publish`,
    `cat ${file} >> publish`,
    `tee publish < ${file} > /dev/null`,
    `cp ${file} publish`,
    `dd if=${file} of=publish status=none`,
    `dd if=${file} of=publish bs=1M status=none`,
    `sed p ${file} -n > publish`,
    `awk 1 ${file} > publish`,
  ]) {
    const { records, err, code } = await published(bash(command));
    assert.equal([code, records], [0, [THING]], `${command}: ${err}`);
  }
});

shells('takes the text of an event of log/, a queue or a stream', async () => {
  publish(daemon.path, `${THING}\n`);
  await shell.run(`mkdir ${daemon.path}/$$; cd ${daemon.path}/$$`);
  publish(daemon.path, `${THING}\n`);
  for (const command of [
    'cat log/tail > publish',
    'cp log/tail publish',
    `cat ${shell.pid}/head > publish`,
    `cp ${shell.pid}/head publish`,
    `dd if=${shell.pid}/.stream bs=64K count=1 status=none > publish`,
  ]) {
    const { records, err } = await published(bash(command));
    assert.equal(records, [THING], `${command}: ${err}`);
    await shell.run('rm -f [0-9]*; cd ..; rm -r $$; mkdir $$; cd $$');
    publish(daemon.path, `${THING}\n`);
  }
  await shell.run('cd /; rmdir ${daemon.path}/$$');
});

shells('takes a header without properties when another follows, or at the close', async () => {
  assert.equal((await published(bash('echo add@/x > publish'))).records, ['add@/x']);
  assert.equal((await published(bash('echo -n add@/x > publish'))).records, ['add@/x']);
  assert.equal(
    (await published(bash('(echo add@/x; echo add@/y; echo A=b; echo; echo add@/z) > publish')))
      .records,
    ['add@/x', 'add@/y\nA=b', 'add@/z'],
  );
});

shells(
  'publishes an event at once if an empty line ends it and the descriptor stays open',
  async () => {
    const reader = await Reader.on(`${daemon.path}/stream`);
    await shell.run(`exec 3> ${daemon.path}/publish`);
    for (let n = 0; n < 3; n++) {
      await shell.run(`printf 'add@/x\\nACTION=add\\nN=%d\\n\\n' ${n} >&3`);
      assert.equal(valuesOf('N', await reader.has(n + 1)), ['0', '1', '2'].slice(0, n + 1));
    }
    await shell.run('exec 3>&-');
    assert.is(reader.records.length, 3);
    await reader.kill();
  },
);

shells("takes the kernel's datagrams, and escapes a newline in a value as \\x0a", async () => {
  const { records } = await published(
    ['tee', 'publish'],
    Buffer.from('add@/x\0ACTION=add\0TEXT=two\nlines\0SEQNUM=5\0'),
  );
  assert.equal(records, ['add@/x\nACTION=add\nTEXT=two\\x0alines\nSEQNUM=5']);
});

shells('passes any other byte unchanged', async () => {
  const bytes = Buffer.from(
    Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 0x0a),
  );
  const { records } = await published(
    ['tee', 'publish'],
    Buffer.concat([Buffer.from('add@/x\nBYTES='), bytes, Buffer.from('\n')]),
  );
  assert.equal(records, [`add@/x\nBYTES=${bytes.toString('latin1')}`]);
});

shells('names an event by its SEQNUM if it is new, or else by a SEQNUM and its place', () => {
  const nameOf = (properties: Readonly<Record<string, string | number>>): string => {
    publish(daemon.path, eventText('/x', properties));
    return readlinkSync(`${daemon.path}/log/tail`);
  };
  assert.is(nameOf({ SEQNUM: 12345 }), '12345');
  const first = /^0\.(\d+)$/.exec(nameOf({}))?.[1];
  assert.is(nameOf({}), `0.${Number(first) + 1}`);
  assert.is(nameOf({ SEQNUM: 12345 }), `12345.${Number(first) + 2}`);
  assert.is(nameOf({ SEQNUM: '00012345' }), `12345.${Number(first) + 3}`);
});

shells('takes many events in one write, as a read of a stream returns them', async () => {
  const records = Array.from(
    { length: 2000 },
    (_, n) => `${eventText('/devices/many', { N: n, PAD: 'x'.repeat(100) })}\n`,
  ).join('');
  const reader = await Reader.on(`${daemon.path}/match/DEVPATH=*many`);
  const { code, err } = await run(
    ['dd', `of=${daemon.path}/publish`, 'bs=1M', 'iflag=fullblock', 'status=none', 'conv=notrunc'],
    { input: records },
  );
  assert.is(code, 0, err);
  assert.equal(
    valuesOf('N', await reader.has(2000)),
    Array.from({ length: 2000 }, (_, n) => String(n)),
  );
  await reader.kill();
});

shells('splits no event of a file, in whatever block size a program writes', async () => {
  const file = join(
    mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'events-')),
    'events',
  );
  const all = Array.from(
    { length: 400 },
    (_, n) => `add@/r\nACTION=add\nN=${n}\nX=${'y'.repeat(n % 5 === 0 ? 1000 : 1007)}`,
  );
  writeFileSync(file, all.map((each) => `${each}\n\n`).join(''));
  for (const command of [
    `cat ${file} > publish`,
    `cat < ${file} >> publish`,
    `cp ${file} publish`,
    ...['4099', '65537', '131071', '131072', '200001', '1M'].map(
      (size) => `dd if=${file} of=publish bs=${size} status=none`,
    ),
    `{ head -c 150000 ${file}; tail -c +150001 ${file}; } > publish`,
  ]) {
    const { records, err, code } = await published(bash(command));
    assert.equal(
      [code, records.length, records.filter((each, n) => each !== all[n])],
      [0, 400, []],
      `${command}: ${err}`,
    );
  }
  const { PUBLISH_CUT } = statusOf(`${daemon.path}/log`);
  assert.is(PUBLISH_CUT, '0');
  const { records } = await published(bash(`head -c 150000 ${file} > publish`));
  assert.equal(records, all.slice(0, records.length));
  assert.is(statusOf(`${daemon.path}/log`).PUBLISH_CUT, '1');
});

shells('refuses a malformed event with EINVAL, and takes the next one', async () => {
  const calls = new Calls();
  await calls.open(1, `${daemon.path}/publish`, constants.O_WRONLY);
  const before = Number(statusOf(`${daemon.path}/log`).PUBLISHED);
  for (const bad of [
    '\n',
    '\n\n',
    '\0',
    'add',
    'add@',
    '@/x\n',
    'add@x\nACTION=add\n',
    'add/x@\n',
    'ACTION=add\n',
    'add@/x\nACTION\n',
    'add@/x\n=add\n',
    'add@/x\nSEQNUM=\n',
    'add@/x\nSEQNUM=-1\n',
    'add@/x\nSEQNUM=1x\n',
    'add@/x\nSEQNUM=99999999999999999999\n',
    'add@/x\nACTION=add\nadd@/y\nACTION=add\n',
    'add@/x\0ACTION=add', // a datagram ends with NUL
    'add@/x\0\0',
    'garbage '.repeat(1000),
  ]) {
    assert.is((await calls.call('write', 1, bad)).errno, 'EINVAL', JSON.stringify(bad));
  }
  await calls.call('close', 1);
  assert.is(Number(statusOf(`${daemon.path}/log`).PUBLISHED), before);
  await calls.open(1, `${daemon.path}/publish`, constants.O_WRONLY);
  assert.is((await calls.call('write', 1, 'add@/x\nA=b\n')).value, 11);
  assert.is(Number(statusOf(`${daemon.path}/log`).PUBLISHED), before + 1);
  await calls.end();
});

shells('refuses a text that ends with a NUL, as sizeof of a C string counts it', async () => {
  const { err, records } = await published(['tee', 'publish'], Buffer.from('add@/x\nA=b\n\0'));
  assert.match(err, 'Invalid argument');
  assert.equal(records, []);
});

shells(
  'publishes no record of the daemon itself, and the other events of a saved stream',
  async () => {
    const own = await directory();
    const calls = new Calls();
    await calls.open(1, `${daemon.path}/publish`, constants.O_WRONLY);
    const loss = 'overflow@/eventfs\nACTION=overflow\nDEVPATH=/eventfs\nLOST=3\n';
    assert.is((await calls.call('write', 1, loss)).value, loss.length);
    const saved = `${eventText('/one')}\n${loss}\n${eventText('/two')}\n`;
    assert.is((await calls.call('write', 1, saved)).value, saved.length);
    for (const action of ['error', 'filter'])
      assert.is((await calls.call('write', 1, `${action}@/eventfs\n`)).errno, 'EINVAL');
    await calls.end();
    const names = readdirSync(own).filter((name) => /^\d/.test(name));
    assert.equal(
      names.map((name) => readFileSync(`${own}/${name}`, 'latin1').split('\n')[0]),
      ['add@/one', 'add@/two'],
    );
  },
);

shells('publishes nothing of an event with a malformed line', async () => {
  const { records, code, err } = await published(
    bash("printf 'add@/x\\nACTION=add\\nnonsense\\nSUBSYSTEM=x\\n' > publish"),
  );
  assert.is(code, 1);
  assert.match(err, 'Invalid argument');
  assert.equal(records, []);
});

shells('takes an event of 64 KiB, and refuses a byte more with EFBIG', async () => {
  const largest = Buffer.from(eventText('/x', { V: '' }));
  const text = Buffer.concat([
    largest.subarray(0, -1),
    Buffer.alloc(65536 - largest.length, 'v'),
    Buffer.from('\n'),
  ]);
  assert.is(text.length, 65536);
  const file = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'event-')), 'event');
  writeFileSync(file, text);
  const { records, code, err } = await published(bash(`cat ${file} > publish`));
  assert.is(code, 0, err);
  assert.is(`${records[0]}\n`, text.toString());
  const calls = new Calls();
  await calls.open(1, `${daemon.path}/publish`, constants.O_WRONLY);
  const larger = `${text.toString().slice(0, -1)}v\n`;
  assert.is((await calls.call('write', 1, larger)).errno, 'EFBIG');
  assert.is((await calls.call('write', 1, `add@/x\0V=${'\n'.repeat(20_000)}\0`)).errno, 'EFBIG');
  assert.is((await calls.call('fill', 1, 1 << 20, 0)).errno, 'ESPIPE');
  await calls.end();
  const huge = await published(
    ['dd', 'of=publish', 'bs=3M', 'iflag=fullblock', 'status=none'],
    Buffer.alloc(3 << 20, 'x'),
  );
  assert.match(huge.err, 'File too large');
  assert.equal(huge.records, []);
});

shells('takes 2,000 properties that are written line by line', async () => {
  const { records, err, code } = await published(
    bash('{ echo add@/x; for i in {1..2000}; do echo KEY$i=$i; done; } > publish'),
  );
  assert.is(code, 0, err);
  assert.is(records.length, 1);
  assert.is(records[0].split('\n').length, 2001);
});

shells(
  'takes events of three publishers at once, each once, and in the order of each publisher',
  async () => {
    const reader = await Reader.on(`${daemon.path}/stream`);
    const loop =
      "for ((i = 0; i < 1000; i++)); do printf 'add@/x\\nBY=%s\\nN=%d\\n' $0 $i; done > publish";
    await Promise.all(
      ['one', 'two', 'three'].map((by) => run(['env', '-C', daemon.path, 'bash', '-c', loop, by])),
    );
    const records = await reader.has(3000);
    for (const by of ['one', 'two', 'three']) {
      const numbers = valuesOf(
        'N',
        records.filter((record) => record.includes(`BY=${by}\n`)),
      );
      assert.equal(
        numbers,
        Array.from({ length: 1000 }, (_, n) => String(n)),
      );
    }
    assert.is(records.length, 3000);
    await reader.kill();
  },
);

shells('is writable by root only, until root runs chmod and chgrp', async () => {
  const path = `${daemon.path}/publish`;
  const nobody = [...AS_NOBODY, 'sh', '-c', 'echo add@/x > publish'];
  assert.is(statSync(path).mode & 0o7777, 0o200);
  assert.match((await published(nobody)).err, 'Permission denied');
  chmodSync(path, 0o220);
  chownSync(path, 0, 65534);
  assert.equal([statSync(path).mode & 0o7777, statSync(path).gid], [0o220, 65534]);
  assert.equal((await published(nobody)).records, ['add@/x']);
  chmodSync(path, 0o200);
  assert.match((await published(nobody)).err, 'Permission denied');
});

shells('cannot be read, and publishes no event if nothing is written', async () => {
  assert.throws(() => readFileSync(`${daemon.path}/publish`), /EINVAL/);
  assert.equal(
    (
      await published(
        bash(
          ': > publish; : >> publish; printf "" > publish; truncate -s 0 publish; touch publish',
        ),
      )
    ).records,
    [],
  );
});

shells.run();
