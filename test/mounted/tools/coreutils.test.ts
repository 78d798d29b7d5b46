/**
 * GNU coreutils and other common programs in a process directory: they behave as on any filesystem.
 */
import * as assert from 'uvu/assert';
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { Reader, publish } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { run, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { need } from '../../support/runner/programs.js';

const EVENT = 'add@/devices/x\nACTION=add\nSUBSYSTEM=mine\nSEQNUM=41\n';
/** A text of more than a page, and not of whole pages. */
const LARGE = Array.from({ length: 3000 }, (_, n) => `line ${n}\n`).join('');

let own: string;
/** A directory of another filesystem. */
let elsewhere: string;

/** Runs commands in `own`, which must succeed. @returns their output */
async function sh(commands: string): Promise<string> {
  const { out, code } = await shell.run(`cd ${own}; ${commands}`, 10_000);
  assert.is(code, 0, `${commands}: ${out}`);
  return out;
}

/** Runs commands in `own`, which must fail. @returns their output */
async function fails(commands: string): Promise<string> {
  const { out, code } = await shell.run(`cd ${own}; ${commands}`, 10_000);
  assert.is.not(code, 0, `'${commands}' succeeded: ${out}`);
  return out;
}

const coreutils = mounted('on a process directory');

coreutils.before(() => {
  elsewhere = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'elsewhere-'));
});
coreutils.after(() => rmSync(elsewhere, { recursive: true }));

/** Adds a test that begins with a delivered event, `41`, and a file, `large`, in `own`. */
function tool(sentence: string, body: () => Promise<void> | void): void {
  coreutils(sentence, async () => {
    own = await directory();
    publish(daemon.path, EVENT);
    const [name] = readdirSync(own); // log/ has an event of this name since the first test.
    renameSync(`${own}/${name}`, `${own}/41`);
    writeFileSync(`${own}/large`, LARGE);
    await body();
    await shell.run(`cd /; rm -r ${own} ${elsewhere}/*`);
  });
}

tool('cp copies into, out of and within the mount, with mode and times by -p', async () => {
  await sh(
    `cp 41 ${elsewhere}/out; cp large ${elsewhere}/large; cp 41 copy; cp ${elsewhere}/large in`,
  );
  assert.is(readFileSync(`${elsewhere}/out`, 'latin1'), EVENT);
  assert.is(readFileSync(`${elsewhere}/large`, 'latin1'), LARGE);
  assert.is(readFileSync(`${own}/copy`, 'latin1'), EVENT);
  assert.is(readFileSync(`${own}/in`, 'latin1'), LARGE);
  await sh(
    `chmod 604 in; touch -d '2001-02-03 04:05:06.123456789' in; cp -p in ${elsewhere}/kept; cp -p ${elsewhere}/kept back`,
  );
  assert.is(await sh(`stat -c '%a %y' back`), await sh(`stat -c '%a %y' ${elsewhere}/kept`));
  assert.is(await sh(`stat -c '%a %Y' in`), await sh(`stat -c '%a %Y' back`));
  await sh(`cp --sparse=always large sparse; cmp large sparse`);
});

tool('cp -a copies a whole directory', async () => {
  await sh(`cp -a . ${elsewhere}/all`);
  assert.is(await sh(`diff -r . ${elsewhere}/all && ls ${elsewhere}/all`), '41\nlarge\n');
});

tool('rsync -a copies a whole directory, and a missing file back', async () => {
  need('rsync');
  await sh(
    `cp large ${elsewhere}/before; rsync -a ./ ${elsewhere}/synced/; diff -r . ${elsewhere}/synced; rm large; rsync -a ${elsewhere}/synced/ ./; cmp large ${elsewhere}/before`,
  );
  assert.is(await sh('ls -A'), '41\nlarge\n');
});

tool('mv moves files out of the mount and into it', async () => {
  await sh(`mv 41 ${elsewhere}/moved; mv ${elsewhere}/moved back`);
  assert.is(readFileSync(`${own}/back`, 'latin1'), EVENT);
  assert.is(await sh('ls -A'), 'back\nlarge\n');
});

tool('cat, wc, head, tail, od and dd agree on every byte, and on the size', async () => {
  assert.is(statSync(`${own}/large`).size, LARGE.length);
  assert.is(await sh('cat large'), LARGE);
  assert.is(await sh('wc -c < large'), `${LARGE.length}\n`);
  assert.is(await sh('cat large | wc -c'), `${LARGE.length}\n`);
  assert.is(await sh('wc large'), ` 3000  6000 ${LARGE.length} large\n`);
  assert.is(await sh('head -c 5000 large'), LARGE.slice(0, 5000));
  assert.is(await sh('head -c -5000 large'), LARGE.slice(0, -5000));
  assert.is(await sh('tail -c 5000 large'), LARGE.slice(-5000));
  assert.is(await sh('tail -c +29000 large'), LARGE.slice(28999));
  assert.is(
    await sh('tail -n 2 large; tac large | head -n 1'),
    'line 2998\nline 2999\nline 2999\n',
  );
  assert.is(await sh('od -An -c -j 14 -N 4 41 | tr -d " "'), '\\nACT\n');
  assert.is(await sh('dd if=large bs=7 skip=1000 count=3 status=none'), LARGE.slice(7000, 7021));
  assert.is(
    await sh('dd if=large bs=512 iflag=direct status=none | cmp - large; stat -c %s 41'),
    `${EVENT.length}\n`,
  );
});

