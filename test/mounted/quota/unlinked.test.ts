/**
 * Unlinked files whose inodes the kernel keeps, because a process has an O_PATH descriptor of each.
 * The daemon is not told of such descriptors, so it charges no user for them.
 */
import * as assert from 'uvu/assert';
import { spawnClient, statusOf } from '../../support/clients/clients.js';
import { until, within } from '../../support/mount/daemon.js';
import { daemon, directory, mounted, shell } from '../../support/mount/mounted.js';

const unlinked = mounted('an unlinked file that is known by O_PATH');

const HELD = 200;
/** The nodes of the shell's directory and of the daemon's own files, and some unlinked files. */
const OTHERS = 30;

/** Makes each file, opens it, and unlinks it. */
const HOLD = `
import os, sys
path, kind = sys.argv[1:]
for n in range(${HELD}):
    name = '%s/held%d' % (path, n)
    if kind == 'FIFO': os.mkfifo(name)
    elif kind == 'symlink': os.symlink('target', name)
    else:
        with open(name, 'w') as file: file.write('add@/x')
    keep = os.open(name, os.O_PATH | os.O_NOFOLLOW)
    if kind == 'event that was open':
        handle = os.open(name, os.O_RDONLY)
        os.unlink(name)
        os.close(handle)
    elif kind == 'replaced event':
        with open(path + '/other', 'w') as file: file.write('add@/x')
        os.rename(path + '/other', name)
        os.unlink(name)
    else: os.unlink(name)
print('first', end=' ')
try: print(os.fstat(3).st_nlink)
except OSError as error: print(error.errno)
if kind != 'event that was open': print('last', os.fstat(keep).st_nlink, end=' ')
print('held', flush=True)
sys.stdin.read()
`;

const nodes = (): number => Number(statusOf(`${daemon.path}/log`).NODES);

for (const kind of ['event', 'event that was open', 'replaced event', 'FIFO', 'symlink'])
  unlinked(`is not kept by the daemon: ${kind}`, async () => {
    const path = await directory();
    const before = nodes();
    const holder = spawnClient(['python3', '-c', HOLD, path, kind], ['pipe', 'pipe', 'inherit']);
    const ended = new Promise((done) => holder.once('close', done));
    let said = '';
    holder.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.includes('held'), 'the holder does not hold the files');
    assert.match(
      said,
      kind === 'event that was open' ? /^first 116\nheld/ : /^first 116\nlast 0 held/,
    );
    assert.ok(nodes() <= before + OTHERS, `${nodes() - before} nodes for ${HELD} files`);
    await shell.run(`rm -rf ${path}`);
    await until(
      () => nodes() <= before,
      () => `${nodes() - before} nodes are kept after the end of the directory`,
    );
    holder.stdin!.end();
    await within(10_000, ended, 'the holder did not end');
  });

unlinked.run();
