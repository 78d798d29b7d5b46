/** Whose a directory is, and when it ends: every way in which a process can be named, live on, or die. */
import * as assert from 'uvu/assert';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Actor,
  buildClients,
  childrenOf,
  client,
  isDead,
  reach,
  stateOf,
  statusOf,
  untilAlone,
} from '../../support/actor.js';
import {
  type Daemon,
  Shell,
  descriptors,
  killDaemons,
  run,
  startDaemon,
  until,
} from '../../support/daemon.js';
import { AS_NOBODY } from '../../support/other-user.js';
import { suite } from '../../support/suite.js';

const SIGKILL = 9;
const SIGSTOP = 19;
const SIGCONT = 18;
/** A PID namespace of its own, whose first process is what is run. It ends when unshare(1) is killed. */
const IN_PID_NAMESPACE = ['unshare', '-pf', '--kill-child'];
/** Makes of an actor the second process of a namespace. */
const AS_SECOND = ['sh', '-c', '"$0"; exit'];
const IN_USER_NAMESPACE = ['unshare', '-Upf', '--kill-child'];

const directory = suite('a process directory');
let daemon: Daemon;
let mount: string;
/** Does what the test process would block with, or can't. */
let observer: Actor;

directory.before(async () => {
  buildClients();
  daemon = await startDaemon();
  mount = daemon.path;
  observer = new Actor();
});
directory.after(async () => {
  await Actor.endAll();
  await daemon.stop();
  await killDaemons();
  await untilAlone();
});

/** How many processes the daemon holds. */
const pidfds = (): number => descriptors(daemon.pid, /pidfd/).length;

/** Runs `body` with a shell that ends with it. */
async function withShell(
  body: (shell: Shell) => Promise<void>,
  command?: readonly string[],
): Promise<void> {
  const shell = new Shell(command);
  try {
    await body(shell);
  } finally {
    if (shell.process.exitCode === null && shell.process.signalCode === null) await shell.kill();
  }
}

// ---- names

directory('belongs to the shell whose mkdir(1) made it as $$, and vanishes with it', async () => {
  await withShell(async (shell) => {
    assert.is((await shell.run(`mkdir ${mount}/$$`)).code, 0);
    assert.is(await statusOf(`${mount}/${shell.pid}`, 'OWNER'), `${shell.pid}`);
    await shell.kill();
    assert.is(reach(`${mount}/${shell.pid}`), 'ENOENT');
  });
});

directory('may carry a label behind the PID, and several belong to one process', async () => {
  await withShell(async (shell) => {
    const names = ['', '.fifo', '.with a blank', '.', '.a.b'].map(
      (label) => `${shell.pid}${label}`,
    );
    for (const name of names)
      assert.equal(await shell.run(`mkdir '${mount}/${name}'`), { out: '', code: 0 });
    for (const name of names)
      assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${shell.pid}`);
    await shell.kill();
    for (const name of names) assert.is(reach(`${mount}/${name}`), 'ENOENT');
  });
});

directory('can be made for an ancestor two levels up', async () => {
  await withShell(async (shell) => {
    const { out, code } = await shell.run(
      `top=$$ bash -c 'bash -c "mkdir ${mount}/\\$top.up; true"; true'; stat -c %n ${mount}/$$.up`,
    );
    assert.is(code, 0, out);
    await shell.kill();
    assert.is(reach(`${mount}/${shell.pid}.up`), 'ENOENT');
  });
});

directory('belongs to the caller of mkdir(2) under any other name', async () => {
  const owner = new Actor();
  assert.is(await owner.ask(`mkdir ${mount}/mine`), 'ok');
  assert.is(await statusOf(`${mount}/mine`, 'OWNER'), `${owner.pid}`);
  await owner.kill();
  assert.is(reach(`${mount}/mine`), 'ENOENT');
});

directory('is gone at once under such a name when the caller was mkdir(1)', async () => {
  assert.is((await run(['mkdir', `${mount}/short`])).code, 0);
  assert.is(reach(`${mount}/short`), 'ENOENT');
});

directory('takes a number with leading zeros, a sign or a blank for a plain name', async () => {
  const owner = new Actor(AS_NOBODY);
  for (const name of ['01', '007.x', '-1', '+1', '1a', '0x1', '.1', '1,2']) {
    assert.is(await owner.ask(`mkdir ${mount}/${name}`), 'ok', name);
    assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${owner.pid}`, name);
  }
  await owner.kill();
});