tool('cat, wc, head and tail of busybox agree with those of GNU', async () => {
  need('busybox');
  assert.is(await sh('busybox cat large'), LARGE);
  assert.is(
    await sh('busybox wc -c large 41'),
    `    ${LARGE.length} large\n       ${EVENT.length} 41\n    ${LARGE.length + EVENT.length} total\n`,
  );
  assert.is(await sh('busybox tail -c 5000 large'), LARGE.slice(-5000));
  assert.is(await sh('busybox head -c 5000 large'), LARGE.slice(0, 5000));
  await sh(
    `busybox cp large ${elsewhere}/out && busybox cp ${elsewhere}/out in && busybox cmp in large`,
  );
});

tool('cat and cp read with read(2), because splice and sendfile return EINVAL', async () => {
  const sequences = compiled('sequences');
  await sh(`cat large > ${elsewhere}/cat; cp large ${elsewhere}/cp`);
  for (const how of ['cat', 'cp'])
    assert.is(readFileSync(`${elsewhere}/${how}`, 'latin1'), LARGE, how);
  for (const how of ['sendfile', 'splice'])
    assert.match(await sh(`${sequences} ${how} large 2>&1 | cat`), `${how}: EINVAL`);
});

tool('splice, sendfile and a private mapping return the bytes of an event in log/', async () => {
  const sequences = compiled('sequences');
  const newest = `${daemon.path}/log/tail`;
  const text = readFileSync(newest, 'latin1');
  for (const how of ['sendfile', 'splice', 'mmap'])
    assert.is(await sh(`${sequences} ${how} ${newest} | cat`), text, how);
});

tool('find and grep -r find events only', async () => {
  assert.is(
    await sh("find . -type f -printf '%P %s\\n'"),
    `41 ${EVENT.length}\nlarge ${LARGE.length}\n`,
  );
  assert.is(await sh('find . -size -1k -o -newer . -name nothing'), '.\n');
  assert.is(await sh("grep -rl 'SUBSYSTEM=mine' ."), './41\n');
  assert.is(await sh('grep -c line large; grep -r "line 2999" . | wc -l'), '3000\n1\n');
  assert.is(await sh('du -b --apparent-size -s . | cut -f1'), `${EVENT.length + LARGE.length}\n`);
});

tool('tar packs a directory, and unpacks it with modes and times', async () => {
  assert.is(await sh('tar c . | tar t | sort'), './\n./41\n./large\n');
  await sh(
    "chmod 640 large; touch -d '2001-02-03 04:05:06' large; tar cf - 41 large > /dev/shm/eventfs-test.tar; rm large; tar xf /dev/shm/eventfs-test.tar large; rm /dev/shm/eventfs-test.tar",
  );
  assert.is(
    await sh("stat -c '%a %s %Y' large"),
    `640 ${LARGE.length} ${Date.UTC(2001, 1, 3, 4, 5, 6) / 1000}\n`,
  );
  assert.is(readFileSync(`${own}/large`, 'latin1'), LARGE);
});

tool('tail -f follows a growing file', async () => {
  const path = `${own}/growing`;
  writeFileSync(path, 'first\n');
  for (const options of [['-f'], ['-f', '---disable-inotify', '-s', '0.05']]) {
    const reader = new Reader(path, ['tail', ...options]);
    await until(() => reader.text.includes('first\n'), 'tail printed nothing');
    const before = reader.text.length;
    appendFileSync(path, `by ${options.length}\n`);
    await until(() => reader.text.length > before, 'tail did not follow');
    assert.ok(reader.text.endsWith(`by ${options.length}\n`));
    assert.is(reader.err, '');
    await reader.kill();
  }
});

tool('dd conv=fsync, sync and truncate work', async () => {
  await sh(
    'dd if=/dev/zero of=zeros bs=1000 count=3 conv=fsync status=none; sync zeros; sync -d zeros; sync .; sync -f .',
  );
  assert.is(
    await sh(
      'stat -c %s zeros; truncate -s 5 large; cat large; truncate -s +3 large; stat -c %s large; tail -c 4 large | od -An -tx1',
    ),
    '3000\nline 8\n 20 00 00 00\n',
  );
  assert.is(
    await sh(
      'truncate -s 0 large; stat -c "%s %b" large; truncate -s 65536 large; stat -c %s large',
    ),
    '0 0\n65536\n',
  );
  assert.match(await fails('truncate -s 65537 large'), 'File too large');
  assert.match(await fails('truncate -s 0 41'), 'Operation not permitted');
  assert.match(
    await fails('dd if=/dev/zero of=zeros bs=65537 count=1 status=none'),
    'File too large',
  );
});

