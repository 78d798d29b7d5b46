/**
 * The promise: once a process is dead, every later operation on its directory, or on an object that
 * only this directory held, fails, and the daemon frees the memory (docs/design.md, section 1).
 */
import * as assert from 'uvu/assert';
import { readdirSync } from 'node:fs';
import { Actor, reach, untilAlone } from '../../support/clients/actor.js';
import { Calls, killClients } from '../../support/clients/clients.js';
import { measure } from '../../support/mount/measure.js';
import {
  type Daemon,
  Shell,
  killDaemons,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { stateOf, memoryKib } from '../../support/processes.js';
import { figure } from '../../support/runner/output.js';
import { suite } from '../../support/runner/suite.js';

const SIGKILL = 9;
const EPOLLERR = 8;
const MIB = 1024 * 1024;
/** A full directory, in the words of the command `fill`: 64 events of 64 KiB. */
const FULL = '64 65536';

const promise = suite('the directory of a dead process');
let daemon: Daemon;
let mount: string;
let observer: Actor;

promise.before(async () => {
  daemon = await startDaemon();
  mount = daemon.path;
  observer = new Actor();
});
promise.after(async () => {
  await killClients();
  await Actor.endAll();
  await daemon.stop();
  await killDaemons();
  await untilAlone();
});

/** Kills a child of the observer, and has the observer wait for it. */
async function end(pid: number): Promise<void> {
  assert.is(await observer.ask(`signal ${pid} ${SIGKILL}`), 'ok');
  assert.is(await observer.ask(`wait ${pid}`), 'ok');
}

function residentMib(): number {
  return memoryKib(daemon.pid) / 1024;
}

// ---- numbers

promise(
  'refuses seven operations after each of 10,000 deaths',
  async () => {
    const got = await measure('deaths', [mount, 10_000], { timeoutMs: 240_000 });
    assert.is(got.get('rounds'), '10000');
    assert.is(got.get('accesses'), '70000');
    for (const none of ['stale', 'stuck', 'wrong_errno'])
      assert.is(got.get(none), '0', `${none}: ${[...got].join(' ')}`);
    figure(
      `stale accesses after 10,000 deaths: ${got.get('stale')} of ${got.get('accesses')}, ${got.get('stuck')} stuck`,
    );
    assert.equal(
      readdirSync(mount).filter((name) => /^\d/.test(name)),
      [],
    );
  },
  240_000,
);

promise(
  'refuses operations at once while other processes make, list and remove theirs',
  async () => {
    const busy = new Set([0, 1].map(() => new Actor()));
    let isOver = false;
    const others = [...busy].map(async (actor) => {
      for (let n = 0; !isOver; n++) {
        await actor.ask(`mkdir ${mount}/${actor.pid}.${n % 8}`);
        const fd = await actor.get(`opendir ${mount}`);
        await actor.ask(`getdents ${fd}`);
        await actor.ask(`close ${fd}`);
        await actor.ask(`rmdir ${mount}/${actor.pid}.${(n + 4) % 8}`);
      }
    });
    const runs = await Promise.all(
      [0, 1].map(() => measure('deaths', [mount, 1000], { timeoutMs: 120_000 })),
    );
    isOver = true;
    await Promise.all(others);
    for (const got of runs)
      for (const none of ['stale', 'stuck', 'wrong_errno'])
        assert.is(got.get(none), '0', `${none}: ${[...got].join(' ')}`);
    for (const actor of busy) await actor.kill();
  },
  150_000,
);

promise(
  'refuses requests that waited before the death, also when many owners die together',
  async () => {
    const owners: number[] = [];
    for (let n = 0; n < 8; n++) owners.push(await observer.get(`forkmkdir 0 ${mount}/%`));
    const clients = owners.map(() => new Calls());
    daemon.process.kill('SIGSTOP');
    try {
      await until(() => stateOf(daemon.pid) === 'T', 'the daemon does not stop');
      for (const owner of owners) await end(owner);
      const answers = owners.map((owner, n) => clients[n].begin('stat', `${mount}/${owner}`));
      for (const client of clients) await client.sleeps();
      daemon.process.kill('SIGCONT');
      for (const answer of answers) assert.is((await answer).errno, 'ENOENT');
    } finally {
      daemon.process.kill('SIGCONT');
    }
    for (const client of clients) await client.end();
  },
);

promise(
  'is freed within 10 ms at the median, although no request follows',
  async () => {
    const got = await measure('reap', [mount, daemon.pid, 200], { timeoutMs: 60_000 });
    assert.ok(Number(got.get('median_ms')) < 10, `${got.get('median_ms')} ms`);
    assert.is(got.get('listed'), '0');
    assert.is(got.get('never'), '0');
    figure(
      `a dead owner's directory is freed after ${got.get('median_ms')} ms at the median, ${got.get('p99_ms')} ms at the 99th percentile`,
    );
  },
  90_000,
);

promise(
  'leaves no memory in use: 200 owners of 4 MiB each, one after the other',
  async () => {
    let after50 = 0;
    for (let round = 1; round <= 200; round++) {
      const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
      assert.is(await observer.ask(`fill ${mount}/${owner} ${FULL}`), 'ok');
      await end(owner);
      if (round === 50) after50 = residentMib();
    }
    const after200 = residentMib();
    assert.ok(after200 - after50 < 32, `from ${after50} to ${after200} MiB`);
    figure(
      `the daemon's memory after 50 owners of 4 MiB have died: ${after50.toFixed(0)} MiB, after 200: ${after200.toFixed(0)} MiB`,
    );
  },
  60_000,
);

promise(
  'leaves no memory in use: 50 owners of 4 MiB each at once, four times',
  async () => {
    const peaks: number[] = [];
    for (let round = 0; round < 4; round++) {
      const owners: number[] = [];
      for (let n = 0; n < 50; n++) {
        owners.push(await observer.get(`forkmkdir 0 ${mount}/%`));
        assert.is(await observer.ask(`fill ${mount}/${owners[n]} ${FULL}`), 'ok');
      }
      peaks.push(residentMib());
      for (const owner of owners) await end(owner);
    }
    const [first, ...later] = peaks;
    assert.ok(first > (50 * 4 * MIB) / MIB, 'the events take memory');
    assert.ok(
      Math.max(...later) - first < 64,
      `${peaks.map((mib) => mib.toFixed(0)).join(', ')} MiB`,
    );
    figure(
      `the daemon's memory with 50 owners of 4 MiB each: ${peaks.map((mib) => mib.toFixed(0)).join(', then ')} MiB`,
    );
  },
  60_000,
);

// ---- descriptors and paths, before the death and after it

/**
 * Makes an owner with an event, and runs commands before and after its death.
 * @param prepare opens descriptors below `path`, and returns the commands with their answers
 */
async function around(
  prepare: (
    path: string,
  ) => Promise<readonly (readonly [command: string, before: RegExp, after: string | RegExp])[]>,
): Promise<void> {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  const path = `${mount}/${owner}`;
  assert.is(await observer.ask(`create ${path}/event 10`), 'ok 10');
  const commands = await prepare(path);
  for (const [command, before] of commands)
    assert.match(await observer.ask(command), before, command);
  await end(owner);
  for (const [command, , after] of commands) {
    const answer = await observer.ask(command);
    if (after instanceof RegExp) assert.match(answer, after, command);
    else assert.is(answer, after, command);
  }
}

promise('returns ESTALE through every descriptor of its event, which worked before', async () => {
  await around(async (path) => {
    const fd = await observer.get(`open ${path}/event`);
    return [
      [`pread ${fd}`, /^ok 10$/, 'ESTALE'],
      [`fstat ${fd}`, /^ok$/, 'ESTALE'],
      [`fchmod ${fd}`, /^ok$/, 'ESTALE'],
      [`open /proc/${observer.pid}/fd/${fd}`, /^ok \d+$/, 'ESTALE'],
    ];
  });
});

promise(
  'returns ESTALE to write and ftruncate through a descriptor that was open before',
  async () => {
    const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
    assert.is(await observer.ask(`create ${mount}/${owner}/event 10`), 'ok 10');
    const fd = await observer.get(`openrw ${mount}/${owner}/event`);
    assert.is(await observer.ask(`write ${fd}`), 'ok 1');
    assert.is(await observer.ask(`ftruncate ${fd}`), 'ok');
    await end(owner);
    assert.is(await observer.ask(`write ${fd}`), 'ESTALE');
    assert.is(await observer.ask(`ftruncate ${fd}`), 'ESTALE');
    assert.is(await observer.ask(`close ${fd}`), 'ok');
  },
);

promise(
  'returns ESTALE or ENOENT through a descriptor of the directory, which worked before',
  async () => {
    await around(async (path) => {
      const fd = await observer.get(`opendir ${path}`);
      return [
        // The kernel itself returns ENOENT once the notifier has removed the ghost.
        [`getdents ${fd}`, /^ok [1-9]\d*$/, /^(ESTALE|ENOENT)$/],
        [`fstat ${fd}`, /^ok$/, 'ESTALE'],
        [`openat ${fd} event`, /^ok \d+$/, 'ESTALE'],
        [`openat ${fd} .status`, /^ok \d+$/, 'ESTALE'],
        [`openat ${fd} none`, /^ENOENT$/, 'ESTALE'],
        [`openat ${fd} .`, /^ok \d+$/, 'ESTALE'],
        [`unlinkat ${fd} event`, /^ok$/, 'ESTALE'],
      ];
    });
  },
);

promise('returns ESTALE through an O_PATH descriptor', async () => {
  await around(async (path) => {
    const fd = await observer.get(`openpath ${path}/event`);
    const directory = await observer.get(`openpath ${path}`);
    return [
      [`fstat ${fd}`, /^ok$/, 'ESTALE'],
      [`open /proc/${observer.pid}/fd/${fd}`, /^ok \d+$/, 'ESTALE'],
      [`openat ${directory} event`, /^ok \d+$/, 'ESTALE'],
      [`opendir /proc/${observer.pid}/fd/${directory}`, /^ok \d+$/, 'ESTALE'],
    ];
  });
});

promise(
  'returns ESTALE to readlinkat of an open symlink and ENOENT to readlink of its name',
  async () => {
    for (let round = 0; round < 50; round++) {
      await around(async (path) => {
        assert.is(await observer.ask(`symlink to-${round} ${path}/link`), 'ok');
        const fd = await observer.get(`openlink ${path}/link`);
        return [
          [`readlinkat ${fd}`, new RegExp(`^ok to-${round}$`), 'ESTALE'],
          [`readlink ${path}/link`, new RegExp(`^ok to-${round}$`), 'ENOENT'],
          [`fstat ${fd}`, /^ok$/, 'ESTALE'],
          [`readlinkat ${fd}`, new RegExp(`^ok to-${round}$`), 'ESTALE'],
        ];
      });
    }
  },
);

promise("returns ESTALE through another process's descriptor in /proc", async () => {
  const holder = new Actor();
  await around(async (path) => {
    const fd = await holder.get(`open ${path}/event`);
    return [[`open /proc/${holder.pid}/fd/${fd}`, /^ok \d+$/, 'ESTALE']];
  });
  await holder.kill();
});

promise(
  'returns errors, and never hangs, for a process whose current directory it is',
  async () => {
    const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
    const path = `${mount}/${owner}`;
    const inside = new Actor();
    assert.is(await inside.ask(`chdir ${path}`), 'ok');
    assert.is(await inside.ask('getcwd'), `ok ${path}`);
    assert.is(await inside.ask('create event 10'), 'ok 10');
    await end(owner);
    for (const command of [
      'open event',
      'open .status',
      'opendir .',
      'mkdir below',
      'create other 1',
      'open ../stream/none',
    ]) {
      assert.match(await inside.ask(command), /^(ESTALE|ENOENT|ENOTDIR)$/, command);
    }
    assert.is(await inside.ask('chdir ..'), 'ESTALE');
    assert.is(reach(path), 'ENOENT');
    // The kernel answers getcwd(2) without a request until a lookup, as just now, has failed.
    assert.is(await inside.ask('getcwd'), 'ENOENT');
    assert.is(await inside.ask(`chdir ${mount}`), 'ok');
    assert.is(await inside.ask('getcwd'), `ok ${mount}`);
    await inside.kill();
  },
);

promise('makes ls(1) and pwd(1) in it fail, and lets cd(1) leave it', async () => {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  const shell = new Shell();
  try {
    assert.equal(await shell.run(`cd ${mount}/${owner} && ls . && env pwd`), {
      out: `${mount}/${owner}\n`,
      code: 0,
    });
    await end(owner);
    assert.is(reach(`${mount}/${owner}`), 'ENOENT');
    for (const command of ['ls .', 'ls', 'cat .status', 'env pwd', 'cd .', 'echo > x']) {
      const { code, out } = await shell.run(command);
      assert.is.not(code, 0, `${command}: ${out}`);
    }
    assert.equal(await shell.run(`cd ${mount} && env pwd`), { out: `${mount}\n`, code: 0 });
  } finally {
    await shell.kill();
  }
});

promise(
  'is never in the page cache: a mapping raises SIGBUS, and one of an event of log/ does not',
  async () => {
    const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
    assert.is(await observer.ask(`create ${mount}/${owner}/event 10`), 'ok 10');
    const mortal = await observer.get(`open ${mount}/${owner}/event`);
    assert.is(await observer.ask(`map ${mortal}`), 'ok');
    assert.is(await observer.ask('peek'), 'EFAULT');
    await run(['dd', `of=${mount}/publish`, 'status=none'], {
      input: 'xyz@/test\nACTION=xyz\nDEVPATH=/test\n',
    });
    const [name] = readdirSync(`${mount}/log`);
    const logged = await observer.get(`open ${mount}/log/${name}`);
    assert.is(await observer.ask(`map ${logged}`), 'ok');
    assert.is(await observer.ask('peek'), `ok ${'x'.charCodeAt(0)}`);
    await end(owner);
    assert.is(await observer.ask(`map ${mortal}`), 'ok');
    assert.is(await observer.ask('peek'), 'EFAULT');
    assert.is(await observer.ask(`pread ${logged}`), 'ok 35');
  },
);

// ---- blocked readers and pollers

promise('ends a blocked read with ESTALE; a read below a living owner stays blocked', async () => {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  const other = await observer.get(`forkmkdir 0 ${mount}/%`);
  const [reader, patient] = [new Actor(), new Actor()];
  const blocked = await reader.block(
    `read ${await reader.get(`open ${mount}/${owner}/.stream`)}`,
    observer,
  );
  const stays = await patient.block(
    `read ${await patient.get(`open ${mount}/${other}/.stream`)}`,
    observer,
  );
  await end(owner);
  assert.is(await blocked.answer, 'ESTALE');
  assert.is(await observer.get(`blocked ${patient.pid}`), 1);
  assert.is(await observer.ask(`create ${mount}/${other}/event 10`), 'ok 10');
  assert.is(await stays.answer, 'ok 12');
  await end(other);
  await reader.kill();
  await patient.kill();
});

promise(
  'ends all of 100 blocked reads with ESTALE',
  async () => {
    const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
    const blocked = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const reader = new Actor();
        return {
          reader,
          ...(await reader.block(
            `read ${await reader.get(`open ${mount}/${owner}/.stream`)}`,
            observer,
          )),
        };
      }),
    );
    await end(owner);
    for (const { reader, answer } of blocked) {
      assert.is(await answer, 'ESTALE');
      await reader.kill();
    }
  },
  60_000,
);

promise('wakes its poller with EPOLLERR; a poller below a living owner waits on', async () => {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  const other = await observer.get(`forkmkdir 0 ${mount}/%`);
  const pollers = [new Actor(), new Actor()];
  const fds = await Promise.all(
    [owner, other].map((pid, i) => pollers[i].get(`opennb ${mount}/${pid}/.stream`)),
  );
  const woken = pollers[0].get(`poll ${fds[0]} 8000`);
  const patient = pollers[1].get(`poll ${fds[1]} 500`);
  await until(
    async () => (await observer.ask(`polling ${pollers[0].pid}`)) === 'ok 1',
    'the actor does not poll',
  );
  await end(owner);
  assert.is((await woken) & EPOLLERR, EPOLLERR);
  assert.is(await pollers[0].ask(`read ${fds[0]}`), 'ESTALE');
  assert.is(
    (await pollers[0].get(`poll ${fds[0]} 0`)) & EPOLLERR,
    EPOLLERR,
    'a later poll returns at once',
  );
  assert.is(await patient, 0);
  await end(other);
  for (const poller of pollers) await poller.kill();
});

promise.run();
