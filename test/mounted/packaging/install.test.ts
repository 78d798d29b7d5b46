/** `make install` and npm's package: what they put where, that it runs, and that it goes again. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EVENTFS, mountPoint, run, startDaemon } from '../../support/mount/daemon.js';
import { eventfsForOthers } from '../../support/mount/other-user.js';
import { PROJECT } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';

const PREFIX = '/opt/eventfs-test';

const install = suite('make install');

/** Runs a script of packaging/ in the clone, as a user whose files are private. */
function packaging(script: string, ...args: readonly string[]): string {
  const path = join(PROJECT, 'packaging', script);
  const command = ['-c', 'umask 077; exec "$@"', 'sh', path, ...args];
  return execFileSync('sh', command, { encoding: 'utf8' });
}

/** Returns what another user may not read, or not run, below a directory. */
function privateFiles(path: string): string {
  const modes = ['!', '-perm', '-004', '-o', '-perm', '/100', '!', '-perm', '-001'];
  return execFileSync('find', [path, '!', '-type', 'l', '(', ...modes, ')'], { encoding: 'utf8' });
}

/** Returns the files below a directory, without those of npm's packages. */
function files(path: string): string[] {
  return execFileSync('find', [path, '!', '-type', 'd', '-printf', '%P\n'], { encoding: 'utf8' })
    .split('\n')
    .filter((name) => name !== '' && !name.includes('/node_modules/'))
    .sort();
}

install(
  'puts a copy that runs below PREFIX, and make uninstall removes all of it',
  async () => {
    const root = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'install to-'));
    const below = join(root, PREFIX);
    mkdirSync(join(below, 'share/man'), { recursive: true });
    packaging('install', root, `${PREFIX}/`);
    assert.is(privateFiles(join(below, 'lib')) + privateFiles(join(below, 'share')), '');
    const command = join(below, 'bin/eventfs');
    const there = files(below);
    for (const name of [
      'bin/eventfs',
      'bin/eventfs-emit',
      'sbin/mount.fuse.eventfs',
      'lib/eventfs/LICENSE',
      'lib/eventfs/build/Release/eventfs.node',
      'lib/systemd/system/eventfs.service',
      'lib/systemd/system/eventfs-bridge.service',
      'lib/systemd/system/eventfs-fleet.service',
      'lib/systemd/user/eventfs.service',
      'lib/sysusers.d/eventfs-bridge.conf',
      'share/eventfs/fleet.toml',
      'share/eventfs/watch.schema.json',
      'share/eventfs/eventfs-bridge.default',
      'share/eventfs/managers/mdev.conf',
      ...['eventfs', 'eventfs-bridge'].flatMap((service) => [
        `share/eventfs/openrc/${service}`,
        `share/eventfs/runit/${service}/run`,
        `share/eventfs/runit/${service}/check`,
        `share/eventfs/s6/${service}/run`,
        `share/eventfs/s6/${service}/finish`,
        `share/eventfs/s6/${service}/notification-fd`,
      ]),
    ])
      assert.ok(there.includes(name), `${name} is missing`);
    assert.ok(existsSync(join(below, 'lib/eventfs/node_modules/mqtt-packet/package.json')));
    assert.equal(
      there.filter((name) => /\.(ts|map|gyp|cc|c|h)$|(^|\/)(test|benchmarks|tools)\//.test(name)),
      [],
    );
    for (const name of there.filter((file) =>
      /(service|run|openrc\/.*|managers\/.*)$/.test(file),
    )) {
      const text = readFileSync(join(below, name), 'utf8');
      assert.match(text, `${PREFIX}/bin/eventfs`, name);
      assert.not.match(text, '@PREFIX@', name);
    }

    const daemon = await startDaemon(undefined, mountPoint(), { eventfs: [command] });
    const emitted = await run([
      command,
      'emit',
      '--mount',
      daemon.path,
      'ACTION=add',
      'DEVPATH=/x',
    ]);
    assert.equal([emitted.code, emitted.err], [0, '']);
    assert.ok(readdirSync(`${daemon.path}/log`).length > 0);
    assert.is((await run([command, 'umount', daemon.path])).code, 0);
    assert.is(await daemon.ended, 0);

    const addon = join(below, 'lib/eventfs/build/Release/eventfs.node');
    const mend = 'install g++, make and python3, then run npm rebuild eventfs --build-from-source';
    writeFileSync(addon, 'no ELF file');
    const broken = await run([command, 'mount', mountPoint()]);
    assert.match(broken.err, /^eventfs: mount: the addon can't be loaded: [^\n]+\n$/);
    assert.match(broken.err, mend);
    assert.is(broken.code, 111);
    rmSync(addon);
    const other = await run([command, 'mount', mountPoint()], {
      env: { ...process.env, LIBC: 'musl' },
    });
    assert.is(
      other.err,
      `eventfs: mount: the addon can't be loaded: no binary fits this machine (libc=musl, ${process.arch}) (${mend})\n`,
    );
    assert.is(other.code, 111);
    const doctor = await run([command, 'doctor', '--mount', daemon.path]);
    assert.match(doctor.out, mend);

    packaging('uninstall', root, PREFIX);
    assert.equal(files(root), []);
    // The directories that were there before stay.
    assert.equal(readdirSync(below), ['share']);
    assert.equal(readdirSync(join(below, 'share')), ['man']);
    rmSync(root, { recursive: true });
  },
  60_000,
);

