/** The values of fields that layout.test.ts does not compare with `<linux/fuse.h>`. */
import * as assert from 'uvu/assert';
import { Child } from '../../support/memory/child.js';
import { refusal } from '../../support/memory/connection.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';

const layout = suite('the layout of requests and replies');

layout('of fuse_statfs_out: blocks of 512 bytes, names of 255', () => {
  const kernel = MemoryKernel.started();
  const statfs = kernel.statfs();
  assert.equal([statfs['st.bsize'], statfs['st.namelen'], statfs['st.frsize']], [512, 255, 512]);
  const { bytes, events } = kernel.tree.ledger.mount.bounds;
  const counts = ['st.blocks', 'st.bfree', 'st.bavail', 'st.files', 'st.ffree'] as const;
  const blocks = Math.floor(bytes / 512);
  assert.equal(
    counts.map((name) => statfs[name]),
    [blocks, blocks, blocks, events, events],
  );
  kernel.close();
});

layout('of fuse_in_header: node, user and process', async () => {
  const kernel = MemoryKernel.started();
  const child = new Child();
  kernel.mkdir(String(child.pid), { pid: child.pid, uid: 5, gid: 6 });
  const { 'attr.uid': uid, 'attr.gid': gid } = kernel.lookup(1, String(child.pid));
  assert.equal([uid, gid], [5, 6]);
  await child.die();
  assert.is(
    refusal(() => kernel.lookup(1, String(child.pid))),
    'ENOENT',
  );
  kernel.close();
});

layout.run();
