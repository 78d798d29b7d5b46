/**
 * stat(2) returns the same for each kind of node before and after the kernel has dropped its inodes
 * (`echo 2 > /proc/sys/vm/drop_caches`).
 */
import * as assert from 'uvu/assert';
import { type BigIntStats, lstatSync, readdirSync, writeFileSync } from 'node:fs';
import { eventText, publish, statusOf } from '../../support/clients/clients.js';
import { until } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';

const forgotten = mounted('a node that the kernel has forgotten');

const FIELDS = [
  'dev',
  'ino',
  'mode',
  'nlink',
  'uid',
  'gid',
  'rdev',
  'atimeNs',
  'mtimeNs',
  'ctimeNs',
] as const satisfies (keyof BigIntStats)[];

/** @returns the fields without the size, which may count the kernel's references */
function stat(path: string): Record<string, bigint> {
  const got = lstatSync(path, { bigint: true });
  return Object.fromEntries(FIELDS.map((field) => [field, got[field]]));
}

const nodes = (): number => Number(statusOf(`${daemon.path}/log`).NODES);

forgotten('has the same attributes when it is looked up again', async () => {
  const own = await directory();
  publish(daemon.path, eventText('/x'));
  const [event] = readdirSync(own);
  await shell.run(
    `cd ${own} && echo mine > file && mkfifo fifo && ln -s file link && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'; echo 'A==b' > .filter; cd /`,
  );
  const inside = [
    '',
    'file',
    'fifo',
    'link',
    'socket',
    event,
    'head',
    'tail',
    '.stream',
    '.filter',
    '.since',
    '.status',
  ].map((name) => `${own}/${name}`);
  const always = [
    '',
    'log',
    `log/${event}`,
    'log/head',
    'log/tail',
    'log/.status',
    'match',
    'match/A==b',
    'match/SUBSYSTEM==net',
    'stream',
    'publish',
  ].map((name) => `${daemon.path}/${name}`);
  const paths = [...inside, ...always];
  const before = paths.map((path) => stat(path));
  assert.is(
    new Set(before.map(({ ino }) => ino)).size,
    paths.length - 1,
    'only an event and its link in log/ share a number',
  );
  for (let round = 0; round < 2; round++) {
    const known = nodes();
    await until(
      () => {
        writeFileSync('/proc/sys/vm/drop_caches', '2');
        return nodes() < known - inside.length;
      },
      'the kernel has not dropped its inodes',
      20_000,
    );
    paths.toReversed().forEach((path) => stat(path));
    paths.forEach((path, n) => assert.equal(stat(path), before[n], path));
  }
  await shell.run(`rm -r ${own}`);
});

forgotten.run();
