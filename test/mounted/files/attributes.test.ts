/**
 * Extended attributes of every name and size: each call returns the same errno as on other
 * filesystems, and a refused call changes nothing.
 */
import * as assert from 'uvu/assert';
import { Calls, eventText, publish } from '../../support/clients/clients.js';
import { configured } from '../../support/mount/config.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';

const attributes = mounted(
  'an attribute',
  configured('[filter]\ntext = "64 KiB"\nterms = 16384\nalternatives = 32768\n'),
);

const FILTER = 'user.eventfs.filter';
const NAMES = [
  'user.x',
  `user.${'n'.repeat(250)}`,
  'user.eventfs',
  'user.eventfs.',
  'user.eventfs.unknown',
  'user.eventfs_sticky2',
  'security.selinux',
  'security.capability',
  'trusted.x',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'user.\x01',
  'user.\xff\xfe',
  // Names without a prefix reach the daemon too. Every object of JavaScript has these properties.
  'constructor',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__proto__',
  '__defineGetter__',
];
const SIZES = [0, 1, 255, 4096, 65_535, 65_536];
const READ_ONLY = ['user.eventfs.owner', 'user.eventfs.pending', 'user.eventfs.lost'];

/**
 * Makes a directory with an event, a file and a FIFO.
 * @returns their paths, and those of the dot files and the permanent files
 */
async function everything(): Promise<string[]> {
  const own = await directory();
  publish(daemon.path, eventText('/x'));
  await shell.run(`echo mine > ${own}/mine; mkfifo ${own}/fifo`);
  const inside = ['', '/head', '/mine', '/fifo', '/.stream', '/.filter', '/.status'].map(
    (name) => `${own}${name}`,
  );
  return [
    ...inside,
    ...['', '/log', '/log/head', '/stream', '/match', '/match/A==b', '/publish'].map(
      (name) => `${daemon.path}${name}`,
    ),
  ];
}

attributes(
  'that eventfs does not define is refused with EOPNOTSUPP or EPERM, and never exists',
  async () => {
    const calls = new Calls();
    for (const path of await everything()) {
      for (const name of NAMES) {
        for (const size of SIZES) {
          const { errno } = await calls.call('setxattr', path, name, 'v'.repeat(size));
          // An empty ACL removes an ACL that does not exist (fs/posix_acl.c): ENODATA, or success.
          const expected = name.startsWith('system.')
            ? ['EOPNOTSUPP', 'EPERM', 'EINVAL', 'ENODATA', ...(size === 0 ? [''] : [])]
            : ['EOPNOTSUPP', 'EPERM', 'EINVAL'];
          assert.ok(expected.includes(errno), `setxattr ${name} of ${size} on ${path}: ${errno}`);
        }
        const { errno } = await calls.call('getxattr', path, name);
        assert.ok(
          ['ENODATA', 'EOPNOTSUPP', 'EPERM'].includes(errno),
          `getxattr ${name} on ${path}: ${errno}`,
        );
      }
    }
    await calls.end();
  },
  120_000,
);

attributes(
  'of more than 64 KiB, or with a name of more than 255 bytes, is refused by the kernel',
  async () => {
    const calls = new Calls();
    const own = await directory();
    assert.is((await calls.call('setxattr', own, FILTER, 'v'.repeat(65_537))).errno, 'E2BIG');
    assert.is((await calls.call('setxattr', own, `user.${'n'.repeat(251)}`, 'v')).errno, 'ERANGE');
    assert.is((await calls.call('setxattr', own, '', 'v')).errno, 'ERANGE');
    await calls.end();
  },
);