tool(
  'touch sets both times of a file or directory to the nanosecond, also before 1970',
  async () => {
    for (const time of [
      '2001-02-03 04:05:06.123456789',
      '1960-02-03 04:05:06.123456789',
      '2262-01-01 00:00:00.000000001',
    ]) {
      for (const file of ['large', '.']) {
        assert.is(
          await sh(`TZ=UTC touch -d '${time}' ${file}; TZ=UTC stat -c '%x %y' ${file}`),
          `${time} +0000 ${time} +0000\n`,
        );
        const other = '1999-12-31 23:59:59.999999999';
        assert.is(
          await sh(`TZ=UTC touch -a -d '${other}' ${file}; TZ=UTC stat -c '%x %y' ${file}`),
          `${other} +0000 ${time} +0000\n`,
        );
        assert.ok(
          Math.abs(Number(await sh(`stat -c %Z ${file}`)) - Date.now() / 1000) < 10,
          'ctime is now',
        );
      }
    }
    const before = Date.now() - 1000;
    await sh('touch large; touch new');
    assert.ok(statSync(`${own}/large`).mtimeMs > before && statSync(`${own}/new`).atimeMs > before);
    assert.match(await fails('touch -d 2001-01-01 41'), 'Operation not permitted');
  },
);

tool('chmod and chown change a file and a directory, not a delivered event', async () => {
  assert.is(
    await sh("chmod 2751 large; chown 1234:5678 large; stat -c '%a %u:%g' large"),
    '751 1234:5678\n',
  );
  assert.is(await sh("chmod 3750 .; chgrp 77 .; stat -c '%a %u:%g' ."), '3750 0:77\n');
  assert.match(await fails('chmod 777 41'), 'Operation not permitted');
  await sh('chown 0:0 .; chmod 755 .');
});

tool('test -r and -w report the permissions', async () => {
  await sh(
    'chmod 604 large; test -r large && test -w large && test -r 41 && test -s 41 && test -f head && test -L head && test ! -e .none',
  );
  const as = async (what: string, path: string): Promise<number | null> =>
    (await run([...AS_NOBODY, 'test', what, `${own}/${path}`])).code;
  assert.equal(
    [await as('-r', 'large'), await as('-w', 'large'), await as('-r', '41'), await as('-x', '.')],
    [0, 1, 1, 0],
  );
});

tool('stat -f and df show the filesystem', async () => {
  assert.is(await sh("stat -f -c '%l' ."), '255\n');
  await sh('df . ; df -i .');
  assert.is(
    await sh(
      "findmnt -no FSTYPE -T . 2>/dev/null || awk -v m=$(df --output=target . | tail -n 1) '$2 == m { print $3 }' /proc/mounts",
    ).then((type) => /^fuse/.test(type)),
    true,
  );
});

tool('two writers with O_APPEND overwrite no line of each other', async () => {
  const sequences = compiled('sequences');
  const lines = 1000;
  const writers = await Promise.all(
    [1, 2].map(() => run([sequences, 'append', `${own}/log`, String(lines)])),
  );
  for (const { out, code } of writers) assert.equal({ out, code }, { out: '', code: 0 });
  const written = readFileSync(`${own}/log`, 'latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' '));
  const byWriter = group(written);
  assert.is(byWriter.size, 2);
  for (const all of byWriter.values())
    assert.equal(
      all.map(([, n]) => Number(n)),
      Array.from({ length: lines }, (_, n) => n),
    );
});

/** @returns the lines, grouped by their first word */
function group(lines: string[][]): Map<string, string[][]> {
  const groups = new Map<string, string[][]>();
  for (const line of lines) groups.set(line[0], [...(groups.get(line[0]) ?? []), line]);
  return groups;
}

tool('sed -i, install, flock and mktemp work as on any filesystem', async () => {
  assert.is(await sh('sed -i s/line/LINE/ large; head -n 1 large; ls -A'), 'LINE 0\n41\nlarge\n');
  assert.is(
    await sh(`install -m 640 /dev/null made; stat -c '%a %s' made; flock -n made echo locked`),
    '640 0\nlocked\n',
  );
  await sh('f=$(mktemp ./XXXXXX) && rm $f; set -C; ! echo > large; set +C');
});

tool('mkdir, mknod, fallocate and others print the error of any filesystem', async () => {
  assert.match(await fails('mkdir sub'), 'Operation not permitted');
  assert.match(await fails('ln -s a ../b'), 'Operation not permitted');
  assert.match(await fails('mknod null c 1 3'), 'Operation not permitted');
  assert.match(await fails('fallocate -l 100 made'), 'not supported');
  assert.match(await fails('echo x >> 41'), 'Operation not permitted');
  assert.match(await fails('cat .'), 'Is a directory');
  assert.match(await fails('cat large/x'), 'Not a directory');
  assert.match(await fails('rmdir .'), 'Invalid argument');
});

coreutils.run();
