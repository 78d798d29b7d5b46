/** Tests --fifodir: s6-ftrig-wait of Debian wakes on it, and no file of a user there does harm. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refused } from '../../support/mount/apart.js';
import { Reader, eventText, publish, statusOf } from '../../support/clients/clients.js';
import { compiled } from '../../support/clients/compiled.js';
import { EVENTFS_NODE, mountPoint, run, startDaemon, until } from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';
import { childrenOf } from '../../support/processes.js';
import { figure } from '../../support/runner/output.js';

const scratch = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'fifodir-'));
const DIRECTORY = join(scratch, 'events');
execFileSync('s6-mkfifodir', [DIRECTORY]);

const status = (key: string): number => Number(statusOf(`${daemon.path}/log`)[key]);
/** Publishes `count` events in a few writes, each of which the daemon may take in part. */
function burst(count: number): void {
  const records = Buffer.from('change@/burst\nACTION=change\n\n'.repeat(count));
  const publish = openSync(`${daemon.path}/publish`, constants.O_WRONLY);
  for (let from = 0; from < records.length;) from += writeSync(publish, records, from);
  closeSync(publish);
}

const act = (...actions: string[]): void =>
  publish(daemon.path, ...actions.map((action) => eventText('/devices/f', {}, action)));

/**
 * Makes a FIFO that this process reads, under a hidden name first, as s6 does. @returns the
 * descriptor
 */
function reader(name: string): number {
  const making = join(DIRECTORY, `.${name}`);
  execFileSync('mkfifo', [making]);
  const fd = openSync(making, constants.O_RDONLY | constants.O_NONBLOCK);
  renameSync(making, join(DIRECTORY, name));
  return fd;
}

const bytes = Buffer.alloc(64 * 1024);

/** Returns the bytes that a FIFO has now. */
function contentOf(fd: number): string {
  try {
    return bytes.toString('latin1', 0, readSync(fd, bytes));
  } catch {
    return ''; // EAGAIN
  }
}

/** Reads until as many bytes have come as expected, and compares them. */
async function reads(fd: number, expected: string): Promise<void> {
  let got = '';
  await until(
    () => (got += contentOf(fd)).length >= expected.length,
    () => `'${got}' came, not '${expected}'`,
  );
  assert.is(got, expected);
}

const fifodir = mounted('a fifodir', ['--source', 'none', '--fifodir', DIRECTORY]);

fifodir('wakes s6-ftrig-wait by the action that it waits for only', async () => {
  const added = new Reader('a', ['s6-ftrig-wait', '-t', '20000', DIRECTORY]);
  const removed = new Reader('.*r', ['s6-ftrig-wait', '-t', '20000', DIRECTORY]);
  await until(
    () => readdirSync(DIRECTORY).filter((name) => name.startsWith('ftrig1:')).length === 2,
    's6-ftrig-wait does not wait',
  );
  act('change');
  act('add');
  assert.is(await added.ended, 0, added.err);
  assert.is(added.text, 'a\n');
  assert.is(removed.process.exitCode, null);
  act('remove');
  assert.is(await removed.ended, 0, removed.err);
  assert.equal(readdirSync(DIRECTORY), []);
});

fifodir('gets a byte for each known action, in order, and none for other actions', async () => {
  const [one, two] = [reader('one'), reader('two')];
  act('add', 'remove', 'change', 'move', 'bind', 'unbind', 'online', 'offline', 'dance', 'add');
  await reads(one, 'arcmbuofa');
  await reads(two, 'arcmbuofa');
  closeSync(one);
  closeSync(two);
});

fifodir('loses the FIFO of a killed waiter, and no other file', async () => {
  const waiter = new Reader('x', ['s6-ftrig-wait', '-t', '60000', DIRECTORY]);
  const left = (): string[] => readdirSync(DIRECTORY).filter((name) => name.startsWith('ftrig1:'));
  await until(() => left().length === 1, 's6-ftrig-wait does not wait');
  // The helper s6-ftrigrd has the FIFO open.
  for (const child of childrenOf(waiter.process.pid!)) process.kill(child, 'SIGKILL');
  await waiter.kill();
  execFileSync('mkfifo', [join(DIRECTORY, 'unread')]);
  const before = status('FIFODIR_STALE');
  await until(() => {
    act('add');
    return left().length === 0;
  }, "the killed waiter's FIFO is still there");
  assert.is(status('FIFODIR_STALE'), before + 1);
  assert.ok(existsSync(join(DIRECTORY, 'unread')), "another user's FIFO was removed");
});