attributes(
  'user.eventfs.filter takes and returns 64 KiB, and a refused filter changes nothing',
  async () => {
    const calls = new Calls();
    const own = await directory();
    const long = `A==${'b|'.repeat(32_766)}c`;
    assert.is(long.length, 65_536);
    assert.is((await calls.call('setxattr', own, FILTER, long)).errno, '');
    assert.is(
      (
        await shell.run(
          `getfattr --absolute-names --only-values -n ${FILTER} ${own} | wc -c; wc -c < ${own}/.filter`,
        )
      ).out,
      '65536\n65537\n',
    );
    for (const bad of ['A==', '(', 'x'.repeat(65_536)]) {
      assert.is((await calls.call('setxattr', own, FILTER, bad)).errno, 'EINVAL', bad.slice(0, 10));
    }
    assert.is((await shell.run(`wc -c < ${own}/.filter`)).out, '65537\n');
    publish(daemon.path, eventText('/x', { A: 'c' }), eventText('/x', { A: 'd' }));
    assert.is((await shell.run(`ls ${own} | wc -l`)).out, '1\n');
    assert.is((await calls.call('setxattr', own, FILTER, '')).errno, '');
    assert.is((await shell.run(`wc -c < ${own}/.filter`)).out, '0\n');
    await calls.end();
  },
);

attributes(
  'returns ERANGE for a buffer that is too small, and its size for one of 0 bytes',
  async () => {
    const own = await directory();
    const script = `
import errno, os, sys, ctypes
libc = ctypes.CDLL(None, use_errno=True)
path, name = sys.argv[1].encode(), b"${FILTER}"
os.setxattr(path, name, b"A==" + b"b" * 997)
for size in (0, 1, 999, 1000, 65536):
    buffer = ctypes.create_string_buffer(max(size, 1))
    for call in (lambda: libc.getxattr(path, name, buffer, size), lambda: libc.listxattr(path, buffer, size)):
        got = call()
        print(got if got >= 0 else errno.errorcode[ctypes.get_errno()], end=" ")
`;
    const names =
      [
        'user.eventfs.filter',
        'user.eventfs.owner',
        'user.eventfs.pending',
        'user.eventfs.lost',
      ].join('\0').length + 1;
    const { out } = await shell.run(`python3 - ${own} <<'END'\n${script}END`);
    assert.is(
      out.trim(),
      `1000 ${names} ERANGE ERANGE ERANGE ${names} 1000 ${names} 1000 ${names}`,
    );
  },
);

attributes('obeys XATTR_CREATE (EEXIST) and XATTR_REPLACE (ENODATA)', async () => {
  const own = await directory();
  const script = `
import errno, os, sys
def attempt(call, *args):
    try: call(*args); return "ok"
    except OSError as error: return errno.errorcode[error.errno]
path, sticky = sys.argv[1], "user.eventfs_sticky"
for name, flags in ((sticky, os.XATTR_REPLACE), (sticky, os.XATTR_CREATE), (sticky, os.XATTR_CREATE), (sticky, os.XATTR_REPLACE),
                    ("${FILTER}", os.XATTR_CREATE), ("${FILTER}", os.XATTR_REPLACE), ("user.eventfs.owner", os.XATTR_CREATE),
                    ("user.eventfs.owner", os.XATTR_REPLACE), ("user.none", os.XATTR_REPLACE), ("user.none", os.XATTR_CREATE), (sticky, 3)):
    print(attempt(os.setxattr, path, name, b"", flags), end=" ")
print(attempt(os.removexattr, path, sticky), attempt(os.removexattr, path, sticky))
`;
  const { out } = await shell.run(`python3 - ${own} <<'END'\n${script}END`);
  assert.is(
    out.trim(),
    'ENODATA ok EEXIST ok EEXIST ok EEXIST EPERM ENODATA ENOTSUP EEXIST ok ENODATA',
  );
});

attributes(
  'that is read-only returns EPERM to every writer; files have no attributes',
  async () => {
    const calls = new Calls();
    const own = await directory();
    for (const name of READ_ONLY) {
      for (const size of SIZES)
        assert.is((await calls.call('setxattr', own, name, '1'.repeat(size))).errno, 'EPERM');
      assert.is((await calls.call('removexattr', own, name)).errno, 'EPERM');
    }
    await shell.run(`echo mine > ${own}/mine`);
    for (const name of [...READ_ONLY, FILTER, 'user.eventfs_sticky']) {
      assert.is((await calls.call('getxattr', `${own}/mine`, name)).errno, 'ENODATA');
      assert.is((await calls.call('setxattr', `${own}/mine`, name, '')).errno, 'EOPNOTSUPP');
    }
    await calls.end();
  },
);

attributes.run();
