/** `make install` and npm's package: what they put where, that it runs, and that it goes again. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EVENTFS, mountPoint, run, startDaemon } from '../../support/mount/daemon.js';
import { PROJECT } from '../../support/project.js';
import { suite } from '../../support/runner/suite.js';

const PREFIX = '/opt/eventfs-test';

const install = suite('make install');

/** Runs a script of packaging/ in the clone. */
function packaging(script: string, ...args: readonly string[]): string {
  return execFileSync(join(PROJECT, 'packaging', script), args, { encoding: 'utf8' });
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
    const root = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'install-'));
    packaging('install', root, PREFIX);
    const below = join(root, PREFIX);
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
      'lib/sysusers.d/eventfs-bridge.conf',
      'share/eventfs/fleet.toml',
      'share/eventfs/eventfs-bridge.default',
      'share/eventfs/managers/mdev.conf',
      ...['eventfs', 'eventfs-bridge'].flatMap((service) => [
        `share/eventfs/openrc/${service}`,
        `share/eventfs/runit/${service}/run`,
        `share/eventfs/runit/${service}/check`,
        `share/eventfs/s6/${service}/run`,
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
    assert.not(existsSync(join(below, 'lib')));
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

install('refuses a relative PREFIX', async () => {
  const { code, err } = await run([join(PROJECT, 'packaging/install'), '', 'usr']);
  assert.equal([code, err], [100, 'install: PREFIX must begin with a slash: usr\n']);
});

install.run();

interface Packed {
  readonly files: readonly { readonly path: string }[];
}

const npm = suite("npm's package");

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
    'bin/package.json',
    'binding.gyp',
    'dist/fs/index.js',
    'native/index.js',
    'native/addon/addon.cc',
    'package.json',
  ])
    assert.ok(paths.includes(path), `${path} is missing`);
  const foreign = paths.filter(
    (path) =>
      !/^(LICENSE|README\.md|CHANGELOG\.md|binding\.gyp|package\.json|bin\/(eventfs|package\.json))$/.test(
        path,
      ) &&
      !/^(dist\/fs\/.*\.(js|d\.ts)|native\/.*\.(cc|c|h|js|mjs|d\.ts)|prebuilds\/.*|man\/.*\.[157]|completions\/.*)$/.test(
        path,
      ),
  );
  assert.equal(foreign, []);
});

npm.run();
