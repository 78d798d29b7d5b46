/** The file `publish`. */
import * as assert from 'uvu/assert';
import { MAX_WRITE_BYTES } from '../../../../fs/shared/kernel/write-size.js';
import { refusal } from '../../../support/memory/connection.js';
import { MemoryKernel, O_RDWR, O_WRONLY } from '../../../support/memory/kernel.js';
import { suite } from '../../../support/runner/suite.js';
import { withKernel } from '../with-kernel.js';

const publishSuite = suite('publish');
const publish = withKernel(publishSuite);

/**
 * Writes the texts through one open file, as a shell does. Returns the texts of the events that
 * result.
 */
function published(kernel: MemoryKernel, own: number, writes: readonly string[]): string[] {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  for (const text of writes) assert.is(kernel.write(fh, text), text.length);
  kernel.release(fh);
  return kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid));
}

const CHANGE = 'change@/my/thing\nACTION=change\nSUBSYSTEM=mine\n';

publish('makes one event of each write', (kernel, own) => {
  assert.equal(published(kernel, own, [CHANGE, `${CHANGE}A=1\n`, CHANGE.slice(0, -1)]), [
    CHANGE,
    `${CHANGE}A=1\n`,
    CHANGE,
  ]);
  assert.equal(kernel.names(own), ['0.1', '0.2', '0.3']);
});

publish('accepts several records in one write, each ended by an empty line', (kernel, own) => {
  const got = published(kernel, own, ['a@/1\nK=1\n\nb@/2\n\n\nc@/3\nK=3\n\n', 'd@/4\nK=4\n']);
  assert.equal(got, ['a@/1\nK=1\n', 'b@/2\n', 'c@/3\nK=3\n', 'd@/4\nK=4\n']);
});

publish(
  'publishes the records before an invalid or unended one, and returns their length',
  (kernel, own) => {
    const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
    assert.is(kernel.write(fh, 'a@/1\nK=1\n\nb@/2\nnot one\n\n'), 'a@/1\nK=1\n\n'.length);
    assert.is(
      refusal(() => kernel.write(fh, 'b@/2\nnot one\n\nc@/3\n\n')),
      'EINVAL',
    );
    assert.is(kernel.write(fh, 'd@/4\nK=4\n\ne@/5\nK='), 'd@/4\nK=4\n\n'.length);
    kernel.release(fh);
    assert.equal(
      kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
      ['a@/1\nK=1\n', 'd@/4\nK=4\n'],
    );
  },
);

publish("accepts the kernel's form with NUL bytes", (kernel, own) => {
  assert.equal(published(kernel, own, [CHANGE.replaceAll('\n', '\0')]), [CHANGE]);
});

publish('joins the lines that bash writes one by one', (kernel, own) => {
  const lines = ['change@/my/thing\n', 'ACTION=change\n', 'SUBSYSTEM=mine\n'];
  assert.equal(published(kernel, own, lines), [CHANGE]);
});

publish(
  'begins a new event at a header, after an empty line, and after a whole event',
  (kernel, own) => {
    const got = published(kernel, own, [
      'a@/1\n',
      'K=1\n',
      'b@/2\n',
      'K=2\n',
      '\n',
      'c@/3',
      'K=3',
      'd@/4\nK=4\n',
      'e@/5\n',
    ]);
    assert.equal(got, ['a@/1\nK=1\n', 'b@/2\nK=2\n', 'c@/3\nK=3\n', 'd@/4\nK=4\n', 'e@/5\n']);
  },
);

publish('keeps the events of two writers apart', (kernel, own) => {
  const node = kernel.walk('publish');
  const [one, other] = [kernel.open(node, O_WRONLY), kernel.open(node, O_WRONLY)];
  kernel.write(one, 'a@/1\n');
  kernel.write(other, 'b@/2\n');
  kernel.write(one, 'K=1\n');
  kernel.write(other, 'K=2\n');
  kernel.release(other);
  kernel.release(one);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['b@/2\nK=2\n', 'a@/1\nK=1\n'],
  );
});

publish('refuses an invalid event with EINVAL and a too large one with EFBIG', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  for (const bad of [
    'x',
    '\n',
    'K=1\n',
    'a@/1\nK\n',
    'a@/1\n=1\n',
    'a@/1\nSEQNUM=x\n',
    'a@/1\0K=1',
    '\0',
  ]) {
    assert.is(
      refusal(() => kernel.write(fh, bad)),
      'EINVAL',
      JSON.stringify(bad),
    );
  }
  for (const bad of [`a@/1\nK=${'v'.repeat(65536)}\n`, 'x'.repeat(MAX_WRITE_BYTES)]) {
    assert.is(
      refusal(() => kernel.write(fh, bad)),
      'EFBIG',
    );
  }
  kernel.release(fh);
  assert.equal(kernel.names(own), []);
});

publish('publishes no part of an event with an invalid line', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  kernel.write(fh, 'a@/1\n');
  assert.is(
    refusal(() => kernel.write(fh, 'not a property\n')),
    'EINVAL',
  );
  kernel.write(fh, 'b@/2\n');
  kernel.release(fh);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['b@/2\n'],
  );
});

publish('publishes a begun event if the next one is refused', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  kernel.write(fh, 'a@/1\n');
  assert.is(
    refusal(() => kernel.write(fh, 'b@/2\nnot a property\n')),
    'EINVAL',
  );
  kernel.release(fh);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['a@/1\n'],
  );
});

publish('refuses text behind an empty line, so that it is not lost', (kernel, own) => {
  const fh = kernel.open(kernel.walk('publish'), O_WRONLY);
  kernel.write(fh, 'a@/1\n');
  assert.is(
    refusal(() => kernel.write(fh, '\nb@/2\nK=2\n')),
    'EINVAL',
  );
  kernel.write(fh, 'c@/3\n');
  kernel.write(fh, '\n\n');
  kernel.release(fh);
  assert.equal(
    kernel.names(own).map((name) => kernel.cat(kernel.lookup(own, name).nodeid)),
    ['c@/3\n'],
  );
});

publish('sends its events to log/, to directories and to streams', (kernel, own) => {
  const fh = kernel.open(kernel.walk('stream'));
  assert.equal(published(kernel, own, [CHANGE]), [CHANGE]);
  assert.is(kernel.cat(kernel.walk('log/0.1')), CHANGE);
  assert.is(kernel.read(fh), `${CHANGE}\n`);
});

publish('is always writable and never readable', (kernel) => {
  const fh = kernel.open(kernel.walk('publish'), O_RDWR);
  assert.is(
    refusal(() => kernel.read(fh)),
    'EINVAL',
  );
  assert.is(kernel.poll(fh, 1), 0x104);
});

publishSuite.run();
