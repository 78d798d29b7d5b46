/** Clients that do what nobody should: each call ends with an errno, none with EIO, and the daemon has no reason to complain. */
import * as assert from 'uvu/assert';
import { constants, readFileSync, readdirSync } from 'node:fs';
import {
  type Answer,
  Calls,
  Reader,
  Storm,
  eventText,
  publish,
  publishNumbered,
  statusOf,
} from '../../support/clients.js';
import { run, until } from '../../support/daemon.js';
import { configured } from '../../support/config.js';
import { daemon, directory, mounted, shell } from '../../support/mounted.js';

const {
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  O_APPEND,
  O_NONBLOCK,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_DIRECT,
  O_WRONLY,
  O_RDWR,
  O_RDONLY,
} = constants;
const O_PATH = 0o10000000;
const O_TMPFILE = 0o20000000 | O_DIRECTORY;
const NODE_MODES = {
  regular: 0o100644,
  fifo: 0o010644,
  socket: 0o140644,
  character: 0o020644,
  block: 0o060644,
} as const;

const bad = mounted(
  'bad input',
  configured('[filter]\ntext = "64 KiB"\nterms = 16384\nalternatives = 32768\n'),
);

/** A directory with an event, a user's file and a removed file, and the paths of one thing of each kind. */
async function everyPath(): Promise<string[]> {
  const own = await directory();
  publishNumbered(daemon.path, 2);
  await shell.run(`echo mine > ${own}/mine`);
  const [event] = readdirSync(own);
  const fixed = [
    '',
    'log',
    'match',
    'stream',
    'publish',
    'match/A==b',
    'match/bad filter',
    'missing',
    'log/head',
    'log/.status',
    'log/missing',
  ];
  const names = [
    '',
    event,
    'mine',
    'head',
    'tail',
    'missing',
    '.stream',
    '.filter',
    '.status',
    'mine/below',
    'head/below',
  ];
  return [
    ...fixed.map((name) => `${daemon.path}/${name}`),
    ...names.map((name) => `${own}/${name}`),
  ];
}

/** What the answers have failed with. */
const errnos = (answers: readonly Answer[]): Set<string> =>
  new Set(answers.map(({ errno }) => errno).filter((errno) => errno !== ''));

/** No call may have found a bug or a client that does not know it. */
function noneIsOurFault(answers: readonly Answer[]): void {
  for (const errno of ['EIO', 'unknown', 'EPROTO', 'ENOTCONN', 'ECONNABORTED', 'EFAULT']) {
    assert.not(errnos(answers).has(errno), `${errno} among ${[...errnos(answers)].join(' ')}`);
  }
}

/** All sets of the flags, or-ed. */
const combinations = (flags: readonly number[]): number[] =>
  flags.reduce<number[]>((all, flag) => [...all, ...all.map((set) => set | flag)], [0]);

bad(
  'in the flags of open is refused or works, for everything there is',
  async () => {
    const calls = new Calls();
    const answers: Promise<Answer>[] = [];
    for (const path of await everyPath()) {
      for (const flags of combinations([
        O_WRONLY,
        O_RDWR,
        O_CREAT,
        O_EXCL,
        O_TRUNC,
        O_APPEND,
        O_DIRECTORY,
        O_NOFOLLOW,
      ])) {
        answers.push(
          calls.begin('open', 1, path, flags | O_NONBLOCK, 0o644),
          calls.begin('read', 1, 10),
          calls.begin('write', 1, 'x'),
          calls.begin('close', 1),
        );
      }
      for (const flags of [
        O_PATH,
        O_TMPFILE,
        O_TMPFILE | O_RDWR,
        O_DIRECT,
        O_DIRECT | O_RDWR,
        -1,
        1 << 30,
      ]) {
        answers.push(
          calls.begin('open', 1, path, flags | O_NONBLOCK, 0o7777),
          calls.begin('fstat', 1),
          calls.begin('close', 1),
        );
      }
    }
    noneIsOurFault(await Promise.all(answers));
    await calls.end();
  },
  120_000,
);

