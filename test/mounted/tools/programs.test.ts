/**
 * Programs of GNU and busybox that work on whole directories, in a process directory: they agree.
 */
import * as assert from 'uvu/assert';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { tmpdir } from 'node:os';
import {
  Reader,
  Storm,
  eventText,
  publish,
  publishNumbered,
} from '../../support/clients/clients.js';
import { run, until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { need } from '../../support/runner/programs.js';

/** A text of more than a page, and not of whole pages, not sorted. */
const LARGE = Array.from({ length: 3000 }, (_, n) => `line ${(n * 7919) % 3000}\n`).join('');

let own: string;
/** A directory of another filesystem. */
let elsewhere: string;
/** The name of the event at the start of each test. */
let event: string;

/** Runs commands in the test's directory, which must succeed. @returns their output */
async function sh(commands: string, timeoutMs = 10_000): Promise<string> {
  const { out, code } = await shell.run(`cd ${own}; ${commands}`, timeoutMs);
  assert.is(code, 0, `${commands}: ${out}`);
  return out;
}

const programs = mounted('on a process directory');

programs.before(() => {
  elsewhere = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'elsewhere-'));
});
programs.after(() => rmSync(elsewhere, { recursive: true }));

/** Adds a test that begins with a delivered event, a file `large`, and its hard link `link`. */
function tool(sentence: string, body: () => Promise<void> | void, timeoutMs?: number): void {
  programs(
    sentence,
    async () => {
      own = await directory();
      await shell.run(`rm -rf ${elsewhere}/*`);
      publish(daemon.path, eventText('/devices/x', { SUBSYSTEM: 'mine' }));
      [event] = readdirSync(own);
      writeFileSync(`${own}/large`, LARGE);
      await sh('ln large link');
      await body();
      await shell.run(`cd /; rm -r ${own} ${elsewhere}/*`);
    },
    timeoutMs,
  );
}

const BOTH = ['', 'busybox '] as const;

/** Commands that read all files that they find, as root; most make a copy. */
const WALKERS = [
  'cp -r MOUNT OUT',
  'cp -a MOUNT OUT',
  'busybox cp -r MOUNT OUT',
  'busybox cp -a MOUNT OUT',
  'rsync -a MOUNT/ OUT',
  'rsync -aHAX MOUNT/ OUT',
  'tar -cf - -C MOUNT . | (mkdir -p OUT; tar -xf - -C OUT)',
  'mkdir -p OUT; busybox tar -cf - -C MOUNT . | busybox tar -xf - -C OUT',
  'grep -r SUBSYSTEM=mine MOUNT',
  'busybox grep -r SUBSYSTEM=mine MOUNT',
  'find MOUNT -type f -exec cat {} +',
  'md5sum $(find MOUNT -type f)',
  'du -a MOUNT',
  'tree MOUNT',
  'rg --no-ignore --hidden SUBSYSTEM=mine MOUNT',
  'zip -qr OUT.zip MOUNT',
  'diff -r MOUNT MOUNT',
] as const;

tool(
  'mmap shares an event of log/, also a dropped one, and returns ENODEV for it in a queue',
  async () => {
    const script = `
import errno, mmap, os, sys
def shared(fd, size):
    try: return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    except OSError as error: return errno.errorcode[error.errno]
own, log, name = sys.argv[1:]
for flags in (os.O_RDONLY, os.O_RDONLY | os.O_APPEND):
    fd = os.open(log + "/" + name, flags)
    size = os.fstat(fd).st_size
    mapped = shared(fd, size)
    assert mapped[:] == os.read(fd, 65536) == os.pread(fd, size, 0)
assert os.stat(own + "/" + name).st_ino == os.stat(log + "/" + name).st_ino
print(shared(os.open(own + "/" + name, os.O_RDONLY), size), shared(os.open(log + "/.status", os.O_RDONLY), 10))
text = mapped[:]
publish = os.open(log + "/../publish", os.O_WRONLY)
for n in range(1100): os.write(publish, b"add@/more\\nACTION=add\\n")
assert not os.path.exists(log + "/" + name)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
print(mapped[:] == text, os.pread(fd, 65536, 0) == text, shared(fd, size)[:] == text)
`;
    assert.is(
      await sh(`python3 - ${own} ${daemon.path}/log ${event} <<'END'\n${script}END`),
      'ENODEV ENODEV\nTrue True True\n',
    );
  },
);

