/** Tests `eventfs run`: it runs a command for each event. */
import * as assert from 'uvu/assert';
import { existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventText, publish, statusOf } from '../../support/clients/clients.js';
import { Background, eventfs } from '../../support/mount/command.js';
import { startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, mounted, nothingIsOpen } from '../../support/mount/mounted.js';
import { isDead, exists } from '../../support/processes.js';

const scratch = (): string => mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'run-'));

/** Starts run, and resolves once it takes events. */
async function runner(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Background> {
  const child = new Background(['run', '--mount', daemon.path, ...args], env);
  await child.runsOn(daemon.path);
  return child;
}

/** Returns the number of events that run has taken or that wait for it. */
function held({ pid }: Background): number {
  return ['run', 'run.taken'].reduce(
    (sum, name) => sum + Number(statusOf(`${daemon.path}/${pid}.${name}`).PENDING),
    0,
  );
}

async function done(child: Background, lines: number): Promise<string[]> {
  await until(
    () => child.out.split('\n').length > lines && held(child) === 0,
    () => `${lines} lines did not come, but ${child.out}${child.err}`,
    20_000,
  );
  return child.out.split('\n').slice(0, -1);
}

const command = mounted('eventfs run');
command.after(() => Background.killAll());

command(
  "runs the command for each event that matches, with the event's properties and text",
  async () => {
    const child = await runner([
      'SUBSYSTEM==block',
      '--',
      'sh',
      '-c',
      'echo "$ACTION $DEVPATH $ID_BUS $EVENT_MINE"; cat; echo .',
    ]);
    publish(
      daemon.path,
      eventText('/a', { SUBSYSTEM: 'net' }),
      eventText('/b', { SUBSYSTEM: 'block', ID_BUS: 'usb', MINE: 'x y' }),
      eventText('/c', { SUBSYSTEM: 'block' }, 'remove'),
    );
    const lines = await done(child, 12);
    assert.equal(lines, [
      'add /b usb x y',
      'add@/b',
      'ACTION=add',
      'SUBSYSTEM=block',
      'ID_BUS=usb',
      'MINE=x y',
      '.',
      'remove /c  ',
      'remove@/c',
      'ACTION=remove',
      'SUBSYSTEM=block',
      '.',
    ]);
    assert.equal([await child.stop(), child.err], [0, '']);
    assert.not.ok(existsSync(`${daemon.path}/${child.pid}.run`));
  },
);

command(
  'passes no text of an event to a shell, and no variable that would let a publisher run code',
  async () => {
    const directory = scratch();
    const evil = `; touch ${directory}/evil #$(touch ${directory}/evil)\`touch ${directory}/evil\``;
    writeFileSync(`${directory}/evil.sh`, `touch ${directory}/evil\n`);
    const child = await runner(
      ['', '--', 'bash', '-c', 'printf "%s|%s|%s\\n" "$DEVPATH" "$PATH" "${LD_PRELOAD-unset}"'],
      { PATH: process.env.PATH },
    );
    publish(
      daemon.path,
      eventText(`/x${evil}`, {
        PATH: directory,
        LD_PRELOAD: '/nowhere.so',
        BASH_ENV: `${directory}/evil.sh`,
        ENV: `${directory}/evil.sh`,
        IFS: '/',
        'BASH_FUNC_printf%%': `() { touch ${directory}/evil; }`,
      }),
    );
    assert.equal(await done(child, 1), [`/x${evil}|${process.env.PATH}|unset`]);
    assert.equal(readdirSync(directory), ['evil.sh']);
    await child.stop();
  },
);

command(
  'keeps the order of the events of a DEVPATH, and works on several devices at a time',
  async () => {
    const file = `${scratch()}/log`;
    const child = await runner([
      '--jobs',
      '4',
      '',
      '--',
      'sh',
      '-c',
      'echo "$DEVPATH begin $EVENT_N" >>"$0"; sleep 0.02; echo "$DEVPATH end $EVENT_N" >>"$0"; echo',
      file,
    ]);
    publish(
      daemon.path,
      ...Array.from({ length: 24 }, (_, n) => eventText(`/d${n % 3}`, { N: n })),
    );
    await done(child, 24);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    for (const device of [0, 1, 2]) {
      const numbers = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => i * 3 + device);
      assert.equal(
        lines.filter((line) => line.startsWith(`/d${device} `)),
        numbers.flatMap((n) => [`/d${device} begin ${n}`, `/d${device} end ${n}`]),
      );
    }
    const together = lines.some(
      (line, i) => line.includes('begin') && lines[i + 1]?.includes('begin'),
    );
    assert.ok(together, 'the commands never ran side by side');
    await child.stop();
  },
);