bad(
  'in calls on any two names gives an errno and never hangs',
  async () => {
    const calls = new Calls();
    const paths = await everyPath();
    const answers: Promise<Answer>[] = [];
    const also = (...args: Parameters<Calls['begin']>): number =>
      answers.push(calls.begin(...args));
    for (const path of paths) {
      for (const mode of Object.values(NODE_MODES)) also('mknod', `${path}/node`, mode, 0x0103);
      also('mknod', path, NODE_MODES.fifo, 0);
      also('bind', `${path}/socket`);
      also('symlink', 'target', `${path}/symlink`);
      also('symlink', 'x'.repeat(4000), `${path}/symlink`);
      for (const other of paths) {
        also('link', path, `${other}-linked`);
        also('link', path, other);
        for (const flags of [0, 1, 2, 4]) also('rename', path, other, flags);
      }
      for (const name of [
        'user.a',
        'user.eventfs_sticky',
        'user.eventfs.filter',
        'security.capability',
        'system.posix_acl_access',
        'trusted.x',
        'x',
        '',
      ]) {
        also('getxattr', path, name);
        also('setxattr', path, name, 'value');
        also('removexattr', path, name);
      }
      also('listxattr', path);
      for (const size of [-1, 1, 65_537, 2 ** 40]) also('truncate', path, size);
      also('utimens', path);
      for (const mode of [0, 1, 2, 4, 7]) also('access', path, mode);
      also('statfs', path);
      also('readlink', path);
      also('rmdir', `${path}/x`);
      also('unlink', `${path}/x/`);
    }
    const given = await Promise.all(answers);
    noneIsOurFault(given);
    const expected =
      'EACCES EBUSY EEXIST EFBIG EINVAL EISDIR ELOOP ENAMETOOLONG ENODATA ENOENT ENOSYS ENOTDIR ENOTEMPTY EOPNOTSUPP EPERM ERANGE EXDEV';
    assert.equal(
      [...errnos(given)].filter((errno) => !expected.split(' ').includes(errno)),
      [],
    );
    await calls.end();
  },
  120_000,
);

bad(
  'in calls on open files gives an errno and never hangs',
  async () => {
    const calls = new Calls();
    const answers: Promise<Answer>[] = [];
    const also = (...args: Parameters<Calls['begin']>): number =>
      answers.push(calls.begin(...args));
    for (const path of await everyPath()) {
      for (const flags of [O_RDONLY, O_WRONLY, O_RDWR]) {
        also('open', 1, path, flags | O_NONBLOCK, 0);
        for (const size of [0, 1, 65_535, 1 << 20, 4 << 20])
          for (const offset of OFFSETS) also('pread', 1, size, offset);
        for (const offset of OFFSETS) {
          also('lseek', 1, offset, 0);
          also('read', 1, 100);
          also('fill', 1, 1, offset);
          also('fill', 1, 65_536, offset);
          also('fill', 1, 0, offset);
          also('fallocate', 1, 0, offset, 10);
        }
        for (const size of [1, 131_072, 131_073, 1 << 20, 4 << 20]) also('fill', 1, size, 0);
        for (const whence of [1, 2, 3, 4, 5, -1]) also('lseek', 1, 10, whence);
        also('fsync', 1);
        also('flock', 1, 2);
        also('flock', 1, 8);
        for (const request of [0x541b, 0x5401, 0x80086601, 0x40049409, -1])
          also('ioctl', 1, request); // FIONREAD, TCGETS, FS_IOC_GETFLAGS, FICLONE
        also('getdents', 1);
        if (path.includes('/log/')) also('mmap', 1); // what else there is the page cache may not have, and a page that can't be read is SIGBUS
        also('ftruncate', 1, 3);
        also('close', 1);
      }
    }
    noneIsOurFault(await Promise.all(answers));
    await calls.end();
  },
  120_000,
);

