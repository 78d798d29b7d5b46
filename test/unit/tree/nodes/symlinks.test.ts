/** Symlinks that users make: their targets and lifetime. They are no events. */
import * as assert from 'uvu/assert';
import { Child } from '../../../support/memory/child.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, O_NONBLOCK, cstring } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';

const symlinks = suite('a symlink');

const S_IFIFO = 0o010600;
const TYPE_SYMLINK = 0o12;
const STICKY = 'user.eventfs_sticky';
const READLINK = 'FUSE_READLINK';
const SETATTR_MODE = 1;

/** Returns a kernel with one directory. */
function withDirectory(): { kernel: MemoryKernel; own: number } {
  const kernel = MemoryKernel.started();
  return { kernel, own: kernel.mkdir('own') };
}

symlinks('is listed with its type, and keeps its target byte by byte', () => {
  const { kernel, own } = withDirectory();
  const targets = ['x', '../../etc/passwd', '/', ' ', '\xff\x01\n', 't'.repeat(4095)];
  targets.forEach((target, n) => kernel.symlink(own, `l${n}`, target));
  const listed = kernel.readdir(kernel.opendir(own)).slice(2);
  assert.equal(
    listed.map(({ type }) => type),
    targets.map(() => TYPE_SYMLINK),
  );
  targets.forEach((target, n) => {
    const {
      nodeid,
      'attr.size': size,
      'attr.ino': ino,
      'attr.mode': mode,
      'attr.nlink': nlink,
    } = kernel.lookup(own, `l${n}`);
    assert.equal(
      [size, ino, mode, nlink],
      [target.length, listed[n].ino, (TYPE_SYMLINK << 12) | 0o777, 1],
    );
    assert.is(kernel.readlink(nodeid), target);
  });
  kernel.close();
});

symlinks('is refused with an empty, a too long or an unterminated target', () => {
  const { kernel, own } = withDirectory();
  assert.is(
    refusal(() => kernel.symlink(own, 'link', '')),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.symlink(own, 'link', 't'.repeat(4096))),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() => kernel.symlink(own, 'n'.repeat(256), 't')),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() =>
      kernel.ask('FUSE_SYMLINK', own, Buffer.concat([cstring('link'), Buffer.from('target')])),
    ),
    'EIO',
  );
  assert.equal(kernel.names(own), []);
  kernel.close();
});

symlinks('is refused with a name that has a meaning, whether that name exists or not', () => {
  const { kernel, own } = withDirectory();
  const reserved = ['head', 'tail', '.stream', '.filter', '.since', '.status'];
  for (const name of reserved)
    assert.is(
      refusal(() => kernel.symlink(own, name, 'x')),
      'EEXIST',
      name,
    );
  kernel.event(1);
  for (const name of [...reserved, '1'])
    assert.is(
      refusal(() => kernel.symlink(own, name, 'x')),
      'EEXIST',
      name,
    );
  kernel.symlink(own, 'link', 'x');
  for (const name of ['head', 'tail'])
    assert.is(
      refusal(() => kernel.rename(own, 'link', own, name)),
      'EPERM',
      name,
    );
  kernel.close();
});

symlinks('ignores the mode: its own is 0777', () => {
  const { kernel, own } = withDirectory();
  const link = kernel.symlink(own, 'link', 'x');
  assert.is(
    refusal(() => kernel.setattr(link, { valid: SETATTR_MODE, mode: 0o600 })),
    'ENOTSUP',
  ); // the same number
  assert.is(kernel.getattr(link)['attr.mode'] & 0o7777, 0o777);
  kernel.close();
});

symlinks('is in no stream, is neither head nor tail, and is no event', () => {
  const { kernel, own } = withDirectory();
  kernel.symlink(own, 'link', 'x');
  assert.is(
    refusal(() => kernel.lookup(own, 'head')),
    'ENOENT',
  );
  const stream = kernel.open(kernel.lookup(own, '.stream').nodeid);
  assert.is(
    refusal(() => kernel.read(stream, 4096, 0, O_NONBLOCK)),
    'EAGAIN',
  );
  kernel.event(1);
  for (const end of ['head', 'tail'])
    assert.is(kernel.readlink(kernel.lookup(own, end).nodeid), '1');
  assert.match(kernel.read(stream, 4096, 0, O_NONBLOCK), 'SEQNUM=1\n');
  assert.equal(kernel.names(own), ['link']);
  assert.match(kernel.cat(kernel.lookup(own, '.status').nodeid), 'PENDING=0\n');
  kernel.close();
});

symlinks('makes an event of the same name get another name', () => {
  const { kernel, own } = withDirectory();
  kernel.symlink(own, '7', '/etc/shadow');
  kernel.event(7);
  assert.equal(kernel.names(own), ['7.1', '7']);
  assert.match(kernel.cat(kernel.lookup(own, '7.1').nodeid), 'SEQNUM=7\n');
  kernel.close();
});

