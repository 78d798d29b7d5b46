/** Uevents that come while one daemon dies or yields to another: each reader gets each of them. */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Actor } from '../../support/clients/actor.js';
import { Fault } from '../../support/clients/fault.js';
import { Reader, valuesOf } from '../../support/clients/clients.js';
import {
  type Daemon,
  hasSaid,
  isMounted,
  run,
  startDaemon,
  until,
  within,
} from '../../support/mount/daemon.js';
import { suite } from '../../support/runner/suite.js';
import { cleanUp, eventfs, prepare } from '../lifecycle/common.js';
import {
  DIE,
  DIST,
  InstalledVersion,
  daemonPid,
  killDaemon,
  replacing,
  statusOf,
} from './common.js';

const NULL_DEVICE = '/sys/class/mem/null/uevent';
/** /proc/<pid>/syscall of a process in poll(2), on x86-64 and arm64. */
const POLL = /^(7|73) /;
/** How long the next daemon needs to restore the tree, in milliseconds. */
const RESTORING_MS = 1500;
const COMPACTED = 'the journal is compacted';
/** The most writes after which the journal is compacted. */
const MOST_WRITES = 1000;

const uevents = suite('uevents');
const yielding = suite('a daemon that has yielded');
const version = new InstalledVersion();
/** A version that finds this file dies once, and removes the file. */
const deadly = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'deadly-')), 'file');
uevents.before(prepare);
yielding.before(prepare);
yielding.after(async () => {
  version.remove();
  await cleanUp();
});

/** @param code runs at the start of each daemon */
async function start(code = ''): Promise<Daemon> {
  version.install(code);
  const args = ['--guard', '--source', 'kernel'];
  return startDaemon(args, undefined, { eventfs: version.command });
}

/** The code of a version that does something else in place of the daemon's start. */
function instead(work: string): string {
  return replacing('daemon/daemon.js', 'Daemon', 'start', `async function (onEnd) { ${work} }`);
}
const RESTORE_SLOWLY = `await new Promise((done) => setTimeout(done, ${RESTORING_MS}));`;

let serial = 0;
/** Makes the kernel send uevents. Returns their numbers. */
function send(count: number): string[] {
  return Array.from({ length: count }, () => {
    const number = String(++serial);
    appendFileSync(
      NULL_DEVICE,
      `add ${process.pid.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000 N=${number}`,
    );
    return number;
  });
}

async function readerOf({ path }: Daemon): Promise<Reader> {
  return Reader.on(`${path}/match/SYNTH_ARG_N==?*`);
}

/** Waits until a reader has the events with these numbers, once each and in order. */
async function has(reader: Reader, numbers: readonly string[]): Promise<void> {
  const last = numbers[numbers.length - 1];
  // The test makes no request: a reader must not need one
  await until(
    () => valuesOf('SYNTH_ARG_N', reader.records).includes(last),
    () => `${reader.records.length} of ${numbers.length} uevents came`,
  );
  assert.equal(valuesOf('SYNTH_ARG_N', reader.records), numbers);
}

uevents('come to the old daemon after the new one has died at its start', async () => {
  const guarded = await start();
  const reader = await readerOf(guarded);
  const sent = send(3);
  await has(reader, sent);
  version.install(instead(DIE));
  assert.is((await eventfs('reload', guarded.path)).code, 1);
  await has(reader, [...sent, ...send(5)]);
  assert.is(guarded.log().match(/unexpected/), null, guarded.log());
  assert.is(await guarded.stop(), 0);
});

uevents('of a batch come once, and at once, if the daemon dies in the batch', async () => {
  const guarded = await start();
  const reader = await readerOf(guarded);
  const before = send(3);
  await has(reader, before);
  version.install(`import { existsSync, unlinkSync } from 'node:fs';
    const { KERNEL } = await import('${DIST}/sources/kernel.js');
    const { publish } = KERNEL;
    let left = 11;
    KERNEL.publish = (bus, text) => {
      if (left-- === 0 && existsSync('${deadly}')) { unlinkSync('${deadly}'); ${DIE} }
      publish(bus, text);
    };`);
  writeFileSync(deadly, '');
  process.kill(await daemonPid(guarded.path), 'SIGKILL');
  await has(reader, [...before, ...send(25)]);
  assert.not(existsSync(deadly));
  assert.is(await guarded.stop(), 0);
});

/** Waits until a daemon has counted so many overruns of the socket. */
async function overruns({ path }: Daemon, count: number): Promise<void> {
  await until(
    async () => Number(await statusOf(path, 'KERNEL_OVERRUNS')) >= count,
    'the overrun is not counted',
  );
  assert.is(await statusOf(path, 'KERNEL_OVERRUNS'), String(count));
}

uevents('come after a death that follows a compaction of the journal', async () => {
  const guarded = await start(`const { Journal } = await import('${DIST}/state/journal.js');
    const { endCompaction } = Journal.prototype;
    Journal.prototype.endCompaction = function () {
      endCompaction.call(this);
      console.error('${COMPACTED}');
    };`);
  const { path } = guarded;
  const reader = await readerOf(guarded);
  const fault = await Fault.fail(await daemonPid(path), 'recvmmsg', 'ENOBUFS');
  const before = send(3);
  await fault.spent();
  await fault.end();
  await has(reader, before);
  // Events of programs only
  const text = 'add@/x\nACTION=add\nDEVPATH=/x\n\n'.repeat(500);
  for (let n = 0; n < MOST_WRITES && !guarded.log().includes(COMPACTED); n++)
    await run(['tee', `${path}/publish`], { input: text });
  assert.match(guarded.log(), COMPACTED);
  process.kill(await daemonPid(path), 'SIGKILL');
  await has(reader, [...before, ...send(20)]);
  await overruns(guarded, 1);
  assert.is(await guarded.stop(), 0);
});