for (const walker of WALKERS)
  tool(`'${walker}' reads the whole mount, and ends`, async () => {
    need(walker.replace('mkdir -p OUT; ', '').split(' ')[0]);
    const command = walker.replaceAll('MOUNT', daemon.path).replaceAll('OUT', `${elsewhere}/out`);
    const { code, out, err } = await run(['timeout', '-s', 'KILL', '20', 'sh', '-c', command]);
    assert.is.not(code, 137, 'it does not end');
    if (/OUT/.test(walker) && !/zip/.test(walker)) {
      const copy = `${elsewhere}/out/${basename(own)}/${event}`;
      assert.is(readFileSync(copy, 'latin1'), readFileSync(`${own}/${event}`, 'latin1'), err);
    } else if (/mine/.test(walker)) assert.match(out, `${own}/${event}`);
  });

tool('find of programs that count links finds every directory', async () => {
  const names = (await sh(`find ${daemon.path} -noleaf | sort`)).trim().split('\n');
  assert.ok(names.includes(`${own}/large`) && names.includes(`${daemon.path}/log/${event}`));
  const find =
    'use File::Find; $File::Find::dont_use_nlink = $ARGV[1]; find({no_chdir => $ARGV[2], wanted => sub { print "$File::Find::name\\n" }}, $ARGV[0])';
  const others = [
    'find MOUNT',
    'find MOUNT -depth',
    'find -O3 MOUNT',
    'busybox find MOUNT',
    ...['0 0', '1 0', '0 1', '1 1'].map((how) => `perl -e '${find}' MOUNT ${how}`),
  ];
  for (const command of others) {
    const found = await sh(`${command.replaceAll('MOUNT', daemon.path)} | sort`);
    assert.equal(found.trim().split('\n'), names, command);
  }
  for (const directory of await sh(`find ${daemon.path} -type d`).then((out) =>
    out.trim().split('\n'),
  )) {
    const inside = (await sh(`find ${directory} -mindepth 1 -maxdepth 1 -type d | wc -l`)).trim();
    assert.is((await sh(`stat -c %h ${directory}`)).trim(), String(2 + Number(inside)), directory);
  }
});

tool(
  'cat, wc, tail -c, head -c, od, sha256sum, cksum and stat agree on every byte and on the size',
  async () => {
    const sum = createHash('sha256').update(LARGE).digest('hex');
    for (const box of BOTH) {
      assert.is(await sh(`${box}cat large`), LARGE, box);
      assert.match(await sh(`${box}wc -c large`), new RegExp(`^\\s*${LARGE.length} large\n$`));
      assert.is(await sh(`${box}wc -c < large | tr -d ' '`), `${LARGE.length}\n`);
      assert.is(await sh(`${box}tail -c 5000 large`), LARGE.slice(-5000));
      assert.is(await sh(`${box}tail -c +5001 large`), LARGE.slice(5000));
      assert.is(await sh(`${box}head -c 5000 large`), LARGE.slice(0, 5000));
      assert.is(await sh(`${box}tail -n 1 large`), `${LARGE.trimEnd().split('\n').pop()}\n`);
      assert.is(
        await sh(`${box}sha256sum large link < /dev/null`),
        `${sum}  large\n${sum}  link\n`,
      );
      assert.is(await sh(`${box}stat -c '%s %h' large`), `${LARGE.length} 2\n`);
      assert.is(
        await sh(
          `${box}dd if=large bs=4096 2>/dev/null | ${box}cmp - large && ${box}od -An -tx1 -N 4 large | tr -d ' \n'`,
        ),
        '6c696e65',
      );
    }
    assert.is(await sh('cksum < large'), await sh('cat large | cksum'));
  },
);