directory('is refused with ESRCH for a PID that no process has', async () => {
  const child = await observer.get('fork');
  await observer.ask(`signal ${child} ${SIGKILL}`);
  await observer.ask(`wait ${child}`);
  const none = [
    `${child}`,
    `${child}.label`,
    '0',
    '0.x',
    `${2 ** 31}`,
    `${2 ** 32 + 1}`,
    `${2 ** 53 + 1}`,
    '9'.repeat(200),
    `${2 ** 22 + 1}`,
  ];
  for (const name of none) {
    assert.is(await observer.ask(`mkdir ${mount}/${name}`), 'ESRCH', name);
    assert.is(reach(`${mount}/${name}`), 'ENOENT', name);
  }
});

directory('is refused with EEXIST under a name that is taken', async () => {
  const owner = new Actor();
  assert.is(await owner.ask(`mkdir ${mount}/taken`), 'ok');
  assert.is(await observer.ask(`mkdir ${mount}/taken`), 'EEXIST');
  assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}`), 'ok');
  assert.is(await observer.ask(`mkdir ${mount}/${owner.pid}`), 'EEXIST');
  for (const name of ['log', 'match', 'stream', 'publish'])
    assert.is(await owner.ask(`mkdir ${mount}/${name}`), 'EEXIST', name);
  await owner.kill();
  assert.is(await observer.ask(`mkdir ${mount}/taken`), 'ok');
  assert.is(await observer.ask(`rmdir ${mount}/taken`), 'ok');
});

directory('can be removed and made again, and no process is held for it meanwhile', async () => {
  const owner = new Actor();
  const before = pidfds();
  for (let round = 0; round < 3; round++) {
    assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}`), 'ok');
    assert.is(pidfds(), before + 1);
    assert.is(await owner.ask(`rmdir ${mount}/${owner.pid}`), 'ok');
    assert.is(pidfds(), before);
  }
  await owner.kill();
});

// ---- permission

directory(
  "is refused with EPERM for PID 1 and for someone else's process without the right to signal it",
  async () => {
    const nobody = new Actor(AS_NOBODY);
    for (const name of ['1', '1.label', `${observer.pid}`, `${daemon.pid}`]) {
      assert.is(await nobody.ask(`mkdir ${mount}/${name}`), 'EPERM', name);
      assert.is(reach(`${mount}/${name}`), 'ENOENT', name);
    }
    await nobody.kill();
  },
);

directory("can be made by root for anybody's process, and is root's", async () => {
  const nobody = new Actor(AS_NOBODY);
  assert.is(await observer.ask(`mkdir ${mount}/${nobody.pid}`), 'ok');
  assert.is(statSync(`${mount}/${nobody.pid}`).uid, 0);
  await nobody.kill();
  assert.is(reach(`${mount}/${nobody.pid}`), 'ENOENT');
});

directory("can be made for a process of one's own that is no ancestor", async () => {
  const [one, other] = [new Actor(AS_NOBODY), new Actor(AS_NOBODY)];
  await other.get('pid'); // it has given up its rights by then
  assert.is(await one.ask(`mkdir ${mount}/${other.pid}`), 'ok');
  await one.kill();
  assert.is(reach(`${mount}/${other.pid}`), 'ok');
  await other.kill();
  assert.is(reach(`${mount}/${other.pid}`), 'ENOENT');
});

directory(
  "is refused with EPERM for root's process to who is root in a user namespace only",
  async () => {
    const fake = new Actor([...AS_NOBODY, 'unshare', '-Ur']);
    assert.is(await fake.ask(`mkdir ${mount}/${observer.pid}`), 'EPERM');
    assert.is(await fake.ask(`mkdir ${mount}/${fake.pid}`), 'ok');
    assert.is(statSync(`${mount}/${fake.pid}`).uid, 65534);
    await fake.kill();
    assert.is(reach(`${mount}/${fake.pid}`), 'ENOENT');
  },
);

