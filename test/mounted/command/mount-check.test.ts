/** Tests `eventfs mount --check`: one line a finding, an exit code, and no mount. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { eventfs } from '../../support/mount/command.js';
import { isMounted, mountPoint, run } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { PROJECT } from '../../support/project.js';
import { AS_NOBODY, eventfsForOthers } from '../../support/mount/other-user.js';

const folder = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'check-'));

/** Runs the check of an empty directory; returns its failures without their level. */
async function check(
  args: readonly string[],
  directory = mountPoint(),
): Promise<{ failures: string[]; code: number | null; out: string }> {
  const { out, err, code } = await eventfs(['mount', '--check', directory, ...args]);
  assert.is(err, '');
  const lines = out.trimEnd().split('\n');
  for (const line of lines) assert.match(line, /^(ok {4}|warn {2}|fail {2})[^ ].*$/);
  const failures = lines.filter((line) => line.startsWith('fail')).map((line) => line.slice(6));
  return { failures, code, out };
}

const command = mounted('eventfs mount --check');

command('finds nothing wrong with a start that would succeed, and does not mount', async () => {
  const path = mountPoint();
  const fifodir = join(folder, 'fifos');
  mkdirSync(fifodir);
  const config = join(folder, 'good.toml');
  writeFileSync(config, 'list_links = true\n');
  const args = ['--config', config, '--fifodir', fifodir, '--sticky', 'global'];
  const { failures, code, out } = await check([...args, '--socket', join(folder, 's')], path);
  assert.equal([failures, code], [[], 0], out);
  assert.match(out, `ok    ${config} is valid\n`);
  assert.match(out, `ok    --sticky global\n`);
  assert.not.ok(isMounted(path));
});

command('exits with 100 if the configuration is wrong, and names the line', async () => {
  const config = join(folder, 'bad.toml');
  writeFileSync(config, 'list_links = true\nbogus = 1\n');
  const { failures, code } = await check(['--config', config]);
  assert.is(code, 100);
  assert.is(failures.length, 1);
  assert.match(failures[0], `${config}:2: `);
});

command('exits with 100 if an option is wrong, or does not go with others', async () => {
  const small = join(folder, 'small.toml');
  writeFileSync(small, 'log.ring_bytes = "1 MiB"\n');
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--guard', '--config', small], /^log\.ring_bytes: 1048576 is too small for --guard /],
    [['--standby'], /^--standby: it needs --guard \(add --guard\)$/],
    [['--rebroadcast', '1'], /^--rebroadcast 1: a source reads group mask 1/],
    [['--sticky', 'log'], /^sticky: log: File already exists/],
  ];
  for (const [args, failure] of cases) {
    const { failures, code } = await check(args);
    assert.equal([failures.length, code], [1, 100]);
    assert.match(failures[0], failure);
    assert.is((await eventfs(['mount', mountPoint(), ...args])).code, 100);
  }
});

command('does not ask for the store of systemd outside of a service', async () => {
  const { out, code } = await check(['--fd-holder', 'systemd']);
  assert.match(out, /^warn {2}--fd-holder systemd: this process is no service of systemd/m);
  assert.is(code, 0);
});

command('exits with 1 for each thing that would keep the daemon from its start', async () => {
  const plain = join(folder, 'plain');
  writeFileSync(plain, '');
  const cases: readonly (readonly [readonly string[], string, RegExp])[] = [
    [[], daemon.path, /: eventfs is mounted here already \(try eventfs umount /],
    [[], '/proc', /^\/proc: another filesystem is mounted here \(choose another directory\)$/],
    [[], '/proc/self/fd', /^\/proc\/\d+\/fd: it is in \/proc, which the daemon reads \(choose /],
    [[], PROJECT, /: eventfs itself is in it \(choose an empty directory\)$/],
    [[], join(PROJECT, 'dist/fs'), /: eventfs itself is in it /],
    [
      [],
      `${daemon.path}/log`,
      /: it is inside the eventfs at \S+ \(choose a directory outside of it/,
    ],
    [[], '/nowhere/at-all', /^\/nowhere\/at-all: No such file or directory \(try mkdir -p /],
    [[], plain, /: Not a directory \(give a directory to mount on\)$/],
    [['--socket', plain], mountPoint(), /: the file is not a socket /],
    [['--socket', '/nowhere/s'], mountPoint(), /^\/nowhere\/s: [^\n]*its directory does not exist/],
    [['--fifodir', '/nowhere'], mountPoint(), /^\/nowhere: No such file or directory/],
    [['--ready-fd', '77'], mountPoint(), /^--ready-fd 77: Bad file descriptor \(start the daemon /],
    // Node itself has this one
    [['--stop-fd', '10'], mountPoint(), /^--stop-fd 10: Bad file descriptor \(start the daemon /],
    [['--fd-holder', 's6:/nowhere'], mountPoint(), /^\/nowhere: .*\(start s6-fdholder-daemon/],
  ];
  for (const [args, directory, failure] of cases) {
    const { failures, code, out } = await check(args, directory);
    assert.equal([failures.length, code], [1, 1], out);
    assert.match(failures[0], failure);
  }
});

command('tells a user without privileges how the mount would be made, or why not', async () => {
  const check = [...eventfsForOthers(), 'mount', '--check', mountPoint()];
  const asNobody = await run([...AS_NOBODY, ...check]);
  assert.match(asNobody.out, /^ok {4}\S+fusermount3? mounts for this user/m);
  const unprivileged = await run([...AS_NOBODY, 'setpriv', '--no-new-privs', ...check]);
  assert.is(unprivileged.code, 1);
  assert.match(unprivileged.out, /^fail {2}this process can't gain rights \(no_new_privs\)/m);
});

command.run();