fifodir('is written to through no symlink, and only to FIFOs', async () => {
  const outside = join(scratch, 'outside');
  writeFileSync(outside, 'mine');
  execFileSync('mkfifo', [join(scratch, 'elsewhere')]);
  const elsewhere = openSync(join(scratch, 'elsewhere'), constants.O_RDONLY | constants.O_NONBLOCK);
  symlinkSync(outside, join(DIRECTORY, 'ftrig1:to-a-file'));
  symlinkSync(join(scratch, 'elsewhere'), join(DIRECTORY, 'ftrig1:to-a-fifo'));
  symlinkSync(daemon.path, join(DIRECTORY, 'ftrig1:to-the-mount'));
  symlinkSync(`${daemon.path}/publish`, join(DIRECTORY, 'to-publish'));
  writeFileSync(join(DIRECTORY, 'ftrig1:file'), 'kept');
  mkdirSync(join(DIRECTORY, 'ftrig1:directory'));
  execFileSync('mkfifo', [join(DIRECTORY, '.being-made')]);
  const hidden = openSync(
    join(DIRECTORY, '.being-made'),
    constants.O_RDONLY | constants.O_NONBLOCK,
  );
  const plain = reader('plain');
  act('add');
  await reads(plain, 'a');
  assert.equal([contentOf(elsewhere), contentOf(hidden)], ['', '']);
  assert.equal(
    [readFileSync(outside, 'latin1'), readFileSync(join(DIRECTORY, 'ftrig1:file'), 'latin1')],
    ['mine', 'kept'],
  );
  assert.ok(
    ['ftrig1:to-a-file', 'ftrig1:to-a-fifo', 'ftrig1:directory'].every((name) =>
      readdirSync(DIRECTORY).includes(name),
    ),
  );
  for (const fd of [elsewhere, hidden, plain]) closeSync(fd);
});

fifodir(
  'gets its bytes on time beside a full FIFO',
  async () => {
    const [full, quick] = [reader('full'), reader('quick')];
    for (let n = 0; n < 700; n++) {
      act(...Array.from({ length: 100 }, () => 'change'));
      await reads(quick, 'c'.repeat(100));
    }
    assert.ok(status('FIFODIR_FULL') > 0, 'no FIFO was full');
    closeSync(full);
    closeSync(quick);
  },
  60_000,
);

fifodir('leaves no descriptor open in the daemon when waiters come and go', async () => {
  const count = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
  const before = count();
  for (let n = 0; n < 20; n++) {
    const fd = reader(`ftrig1:round-${n}`);
    act('add');
    closeSync(fd);
    act('remove');
  }
  await until(() => {
    act('add');
    return !readdirSync(DIRECTORY).some((name) => name.startsWith('ftrig1:round-'));
  }, 'some FIFOs are still there');
  await until(() => count() === before, 'descriptors are left'); // The last job may still run.
});

fifodir('may be moved or removed while the daemon writes to it', async () => {
  const moved = join(scratch, 'moved');
  renameSync(DIRECTORY, moved);
  execFileSync('mkfifo', [join(moved, 'after')]);
  const fd = openSync(join(moved, 'after'), constants.O_RDONLY | constants.O_NONBLOCK);
  act('move');
  await reads(fd, 'm');
  closeSync(fd);
  const other = join(scratch, 'other');
  mkdirSync(other);
  const second = await startDaemon(['--source', 'none', '--fifodir', other]);
  rmdirSync(other);
  publish(second.path, eventText('/devices/f'));
  await until(() => statusOf(`${second.path}/log`).PUBLISHED === '1', 'the event did not come');
  assert.is(await second.stop(), 0);
});

fifodir('is refused if it is missing, no directory, on FUSE or below the mount', async () => {
  assert.match(
    await refused(['--source', 'none', '--fifodir', join(scratch, 'none')]),
    `make it with s6-mkfifodir ${scratch}/none`,
  );
  writeFileSync(join(scratch, 'file'), '');
  assert.match(
    await refused(['--source', 'none', '--fifodir', join(scratch, 'file')]),
    'Not a directory',
  );
  assert.match(
    await refused(['--source', 'none', '--fifodir', daemon.path]),
    'the directory is on a FUSE mount',
  );
  const path = mountPoint();
  chmodSync(path, 0o755);
  const { err, code } = await run([
    ...EVENTFS_NODE,
    'mount',
    path,
    '--source',
    'none',
    '--fifodir',
    path,
  ]);
  assert.match(err, 'the path is below the mount');
  assert.is(code, 100);
});

fifodir.run();

const LARGE = join(scratch, 'large');
mkdirSync(LARGE);

const large = mounted('a fifodir of 70,000 FIFOs', ['--source', 'none', '--fifodir', LARGE]);