const OFFSETS = [
  0,
  1,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32 + 1,
  2 ** 53,
  '9223372036854775807',
  -1,
] as const;

bad('in names of directories is refused with the right errno', async () => {
  const calls = new Calls();
  const expected: Readonly<Record<string, string>> = {
    '.': 'EEXIST',
    '..': 'EEXIST',
    '': 'EEXIST', // the root itself, by its slash
    '0': 'ESRCH',
    '0.x': 'ESRCH',
    [String(2 ** 31)]: 'ESRCH',
    [String(2 ** 31 - 1)]: 'ESRCH',
    [String(2 ** 22 + 1)]: 'ESRCH',
    '99999999999999999999999999': 'ESRCH',
    '1e400.5': '',
    '-1': '',
    '+1': '',
    '01': '',
    ' 1': '',
    '1 ': '',
    '0x1': '',
    '1\n': '',
    'line\nend': '',
    '\xff\xfe': '',
    '\x01': '',
    ['n'.repeat(255)]: '',
    ['n'.repeat(256)]: 'ENAMETOOLONG',
    ['1'.repeat(255)]: 'ESRCH',
    ['9'.repeat(256)]: 'ENAMETOOLONG',
    stream: 'EEXIST',
    'missing/below': 'ENOENT',
    'stream/below': 'ENOTDIR',
    'log/below': 'EPERM',
    'match/A==b': 'EEXIST',
    'match/bad filter': 'EINVAL',
  };
  for (const [name, errno] of Object.entries(expected)) {
    assert.is(
      (await calls.call('mkdir', `${daemon.path}/${name}`, 0o755)).errno,
      errno,
      JSON.stringify(name.slice(0, 20)),
    );
    if (errno === '')
      assert.is(
        (await calls.call('rmdir', `${daemon.path}/${name}`)).errno,
        '',
        JSON.stringify(name.slice(0, 20)),
      );
  }
  await calls.end();
});

bad('in the offsets of a directory lists no more than there is', async () => {
  const own = await directory();
  publishNumbered(daemon.path, 20);
  const calls = new Calls();
  for (const path of [daemon.path, own, `${daemon.path}/match`, `${daemon.path}/log`]) {
    await calls.open(1, path, O_RDONLY | O_DIRECTORY);
    for (const offset of OFFSETS) {
      await calls.call('lseek', 1, offset, 0);
      const { errno } = await calls.call('getdents', 1);
      assert.is(errno, '');
    }
    await calls.call('lseek', 1, 0, 0);
    assert.is((await calls.call('read', 1, 10)).errno, 'EISDIR');
    await calls.call('close', 1);
  }
  await calls.end();
});

bad(
  'that is random noise in every file that takes writes changes nothing else',
  async () => {
    const own = await directory();
    await shell.run(`echo SUBSYSTEM==kept > ${own}/.filter`);
    const calls = new Calls();
    await calls.open(1, `${daemon.path}/publish`, O_WRONLY);
    await calls.open(2, `${own}/.filter`, O_WRONLY);
    await calls.open(3, `${own}/file`, O_RDWR | O_CREAT);
    const random = generator(7);
    const answers: Promise<Answer>[] = [];
    for (let round = 0; round < 1000; round++) {
      const noise = Array.from({ length: random(round % 10 === 0 ? 5000 : 60) }, () =>
        String.fromCharCode(random(256)),
      ).join('');
      const likely = [
        'add@/',
        'A=b\n',
        '\n',
        '\0',
        'SEQNUM=',
        'SUBSYSTEM==',
        '"',
        '|',
        ',',
        ';',
        '\\',
        '[',
        noise,
      ]
        .map((part) => (random(3) === 0 ? part : ''))
        .join('');
      for (const slot of [1, 2, 3]) {
        answers.push(calls.begin('write', slot, slot === 2 ? `@${likely}` : likely)); // no filter begins with @
        answers.push(calls.begin('pwrite', slot, slot === 2 ? '@' : noise, random(70_000)));
      }
    }
    const given = await Promise.all(answers);
    noneIsOurFault(given);
    for (const errno of errnos(given)) assert.match(errno, /^(EINVAL|EFBIG|ESPIPE)$/);
    await calls.end();
    assert.is(readFileSync(`${own}/.filter`, 'latin1'), 'SUBSYSTEM==kept\n');
  },
  60_000,
);