command(
  'works on no device while it works on its parent or child, also by DEVPATH_OLD',
  async () => {
    const file = `${scratch()}/log`;
    const child = await runner([
      '--jobs',
      '8',
      '',
      '--',
      'sh',
      '-c',
      'echo "begin $EVENT_N" >>"$0"; sleep 0.05; echo "end $EVENT_N" >>"$0"; echo',
      file,
    ]);
    const disk = (n: number, path: string, more = {}): string => eventText(path, { N: n, ...more });
    publish(
      daemon.path,
      disk(1, '/d/sda'),
      disk(2, '/d/sda/sda1'),
      disk(3, '/d/sda/sda2'),
      disk(4, '/d/sda'),
      disk(5, '/d/sdaa'),
      disk(6, '/e', { DEVPATH_OLD: '/d/sda/sda1' }),
      disk(7, '/e/x'),
    );
    await done(child, 7);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const place = (line: string): number => lines.indexOf(line);
    for (const [first, then] of [
      [1, 2],
      [1, 3],
      [2, 4],
      [3, 4],
      [4, 6],
      [6, 7],
    ])
      assert.ok(
        place(`end ${first}`) < place(`begin ${then}`),
        `${first}, ${then}: ${lines.join()}`,
      );
    await child.stop();
  },
);

command(
  'starts no more commands after SIGTERM, and ends when its commands have ended',
  async () => {
    const directory = scratch();
    const child = await runner([
      '',
      '--',
      'sh',
      '-c',
      'echo begun; until [ -e "$0/go" ]; do sleep 0.02; done; echo ended',
      directory,
    ]);
    publish(daemon.path, eventText('/a'), eventText('/b'));
    await child.prints(/begun/);
    child.process.kill('SIGTERM');
    await until(
      () => statusOf(`${daemon.path}/${child.pid}.run.taken`).PENDING !== '0',
      'run did not wait for its command',
    );
    writeFileSync(`${directory}/go`, '');
    assert.is(await child.ended, 0);
    assert.is(child.out, 'begun\nended\n');
  },
);

command(
  'ends the process group of a command that takes too long, reports it, and goes on',
  async () => {
    const child = await runner([
      '--timeout',
      '0.3',
      '',
      '--',
      'sh',
      '-c',
      'test "$DEVPATH" = /slow || { echo fast; exit; }; sleep 1000 & echo $! $$; wait',
    ]);
    publish(daemon.path, eventText('/slow'), eventText('/fast'));
    await child.prints(/fast/);
    const [sleeper, shell] = child.out.split('\n')[0].split(' ').map(Number);
    await until(() => !exists(shell) && isDead(sleeper), 'it goes on', 20_000);
    assert.match(
      child.err,
      /^eventfs: run: sh for add \/slow \(\S+\): still running after 0.3 s \(--timeout\): ending it\neventfs: run: sh for add \/slow \(\S+\): ended by SIGTERM\n$/,
    );
    await child.stop();
  },
);

command('kills a command that ignores SIGTERM', async () => {
  const child = await runner([
    '--timeout',
    '0.1',
    '',
    '--',
    'bash',
    '-c',
    'trap "" TERM; echo begun; while :; do sleep 0.05; done',
  ]);
  publish(daemon.path, eventText('/stubborn'));
  await until(() => /ended by SIGKILL/.test(child.err), 'it goes on', 20_000);
  await child.stop();
});

command('reports a command that fails, and goes on', async () => {
  const child = await runner(['', '--', 'sh', '-c', 'echo; exit $EVENT_CODE']);
  publish(daemon.path, eventText('/a', { CODE: 3 }), eventText('/b', { CODE: 0 }));
  await done(child, 2);
  assert.match(child.err, /^eventfs: run: sh for add \/a \(\S+\): exit code 3\n$/);
  assert.is(await child.stop(), 0);
});

command(
  'leaves waiting events in the mount, and runs the command for a loss with the exact number',
  async () => {
    const directory = scratch();
    const child = await runner([
      '',
      '--',
      'sh',
      '-c',
      'until [ -e "$0/go" ]; do sleep 0.02; done; echo "$ACTION $EVENT_N $EVENT_LOST"',
      directory,
    ]);
    publish(
      daemon.path,
      ...Array.from({ length: 6000 }, (_, n) => eventText(`/d${n % 7}`, { N: n })),
    );
    const lost = Number(statusOf(`${daemon.path}/${child.pid}.run`).LOST);
    assert.ok(lost > 0);
    assert.ok(held(child) <= 4096 + 257, String(held(child)));
    child.process.kill('SIGTERM'); // The rest need not run.
    writeFileSync(`${directory}/go`, '');
    await child.ended;
    const next = await runner(['', '--', 'sh', '-c', 'echo "$ACTION $EVENT_LOST"']);
    // Only the daemon publishes such a record, but the owner may put any file into its queue.
    writeFileSync(
      `${daemon.path}/${next.pid}.run/loss`,
      'overflow@/eventfs\nACTION=overflow\nDEVPATH=/eventfs\nSUBSYSTEM=eventfs\nLOST=3\n',
    );
    assert.equal(await done(next, 1), ['overflow 3']);
    await next.stop();
  },
  60_000,
);