tool('cp, mv, ln and touch work as on any filesystem', async () => {
  for (const box of BOTH) {
    await sh(
      `${box}cp large a; ${box}cp -p large b; ${box}cp large ${elsewhere}/out; ${box}cp ${elsewhere}/out in`,
    );
    for (const name of ['a', 'b', 'in'])
      assert.is(readFileSync(`${own}/${name}`, 'latin1'), LARGE, name);
    // Busybox copies only the mode and whole seconds.
    const seconds = (name: string): number => Math.floor(statSync(`${own}/${name}`).mtimeMs / 1000);
    assert.is(seconds('b'), seconds('large'));
    assert.is(
      await sh(`${box}ln a c; ${box}mv c d; stat -c %h a d; ${box}ln -f b d; stat -c %h a b`),
      '2\n2\n1\n2\n',
    );
    await sh(
      `${box}mv a ${elsewhere}/moved; ${box}mv ${elsewhere}/moved back; cmp back large; ${box}cp ${event} copy; cmp ${event} copy`,
    );
    await sh(
      `${box}touch new; ${box}touch -d '2001-02-03 04:05:06' new; test $(stat -c %Y new) = $(date -d '2001-02-03 04:05:06' +%s)`,
    );
    await sh(
      `${box}touch -r new large; test $(stat -c %Y new) = $(stat -c %Y large); ${box}touch large`,
    );
    assert.is(await sh(`${box}rm b d in back copy new; ls -A`), `${event}\nlarge\nlink\n`);
  }
});

tool('find selects by size, links, inode, age, type and permission', async () => {
  await sh("touch -d '2001-01-01' older; mkfifo fifo; chmod 600 older");
  for (const box of BOTH) {
    const find = async (what: string): Promise<string> =>
      (await sh(`${box}find . ${what} | sort | tr '\n' ' '`)).trim();
    assert.is(await find('-type f -size +20k'), './large ./link');
    assert.is(
      await find(`-size -${LARGE.length + 1}c -size +${LARGE.length - 1}c`),
      './large ./link',
    );
    assert.is(await find('-links 2 -type f ! -name "[0-9]*"'), './large ./link');
    assert.is(await find('-inum $(stat -c %i large)'), './large ./link');
    assert.is(await find('-type p'), './fifo');
    assert.is(await find('-type f -perm 600'), './older');
    assert.is(await find(`-newer older -name 'l*'`), './large ./link');
    assert.is(await find('-type f -mtime +1000'), './older');
    assert.is(await find('-mindepth 1 -maxdepth 1 | wc -l'), '5');
  }
  assert.is(
    await sh('find . -samefile large -printf "%P %n %s %y\n" | sort'),
    `large 2 ${LARGE.length} f\nlink 2 ${LARGE.length} f\n`,
  );
  assert.is(
    await sh('find . -empty -type f; busybox find . -name older -exec rm {} +; ls'),
    `./older\n${event}\nfifo\nlarge\nlink\n`,
  );
});

tool('grep -r, sort, uniq, comm, diff, sed, awk, cut and xargs read the same as cat', async () => {
  const sorted = [...LARGE.split('\n').slice(0, -1)]
    .sort()
    .map((line) => `${line}\n`)
    .join('');
  for (const box of BOTH) {
    assert.is(await sh(`LC_ALL=C ${box}sort large`), sorted);
    assert.is(await sh(`${box}grep -rl 'SUBSYSTEM=mine' .`), `./${event}\n`);
    assert.is(
      await sh(
        `${box}grep -c line large; ${box}grep -rh 'line 2999$' . | ${box}sort | ${box}uniq -c | tr -s ' '`,
      ),
      '3000\n 2 line 2999\n',
    );
    assert.is(
      await sh(
        `${box}diff large link && ${box}sed -n 3p large; ${box}awk 'END { print NR }' large; ${box}cut -d' ' -f2 large | head -n 1`,
      ),
      'line 838\n3000\n0\n',
    );
    assert.is(
      await sh(`LC_ALL=C ${box}sort -o sorted large; ${box}tail -n 1 sorted; rm sorted`),
      `${sorted.trimEnd().split('\n').pop()}\n`,
    );
    await sh(`for n in 1 2 3 4 5; do echo $n > x$n; done; ls x* | ${box}xargs ${box}rm`);
    assert.is(await sh('ls -A'), `${event}\nlarge\nlink\n`);
  }
});