/** Numbers that look random and are the same each time. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

bad(
  'that is a filter of any length and depth is parsed in reasonable time',
  async () => {
    const own = await directory();
    const calls = new Calls();
    await calls.open(1, `${own}/.filter`, O_WRONLY);
    const filters = [
      'A==b\n'.repeat(13_000),
      `A==${'b|'.repeat(32_000)}b`,
      `A==${'*'.repeat(65_000)}`,
      `A==${'[a-z]*'.repeat(10_900)}`,
      `A==${'*a'.repeat(32_000)}b`,
      `A==${'\\'.repeat(65_000)}`,
      `A==${'['.repeat(65_000)}`,
      `A=="${'a'.repeat(65_000)}`,
      `${'#'.repeat(65_000)}`,
      `${'A'.repeat(65_000)}==b`,
      '#'.repeat(100_000),
    ];
    for (const filter of filters) {
      const before = Date.now();
      const { errno } = await calls.call('pwrite', 1, filter, 0);
      assert.ok(errno === '' || errno === 'EINVAL' || errno === 'EFBIG', errno);
      publish(
        daemon.path,
        eventText('/x', { A: 'a'.repeat(5000) }),
        eventText('/x', { A: `${'a'.repeat(60_000)}c` }),
      );
      assert.ok(Date.now() - before < 20_000, `${filter.slice(0, 20)}: ${Date.now() - before} ms`);
    }
    await calls.end();
  },
  60_000,
);

bad(
  'from many clients at once, while events flow, leaves the daemon as it was',
  async () => {
    const own = await directory('0777');
    const workers = Array.from({ length: 6 }, () => new Calls());
    const storm = new Storm(daemon.path);
    const all = await Promise.all(workers.map((calls, n) => chaos(calls, own, generator(n + 1))));
    storm.end();
    noneIsOurFault(all.flat());
    for (const calls of workers) await calls.end();
    await shell.run(`rm -rf ${own}`);
    assert.match((await run(['ls', daemon.path])).out, 'publish\n');
  },
  120_000,
);

/** A thousand calls by chance on few names, so that they meet. None of them blocks. */
async function chaos(
  calls: Calls,
  own: string,
  random: (below: number) => number,
): Promise<Answer[]> {
  const path = (): string => {
    const names = [
      'a',
      'b',
      'head',
      'tail',
      '.stream',
      '.filter',
      '.status',
      `../${shell.pid}.chaos`,
      `../${shell.pid}.chaos/a`,
      '../stream',
      '../match/A==b',
      '../log/head',
      '',
    ];
    return `${own}/${names[random(names.length)]}`;
  };
  const slot = (): number => random(8);
  const flags = (): number =>
    O_NONBLOCK |
    [O_RDONLY, O_WRONLY, O_RDWR][random(3)] |
    (random(2) === 0 ? O_CREAT : 0) |
    (random(4) === 0 ? O_TRUNC : 0);
  const kinds: (() => Promise<Answer>)[] = [
    () => calls.begin('open', slot(), path(), flags(), 0o666),
    () => calls.begin('open', slot(), path(), flags(), 0o666),
    () => calls.begin('read', slot(), random(5000)),
    () => calls.begin('write', slot(), 'x'.repeat(random(3000))),
    () => calls.begin('pwrite', slot(), 'y', random(70_000)),
    () => calls.begin('close', slot()),
    () => calls.begin('unlink', path()),
    () => calls.begin('unlink', path()),
    () => calls.begin('mkdir', path(), 0o777),
    () => calls.begin('rmdir', path()),
    () => calls.begin('stat', path()),
    () => calls.begin('truncate', path(), random(70_000)),
    () => calls.begin('poll', 0, 5, slot()),
    () => calls.begin('getdents', slot()),
    () => calls.begin('chmod', path(), 0o600 | random(0o200)),
    () => calls.begin('readlink', path()),
    () => calls.begin('link', path(), path()),
    () => calls.begin('rename', path(), path(), random(4)),
    () => calls.begin('rename', path(), path(), 0),
    () =>
      calls.begin(
        'mknod',
        path(),
        [NODE_MODES.fifo, NODE_MODES.socket, NODE_MODES.regular][random(3)],
        0,
      ),
    () =>
      calls.begin(
        'setxattr',
        path(),
        ['user.eventfs_sticky', 'user.eventfs.filter', 'user.x'][random(3)],
        '1',
      ),
    () => calls.begin('removexattr', path(), 'user.eventfs_sticky'),
  ];
  // Slots that were never opened are standard input and output.
  for (let i = 0; i < 8; i++) await calls.open(i, daemon.path);
  const answers = Array.from({ length: 1500 }, () => kinds[random(kinds.length)]());
  return Promise.all(answers);
}

