/** `eventfs doctor`: it finds what we break. */
import * as assert from 'uvu/assert';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reader, publishNumbered, statusOf } from '../support/clients.js';
import { eventfs } from '../support/command.js';
import { EVENTFS, mountPoint, run, startDaemon, until } from '../support/daemon.js';
import { daemon, directory, mounted, shell } from '../support/mounted.js';
import { AS_NOBODY, eventfsForOthers } from '../support/other-user.js';

interface Finding {
  readonly level: 'ok' | 'warn' | 'fail';
  readonly what: string;
  readonly mend?: string;
}

/** What it finds and its exit code, under a command that breaks something first. */
async function doctor(args: readonly string[], under: readonly string[] = [], program: readonly string[] = [process.execPath, EVENTFS]): Promise<{ code: number | null; find: (what: RegExp) => Finding }> {
  const { code, out, err } = await run([...under, ...program, 'doctor', '--json', '--mount', daemon.path, ...args], { timeoutMs: 60_000 });
  assert.is(err, '');
  const findings = JSON.parse(Buffer.from(out, 'latin1').toString()) as Finding[];
  const find = (what: RegExp): Finding => {
    const found = findings.find((finding) => what.test(finding.what));
    assert.ok(found, `${String(what)} is not among ${out}`);
    return found;
  };
  return { code, find };
}

/** A shell that runs `commands` in mounts of its own, and then what follows. */
const inside = (commands: string): string[] => ['unshare', '--mount', 'sh', '-ec', `${commands}; exec "$@"`, 'sh'];

const command = mounted('eventfs doctor');

command('finds nothing to mend on a mount that is well', async () => {
  const { code, find } = await doctor(['--config', '/nowhere/eventfs.toml']);
  assert.is(code, 0);
  for (const what of [/addon is built/, /^Linux \d/, /\/dev\/fuse can be opened/, /\/proc shows/, /can be listened to/, /\/nowhere\/eventfs.toml is not there/, new RegExp(`served by process ${daemon.pid}$`), /^requests (come through io_uring|are read from \/dev\/fuse)/, /none lags/, /processes own directories, of at most \d+/]) {
    assert.is(find(what).level, 'ok', String(what));
  }
});

command('prints a line for each, and what to type below what is wrong', async () => {
  const { code, out } = await eventfs(['doctor', '--mount', '/nowhere']);
  assert.is(code, 0);
  assert.match(out, /^warn {2}\/nowhere: eventfs is not mounted here\n {6}eventfs mount \/nowhere\n/m);
  assert.not.match(out, '\x1b');
});

command('finds a missing and a forbidden /dev/fuse', async () => {
  const missing = await doctor([], inside('mount -t tmpfs tmpfs /dev; : >/dev/null'));
  assert.equal([missing.code, missing.find(/^\/dev\/fuse: No such file or directory/i).level], [1, 'fail']);
  assert.match(missing.find(/^\/dev\/fuse/).mend!, /mknod -m 666 \/dev\/fuse c 10 229/);
  const closed = 'd=$(mktemp -d); mount -t tmpfs tmpfs $d; : >$d/fuse; chmod 0 $d/fuse; mount --bind $d/fuse /dev/fuse';
  const forbidden = await doctor([], [...inside(closed), ...AS_NOBODY], eventfsForOthers());
  assert.equal([forbidden.code, forbidden.find(/^\/dev\/fuse: Permission denied/i).level], [1, 'fail']);
});

command('finds a /proc of another namespace', async () => {
  const { code, find } = await doctor([], ['unshare', '--pid', '--fork']);
  assert.equal([code, find(/^\/proc shows another PID namespace/).mend], [1, 'mount -t proc proc /proc']);
});

command('finds a configuration that is none, by its line', async () => {
  const file = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'doctor-')), 'eventfs.toml');
  writeFileSync(file, 'list_links = true\nbad = = 2\n');
  const { code, find } = await doctor(['--config', file]);
  assert.equal([code, find(/eventfs\.toml\b.*\b2\b/).level], [1, 'fail']);
  writeFileSync(file, 'list_links = true\n');
  assert.is((await doctor(['--config', file])).find(/eventfs.toml can be read/).level, 'ok');
});

command('finds a mount whose daemon was killed, is stopped, or that is no eventfs', async () => {
  const other = await startDaemon();
  other.process.kill('SIGSTOP');
  const stuck = await doctor(['--mount', other.path]);
  assert.equal([stuck.code, stuck.find(/does not answer/).mend], [1, `eventfs umount ${other.path}, which aborts it; then mount again`]);
  other.process.kill('SIGCONT');
  await other.kill();
  const stale = await doctor(['--mount', other.path]);
  assert.equal([stale.code, stale.find(/was killed/).mend], [1, `eventfs mount ${other.path} (or eventfs umount ${other.path})`]);
  assert.is((await eventfs(['umount', other.path])).code, 0);
  const path = mountPoint();
  const foreign = await doctor(['--mount', path], inside(`mount -t tmpfs tmpfs ${path}`));
  assert.equal([foreign.code, foreign.find(/is not eventfs/).level], [1, 'fail']);
}, 120_000);

command('finds mounts on top of each other', async () => {
  const { code, find } = await doctor([], inside(`mount --bind ${daemon.path} ${daemon.path}`));
  assert.equal([code, find(/2 mounts are stacked here/).mend], [0, `umount ${daemon.path}, 1 times`]);
});

command('names who does not keep up', async () => {
  const path = await directory();
  const reader = await Reader.on(`${daemon.path}/stream`);
  reader.process.kill('SIGSTOP');
  publishNumbered(daemon.path, 5000);
  await until(() => statusOf(path).LOST === '904', 'the events did not come');
  const { code, find } = await doctor([]);
  assert.equal([code, find(new RegExp(`^bash \\(pid ${shell.pid}\\) does not keep up with \\S+: 4096 events wait, 904 were lost$`)).level], [0, 'warn']);
  assert.is(find(new RegExp(`^cat \\(pid ${reader.process.pid}\\) does not keep up with stream: `)).level, 'warn');
  await reader.kill();
});

command('finds a daemon that is short of descriptors', async () => {
  const other = await startDaemon(undefined, undefined, { under: ['prlimit', '--nofile=64'] });
  const { find } = await doctor(['--mount', other.path]);
  assert.match(find(/processes own directories/).what, /^0 processes own directories, of at most 64 /);
  await other.stop();
});

command.run();