command(
  'accounts for every event: each is run or counted as lost',
  async () => {
    const directory = scratch();
    const file = `${directory}/log`;
    const child = await runner([
      '--jobs',
      '8',
      'KEEP==1',
      '--',
      'sh',
      '-c',
      'until [ -e "$0/go" ]; do sleep 0.02; done; echo "${EVENT_LOST:-one}" >>"$0/log"; echo',
      directory,
    ]);
    const big = 'x'.repeat(40_000); // 4 MiB hold a hundred of these.
    publish(
      daemon.path,
      ...Array.from({ length: 500 }, (_, n) => eventText('/d', { N: n, KEEP: 1, BIG: big })),
    );
    writeFileSync(`${directory}/go`, '');
    const count = (): number =>
      (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []).reduce(
        (sum, line) => sum + (line === 'one' ? 1 : Number(line)),
        0,
      );
    await until(
      () => count() >= 500 && held(child) === 0,
      () => `the sum is not right: ${count()}, ${child.err}`,
      60_000,
    );
    assert.is(count(), 500);
    assert.match(readFileSync(file, 'utf8'), /^\d+$/m);
    await child.stop();
  },
  90_000,
);

command(
  'takes no more events than its directory holds, and accounts for every event',
  async () => {
    const config = `${scratch()}/config.toml`;
    for (const events of [1, 3, 8]) {
      writeFileSync(config, `[queue]\nevents = ${events}\n`);
      const other = await startDaemon(['--source', 'none', '--config', config]);
      const directory = scratch();
      const child = new Background([
        'run',
        '--mount',
        other.path,
        '--jobs',
        '2',
        'N==*',
        '--',
        'sh',
        '-c',
        'until [ -e "$0/go" ]; do sleep 0.02; done; echo "${EVENT_N:-lost $EVENT_LOST}"',
        directory,
      ]);
      const of = (name: string): Record<string, string> =>
        statusOf(`${other.path}/${child.pid}.${name}`);
      await child.runsOn(other.path);
      for (let n = 0; n < 20; n++) publish(other.path, eventText(`/d${n}`, { N: n }));
      writeFileSync(`${directory}/go`, '');
      const lines = (): string[] => child.out.split('\n').slice(0, -1);
      const told = (): number =>
        lines().reduce((sum, line) => sum + Number(/^lost (\d+)$/.exec(line)?.[1] ?? 1), 0);
      await until(
        () => told() >= 20 && of('run').PENDING === '0' && of('run.taken').PENDING === '0',
        () => `run does not account for all events: ${child.out}${child.err}`,
        10_000,
      );
      if (events > 1)
        assert.equal([told(), of('run.taken').LOST], [20, '0'], `${events}: ${lines().join()}`);
      await child.stop();
      await other.stop();
    }
  },
  90_000,
);

command('replays kept events with --since', async () => {
  publish(daemon.path, eventText('/kept', { K: 1 }));
  const child = await runner(['--since', '0', 'K==1', '--', 'sh', '-c', 'echo "$DEVPATH"']);
  await child.prints(/^\/kept$/m); // It replays no other.
  assert.match(child.out, /^(\/eventfs\n)?\/kept\n$/);
  await child.stop();
});

command('ends with its commands when the daemon ends', async () => {
  const other = await startDaemon();
  const child = new Background(['run', '--mount', other.path, '', '--', 'true']);
  await child.runsOn(other.path);
  await other.kill();
  assert.is(await child.ended, 103);
  assert.is((await eventfs(['umount', other.path])).code, 0);
  assert.match(child.err, /^eventfs: run: the daemon has ended \(try eventfs doctor\)\n$/);
});

command('refuses a command that is missing or cannot be run, before the first event', async () => {
  for (const [name, expected, why] of [
    ['no-such-command-at-all', 127, 'No such file or directory (check its name and PATH)'],
    ['/etc/passwd', 126, 'Permission denied (it must be an executable file)'],
  ] as const) {
    const { code, err } = await eventfs(['run', '--mount', daemon.path, '', '--', name]);
    assert.equal([code, err], [expected, `eventfs: run: ${name}: ${why}\n`]);
  }
  for (const args of [['--jobs', '0', '', 'true'], ['--timeout', 'x', '', 'true'], ['A==b']]) {
    assert.is((await eventfs(['run', '--mount', daemon.path, ...args])).code, 100, args.join(' '));
  }
  assert.match(
    (await eventfs(['run', '--mount', daemon.path, 'A=', '--', 'true'])).err,
    /^eventfs: run: bad filter: column 3: expected [^\n]*\n$/,
  );
  await nothingIsOpen();
});

command.run();