tool('tar keeps hard links, modes and times in both directions', async () => {
  await sh("chmod 640 large; touch -d '2001-02-03 04:05:06' large");
  for (const [make, take] of [
    ['tar', 'tar'],
    ['busybox tar', 'tar'],
    ['tar', 'busybox tar'],
  ]) {
    await sh(
      `${make} -cf ${elsewhere}/all.tar . ; mkdir ${elsewhere}/out; ${take} -xf ${elsewhere}/all.tar -C ${elsewhere}/out`,
    );
    assert.is(
      await sh(`cd ${elsewhere}/out; stat -c '%n %a %h %s %Y' large link; cmp large link`),
      ['large', 'link']
        .map((name) => `${name} 640 2 ${LARGE.length} ${Date.UTC(2001, 1, 3, 4, 5, 6) / 1000}\n`)
        .join(''),
    );
    await sh(
      `rm large link; ${take} -xf ${elsewhere}/all.tar ./large ./link; cmp large ${elsewhere}/out/large; rm -r ${elsewhere}/*`,
    );
    assert.is(await sh("stat -c '%a %h' large link"), '640 2\n640 2\n', take);
  }
});

tool('rsync -aH copies in both directions, and finds no change the second time', async () => {
  await sh(
    `rsync -aH ./ ${elsewhere}/out/; diff -r . ${elsewhere}/out; stat -c %h ${elsewhere}/out/large`,
  );
  assert.is(await sh(`rsync -aHi ./ ${elsewhere}/out/`), '');
  await sh('rm large link');
  await sh(`rsync -aH ${elsewhere}/out/ ./; cmp large ${elsewhere}/out/large`);
  assert.is(await sh("stat -c '%h' large link; ls -A"), `2\n2\n${event}\nlarge\nlink\n`);
  assert.is(
    await sh(
      `echo more >> large; rsync -aH --inplace ${elsewhere}/out/ ./; cmp large ${elsewhere}/out/large; rsync -aHn --delete ${elsewhere}/out/ ./`,
    ),
    '',
  );
});

tool('du and df count each file once, also if it has links', async () => {
  const all = LARGE.length + statSync(`${own}/${event}`).size;
  assert.is(await sh('du -b --apparent-size -s . | cut -f1'), `${all}\n`);
  assert.is(await sh('du -l -b --apparent-size -s . | cut -f1'), `${all + LARGE.length}\n`);
  for (const box of BOTH) {
    assert.ok(Number((await sh(`${box}du -k -s . | cut -f1`)).trim()) >= LARGE.length / 1024, box);
    assert.match(await sh(`${box}df .`), daemon.path);
  }
});

tool('sh loops over its events and removes them', async () => {
  await sh(`rm ${event} large link`);
  for (const shells of ['bash', 'dash', 'busybox sh']) {
    publishNumbered(daemon.path, 20);
    // `*` is in order of names, 0.10 before 0.2.
    const loop = 'for f in *; do grep ^N= "$f" && rm "$f"; done | sort -t= -k2n; ls -A';
    assert.is(
      await sh(`${shells} -c '${loop}'`),
      Array.from({ length: 20 }, (_, n) => `N=${n}\n`).join(''),
      shells,
    );
    publishNumbered(daemon.path, 20);
    assert.is(
      await sh(
        `${shells} -c 'while read -r first < head && grep ^N= head && rm head; do :; done 2>/dev/null; ls -A'`,
      ),
      Array.from({ length: 20 }, (_, n) => `N=${n}\n`).join(''),
      shells,
    );
  }
});

tool('tail -f of busybox and of GNU follows a growing file', async () => {
  for (const command of [
    ['tail', '-f', '-n', '+1'],
    ['busybox', 'tail', '-f', '-n', '+1'],
  ]) {
    writeFileSync(`${own}/growing`, 'first\n');
    const reader = new Reader(`${own}/growing`, command);
    await until(
      () => reader.text === 'first\n',
      () => `tail printed '${reader.text}'`,
    );
    await sh('echo second >> growing');
    await until(
      () => reader.text === 'first\nsecond\n',
      `${command.join(' ')} did not follow`,
      10_000,
    );
    await reader.kill();
    await sh('rm growing');
  }
});