large(
  'delays no other request, keeps the order, and gets a ? for bytes that were dropped',
  async () => {
    const MADE_AT_ONCE = 10_000;
    for (let from = 0; from < 70_000; from += MADE_AT_ONCE) {
      const names = Array.from({ length: MADE_AT_ONCE }, (_, n) => `f${from + n}`).join(' ');
      assert.is(
        (
          await run(['sh', '-c', `cd ${LARGE} && xargs mkfifo`], {
            input: names,
            timeoutMs: 60_000,
          })
        ).code,
        0,
      );
    }
    // This process reads the first FIFO of the listing: later ones may be beyond the bound.
    const first = (await run(['ls', '-U', LARGE], { timeoutMs: 60_000 })).out.split('\n', 1)[0];
    const fd = openSync(join(LARGE, first), constants.O_RDONLY | constants.O_NONBLOCK);
    const actions = ['add', 'remove', 'change', 'move', 'bind', 'unbind', 'online', 'offline'];
    const letters = 'arcmbuof';

    const took: number[] = [];
    let expected = '';
    let got = '';
    for (let n = 0; n < 200; n++) {
      act(actions[n % actions.length]);
      expected += letters[n % letters.length];
      const beganMs = performance.now();
      statSync(`${daemon.path}/log`);
      took.push(performance.now() - beganMs);
      got += contentOf(fd);
    }
    took.sort((a, b) => a - b);
    figure(
      `beside a fifodir of 70,000 FIFOs stat takes ${took[100].toFixed(3)} ms at the median, ${took[198].toFixed(1)} ms at the 99th percentile`,
    );
    assert.ok(took[100] < 2, `stat took ${took[100]} ms`);
    await until(
      () => (got += contentOf(fd)).length >= expected.length,
      () => `${got.length} bytes came`,
      20_000,
    );
    assert.is(got, expected);
    assert.is(status('FIFODIR_LOST'), 0);
    assert.ok(status('FIFODIR_SKIPPED') >= 65_000);

    // Far more than PIPE_BUF comes while one job runs. The test reads meanwhile, else the FIFO
    // fills.
    await until(
      () => {
        for (let n = 0; n < 20; n++) {
          burst(500);
          got += contentOf(fd);
        }
        return got.includes('?');
      },
      'no ? came',
      30_000,
    );
    assert.ok(status('FIFODIR_LOST') > 0);
    assert.match(got.slice(expected.length), /^c+(\?+c*)+$/);
    // Then bytes come as before. The first may still be dropped behind the rest of the flood.
    got = '';
    let actedMs = -Infinity;
    await until(
      () => {
        if (performance.now() - actedMs > 1000) {
          act('remove');
          actedMs = performance.now();
        }
        return (got += contentOf(fd)).endsWith('r');
      },
      'the last byte did not come',
      20_000,
    );
    assert.match(got, /^[c?]*r[?r]*$/);
    closeSync(fd);
  },
  240_000,
);

large(
  'gets all its bytes before the daemon ends',
  async () => {
    const small = join(scratch, 'small');
    mkdirSync(small);
    execFileSync('mkfifo', [join(small, 'one')]);
    const fd = openSync(join(small, 'one'), constants.O_RDONLY | constants.O_NONBLOCK);
    for (let round = 0; round < 5; round++) {
      const stopping = await startDaemon(['--source', 'none', '--fifodir', small]);
      publish(stopping.path, ...Array.from({ length: 1000 }, () => eventText('/devices/f')));
      assert.is(await stopping.stop(), 0);
      assert.is(contentOf(fd), 'a'.repeat(1000));
    }
    closeSync(fd);
  },
  60_000,
);

large.run();

const lossy = mounted(
  'a fifodir after a loss at the source',
  ['--source', 'udev', '--fifodir', join(scratch, 'lossy')],
  { under: ['sh', '-c', `mkdir -p ${scratch}/lossy; exec unshare --net "$@"`, 'sh'] },
);

lossy(
  'gets a ?',
  async () => {
    execFileSync('mkfifo', [join(scratch, 'lossy', 'waiter')]);
    const fd = openSync(
      join(scratch, 'lossy', 'waiter'),
      constants.O_RDONLY | constants.O_NONBLOCK,
    );
    daemon.process.kill('SIGSTOP');
    try {
      const command = [
        'nsenter',
        `--net=/proc/${daemon.pid}/ns/net`,
        compiled('stream-netlink'),
        'multicast',
        '2',
        '200000',
      ];
      await run(command, { input: 'garbage'.repeat(300) });
    } finally {
      daemon.process.kill('SIGCONT');
    }
    let got = '';
    await until(
      () => (got += contentOf(fd)).includes('?'),
      () => `only '${got}' came`,
      20_000,
    );
    closeSync(fd);
  },
  60_000,
);

lossy.run();
