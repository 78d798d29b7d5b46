/**
 * A mount that has left its place: moved, below a renamed directory, bound elsewhere. The daemon
 * finds it by its device number.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { mount as mountFilesystem, unmount } from '#native';
import { MOUNT_TYPE, parseMountinfo } from '../../../fs/shared/kernel/mountinfo.js';
import { killClients, publishNumbered, statusOf } from '../../support/clients/clients.js';
import {
  EVENTFS_NODE,
  type Daemon,
  Shell,
  killDaemons,
  mountPoint,
  run,
  startDaemon,
  hasSaid,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import { daemonPid, killDaemon, startGuarded } from '../guard/common.js';
import { Watcher } from '../../support/clients/watcher.js';

const MNT_DETACH = 2;
const MS_BIND = 4096;
const MS_MOVE = 8192;
const DRIVERS = ['devfuse', 'fuse-native'] as const;

const moved = suite('a mount');
moved.after(async () => {
  await killClients();
  await killDaemons();
});

/** @returns the mounts of eventfs below a directory */
function below(path: string): string[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1'))
    .filter(({ mountPoint: at, type }) => at.startsWith(path) && type === MOUNT_TYPE)
    .map(({ mountPoint: at }) => at);
}

/**
 * Runs `body` with a private tmpfs that has the directories, and unmounts it. Mounts below a shared
 * mount cannot be moved.
 */
async function within(
  names: readonly string[],
  body: (at: string) => Promise<void>,
): Promise<void> {
  const at = mountPoint();
  mountFilesystem('none', at, 'tmpfs', 0, '');
  execFileSync('mount', ['--make-private', at]);
  for (const name of names) mkdirSync(join(at, name), { recursive: true });
  try {
    await body(at);
    assert.equal(below(at), []);
  } finally {
    unmount(at, MNT_DETACH);
    rmdirSync(at);
  }
}

/** Asserts that a watcher of the shell's directory gets notices of events. */
async function hears(path: string, shell: Shell): Promise<void> {
  const own = `${path}/${shell.pid}`;
  const watcher = await Watcher.inotifywait(own, 'create', 'delete_self');
  const before = watcher.created.length;
  publishNumbered(path, 3);
  await watcher.creates(before + 3);
  await watcher.end();
}

const MOVES: readonly (readonly [string, (old: string, to: string) => string])[] = [
  ['is moved', (old, to) => (mountFilesystem(join(old, 'm'), to, '', MS_MOVE, ''), to)],
  [
    'is below a directory that is renamed',
    (old, to) => (rmdirSync(to), renameSync(old, to), join(to, 'm')),
  ],
  [
    'is bound elsewhere and unmounted here',
    (old, to) => (
      mountFilesystem(join(old, 'm'), to, '', MS_BIND, ''),
      unmount(join(old, 'm'), 0),
      to
    ),
  ],
  [
    'is bound elsewhere under an odd name',
    (old, to) => (
      mkdirSync(`${to}/a b\\c`),
      mountFilesystem(join(old, 'm'), `${to}/a b\\c`, '', MS_BIND, ''),
      unmount(join(old, 'm'), 0),
      `${to}/a b\\c`
    ),
  ],
];

for (const [what, move] of MOVES) {
  moved(
    `that ${what} raises notices of events and deaths, and is removed when its daemon ends`,
    async () => {
      await within(['old/m', 'new'], async (at) => {
        const daemon = await startDaemon(undefined, join(at, 'old/m'));
        const shell = new Shell();
        await shell.run(`mkdir ${daemon.path}/$$`);
        await hears(daemon.path, shell);
        const path = move(join(at, 'old'), join(at, 'new'));
        await hears(path, shell);
        const watcher = await Watcher.inotifywait(`${path}/${shell.pid}`, 'delete_self');
        await shell.kill();
        await watcher.says(/^DELETE_SELF/m);
        await watcher.end();
        assert.is(await daemon.stop(), 0);
        assert.is(daemon.log(), '');
      });
    },
  );
}

