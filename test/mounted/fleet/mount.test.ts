/**
 * The mount of a fleet as its service serves it: the user of the bridge may publish, and may have
 * more directories than others. One process owns all of them.
 */
import * as assert from 'uvu/assert';
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { killClients, spawnClient, statusOf } from '../../support/clients/clients.js';
import { type Apart, refused, startApart } from '../../support/mount/apart.js';
import { PROJECT, Shell, mountPoint, run, startDaemon, until } from '../../support/mount/daemon.js';
import { AS_NOBODY, asUser } from '../../support/mount/other-user.js';
import { suite } from '../../support/runner/suite.js';

const BRIDGE_UID = 4242;
const HOSTS = 10_000;

const fleet = suite("a fleet's mount");
let apart: Apart;
fleet.before(async () => {
  const passwd = join(mountPoint(), 'passwd');
  const user = `eventfs-bridge:x:${BRIDGE_UID}:${BRIDGE_UID}::/nonexistent:/usr/sbin/nologin\n`;
  writeFileSync(passwd, `${readFileSync('/etc/passwd', 'utf8')}${user}`);
  apart = await startApart(
    ['--config', join(PROJECT, 'packaging/fleet.toml')],
    `mount --bind ${passwd} /etc/passwd;`,
  );
});
fleet.after(async () => {
  await killClients();
  assert.is(await apart.stop(), 0);
});

/** Reads the text that is there now. */
function textOf(fd: number): string {
  const bytes = Buffer.alloc(64 * 1024);
  let text = '';
  try {
    for (let n; (n = readSync(fd, bytes)) > 0;) text += bytes.toString('latin1', 0, n);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  return text;
}

/** Owns a directory for each host, and says when each step is done. A line ends it. */
const BRIDGE = `
import os, sys
mount, hosts = sys.argv[1], int(sys.argv[2])
def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    while text:  # the daemon takes as many events as it has time for
        text = text[os.write(fd, text):]
    os.close(fd)
for n in range(hosts):
    os.mkdir(f'{mount}/host{n}')
    write(f'{mount}/host{n}/.filter', f'HOST==host{n}'.encode())
print('made', flush=True)
for at in range(0, hosts, 100):
    write(f'{mount}/publish', b''.join(
        b'add@/devices/x\\nACTION=add\\nHOST=host%d\\nSEQNUM=7\\n\\n' % n for n in range(at, at + 100)))
print('published', flush=True)
sys.stdin.readline()
os.rmdir(f'{mount}/host5')
print('removed', flush=True)
sys.stdin.readline()
`;

fleet(
  'lets the bridge publish, and make 10,000 directories that end with it',
  async () => {
    const bridge = [...apart.enter, ...asUser(BRIDGE_UID), '/usr/bin/python3', '-uc', BRIDGE];
    const owner = spawnClient(
      [...bridge, apart.inside, String(HOSTS)],
      ['pipe', 'pipe', 'inherit'],
    );
    let said = '';
    owner.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const says = (word: string): Promise<boolean> =>
      until(() => said.includes(word), `the bridge has not ${word}`, 60_000);
    await says('published');
    assert.is(statusOf(`${apart.path}/log`).DIRECTORIES, String(HOSTS));
    for (const n of [0, 5, HOSTS - 1]) {
      const { PENDING, LOST, UID } = statusOf(`${apart.path}/host${n}`);
      assert.equal([PENDING, LOST, UID], ['1', '0', String(BRIDGE_UID)]);
      assert.match(readFileSync(`${apart.path}/host${n}/head`, 'utf8'), `HOST=host${n}\n`);
    }
    owner.stdin!.write('\n');
    await says('removed');
    assert.is(statSync(`${apart.path}/host5`, { throwIfNoEntry: false }), undefined);
    owner.kill('SIGKILL');
    await until(() => owner.signalCode !== null, 'the bridge did not end');
    for (let n = 0; n < HOSTS; n++)
      assert.is(statSync(`${apart.path}/host${n}`, { throwIfNoEntry: false }), undefined);
    await until(
      () => Number(statusOf(`${apart.path}/log`).MEMORY) < 1024 * 1024,
      'the memory was not given back',
    );
  },
  120_000,
);

fleet('keeps publish and the quotas of directories from other users', async () => {
  const as = (...command: string[]): ReturnType<typeof run> =>
    run([...apart.enter, ...AS_NOBODY, ...command]);
  const publish = await as('sh', '-c', `echo add@/x > ${apart.inside}/publish`);
  assert.match(publish.err, 'Permission denied');
  const many = `for n in $(seq 300); do mkdir ${apart.inside}/$$.$n || exit; done`;
  assert.match((await as('sh', '-c', many)).err, 'Disk quota exceeded');
});

fleet('adds up the losses that its readers miss', async () => {
  const file = join(mountPoint(), 'small.toml');
  writeFileSync(file, '[queue]\nevents = 10\n[log]\nring_events = 64\n');
  const daemon = await startDaemon(['--source', 'none', '--fleet', '--config', file]);
  const owner = new Shell();
  const own = `${daemon.path}/${owner.pid}`;
  await owner.run(`mkdir ${own}`);
  const readers = ['stream', `${owner.pid}/.stream`].map((name) =>
    openSync(`${daemon.path}/${name}`, constants.O_RDONLY | constants.O_NONBLOCK),
  );
  const loss = 'overflow@/eventfs\nACTION=overflow\nDEVPATH=/eventfs\nLOST=1000\nHOST=web1\n\n';
  for (let n = 0; n < 200; n++) writeFileSync(`${daemon.path}/publish`, loss);
  assert.is(statusOf(own).LOST, '190000');
  for (const reader of readers) {
    const losses = [...textOf(reader).matchAll(/^LOST=(\d+)$/gm)];
    assert.ok(losses.length < 100, `${losses.length} records`);
    assert.is(
      losses.reduce((sum, [, lost]) => sum + Number(lost), 0),
      200_000,
    );
    closeSync(reader);
  }
  await owner.kill();
  await daemon.stop();
});

fleet('refuses a publisher, and a quota for a user, that does not exist', async () => {
  assert.match(await refused(['--publisher', 'nobody-at-all']), 'Use the name of a user');
  const file = join(mountPoint(), 'f.toml');
  writeFileSync(file, '[quota.uid.nobody-at-all]\ndirectories = 1\n');
  assert.match(await refused(['--config', file]), 'names of users that exist');
});

fleet.run();
