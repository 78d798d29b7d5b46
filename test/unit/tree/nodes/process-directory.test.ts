/** A process directory: delivered events, head and tail, dot files, names and nodes. */
import * as assert from 'uvu/assert';
import { FUSE_ROOT_ID, SetattrValid } from '../../../../fs/fuse/abi.js';
import { refusal } from '../../../support/memory/connection.js';
import { O_RDWR, O_TRUNC, O_WRONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { eventText, withKernel } from '../with-kernel.js';

const NAME_MAX = 255;

const filesSuite = suite('a process directory');
const files = withKernel(filesSuite);

files(
  'shows each event as a file with its SEQNUM as the name, and with its text and size',
  (kernel, own) => {
    kernel.event(1041);
    kernel.event(1042);
    assert.equal(kernel.names(own), ['1041', '1042']);
    const entry = kernel.lookup(own, '1041');
    assert.equal(
      [entry['attr.size'], entry['attr.mode'], entry['attr.nlink']],
      [eventText(1041).length, 0o100440, 2],
    ); // in own and in log
    assert.is(kernel.cat(entry.nodeid), eventText(1041));
    assert.is(kernel.lookup(kernel.walk('log'), '1041')['attr.ino'], entry['attr.ino']);
  },
);

files("returns an event's bytes from any offset", (kernel) => {
  kernel.event(1);
  const fh = kernel.open(kernel.walk('own/1'));
  const text = eventText(1);
  for (const offset of [0, 1, text.length - 1, text.length, text.length + 1, 2 ** 40]) {
    assert.is(kernel.read(fh, 4, offset), text.slice(offset, offset + 4));
  }
});

files('is not read into the page cache, which would outlive its owner; log/ is', (kernel) => {
  kernel.event(1);
  for (const path of [
    'own/1',
    'own/.status',
    'own/.filter',
    'own/.stream',
    'stream',
    'match/A==1',
  ]) {
    assert.is(kernel.readIntoCache(kernel.open(kernel.walk(path))), 'EINVAL', path);
  }
  assert.is(kernel.readIntoCache(kernel.open(kernel.walk('log/1'))), eventText(1));
  assert.match(kernel.readIntoCache(kernel.open(kernel.walk('log/.status'))), 'SEQNUM=1\n');
});

files('has head and tail while it has events', (kernel, own) => {
  assert.is(
    refusal(() => kernel.lookup(own, 'head')),
    'ENOENT',
  );
  kernel.event(1);
  const [head, tail] = [kernel.lookup(own, 'head').nodeid, kernel.lookup(own, 'tail').nodeid];
  assert.equal([kernel.readlink(head), kernel.readlink(tail)], ['1', '1']);
  kernel.event(22);
  assert.equal([kernel.readlink(head), kernel.readlink(tail)], ['1', '22']);
  assert.equal([kernel.getattr(head)['attr.size'], kernel.getattr(tail)['attr.size']], [1, 2]);
  assert.is(kernel.getattr(head)['attr.mode'], 0o120777);
  kernel.unlink(own, '1');
  kernel.unlink(own, '22');
  assert.is(
    refusal(() => kernel.readlink(head)),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.lookup(own, 'tail')),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.unlink(own, 'head')),
    'ENOENT',
  );
  kernel.event(23);
  assert.is(kernel.readlink(kernel.lookup(own, 'head').nodeid), '23');
  assert.is(
    refusal(() => kernel.open(kernel.walk('own/head'))),
    'ELOOP',
  );
});

files('removes its oldest event by rm head and its newest by rm tail', (kernel, own) => {
  for (let seqnum = 1; seqnum <= 4; seqnum++) kernel.event(seqnum);
  kernel.unlink(own, 'head');
  assert.equal(kernel.names(own), ['2', '3', '4']);
  kernel.unlink(own, 'tail');
  assert.equal(kernel.names(own), ['2', '3']);
});

files(
  'finds the dot files, does not list them, and refuses to remove or create them',
  (kernel, own) => {
    kernel.event(1);
    assert.equal(kernel.names(own), ['1']);
    for (const name of ['.stream', '.filter', '.status']) {
      assert.is(kernel.lookup(own, name).nodeid, kernel.lookup(own, name).nodeid);
      assert.is(
        refusal(() => kernel.unlink(own, name)),
        'EPERM',
      );
      assert.is(
        refusal(() => kernel.create(own, name)),
        'EEXIST',
      );
    }
    assert.is(
      refusal(() => kernel.lookup(own, '.other')),
      'ENOENT',
    );
  },
);