// ---- life and death

directory('stays while its owner is a stopped process', async () => {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  await observer.ask(`signal ${owner} ${SIGSTOP}`);
  await until(() => stateOf(owner) === 'T', 'it did not stop');
  assert.is(reach(`${mount}/${owner}`), 'ok');
  await observer.ask(`signal ${owner} ${SIGCONT}`);
  assert.is(reach(`${mount}/${owner}`), 'ok');
  await observer.ask(`signal ${owner} ${SIGKILL}`);
  await observer.ask(`wait ${owner}`);
  assert.is(reach(`${mount}/${owner}`), 'ENOENT');
});

directory('vanishes when its owner is a zombie that nobody has waited for', async () => {
  const owner = await observer.get(`forkmkdir 0 ${mount}/%`);
  await observer.ask(`signal ${owner} ${SIGKILL}`);
  await until(() => stateOf(owner) === 'Z', 'it is no zombie');
  assert.is(reach(`${mount}/${owner}`), 'ENOENT');
  assert.is(await observer.ask(`mkdir ${mount}/${owner}`), 'ESRCH');
  assert.is(await observer.ask(`mkdir ${mount}/${owner}.label`), 'ESRCH');
  assert.is(stateOf(owner), 'Z');
  assert.is(await observer.ask(`wait ${owner}`), 'ok');
});

directory('is kept over exec', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  assert.is(await owner.get('exec'), owner.pid);
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}`), 'ENOENT');
});

directory('is kept over exec by a thread that is not the first', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  assert.is.not(await owner.get('thread'), owner.pid);
  assert.is(await owner.get('exec'), owner.pid);
  assert.is(await owner.get('tid'), owner.pid);
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}`), 'ENOENT');
});

