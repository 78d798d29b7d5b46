/** Process directories of processes that have the same PID, in different PID namespaces. */
import { readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { Actor, reach, statusOf } from '../../support/clients/actor.js';
import { publishNumbered } from '../../support/clients/clients.js';
import { Watcher } from '../../support/clients/watcher.js';
import { EVENTFS, mountPoint, run, until } from '../../support/mount/daemon.js';
import { AS_NOBODY } from '../../support/mount/other-user.js';
import { isDead } from '../../support/processes.js';
import { IN_PID_NAMESPACE, SIGKILL, mount, processDirectories } from './common.js';
import { startGuarded, killDaemon } from '../guard/common.js';

/** A user needs no right to make it. He is root there, and chooses the PIDs. */
const IN_NAMESPACE_OF_USER = [...AS_NOBODY, 'unshare', '-Urpf', '--kill-child'];

const directory = processDirectories();

async function setSticky(path: string): Promise<void> {
  const { code, err } = await run(['setfattr', '-n', 'user.eventfs_sticky', '-v', '1', path]);
  assert.is(code, 0, err);
}

/** An actor that is the first process of a PID namespace, as that of a container is. */
class Container {
  readonly actor: Actor;

  constructor(
    private readonly root = mount,
    namespace: readonly string[] = IN_PID_NAMESPACE,
  ) {
    this.actor = new Actor(namespace);
  }

  /** Makes the directory of the process, and a file in it. */
  async mkdir(file: string): Promise<void> {
    assert.is(await this.actor.get('pid'), 1);
    assert.is(await this.actor.ask(`mkdir ${this.root}/1`), 'ok');
    assert.is(await this.actor.ask(`create ${this.root}/1/${file} 1`), 'ok 1');
    assert.is(await this.actor.ask(`mkdir ${this.root}/1`), 'EEXIST');
  }

  /** Fails unless the process finds its own directory. */
  async finds(file: string, other: string): Promise<void> {
    const answer = await this.actor.ask(`open ${this.root}/1/${file}`);
    assert.is(answer.split(' ')[0], 'ok');
    assert.is(await this.actor.ask(`close ${answer.split(' ')[1]}`), 'ok');
    assert.is(await this.actor.ask(`open ${this.root}/1/${other}`), 'ENOENT');
  }

  async kill(): Promise<void> {
    const outer = await this.actor.get('outer');
    await this.actor.kill();
    await until(() => isDead(outer), 'the container does not end');
  }
}

for (const [whose, namespace] of [
  ['root', IN_PID_NAMESPACE],
  ['a user', IN_NAMESPACE_OF_USER],
] as const)
  directory(`of PID 1 is another one in each container of ${whose}`, async () => {
    const first = new Container(mount, namespace);
    const second = new Container(mount, namespace);
    await first.mkdir('of-first');
    await second.mkdir('of-second');
    for (let round = 0; round < 3; round++) {
      await first.finds('of-first', 'of-second');
      await second.finds('of-second', 'of-first');
    }
    // Outside, the name stands for the older one.
    assert.equal(
      readdirSync(mount).filter((name) => name === '1'),
      ['1'],
    );
    assert.equal(readdirSync(`${mount}/1`), ['of-first']);
    await first.kill();
    assert.equal(readdirSync(`${mount}/1`), ['of-second']);
    await second.finds('of-second', 'of-first');
    assert.is(await second.actor.ask(`rmdir ${mount}/1`), 'ok');
    assert.is(reach(`${mount}/1`), 'ENOENT');
    await second.mkdir('again');
    await second.kill();
    assert.is(reach(`${mount}/1`), 'ENOENT');
  });

directory(
  'is not taken by a process of another user with the same PID in a namespace',
  async () => {
    const victim = new Actor();
    const name = `${mount}/${victim.pid}`;
    const attacker = new Actor(IN_NAMESPACE_OF_USER);
    assert.is(await attacker.get(`forkmkdir ${victim.pid} ${name}`), victim.pid);
    const evil = Number(await statusOf(name, 'OWNER'));
    assert.is.not(evil, victim.pid);
    writeFileSync(`${name}/evil`, 'add@/evil\n');
    for (const label of ['', '.label']) {
      assert.is(await victim.ask(`mkdir ${name}${label}`), 'ok');
      assert.is(await victim.ask(`mkdir ${name}${label}`), 'EEXIST');
    }
    // Everybody finds the directory of the process that has the PID outside.
    assert.equal(readdirSync(name), []);
    assert.is(await statusOf(name, 'OWNER'), `${victim.pid}`);
    assert.is(await victim.ask(`create ${name}/mine 4`), 'ok 4');
    // The attacker can't end it, nor can a process of his that dies.
    assert.is(await attacker.ask(`rmdir ${name}`), 'EPERM');
    assert.is(await attacker.ask(`signal ${victim.pid} ${SIGKILL}`), 'ok');
    assert.is(await attacker.ask(`wait ${victim.pid}`), 'ok');
    await until(() => isDead(evil), 'the process does not end');
    assert.equal(readdirSync(name), ['mine']);
    await victim.kill();
    assert.is(reach(name), 'ENOENT');
    await attacker.kill();
  },
);

for (const [whose, outer, inner] of [
  ['a user', AS_NOBODY, IN_PID_NAMESPACE],
  ['root', [], IN_PID_NAMESPACE],
  ['the same user', AS_NOBODY, IN_NAMESPACE_OF_USER],
] as const)
  directory(`of ${whose} outside does not stand in the way in a container`, async () => {
    const outside = new Actor(outer.length === 0 ? undefined : outer);
    const name = `${mount}/${outside.pid}`;
    assert.is(await outside.ask(`mkdir ${name}`), 'ok');
    assert.is(await outside.ask(`create ${name}/outer 1`), 'ok 1');
    const container = new Actor(inner);
    assert.is(await container.get(`forkmkdir ${outside.pid} ${name}`), outside.pid);
    assert.equal(readdirSync(name), ['outer']);
    assert.is(await statusOf(name, 'OWNER'), `${outside.pid}`);
    await container.kill();
    assert.equal(readdirSync(name), ['outer']);
    await outside.kill();
    assert.is(reach(name), 'ENOENT');
  });

directory('that is sticky does not give way to such a process after the death', async () => {
  const dead = new Actor();
  const name = `${mount}/${dead.pid}`;
  assert.is(await dead.ask(`mkdir ${name}`), 'ok');
  await setSticky(name);
  await dead.kill();
  const { ino } = statSync(name);
  const container = new Actor(IN_PID_NAMESPACE);
  assert.is(await container.get(`forkmkdir ${dead.pid} ${name}`), dead.pid);
  await container.kill();
  assert.is(statSync(name).ino, ino);
  rmdirSync(name);
});

directory('is watched by its own process, whichever has the name outside', async () => {
  const script = `mkdir ${mount}/1 && exec "$@"`;
  const inside = [...IN_PID_NAMESPACE, 'sh', '-c', script, 'sh'];
  const watchers = [];
  for (let n = 0; n < 2; n++) watchers.push(await Watcher.on(`${mount}/1`, 'path', [], inside));
  const outside = await Watcher.on(`${mount}/1`);
  const ofRoot = await Watcher.inotifywait(mount, 'delete');
  publishNumbered(mount, 3);
  const names = readdirSync(`${mount}/1`);
  assert.is(names.length, 3);
  for (const watcher of [...watchers, outside]) assert.equal(await watcher.creates(3), names);
  await watchers[0].end();
  await outside.says(/^DELETE_SELF/m);
  await ofRoot.says(/^DELETE,ISDIR \.ended-\d+$/m); // the name is that of the other one now
  assert.equal(readdirSync(`${mount}/1`), names);
  await watchers[1].end();
  await until(() => reach(`${mount}/1`) === 'ENOENT', 'the directory does not end');
  await ofRoot.says(/^DELETE,ISDIR 1$/m);
  await outside.end();
  await ofRoot.end();
});

/** Every process of the namespace descends from PID 1. */
directory('of a container is found by the descendants of PID 1', async () => {
  const path = mountPoint();
  const inside = `mkdir ${path}/1; echo > ${path}/1/file; cat`;
  const container = `${IN_PID_NAMESPACE.join(' ')} bash -c '${inside}'`;
  const script = [
    `${EVENTFS} mount --source none ${path} &`,
    `for i in {1..100}; do [ -e ${path}/log ] && break; sleep 0.1; done`,
    `${container} < <(sleep 10) & for i in {1..50}; do ls ${path}/1 && break; sleep 0.1; done`,
    `kill $!; ${EVENTFS} umount ${path}`,
  ];
  const command = [...IN_PID_NAMESPACE, '--mount-proc', 'bash', '-c', script.join('\n')];
  const { out } = await run(command);
  assert.is(out, 'file\n');
});

directory('of the same PID are still two after a restart', async () => {
  const guarded = await startGuarded();
  const first = new Container(guarded.path);
  const second = new Container(guarded.path);
  await first.mkdir('of-first');
  await second.mkdir('of-second');
  await killDaemon(guarded.path);
  await first.finds('of-first', 'of-second');
  await second.finds('of-second', 'of-first');
  const status = readFileSync(`${guarded.path}/log/.status`, 'latin1');
  assert.match(status, /^DIRECTORIES=2$/m);
  await first.kill();
  assert.equal(readdirSync(`${guarded.path}/1`), ['of-second']);
  await second.kill();
  assert.is(reach(`${guarded.path}/1`), 'ENOENT');
  await guarded.stop();
});

directory.run();
