/** A service that stores descriptors, and fails. */
import * as assert from 'uvu/assert';
import { DescriptorStore } from '../../../fs/guard/descriptor-store.js';
import { UserError } from '../../../fs/shared/errors.js';
import { collecting } from '../../support/memory/logger.js';
import { suite } from '../../support/runner/suite.js';

const store = suite('a store of descriptors');

/** A service that fails on request. */
class Failing extends DescriptorStore {
  fails = false;

  constructor(said: string[]) {
    super('test', collecting(said), []);
  }

  #answer(): void {
    if (this.fails) throw new UserError('no answer');
  }

  protected store(): void {
    this.#answer();
  }

  protected forget(): void {
    this.#answer();
  }
}

store('tells of its first failure while the daemon serves, whatever failed before', async () => {
  const said: string[] = [];
  const service = new Failing(said);
  service.keep('one', 0);
  service.fails = true;
  service.drop('one');
  assert.equal(said, []);
  assert.throws(() => service.keep('two', 0), /no answer/);
  await service.ready();
  service.keep('three', 0);
  service.keep('four', 0);
  assert.is(said.length, 1, said.join('\n'));
  assert.match(said[0], /^no answer; the daemon goes on, but its death may end the mount/);
});

store.run();