symlinks('has no link and no target after it is removed or replaced, as a FIFO has none', () => {
  const { kernel, own } = withDirectory();
  const other = kernel.mkdir('other');
  const gone = (['removed', 'replaced', 'replaced from elsewhere'] as const).flatMap((how) => {
    const nodes = [
      kernel.symlink(own, `link ${how}`, 'target'),
      kernel.mknod(own, `fifo ${how}`, S_IFIFO),
    ];
    for (const [n, name] of [`link ${how}`, `fifo ${how}`].entries()) {
      if (how === 'removed') kernel.unlink(own, name);
      else {
        const from = how === 'replaced' ? own : other;
        kernel.make(from, `new ${n}`, '');
        kernel.rename(from, `new ${n}`, own, name);
      }
    }
    return nodes;
  });
  for (const node of gone) assert.is(kernel.getattr(node)['attr.nlink'], 0);
  for (const [n, node] of gone.entries())
    assert.is(
      refusal(() => kernel.readlink(node)),
      n % 2 === 0 ? 'ENOENT' : 'EINVAL',
    );
  assert.is(kernel.getattr(gone[0])['attr.size'], 'target'.length);
  const moved = kernel.symlink(own, 'moves', 'target');
  kernel.rename(own, 'moves', other, 'moved');
  assert.equal([kernel.getattr(moved)['attr.nlink'], kernel.readlink(moved)], [1, 'target']);
  kernel.close();
});

symlinks(
  "cannot be reached after the owner's death, not even by an old node, and is freed",
  async () => {
    const kernel = MemoryKernel.started();
    const owner = new Child();
    const own = kernel.mkdir('own', owner.by);
    const empty = kernel.tree.ledger.mount.memory;
    const [held, removed] = ['held', 'removed'].map((name) => kernel.symlink(own, name, 'target'));
    kernel.unlink(own, 'removed');
    assert.is(kernel.readlink(held), 'target');
    assert.ok(kernel.tree.ledger.mount.memory > empty);
    await owner.die();
    for (const node of [held, removed]) {
      assert.is(
        refusal(() => kernel.readlink(node)),
        'ESTALE',
      );
      assert.is(
        refusal(() => kernel.getattr(node)),
        'ESTALE',
      );
    }
    assert.is(kernel.try(READLINK, own, Buffer.alloc(0)).body.length, 0);
    kernel.forgetAll();
    assert.equal(
      [
        kernel.tree.ledger.mount.memory,
        kernel.tree.ledger.mount.events,
        kernel.counts.nodes,
        kernel.counts.directories,
      ],
      [0, 0, 0, 0],
    );
    kernel.close();
  },
);

symlinks(
  "stays in a sticky directory after the owner's death, and goes with the directory",
  async () => {
    const kernel = MemoryKernel.started();
    const owner = new Child();
    const own = kernel.mkdir('own', owner.by);
    kernel.ask('FUSE_SETXATTR', own, Buffer.concat([Buffer.alloc(8), cstring(STICKY)]));
    kernel.symlink(own, 'link', 'target');
    await owner.die();
    const link = kernel.lookup(own, 'link').nodeid;
    assert.is(kernel.readlink(link), 'target');
    kernel.ask('FUSE_REMOVEXATTR', own, cstring(STICKY));
    assert.is(
      refusal(() => kernel.readlink(link)),
      'ESTALE',
    );
    kernel.drain();
    assert.equal([kernel.tree.ledger.mount.memory, kernel.tree.ledger.mount.events], [0, 0]);
    kernel.close();
  },
);

symlinks('replaced over and over while it is open does not make the ledger grow', () => {
  const { kernel, own } = withDirectory();
  const { ledger } = kernel.tree;
  kernel.symlink(own, 'current', 't'.repeat(4000));
  const { memory, events } = ledger.mount;
  const nodes: number[] = [];
  for (let n = 0; n < 100; n++) {
    nodes.push(kernel.symlink(own, 'next', 'u'.repeat(4000)));
    kernel.rename(own, 'next', own, 'current');
    assert.equal([ledger.mount.memory, ledger.mount.events], [memory, events]);
  }
  assert.is(kernel.readlink(nodes[99]), 'u'.repeat(4000));
  // The daemon keeps the newest ones of a directory, which the kernel may know for ever
  nodes.slice(0, 99).forEach((node, n) =>
    assert.is(
      refusal(() => kernel.readlink(node)),
      n < 99 - 8 ? 'ESTALE' : 'ENOENT',
    ),
  );
  kernel.close();
});

symlinks.run();