moved(
  'that was moved can be removed by eventfs umount, also if its daemon was killed',
  async () => {
    await within(['old', 'new', 'third'], async (at) => {
      const daemon = await startDaemon(undefined, join(at, 'old'));
      mountFilesystem(daemon.path, join(at, 'new'), '', MS_MOVE, '');
      assert.equal(await run([...EVENTFS_NODE, 'umount', join(at, 'new')]), {
        out: '',
        err: '',
        code: 0,
      });
      assert.is(await daemon.ended, 0);
      const other = await startDaemon(undefined, join(at, 'old'));
      for (const name of ['new', 'third'])
        mountFilesystem(other.path, join(at, name), '', MS_BIND, '');
      await other.kill();
      assert.equal(await run([...EVENTFS_NODE, 'umount', join(at, 'new')]), {
        out: '',
        err: '',
        code: 0,
      });
    });
  },
);

moved('that was moved is found by its guardian, and the guardian by eventfs reload', async () => {
  await within(['old', 'new'], async (at) => {
    const guarded = await startGuarded(['--guard-limit', '2:100'], join(at, 'old'));
    const path = join(at, 'new/a b');
    mkdirSync(path);
    mountFilesystem(guarded.path, path, '', MS_MOVE, '');
    assert.match((await run([...EVENTFS_NODE, 'reload', path])).out, / serves .*a b\n$/);
    await killDaemon(path);
    process.kill(await daemonPid(path), 'SIGKILL');
    assert.is(await guarded.ended, 1);
    assert.equal(below(at), []);
  });
});

/**
 * Second mounts of the same filesystem. The last one is below the first: umount2(2) of its path
 * would send a request to the daemon itself.
 */
const PLACES: readonly (readonly [string, (daemon: Daemon, at: string) => void])[] = [
  ['elsewhere', ({ path }, at) => mountFilesystem(path, join(at, 'new'), '', MS_BIND, '')],
  [
    'elsewhere in part',
    ({ path }, at) => mountFilesystem(join(path, 'log'), join(at, 'new'), '', MS_BIND, ''),
  ],
  ['on itself', ({ path }) => mountFilesystem(path, path, '', MS_BIND, '')],
  [
    'below itself',
    ({ path }) => mountFilesystem(join(path, 'log'), join(path, 'kept'), '', MS_BIND, ''),
  ],
];

for (const driver of DRIVERS) {
  for (const [where, bind] of PLACES) {
    moved(
      `of ${driver} that is bound ${where} is removed everywhere when its daemon ends`,
      async () => {
        await within(['old', 'new'], async (at) => {
          const daemon = await startDaemon(
            ['--source', 'none', '--driver', driver, '--sticky', 'kept'],
            join(at, 'old'),
          );
          bind(daemon, at);
          assert.is(below(at).length, 2);
          assert.is(await daemon.stop(), 0);
          assert.not.match(daemon.log(), 'the mount stays');
        });
      },
    );
  }
}

moved(
  'below another filesystem stays, and the daemon logs it; the other filesystem stays too',
  async () => {
    await within(['old', 'new', 'above/new'], async (at) => {
      const daemon = await startDaemon(undefined, join(at, 'old'));
      for (const name of ['new', 'above/new'])
        mountFilesystem(daemon.path, join(at, name), '', MS_BIND, '');
      mountFilesystem('none', join(at, 'new'), 'tmpfs', 0, '');
      mountFilesystem('none', join(at, 'above'), 'tmpfs', 0, '');
      mkdirSync(join(at, 'above/new'));
      assert.is(statusOf(`${daemon.path}/log`).DAEMON, String(daemon.pid));
      assert.is(await daemon.stop(), 0);
      for (const name of ['new', 'above/new'])
        await hasSaid(daemon, `${join(at, name)}: the mount stays`);
      assert.equal(below(at), [join(at, 'new'), join(at, 'above/new')]);
      for (const name of ['new', 'above']) unmount(join(at, name), 0);
      for (const name of ['new', 'above/new']) unmount(join(at, name), 0);
    });
  },
);

moved.run();
