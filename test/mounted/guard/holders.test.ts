/** systemd's file descriptor store and s6-fdholder: other holders of the mount. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { mountedAt } from '../../../fs/shared/kernel/mountinfo.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import {
  EVENTFS_NODE,
  PROJECT,
  isMounted,
  mountPoint,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { publishNumbered } from '../../support/clients/clients.js';
import { suite } from '../../support/runner/suite.js';
import { daemonPid, statusOf } from './common.js';

/** The time-out of a call to s6-fdholder (fs/guard/s6-fdholder.ts). */
const FDHOLDER_MS = 5000;
const FAKE = join(PROJECT, 'test/programs/clients/fake-systemd.py');

/** A service of the fake systemd. */
class Service {
  readonly process: ChildProcess;
  readonly ended: Promise<void>;
  #out = '';
  #err = '';

  /** @param room FileDescriptorStoreMax= */
  constructor(room: number, args: readonly string[]) {
    const command = [...EVENTFS_NODE, 'mount', ...args];
    this.process = spawn('python3', [FAKE, String(room), ...command]);
    this.process.stdout!.on('data', (chunk: Buffer) => (this.#out += chunk.toString()));
    this.process.stderr!.on('data', (chunk: Buffer) => (this.#err += chunk.toString()));
    this.ended = new Promise((done) => this.process.on('close', () => done()));
  }

  order(text: string): void {
    this.process.stdin!.write(`${text}\n`);
  }

  /** Waits until it has printed a line, and forgets what came before it. */
  async says(line: string): Promise<void> {
    await until(
      () => this.#out.includes(`${line}\n`),
      () => `'${line}' did not come: ${this.text}`,
      10_000,
    );
    this.#out = this.#out.slice(this.#out.indexOf(line) + line.length + 1);
  }

  get text(): string {
    return this.#out + this.#err;
  }
}

const systemd = suite('the store of systemd');
const s6 = suite('s6-fdholder');
systemd.before(prepare);
systemd.after(cleanUp);
s6.before(prepare);
s6.after(cleanUp);

systemd('keeps the mount while the service is started again', async () => {
  const path = mountPoint();
  const socket = `${path}.socket`;
  const service = new Service(8, [
    '--fd-holder',
    'systemd',
    '--source',
    'kernel',
    '--socket',
    socket,
    path,
  ]);
  const hash = createHash('sha256').update(socket).digest('hex').slice(0, 12);
  const names = `store directory-${hash} file-${hash} fuse init kernel socket-${hash} state`;
  await service.says(names);
  const mounted = mountedAt(path)!;
  assert.is(await statusOf(path, 'GUARDED'), 'systemd');
  assert.is(await statusOf(path, 'TRANSPORT'), 'read');
  for (let round = 0; round < 2; round++) {
    const before = await daemonPid(path);
    service.order('kill');
    await until(async () => (await daemonPid(path)) !== before, 'no other daemon serves');
    await service.says(names);
    assert.is(mountedAt(path)!.id, mounted.id);
  }
  assert.ok(existsSync(socket));
  service.order('stop');
  await service.says('store ');
  await service.says('ended 0');
  await within(20_000, service.ended, 'the service did not end');
  assert.not(isMounted(path));
  assert.not(existsSync(socket));
});

systemd('must be there and have room', async () => {
  const path = mountPoint();
  const { err, code } = await run([...EVENTFS_NODE, 'mount', '--fd-holder', 'systemd', path], {
    env: { ...process.env, NOTIFY_SOCKET: '' },
  });
  assert.is(code, 100);
  assert.match(err, /\$NOTIFY_SOCKET is not set \(run it as a service with Type=notify\)/);
  const elsewhere = { ...process.env, NOTIFY_SOCKET: '/run/no-systemd' };
  for (const check of [[], ['--check']]) {
    const args = ['mount', ...check, '--fd-holder', 'systemd', path];
    const ended = await run([...EVENTFS_NODE, ...args], { env: elsewhere });
    assert.is(ended.code, 100);
    assert.match(
      ended.out + ended.err,
      /\$NOTIFY_SOCKET=\/run\/no-systemd: there is no such socket/,
    );
  }
  const none = new Service(0, ['--fd-holder', 'systemd', path]);
  await none.says('ended 1');
  assert.match(none.text, /the service has no store \(set FileDescriptorStoreMax=64/);
  const small = new Service(2, ['--fd-holder', 'systemd', path]);
  await small.says('ended 1');
  assert.match(small.text, /the store has room for 2 descriptors only \(raise FileDesc/);
});

s6('keeps the mount while the daemon is started again', async () => {
  const path = mountPoint();
  const [holder, socket] = await startHolder(path, RIGHTS);
  try {
    const args = ['--fd-holder', `s6:${socket}`, '--source', 'kernel'];
    const first = await startDaemon(args, path);
    const mounted = mountedAt(path)!;
    assert.is(await statusOf(path, 'GUARDED'), 's6');
    await first.kill();
    const waiting = daemonPid(path);
    const next = await startDaemon(args, path);
    assert.is(await waiting, next.pid);
    assert.is(mountedAt(path)!.id, mounted.id);
    assert.is(next.log(), '');
    // The state of another mount is of no use, as if a daemon had died before it had its mount.
    publishNumbered(path, 3);
    assert.is(await statusOf(path, 'PUBLISHED'), '3');
    await next.kill();
    assert.is((await eventfs('umount', path)).code, 0);
    const { out } = await run(['s6-fdholder-list', socket]);
    const [device] = /^eventfs:.*:fuse$/m.exec(out)!;
    assert.is((await run(['s6-fdholder-delete', socket, device])).code, 0);
    const last = await startDaemon(args, path);
    assert.is(await statusOf(path, 'PUBLISHED'), '0');
    assert.is(await last.stop(), 0);
    assert.not(isMounted(path));
    assert.equal((await run(['s6-fdholder-list', socket])).out, '');
    const { err, code } = await run([...EVENTFS_NODE, 'mount', '--fd-holder', 's6:/nowhere', path]);
    assert.is(code, 1);
    assert.match(err, /^eventfs: mount: \/nowhere: .*\(start s6-fdholder-daemon \/nowhere\)\n$/);
  } finally {
    await holder.end();
  }
});

s6('may end while the daemon serves: it goes on, and unmounts', async () => {
  const path = mountPoint();
  const [holder, socket] = await startHolder(path, RIGHTS);
  const daemon = await startDaemon(['--fd-holder', `s6:${socket}`, '--source', 'none'], path);
  await holder.end();
  assert.is(await daemon.stop(), 0);
  assert.not(isMounted(path));
  const lines = daemon.log().trimEnd().split('\n');
  assert.is(lines.length, 1, daemon.log());
  assert.match(lines[0], /Connection refused \(.*\); the daemon goes on, but its death may end /);
});

s6('that answers no more delays the end of the daemon by one time-out', async () => {
  const path = mountPoint();
  const [holder, socket] = await startHolder(path, RIGHTS);
  try {
    const daemon = await startDaemon(['--fd-holder', `s6:${socket}`, '--source', 'none'], path);
    const { out } = await run(['s6-fdholder-list', socket]);
    assert.ok(out.trimEnd().split('\n').length > 1, out); // each of them is to be dropped
    process.kill(holder.pid, 'SIGSTOP');
    const exit = once(daemon.process, 'exit');
    daemon.process.kill('SIGTERM');
    assert.equal(await within(1.8 * FDHOLDER_MS, exit, 'the daemon did not end'), [0, null]);
    assert.not(isMounted(path));
  } finally {
    await holder.end();
  }
});

s6('keeps nothing of a mount that was unmounted: the next one begins anew', async () => {
  const path = mountPoint();
  const [holder, socket] = await startHolder(path, RIGHTS);
  const args = ['--fd-holder', `s6:${socket}`, '--source', 'none'];
  await (await startDaemon(args, path)).kill();
  // a state that no daemon takes
  const id = `eventfs:${path}:state`;
  await run(['s6-fdholder-delete', socket, id]);
  writeFileSync(`${path}.rules/state`, 'no state');
  const store = 's6-fdholder-store -d 5 "$0" "$1" 5<>"$2"';
  await run(['bash', '-c', store, socket, id, `${path}.rules/state`]);
  const refused = await run([...EVENTFS_NODE, 'mount', ...args, path]);
  assert.match(refused.err, /is refused: [^\n]* \(unmount and mount again to begin anew\)\n$/);
  assert.is((await run([...EVENTFS_NODE, 'umount', path])).code, 0);
  const next = await startDaemon(args, path);
  assert.is(next.log(), '');
  assert.is(await next.stop(), 0);
  await holder.end();
});

s6('names the right that its rules lack', async () => {
  const path = mountPoint();
  const rights = new Map(RIGHTS);
  for (const lacking of ['S6_FDHOLDER_STORE_REGEX', 'S6_FDHOLDER_LIST']) {
    rights.delete(lacking);
    const [holder, socket] = await startHolder(path, rights);
    const { err, code } = await run([
      ...[...EVENTFS_NODE, 'mount', '--fd-holder', `s6:${socket}`],
      ...['--source', 'none', path],
    ]);
    assert.is(code, 1);
    assert.match(err, /^[^\n]*Operation not permitted \(its rules must let this user [^\n]*\n$/);
    assert.not(isMounted(path));
    await holder.end();
  }
});

s6('must be the server of its socket', async () => {
  const path = mountPoint();
  const socket = `${path}.other`;
  const other = createServer().listen(socket);
  const args = ['mount', '--fd-holder', `s6:${socket}`, path];
  const { err, code } = await run([...EVENTFS_NODE, ...args]);
  other.close();
  assert.is(code, 1);
  assert.match(
    err,
    /\.other: s6-fdholder-list got no answer within 5 s \(name the socket of [^\n]*\n$/,
  );
});

/** The rights of root that eventfs needs. */
const RIGHTS: ReadonlyMap<string, string> = new Map([
  ['S6_FDHOLDER_LIST', '1'],
  ['S6_FDHOLDER_STORE_REGEX', '^eventfs:'],
  ['S6_FDHOLDER_RETRIEVE_REGEX', '^eventfs:'],
]);

/** Starts an s6-fdholder-daemon. Returns its end and its socket. */
async function startHolder(
  path: string,
  rights: ReadonlyMap<string, string>,
): Promise<[{ readonly pid: number; end(): Promise<void> }, string]> {
  const socket = `${path}.fdholder`;
  rmSync(socket, { force: true });
  const rules = makeRules(`${path}.rules`, rights);
  const holder = spawn('s6-fdholder-daemon', ['-i', rules, socket], { stdio: 'inherit' });
  const ended = new Promise<void>((done) => holder.on('close', () => done()));
  await until(() => existsSync(socket), 'no s6-fdholder');
  const end = async (): Promise<void> => {
    holder.kill('SIGKILL');
    await ended;
    rmSync(rules, { recursive: true });
  };
  return [{ pid: holder.pid!, end }, socket];
}

/** Makes rules that let root store, retrieve and list descriptors: s6-fdholderd(8). */
function makeRules(directory: string, rights: ReadonlyMap<string, string>): string {
  const environment = join(directory, 'uid/0/env');
  mkdirSync(environment, { recursive: true });
  writeFileSync(join(directory, 'uid/0/allow'), '');
  for (const [name, value] of rights) writeFileSync(join(environment, name), value);
  return directory;
}

systemd.run();
s6.run();