bad(
  'of readers that never read, and of writers that never close, costs the others nothing and the daemon a bounded memory',
  async () => {
    const own = await directory();
    const idle = new Calls();
    for (let slot = 0; slot < 100; slot++)
      await idle.open(
        slot,
        `${daemon.path}/${['stream', 'match/SUBSYSTEM=mine', 'match/N==*7'][slot % 3]}`,
      );
    for (let slot = 100; slot < 120; slot++) await idle.open(slot, `${own}/.stream`);
    const resident = (): number =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'latin1'))![1]);
    const busy = await Reader.on(`${daemon.path}/match/SUBSYSTEM=mine`);
    const padding = 'x'.repeat(1000);
    const publishMine = async (count: number, first: number): Promise<void> => {
      for (let n = first; n < first + count; n += 500) {
        publishNumbered(daemon.path, 500, n, { SUBSYSTEM: 'mine', PADDING: padding });
        await until(
          () => busy.text.includes(`\nN=${n + 499}\n`),
          'the reader that reads did not get it',
          20_000,
        );
        busy.text = busy.text.slice(busy.text.lastIndexOf('\n\n') + 2);
      }
    };
    await publishMine(5000, 0); // more than the log and the queue hold
    const before = resident();
    await publishMine(8000, 5000);
    assert.ok(resident() - before < 64 * 1024, `${before} to ${resident()} KiB`); // the text alone is 8 MiB for each of 120 who would keep it
    // What is never closed is never an event, and goes when it is pushed out.
    for (let slot = 200; slot < 232; slot++) {
      await idle.open(slot, `${own}/never-closed-${slot}`, O_WRONLY | O_CREAT);
      await idle.call('fill', slot, 65_536, 0);
    }
    const { PENDING, BYTES } = statusOf(own);
    assert.ok(
      Number(PENDING) <= 4096 && Number(BYTES) <= 4 * 1024 * 1024,
      `${PENDING} events, ${BYTES} bytes`,
    );
    await publishMine(4500, 13_000);
    assert.not.match(readdirSync(own).join(' '), 'never-closed');
    for (let slot = 0; slot < 3; slot++)
      assert.match((await idle.call('read', slot, 4096)).bytes, 'LOST=');
    await busy.kill();
    await idle.end();
    await shell.run(`rm -rf ${own}`);
  },
  120_000,
);

bad('leaves no files, directories or nodes behind', async () => {
  await shell.run(`cd ${daemon.path}; rm -rf [0-9]*.*; cd /`, 25_000);
  await until(() => statusOf(`${daemon.path}/log`).DIRECTORIES === '0', 'there are directories');
  assert.is(daemon.log(), '');
});

bad.run();