uevents('that an overrun has lost are counted by the daemon that follows', async () => {
  // An event of another test would report the loss too
  const deaf = `const { KERNEL } = await import('${DIST}/sources/kernel.js');
    const { MalformedUevent } = await import('${DIST}/uevent/text.js');
    KERNEL.read = () => { throw new MalformedUevent('no event counts here'); };\n`;
  version.install(`${deaf}KERNEL.lossTimeoutMs = 2 ** 30;`); // it dies before it counts
  const guarded = await startDaemon(['--guard', '--source', 'kernel'], undefined, {
    eventfs: version.command,
  });
  const reader = await Reader.on(`${guarded.path}/stream`);
  const fault = await Fault.fail(await daemonPid(guarded.path), 'recvmmsg', 'ENOBUFS');
  send(1);
  await fault.spent();
  await fault.end();
  await overruns(guarded, 1);
  await run(['unshare', '--net', 'true']); // its devices have numbers too
  version.install(deaf);
  await killDaemon(guarded.path);
  await until(() => reader.text.includes('overflow@/eventfs'), 'the loss is not reported');
  await overruns(guarded, 1);
  assert.is(await guarded.stop(), 0);
});

uevents('that an overrun has lost are counted once, wherever the daemon dies', async () => {
  const deaths = [
    `const { KERNEL } = await import('${DIST}/sources/kernel.js');
    const { publish } = KERNEL;
    KERNEL.publish = (bus, text) => { death(); publish(bus, text); };`,
    `const { Bus } = await import('${DIST}/bus/bus.js');
    const { settle } = Bus.prototype;
    Bus.prototype.settle = function () { death(); settle.call(this); };`,
  ];
  const guarded = await start();
  let count = 0;
  for (const death of deaths) {
    version.install(`import { existsSync, unlinkSync } from 'node:fs';
      const death = () => {
        if (existsSync('${deadly}')) { unlinkSync('${deadly}'); ${DIE} }
      };
      ${death}`);
    const pid = await killDaemon(guarded.path);
    const fault = await Fault.fail(pid, 'recvmmsg', 'ENOBUFS');
    writeFileSync(deadly, '');
    send(1);
    await until(() => !existsSync(deadly), 'the daemon did not die');
    await fault.end();
    await overruns(guarded, ++count);
  }
  assert.is(await guarded.stop(), 0);
});

/** Begins a reload whose next daemon restores slowly, and resolves once the old one has yielded. */
async function untilYielded(guarded: Daemon, work: string): Promise<Yielded> {
  const old = await daemonPid(guarded.path);
  version.install(instead(RESTORE_SLOWLY + work));
  const reloading = eventfs('reload', guarded.path);
  await until(
    () => POLL.test(readFileSync(`/proc/${old}/syscall`, 'latin1')),
    'the old daemon does not wait for the guardian',
    15_000,
  );
  return { old, reloading };
}

/** A reload, and the daemon that waits for its end. */
interface Yielded {
  readonly old: number;
  readonly reloading: ReturnType<typeof eventfs>;
}

/** Returns how often a thread has begun to wait. */
function waits(pid: number): string {
  return /^voluntary_ctxt_switches:\t(\d+)/m.exec(
    readFileSync(`/proc/${pid}/status`, 'latin1'),
  )![1];
}

yielding('does nothing until the guardian answers, whatever happens', async () => {
  const guarded = await start();
  const { path } = guarded;
  const [owner, second] = [new Actor(), new Actor()];
  for (const actor of [owner, second])
    assert.match(await actor.ask(`mkdir ${path}/${actor.pid}`), /^ok/);
  const reader = await readerOf(guarded);
  const before = send(3);
  await has(reader, before);
  const { old, reloading } = await untilYielded(guarded, DIE);
  const count = waits(old);
  await owner.kill();
  const sent = send(5);
  guarded.process.kill('SIGHUP');
  await sleep(RESTORING_MS / 3);
  assert.is(waits(old), count);
  assert.is((await reloading).code, 1);
  await has(reader, [...before, ...sent]);
  assert.is(await daemonPid(path), old);
  assert.not(existsSync(`${path}/${owner.pid}`));
  version.install('');
  process.kill(old, 'SIGKILL');
  assert.ok(existsSync(`${path}/${second.pid}`));
  await has(reader, [...before, ...sent, ...send(2)]);
  await second.kill();
  assert.is(await guarded.stop(), 0);
});

yielding('serves again to unmount, if the guardian is to end', async () => {
  const guarded = await start();
  const { reloading } = await untilYielded(guarded, 'await before.call(this, onEnd);');
  assert.is(await within(RESTORING_MS / 2, guarded.stop(), 'the guardian did not end'), 0);
  assert.not(isMounted(guarded.path));
  const { code, err } = await reloading;
  assert.is(code, 1);
  assert.match(err, /the daemon stops|the guardian has ended/);
});

yielding('leaves its signals to the daemon that serves next', async () => {
  const guarded = await start();
  const { reloading } = await untilYielded(guarded, 'await before.call(this, onEnd);');
  guarded.process.kill('SIGUSR1');
  assert.is((await reloading).code, 0);
  await hasSaid(guarded, /traces requests/);
  assert.is(await guarded.stop(), 0);
});

uevents.run();
yielding.run();
