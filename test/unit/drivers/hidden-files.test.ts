/**
 * HiddenFiles: a user can rename any number of files to a hidden name, and libfuse unlinks only
 * those that it has renamed itself.
 */
import * as assert from 'uvu/assert';
import { HiddenFiles, isHiddenName } from '../../../fs/drivers/fuse-native/paths/hidden-files.js';
import { Lifetime, type Node } from '../../../fs/tree/nodes/node.js';
import { suite } from '../../support/runner/suite.js';

const hiding = suite('hidden files');

function fileWith(opens: number): Node {
  return { opens, lifetime: new Lifetime() } as Node;
}

hiding('have the names that libfuse makes', () => {
  assert.ok(isHiddenName('.fuse_hidden0123456789abcdef'));
  assert.not.ok(isHiddenName('.fuse_hidden0'));
});

hiding('are kept only while they are open', () => {
  const hidden = new HiddenFiles();
  for (let n = 0; n < 1000; n++) hidden.add(`/1/${n}`, fileWith(0));
  assert.is(hidden.size, 0);
  const file = fileWith(2);
  hidden.add('/1/a', file);
  for (const left of [1, 0]) {
    assert.is(hidden.get('/1/a'), file);
    file.opens = left;
    hidden.closed(file);
  }
  assert.is(hidden.size, 0);
});

hiding('are kept until libfuse unlinks them', () => {
  const hidden = new HiddenFiles();
  const [file, other] = [fileWith(1), fileWith(1)];
  hidden.add('/1/a', file);
  hidden.add('/1/a', other);
  file.opens = 0;
  hidden.closed(file);
  assert.is(hidden.get('/1/a'), other);
  assert.ok(hidden.delete('/1/a'));
  assert.not.ok(hidden.delete('/1/a'));
});

hiding('are not found once their directory has ended', () => {
  const hidden = new HiddenFiles();
  const file = fileWith(1);
  hidden.add('/1/a', file);
  file.lifetime.isEnded = true;
  assert.is(hidden.get('/1/a'), undefined);
  file.opens = 0;
  hidden.closed(file);
  assert.is(hidden.size, 0);
});

hiding.run();