directory('is kept over exec by a thread when the first has ended long ago', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  await owner.get('abandon');
  assert.is(await owner.get('exec'), owner.pid);
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}`), 'ENOENT');
});

directory("of a thread belongs to its process and survives the thread's end", async () => {
  const owner = new Actor();
  const tid = await owner.get('thread');
  assert.is(await owner.ask(`mkdir ${mount}/by-thread`), 'ok');
  assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}`), 'ok');
  assert.is(await owner.ask(`mkdir ${mount}/${tid}`), 'ok');
  assert.is(await owner.ask('leave'), 'ok');
  await until(() => !existsSync(`/proc/${owner.pid}/task/${tid}`), 'the thread did not end');
  for (const name of ['by-thread', owner.pid, tid]) {
    assert.is(reach(`${mount}/${name}`), 'ok');
    assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${owner.pid}`);
  }
  await owner.kill();
  for (const name of ['by-thread', owner.pid, tid]) assert.is(reach(`${mount}/${name}`), 'ENOENT');
});

directory(
  "can be made under the id of another process's thread, and ends with that process",
  async () => {
    const owner = new Actor();
    const tid = await owner.get('thread');
    assert.is(await observer.ask(`mkdir ${mount}/${tid}`), 'ok');
    assert.is(await statusOf(`${mount}/${tid}`, 'OWNER'), `${owner.pid}`);
    await owner.kill();
    assert.is(reach(`${mount}/${tid}`), 'ENOENT');
  },
);

directory('stays when the first thread has ended, and goes with the last', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  await owner.get('abandon');
  assert.is(stateOf(owner.pid), 'Z');
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  assert.is(await owner.ask(`mkdir ${mount}/later`), 'ok');
  assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}.later`), 'ok');
  assert.is(await observer.ask(`mkdir ${mount}/${owner.pid}.by-other`), 'ok');
  const names = [`${owner.pid}`, 'later', `${owner.pid}.later`, `${owner.pid}.by-other`];
  for (const name of names) assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${owner.pid}`);
  await owner.kill();
  for (const name of names) assert.is(reach(`${mount}/${name}`), 'ENOENT');
});

directory('goes though a child of its owner lives on, and stays though a child dies', async () => {
  const owner = new Actor();
  await owner.ask(`mkdir ${mount}/${owner.pid}`);
  const child = await owner.get('fork');
  await owner.ask(`signal ${child} ${SIGKILL}`);
  await owner.ask(`wait ${child}`);
  assert.is(reach(`${mount}/${owner.pid}`), 'ok');
  await withShell(async (shell) => {
    await shell.run(`mkdir ${mount}/$$; sleep 60 & child=$!`);
    const survivor = Number((await shell.run('echo $child')).out);
    await shell.kill();
    assert.is(stateOf(survivor), 'S');
    assert.is(reach(`${mount}/${shell.pid}`), 'ENOENT');
    process.kill(survivor, 'SIGKILL');
  });
  await owner.kill();
});

// ---- the same PID again

directory("does not pass to a new process that has its dead owner's PID", async () => {
  const first = await observer.get(`forkmkdir 0 ${mount}/%`);
  writeFileSync(`${mount}/${first}/old`, 'old');
  const { ino } = statSync(`${mount}/${first}`);
  await observer.ask(`signal ${first} ${SIGKILL}`);
  await observer.ask(`wait ${first}`);
  assert.is(await observer.get(`forkmkdir ${first} ${mount}/%.other`), first);
  assert.is(reach(`${mount}/${first}`), 'ENOENT');
  assert.is(await observer.ask(`mkdir ${mount}/${first}`), 'ok');
  assert.equal(readdirSync(`${mount}/${first}`), []);
  assert.is.not(statSync(`${mount}/${first}`).ino, ino);
  await observer.ask(`signal ${first} ${SIGKILL}`);
  await observer.ask(`wait ${first}`);
  for (const name of [first, `${first}.other`]) assert.is(reach(`${mount}/${name}`), 'ENOENT');
});

directory(
  'does not pass to such a process even if the daemon had no time to see the death, which can make its own',
  async () => {
    const first = await observer.get(`forkmkdir 0 ${mount}/%`);
    writeFileSync(`${mount}/${first}/old`, 'old');
    process.kill(daemon.pid, 'SIGSTOP');
    try {
      await until(() => stateOf(daemon.pid) === 'T', 'the daemon did not stop');
      await observer.ask(`signal ${first} ${SIGKILL}`);
      await observer.ask(`wait ${first}`);
      const made = observer.get(`forkmkdir ${first} ${mount}/%`);
      await until(() => stateOf(first) === 'S' || stateOf(first) === 'D', 'the second did not ask');
      process.kill(daemon.pid, 'SIGCONT');
      assert.is(await made, first);
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
    assert.equal(readdirSync(`${mount}/${first}`), []);
    await observer.ask(`signal ${first} ${SIGKILL}`);
    await observer.ask(`wait ${first}`);
    assert.is(reach(`${mount}/${first}`), 'ENOENT');
  },
);

directory(
  'belongs to the right one of 300 processes that have the same PID one after the other',
  async () => {
    const before = pidfds();
    const pid = await observer.get(`forkmkdir 0 ${mount}/%`);
    for (let round = 0; round < 300; round++) {
      assert.is(await observer.ask(`create ${mount}/${pid}/file ${round}`), `ok ${round}`);
      await observer.ask(`signal ${pid} ${SIGKILL}`);
      await observer.ask(`wait ${pid}`);
      assert.is(await observer.get(`forkmkdir ${pid} ${mount}/%`), pid);
    }
    await observer.ask(`signal ${pid} ${SIGKILL}`);
    await observer.ask(`wait ${pid}`);
    assert.is(reach(`${mount}/${pid}`), 'ENOENT');
    await until(() => pidfds() === before, 'the daemon holds a dead process');
  },
);

// ---- PID namespaces

for (const [where, namespace] of [
  ['a PID namespace', IN_PID_NAMESPACE],
  ['a user and PID namespace', IN_USER_NAMESPACE],
  ['a user and PID namespace of somebody without rights', [...AS_NOBODY, ...IN_USER_NAMESPACE]],
] as const) {
  directory(
    `made as $$ in ${where} has the inner PID for a name and ends with that process`,
    async () => {
      const owner = new Actor([...namespace, ...AS_SECOND]);
      const [inner, outer] = [await owner.get('pid'), await owner.get('outer')];
      assert.is.not(inner, outer);
      for (const name of [`${inner}`, `${inner}.label`, 'plain']) {
        assert.is(await owner.ask(`mkdir ${mount}/${name}`), 'ok', name);
        assert.is(await statusOf(`${mount}/${name}`, 'OWNER'), `${outer}`, name);
      }
      process.kill(outer, 'SIGKILL');
      await until(() => isDead(outer), 'it did not die');
      for (const name of [`${inner}`, `${inner}.label`, 'plain'])
        assert.is(reach(`${mount}/${name}`), 'ENOENT', name);
      await owner.kill();
    },
  );

  directory(
    `made as $$ by the first process of ${where} is called 1 and ends with it`,
    async () => {
      const owner = new Actor(namespace);
      const outer = await owner.get('outer');
      assert.is(await owner.get('pid'), 1);
      assert.is(await owner.ask(`mkdir ${mount}/1`), 'ok');
      assert.is(await statusOf(`${mount}/1`, 'OWNER'), `${outer}`);
      await owner.kill();
      await until(() => isDead(outer), 'it did not die');
      assert.is(reach(`${mount}/1`), 'ENOENT');
    },
  );

  directory(`made in ${where} by a thread, as $$, belongs to its process`, async () => {
    const owner = new Actor([...namespace, ...AS_SECOND]);
    const [inner, outer] = [await owner.get('pid'), await owner.get('outer')];
    assert.is.not(await owner.get('thread'), inner);
    assert.is(await owner.ask(`mkdir ${mount}/${inner}`), 'ok');
    assert.is(await owner.ask('leave'), 'ok');
    assert.is(await statusOf(`${mount}/${inner}`, 'OWNER'), `${outer}`);
    await owner.kill();
  });

  directory(
    `is refused with EPERM to who names a process outside ${where}, or one inside that is no ancestor`,
    async () => {
      const caller = new Actor([...namespace, ...AS_SECOND]);
      const child = await caller.get('fork');
      for (const name of [observer.pid, daemon.pid, await caller.get('outer'), child]) {
        assert.is(await caller.ask(`mkdir ${mount}/${name}`), 'EPERM', `${name}`);
      }
      for (const name of ['0', `${2 ** 31}`])
        assert.is(await caller.ask(`mkdir ${mount}/${name}`), 'ESRCH', name);
      await caller.kill();
    },
  );
}

directory('can be made by a grandchild in a PID namespace for its ancestors there', async () => {
  await withShell(
    async (shell) => {
      assert.equal(
        await shell.run(
          `bash -c 'bash -c "mkdir ${mount}/1.by-grandchild ${mount}/$$; true"; echo $$'`,
        ),
        { out: '2\n', code: 0 },
      );
      const init = await statusOf(`${mount}/1.by-grandchild`, 'OWNER');
      assert.is(stateOf(Number(init)), 'S');
      assert.is(reach(`${mount}/2`), 'ENOENT', 'its owner has ended');
    },
    [...IN_PID_NAMESPACE, 'bash'],
  );
  await until(() => reach(`${mount}/1.by-grandchild`) === 'ENOENT', 'the namespace did not end');
});

// ---- many

directory(
  'of each of 2,000 processes vanishes when all are killed, and the daemon holds none of them any more',
  async () => {
    const before = pidfds();
    await withShell(
      async (herd) => {
        let said = '';
        herd.process.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
        await until(() => said.startsWith('ready'), 'the herd did not gather', 30_000);
        assert.is(pidfds(), before + 2000);
        assert.is(readdirSync(mount).filter((name) => /^\d+$/.test(name)).length, 2000);
        herd.process.stdin!.end();
        await until(() => said.endsWith('gone\n'), 'the herd did not go', 30_000);
        assert.equal(
          readdirSync(mount).filter((name) => /^\d+$/.test(name)),
          [],
        );
        await until(() => pidfds() === before, 'the daemon holds dead processes');
      },
      [client('spawn-owners'), mount, '2000'],
    );
  },
  60_000,
);

directory('costs the daemon no descriptor when its owner has another already', async () => {
  const owner = new Actor();
  const before = pidfds();
  for (let n = 0; n < 100; n++)
    assert.is(await owner.ask(`mkdir ${mount}/${owner.pid}.${n}`), 'ok');
  assert.is(pidfds(), before + 1);
  for (let n = 0; n < 99; n++) assert.is(await owner.ask(`rmdir ${mount}/${owner.pid}.${n}`), 'ok');
  assert.is(pidfds(), before + 1);
  await owner.kill();
  assert.is(reach(`${mount}/${owner.pid}.99`), 'ENOENT');
  await until(() => pidfds() === before, 'the daemon holds a dead process');
});

// ---- other daemons

directory(
  'is refused with ENFILE when the daemon is out of descriptors, until some of its owners die',
  async () => {
    const small = await startDaemon(undefined, undefined, { under: ['prlimit', '--nofile=64:64'] });
    try {
      const owners: number[] = [];
      let answer: string;
      while ((answer = await observer.ask(`forkmkdir 0 ${small.path}/%`)).startsWith('ok '))
        owners.push(Number(answer.slice(3)));
      assert.is(answer, 'ENFILE');
      assert.ok(owners.length > 20, `${owners.length} owners`);
      assert.is(readdirSync(small.path).filter((name) => /^\d+$/.test(name)).length, owners.length);
      for (const pid of owners.splice(0, 2)) {
        await observer.ask(`signal ${pid} ${SIGKILL}`);
        await observer.ask(`wait ${pid}`);
      }
      owners.push(await observer.get(`forkmkdir 0 ${small.path}/%`));
      for (const pid of owners) {
        assert.is(reach(`${small.path}/${pid}`), 'ok');
        await observer.ask(`signal ${pid} ${SIGKILL}`);
        await observer.ask(`wait ${pid}`);
      }
      assert.is(small.log(), '');
    } finally {
      await small.stop();
    }
  },
);

directory(
  "is refused with EPERM to who has no PID in the daemon's namespace, who may read all the same",
  async () => {
    const inside = await startDaemon(undefined, undefined, {
      under: [...IN_PID_NAMESPACE, '--mount-proc'],
    });
    try {
      const [pid] = childrenOf(inside.pid);
      const outsider = new Actor(['nsenter', '-t', `${pid}`, '-m']);
      for (const name of [outsider.pid, pid, 1, 'plain'])
        assert.is(await outsider.ask(`mkdir ${inside.path}/${name}`), 'EPERM', `${name}`);
      const insider = new Actor(['nsenter', '-t', `${pid}`, '-m', '-p']);
      const name = await insider.get('pid');
      assert.is(await insider.ask(`mkdir ${inside.path}/${name}`), 'ok');
      assert.is(await insider.ask(`create ${inside.path}/${name}/file 7`), 'ok 7');
      const fd = await outsider.get(`open ${inside.path}/${name}/file`);
      assert.is(await outsider.ask(`read ${fd}`), 'ok 7');
      assert.is(await outsider.ask(`create ${inside.path}/${name}/outsider 5`), 'ok 5');
      const [owner] = childrenOf(insider.pid); // nsenter(1) has forked it
      process.kill(owner, 'SIGKILL');
      await insider.ended;
      assert.is(await outsider.ask(`pread ${fd}`), 'ESTALE');
      assert.is(await outsider.ask(`open ${inside.path}/${name}/file`), 'ENOENT');
      await outsider.kill();
      process.kill(pid, 'SIGTERM');
      assert.is(await inside.ended, 0, inside.log());
    } finally {
      await inside.kill();
    }
  },
);

// ---- a PID that had another process before

directory(
  "is the new process's own where a dead one of that PID has left a sticky directory",
  async () => {
    const attacker = new Actor(AS_NOBODY);
    const pid = await attacker.get(`forkmkdir 0 ${mount}/%`);
    const name = `${mount}/${pid}`;
    assert.is(
      (await run([...AS_NOBODY, 'setfattr', '-n', 'user.eventfs_sticky', '-v', '1', name])).code,
      0,
    );
    assert.is(await attacker.ask(`create ${name}/evil 10`), 'ok 10');
    assert.is(await attacker.ask(`signal ${pid} ${SIGKILL}`), 'ok');
    assert.is(await attacker.ask(`wait ${pid}`), 'ok');
    assert.is(await observer.ask(`open ${name}/evil`).then((answer) => answer.split(' ')[0]), 'ok');
    assert.equal(readdirSync(name), ['evil']);
    const held = await observer.get(`open ${name}/evil`);
    // clone3(2) gives the PID to a process of root's, which makes its directory as a shell's mkdir(1) does.
    assert.is(await observer.get(`forkmkdir ${pid} ${name}`), pid);
    assert.equal(readdirSync(name), []);
    assert.is(statSync(name).uid, 0);
    assert.is(await statusOf(name, 'OWNER'), `${pid}`);
    assert.is(await observer.ask(`pread ${held}`), 'ESTALE');
    assert.is(await observer.ask(`signal ${pid} ${SIGKILL}`), 'ok');
    assert.is(await observer.ask(`wait ${pid}`), 'ok');
    assert.is(reach(name), 'ENOENT');
    await attacker.kill();
  },
);

directory('of a dead process stays, sticky, for all but a new process of its PID', async () => {
  const pid = await observer.get(`forkmkdir 0 ${mount}/%`);
  const name = `${mount}/${pid}`;
  assert.is((await run(['setfattr', '-n', 'user.eventfs_sticky', '-v', '1', name])).code, 0);
  assert.is(await observer.ask(`signal ${pid} ${SIGKILL}`), 'ok');
  assert.is(await observer.ask(`wait ${pid}`), 'ok');
  assert.is(await observer.ask(`mkdir ${name}`), 'EEXIST');
  const again = await observer.get(`forkmkdir ${pid} ${mount}/%.label`);
  assert.is(await observer.ask(`mkdir ${name}`), 'EEXIST');
  assert.is(await observer.ask(`signal ${again} ${SIGKILL}`), 'ok');
  assert.is(await observer.ask(`wait ${again}`), 'ok');
  assert.is(await observer.ask(`rmdir ${name}`), 'ok');
});

directory(
  "is the process's own where a user made one for it before it ran a set-user-ID program",
  async () => {
    const place = mkdtempSync(join(tmpdir(), 'eventfs-suid-'));
    try {
      chmodSync(place, 0o755);
      const root = join(place, 'bash');
      copyFileSync('/bin/bash', root);
      chmodSync(root, 0o4755);
      // The user's shell makes the directory, and becomes a shell of root's under the same PID. Each shell's mkdir(1) is a child.
      const script = `exec ${root} -p -c 'mkdir ${mount}/$$ && ls -A ${mount}/$$ && stat -c "%u %n" ${mount}/$$; mkdir ${mount}/$$; echo again $?'`;
      const begin = `mkdir ${mount}/$$; echo evil > ${mount}/$$/head1; mkfifo ${mount}/$$/fifo; ${script}`;
      const { out, err, code } = await run([...AS_NOBODY, 'bash', '-c', begin]);
      assert.is(code, 0, err);
      assert.match(out, /^0 \S+\nagain 1\n$/);
      assert.match(err, /File exists/);
    } finally {
      rmSync(place, { recursive: true });
    }
  },
);

directory(
  'that root has made for a process stays its own when that goes on with fewer rights',
  async () => {
    const script = `mkdir ${mount}/$$; chown 65534 ${mount}/$$; exec ${AS_NOBODY.join(' ')} sh -c 'ls -d ${mount}/$$; mkdir ${mount}/$$'`;
    const { out, err } = await run(['bash', '-c', script]);
    assert.match(out, /^\S+\/\d+\n$/);
    assert.match(err, /File exists/);
  },
);

directory.run();