files('refuses names and operations that it does not support', (kernel, own) => {
  assert.is(
    refusal(() => kernel.create(own, 'head')),
    'EEXIST',
  );
  assert.is(
    refusal(() => kernel.create(own, 'tail')),
    'EEXIST',
  );
  assert.is(
    refusal(() => kernel.mkdir('directory', {}, 0o755, own)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.rmdir('directory', own)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.unlink(own, 'nothing')),
    'ENOENT',
  );
  assert.is(
    refusal(() => kernel.lookup(kernel.walk('own/.status'), 'x')),
    'ENOTDIR',
  );
  assert.is(
    refusal(() => kernel.open(own)),
    'EISDIR',
  );
  assert.is(
    refusal(() => kernel.opendir(kernel.walk('own/.status'))),
    'ENOTDIR',
  );
  assert.is(
    refusal(() => kernel.readlink(own)),
    'EINVAL',
  );
});

files('refuses every change of a delivered event', (kernel) => {
  kernel.event(1);
  const node = kernel.walk('own/1');
  assert.is(
    refusal(() => kernel.open(node, O_WRONLY)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.open(node, O_RDWR | O_TRUNC)),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.setattr(node, { valid: SetattrValid.FATTR_MODE, mode: 0o777 })),
    'EPERM',
  );
  assert.is(
    refusal(() => kernel.write(kernel.open(node), 'x')),
    'EBADF',
  );
  assert.is(kernel.cat(node), eventText(1));
});

files('accepts names of up to 255 bytes, line ends included', (kernel, own) => {
  const names = [
    'x'.repeat(NAME_MAX),
    'two\nlines',
    'blank tab\t',
    '\xff\xfe',
    '\\',
    '..x',
    '...',
    '-rf',
  ];
  for (const name of names) kernel.make(own, name, `text of ${name.slice(0, 9)}`);
  assert.equal(kernel.names(own), names);
  for (const name of names)
    assert.is(kernel.cat(kernel.lookup(own, name).nodeid), `text of ${name.slice(0, 9)}`);
  assert.is(kernel.readlink(kernel.lookup(own, 'head').nodeid), names[0]);
  const long = 'x'.repeat(NAME_MAX + 1);
  assert.is(
    refusal(() => kernel.lookup(own, long)),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() => kernel.create(own, long)),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() => kernel.unlink(own, long)),
    'ENAMETOOLONG',
  );
  assert.is(
    refusal(() => kernel.rmdir(long)),
    'ENAMETOOLONG',
  );
});

files("renames a delivered event if a user's file has its name", (kernel, own) => {
  kernel.make(own, '7', 'mine');
  kernel.event(7);
  kernel.make(own, '8', 'mine');
  kernel.make(own, '8.1', 'mine');
  kernel.event(8);
  assert.equal(kernel.names(own), ['7', '7.1', '8', '8.1', '8.2']);
  assert.is(kernel.cat(kernel.walk('own/7.1')), eventText(7));
  kernel.forgetAll();
  assert.equal(kernel.names(kernel.walk('own')), ['7', '7.1', '8', '8.1', '8.2']);
  kernel.unlink(kernel.walk('own'), '8.2');
  assert.is(kernel.cat(kernel.walk('own/8')), 'mine');
});

files('finds a node again after its FORGET', (kernel, own) => {
  kernel.event(1);
  const nodes = () => kernel.status('NODES');
  assert.is(nodes(), 2); // the root and own
  const first = kernel.lookup(own, '1').nodeid;
  assert.is(kernel.lookup(own, '1').nodeid, first);
  for (const name of ['head', 'tail', '.stream', '.filter', '.status']) kernel.lookup(own, name);
  assert.is(nodes(), 8);
  kernel.forget(first, 1);
  assert.is(kernel.getattr(first)['attr.size'], eventText(1).length);
  kernel.forget(first, 1);
  assert.is(
    refusal(() => kernel.getattr(first)),
    'ESTALE',
  );
  const second = kernel.lookup(own, '1').nodeid;
  assert.is.not(second, first);
  assert.is(kernel.cat(second), eventText(1));
  kernel.forgetAll();
  assert.is(nodes(), 1);
  assert.is(kernel.walk('own'), own);
  assert.equal(kernel.names(own), ['1']);
});

files(
  'keeps one node for a file while the kernel knows it, also if its name is unlinked and reused',
  (kernel, own) => {
    const node = kernel.make(own, 'file', 'x');
    kernel.lookup(own, 'file');
    kernel.unlink(own, 'file');
    const other = kernel.make(own, 'file', 'y');
    kernel.forget(node);
    assert.is(kernel.lookup(own, 'file').nodeid, other);
    kernel.forget(other);
    assert.is(kernel.cat(kernel.lookup(own, 'file').nodeid), 'y');
  },
);

files('ignores a FORGET of more references than the kernel holds', (kernel, own) => {
  kernel.batchForget([
    { nodeid: FUSE_ROOT_ID, nlookup: 100 },
    { nodeid: 2 ** 40, nlookup: 1 },
    { nodeid: own, nlookup: 100 },
  ]);
  assert.is(kernel.status('NODES'), 1);
  assert.is(kernel.getattr(FUSE_ROOT_ID)['attr.mode'], 0o41777);
  assert.is(kernel.walk('own'), own);
});

filesSuite.run();