install('says that Node.js is too old', async () => {
  const root = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'old-'));
  const preload = join(root, 'old.cjs');
  for (const [version, isOld] of [
    ['18.20.8', true],
    ['20.16.0', true],
    ['20.17.0', false],
    ['22.0.0', false],
  ] as const) {
    writeFileSync(
      preload,
      `Object.defineProperty(process.versions, 'node', { value: '${version}' });`,
    );
    const { code, err } = await run([EVENTFS, '--version'], {
      env: { ...process.env, NODE_OPTIONS: `--require ${preload}` },
    });
    const line = `eventfs: Node.js ${version} is too old: install Node.js 20.17 or newer\n`;
    assert.equal([code, err], isOld ? [111, line] : [0, ''], version);
  }
});

install('refuses a PREFIX that service files cannot name', async () => {
  for (const [prefix, line] of [
    ['usr', 'PREFIX must begin with a slash'],
    [
      '/opt/my apps',
      'PREFIX may have letters, digits and / . _ + - only, because service files name it',
    ],
  ]) {
    const { code, err } = await run([join(PROJECT, 'packaging/install'), '', prefix]);
    assert.equal([code, err], [100, `install: ${line}: ${prefix}\n`]);
  }
});

install('runs for a user id without a home, and with a PATH that leads nowhere', async () => {
  const path = mountPoint();
  const user = ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups', 'env', '-u', 'HOME'];
  const command = [...user, ...eventfsForOthers(), 'status', '--mount', path];
  const { code, err } = await run(command);
  assert.match(err, 'eventfs is not mounted here');
  assert.is(code, 102, err);
  const env = { ...process.env, PATH: '/nowhere' };
  const link = join(path, 'eventfs');
  symlinkSync(EVENTFS, link);
  const found = await run(['/bin/sh', link, 'emit', '--mount', path, 'foo'], { env });
  assert.match(found.err, /^eventfs: emit: [^\n]+\n$/);
  assert.is(found.code, 100);
  rmSync(link);
});

install.run();

interface Packed {
  readonly files: readonly { readonly path: string }[];
}

const npm = suite("npm's package");

/** `watch --help` names it. */
const SCHEMA = 'docs/reference/watch.schema.json';

npm('has what runs and what compiles, and nothing else', () => {
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: PROJECT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  ) as [Packed];
  const paths = packed.files.map(({ path }) => path);
  for (const path of [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'bin/eventfs',
    'bin/eventfs.cjs',
    'binding.gyp',
    'dist/fs/index.js',
    'native/index.js',
    'native/addon/addon.cc',
    'package.json',
    SCHEMA,
  ])
    assert.ok(paths.includes(path), `${path} is missing`);
  const foreign = paths.filter(
    (path) =>
      path !== SCHEMA &&
      !/^(LICENSE|README\.md|CHANGELOG\.md|binding\.gyp|package\.json|bin\/eventfs(\.cjs)?)$/.test(
        path,
      ) &&
      !/^(dist\/fs\/.*\.(js|d\.ts)|native\/.*\.(cc|c|h|js|mjs|d\.ts)|prebuilds\/.*|man\/.*\.[157]|completions\/.*)$/.test(
        path,
      ),
  );
  assert.equal(foreign, []);
});

npm.run();
