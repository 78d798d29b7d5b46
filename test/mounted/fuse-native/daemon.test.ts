/** The daemon with fuse-native: its start, its end, and what it needs. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader } from '../../support/clients/clients.js';
import {
  EVENTFS,
  isMounted,
  killDaemons,
  makeUevent,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
  hasSaid,
} from '../../support/mount/daemon.js';
import { AS_NOBODY, eventfsForOthers, projectForOthers } from '../../support/mount/other-user.js';
import { waitsForReply } from '../../support/processes.js';
import { suite } from '../../support/runner/suite.js';
import { DRIVER } from './common.js';

const life = suite('a daemon with fuse-native');
life.after(killDaemons);

life('exits with 0 on SIGTERM, and returns the end of the file to blocked readers', async () => {
  const own = await startDaemon(DRIVER);
  const readers = [await Reader.on(`${own.path}/stream`), await Reader.on(`${own.path}/stream`)];
  for (const reader of readers)
    await until(() => waitsForReply(reader.process.pid!), 'the reader does not wait');
  assert.is(await own.stop(), 0);
  for (const reader of readers) assert.is(await reader.ended, 0, reader.err);
  assert.not(isMounted(own.path));
});

life('exits with 0 after umount(8), and after umount -l once no file is open', async () => {
  const own = await startDaemon(DRIVER);
  assert.is((await run(['umount', own.path])).code, 0);
  assert.is(await within(10_000, own.ended, 'the daemon did not end'), 0);
  const lazy = await startDaemon(DRIVER);
  const reader = await Reader.on(`${lazy.path}/stream`);
  assert.is((await run(['umount', '-l', lazy.path])).code, 0);
  await reader.kill();
  assert.is(await within(10_000, lazy.ended, 'the daemon did not end'), 0);
});

life('ends after eventfs umount', async () => {
  const own = await startDaemon(DRIVER);
  assert.is((await run([EVENTFS, 'umount', own.path])).code, 0);
  assert.is(await within(10_000, own.ended, 'the daemon did not end'), 0);
});

life('removes the mount of a killed daemon, and so does the other driver', async () => {
  const killed = await startDaemon(DRIVER);
  await killed.kill();
  assert.ok(isMounted(killed.path));
  const again = await startDaemon(DRIVER, killed.path);
  await hasSaid(again, /detached the mount/);
  assert.ok(readdirSync(again.path).includes('publish'));
  await again.kill();
  const other = await startDaemon(['--source', 'none'], killed.path);
  await hasSaid(other, /detached the mount/);
  assert.is(await other.stop(), 0);
});

life('delivers kernel events', async () => {
  const own = await startDaemon(['--driver', 'fuse-native']);
  const reader = await Reader.on(`${own.path}/match/SUBSYSTEM=mem,DEVNAME=null`);
  await makeUevent();
  assert.match((await reader.has(1))[0], /^add@\/devices\/virtual\/mem\/null$/m);
  await reader.kill();
  assert.is(await own.stop(), 0);
});

life('loads libfuse; devfuse does not', async () => {
  for (const driver of ['devfuse', 'fuse-native']) {
    const own = await startDaemon(['--source', 'none', '--driver', driver]);
    assert.is(
      /libfuse|fuse-native/.test(readFileSync(`/proc/${own.pid}/maps`, 'latin1')),
      driver === 'fuse-native',
      driver,
    );
    assert.is(await own.stop(), 0);
  }
});

life('says in one line which package to install if libfuse is missing', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'eventfs-'));
  writeFileSync(join(empty, 'libfuse.so.2'), ''); // found first, but not a library
  const at = mountPoint();
  const { err, code } = await run([EVENTFS, 'mount', '--driver', 'fuse-native', at], {
    env: { ...process.env, LD_LIBRARY_PATH: empty },
  });
  rmSync(empty, { recursive: true });
  assert.match(
    err,
    /^eventfs: mount: --driver fuse-native: [^\n]*libfuse\.so\.2[^\n]*install libfuse2[^\n]*\n$/,
  );
  assert.is(code, 1);
  assert.not(isMounted(at));
});

life(
  'says in one line what to install if the npm package is missing; devfuse does not need it',
  async () => {
    const copy = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'without-'));
    execFileSync('cp', ['-R', `${projectForOthers()}/.`, copy]);
    rmSync(join(copy, 'node_modules/fuse-native'), { recursive: true });
    const eventfs = [process.execPath, join(copy, 'bin/eventfs.cjs')];
    const at = mountPoint();
    const { err, code } = await run([
      ...eventfs,
      'mount',
      '--source',
      'none',
      '--driver',
      'fuse-native',
      at,
    ]);
    assert.match(
      err,
      /^eventfs: mount: --driver fuse-native: the npm package fuse-native is not installed \([^\n]*npm ci[^\n]*\n$/,
    );
    assert.is(code, 1);
    assert.not(isMounted(at));
    const own = await startDaemon(['--source', 'none'], at, { eventfs });
    assert.is(await own.stop(), 0);
  },
);

life('says what to do if it may not mount', async () => {
  const at = mountPoint();
  const { err, code } = await run([
    ...AS_NOBODY,
    ...eventfsForOthers(),
    'mount',
    '--source',
    'none',
    '--driver',
    'fuse-native',
    at,
  ]);
  assert.match(err, /try as root/);
  assert.is(code, 111);
});

life('refuses an unknown driver', async () => {
  const { err, code } = await run([EVENTFS, 'mount', '--driver', 'fuse', mountPoint()]);
  assert.match(err, /^eventfs: [^\n]*devfuse, fuse-native[^\n]*\n$/);
  assert.is(code, 100);
});

life.run();
