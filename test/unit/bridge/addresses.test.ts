/** The addresses of a broker's name. */
import type { LookupAddress } from 'node:dns';
import * as assert from 'uvu/assert';
import { Addresses } from '../../../fs/bridge/mqtt/addresses.js';
import { suite } from '../../support/runner/suite.js';

const addresses = suite('the addresses of a name');

type Answer = (error: Error | null, addresses: LookupAddress[]) => void;

/** Three addresses whose resolver answers when it is told to. */
function three(): {
  readonly name: Addresses;
  readonly answer: (error?: Error) => void;
  readonly asked: () => number;
} {
  const waiting: Answer[] = [];
  let asked = 0;
  const name = new Addresses('broker', (_name, _options, done) => {
    asked++;
    waiting.push(done);
  });
  const found = ['a', 'b', 'c'].map((address) => ({ address, family: 4 }));
  const answer = (error: Error | null = null): void => {
    for (const done of waiting.splice(0)) done(error, error === null ? found : []);
  };
  return { name, answer, asked: () => asked };
}

/** Looks the name up. */
function lookUp(name: Addresses): Promise<string> {
  return new Promise((done, failed) =>
    name.lookup('broker', { all: true }, (error, found) =>
      error === null
        ? done((found as LookupAddress[]).map(({ address }) => address).join(''))
        : failed(error),
    ),
  );
}

addresses('begin with another one after each failure', async () => {
  const { name, answer } = three();
  for (const order of ['abc', 'bca', 'cab', 'abc']) {
    const found = lookUp(name);
    answer();
    assert.is(await found, order);
    name.skip();
  }
});

addresses('are looked up once at a time, however many connections wait', async () => {
  const { name, answer, asked } = three();
  const found = [lookUp(name), lookUp(name), lookUp(name)];
  assert.is(asked(), 1);
  assert.is(name.isResolving, true);
  answer();
  assert.equal(await Promise.all(found), ['abc', 'abc', 'abc']);
  assert.is(name.isResolving, false);
  const failed = [lookUp(name), lookUp(name)].map((each) => each.catch((error: unknown) => error));
  const refusal = new Error('no');
  answer(refusal);
  assert.equal(await Promise.all(failed), [refusal, refusal]);
  assert.is(asked(), 2);
});

addresses.run();