/** Runs lines of Python in the test's directory. */
async function python(lines: readonly string[]): Promise<string> {
  const { out, err, code } = await run([
    'python3',
    '-c',
    ['import errno, mmap, os, shutil, sys, tempfile', 'os.chdir(sys.argv[1])', ...lines].join('\n'),
    own,
    elsewhere,
  ]);
  assert.is(code, 0, err);
  return out;
}

tool('python lists, copies, renames and removes', async () => {
  const entries = await python([
    'for e in os.scandir(): print(e.name, e.is_file(), e.is_dir(), e.inode() == os.stat(e.name).st_ino, e.stat().st_size)',
  ]);
  assert.is(
    entries,
    `${event} True False True ${statSync(`${own}/${event}`).size}\nlarge True False True ${LARGE.length}\nlink True False True ${LARGE.length}\n`,
  );
  const copied = await python([
    "for copy in (shutil.copyfile, shutil.copy, shutil.copy2): copy('large', 'a'); print(os.path.getsize('a'), open('a').read() == open('large').read())",
    "shutil.copytree('.', sys.argv[2] + '/tree'); print(sorted(os.listdir(sys.argv[2] + '/tree')) == sorted(os.listdir('.')))",
    "shutil.move('a', sys.argv[2] + '/moved'); shutil.move(sys.argv[2] + '/moved', 'b'); print(os.path.samefile('large', 'link'), os.stat('b').st_nlink)",
    "os.replace('b', 'c'); os.truncate('c', 10); print(open('c').read()); os.remove('c')",
    "with tempfile.NamedTemporaryFile(dir='.') as f: f.write(b'x'); f.flush(); print(os.path.getsize(f.name))",
    "with open('log', 'a+') as f: print('line', file=f); f.flush(); os.fsync(f.fileno()); f.seek(0); print(f.read().strip())",
    "os.remove('log'); print(sorted(os.listdir('.')) == sorted([sys.argv[0] and n for n in os.listdir('.')]))",
  ]);
  assert.is(
    copied,
    [
      `${LARGE.length} True`,
      `${LARGE.length} True`,
      `${LARGE.length} True`,
      'True',
      'True 1',
      'line 0\nlin',
      '1',
      'line',
      'True',
      '',
    ].join('\n'),
  );
});

tool(
  'python gets ENODEV and EINVAL for mmap and sendfile of an event, but not in log/',
  async () => {
    const logged = `${daemon.path}/log/tail`;
    const said = await python([
      "f = open('large', 'rb')",
      'try: mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)', // MAP_SHARED
      'except OSError as error: print(errno.errorcode[error.errno])',
      'r, w = os.pipe()',
      'try: os.sendfile(w, f.fileno(), 0, 100)',
      'except OSError as error: print(errno.errorcode[error.errno])',
      `g = open('${logged}', 'rb')`,
      'print(mmap.mmap(g.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)[:3], os.sendfile(w, g.fileno(), 0, 3), os.read(r, 10))',
    ]);
    assert.is(said, "ENODEV\nEINVAL\nb'add' 3 b'add'\n");
  },
);

// With -f, because the queue may overflow on a busy machine, and listed events vanish.
tool(
  'rm -rf of GNU and of busybox removes a directory while a thousand events a second come',
  async () => {
    const storm = new Storm(daemon.path);
    try {
      for (let round = 0; round < 10; round++) {
        for (const box of BOTH) {
          const path = await directory();
          await until(() => readdirSync(path).length > 20, 'no storm');
          const { out, code } = await run([
            ...box.split(' ').filter(Boolean),
            'rm',
            '-rf',
            path,
          ]).then(({ out: said, err, code: got }) => ({ out: said + err, code: got }));
          assert.is(code, 0, `${box}${out.slice(0, 500)}`);
          assert.not.ok(readdirSync(daemon.path).includes(basename(path)));
        }
      }
      // Each of them ends.
      await sh('ls -f | wc -l; find . | wc -l; busybox find . | wc -l', 20_000);
    } finally {
      storm.end();
    }
  },
  60_000,
);

programs.run();
