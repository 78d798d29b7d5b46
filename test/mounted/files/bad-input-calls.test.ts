/** Invalid calls: each returns an errno, but never EIO, and the daemon logs nothing. */
import * as assert from 'uvu/assert';
import { constants, readdirSync } from 'node:fs';
import { type Answer, Calls, publishNumbered } from '../../support/clients/clients.js';
import { configured } from '../../support/mount/config.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';
import { LONG_FILTERS, NODE_MODES, errnos, leavesNothing, noneIsOurFault } from './bad-input.js';

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

const bad = mounted('bad input', configured(LONG_FILTERS));

/**
 * Makes a directory with events and a file.
 * @returns their paths, those of every kind of permanent file, and paths that do not exist
 */
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

/** @returns all combinations of the flags */
const combinations = (flags: readonly number[]): number[] =>
  flags.reduce<number[]>((all, flag) => [...all, ...all.map((set) => set | flag)], [0]);

bad(
  'in the flags of open returns an errno or works, for every path',
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
  'in calls on any two paths returns an errno, and never hangs',
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
  'in calls on open files returns an errno, and never hangs',
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
        // FIONREAD, TCGETS, FS_IOC_GETFLAGS, FICLONE and an invalid one.
        for (const request of [0x541b, 0x5401, 0x80086601, 0x40049409, -1])
          also('ioctl', 1, request);
        also('getdents', 1);
        // The page cache may hold only events of log/. Reading a mapping of another file raises
        // SIGBUS.
        if (path.includes('/log/')) also('mmap', 1);
        also('ftruncate', 1, 3);
        also('close', 1);
      }
    }
    noneIsOurFault(await Promise.all(answers));
    await calls.end();
  },
  120_000,
);

bad('in the name of a directory is refused with the right errno', async () => {
  const calls = new Calls();
  const expected: Readonly<Record<string, string>> = {
    '.': 'EEXIST',
    '..': 'EEXIST',
    '': 'EEXIST', // a path that ends with a slash: the root
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

bad('in the offset of a directory is no error, and read returns EISDIR', async () => {
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

leavesNothing(bad);
bad.run();
