/** The model of a client's own directories: each right result is accepted, each wrong one found. */
import * as assert from 'uvu/assert';
import { checkHistories } from '../../../tools/history/check.js';
import { parseCall } from '../../../tools/history/lines.js';
import { suite } from '../../support/runner/suite.js';

const names = suite('the model of names');

/** Returns the lines, by number from 1, whose result the model finds wrong. */
function wrong(...lines: readonly string[]): string[] {
  const calls = lines.map((line, at) => parseCall(`1 2 ${line}`, at + 1));
  const { violations } = checkHistories([{ client: 'c', role: 'names', calls }], { longest: 10 });
  return violations.map(({ text }) =>
    text.replace(/^(\w+): c:(\d+): .*? = /, '$1 $2 ').replace(/, after .*/, ''),
  );
}

/** Two directories: d has the files 1 (as a) and 2 (as b), e has 1 (as x). */
const BEFORE = [
  'mkdir 0 d',
  'mkdir 0 e',
  'create 3 d/a 1',
  'write 9 d/a',
  'close 0 d/a',
  'create 3 d/b 2',
  'link 0 d/a e/x',
];

const RIGHT: readonly (readonly string[])[] = [
  ['stat 0 d/a 2', 'stat 0 e/x 2', 'stat 0 d/b 1', 'stat -2 d/c 0'],
  ['unlink 0 d/a', 'stat 0 e/x 1', 'unlink -2 d/a', 'readdir 0 d b'],
  ['rename 0 d/a d/c', 'readdir 0 d c,b', 'stat 0 d/c 2'],
  ['rename 0 d/a e/y', 'readdir 0 d b', 'readdir 0 e x,y'],
  ['rename 0 d/b d/a', 'readdir 0 d a', 'get 9 d/a 2', 'stat 0 e/x 1'],
  ['rename -2 d/c d/a', 'link -2 d/c d/e', 'link -17 d/a d/b', 'create -17 d/a 3', 'mkdir -17 d'],
  ['take 9 d 1,2', 'readdir 0 d -', 'take -11 d -', 'ready 0 d', 'stat 0 e/x 1'],
  ['ready 1 d', 'rmdir -39 d', 'rmdir 0 d', 'ready 0 d', 'mkdir 0 d', 'readdir 0 d -'],
  ['rmdir -2 f', 'readdir -2 f -', 'create -2 f/a 3', 'open -2 f/.stream', 'open 3 d/.stream'],
];
for (const lines of RIGHT)
  names(`accepts ${lines.join(', ')}`, () => {
    assert.equal(wrong(...BEFORE, ...lines), []);
  });

const WRONG: readonly [string, readonly string[], string][] = [
  ['a link count that is too large', ['stat 0 d/a 3'], 'the link count must be 2'],
  ['a link count that is too small', ['stat 0 d/a 1'], 'the link count must be 2'],
  ['mkdir that was carried out twice', ['mkdir -17 f'], 'the result must be 0'],
  ['link that was carried out twice', ['link -17 d/b e/y'], 'the result must be 0'],
  ['create that was carried out twice', ['create -17 d/c 3'], 'the call must succeed'],
  ['unlink that was carried out twice', ['unlink -2 d/a'], 'the result must be 0'],
  ['rename that was carried out twice', ['rename -2 d/a d/c'], 'the result must be 0'],
  ['rmdir that was carried out twice', ['take 9 e 1', 'rmdir -2 e'], 'the result must be 0'],
  ['unlink that was not carried out', ['unlink 0 d/a', 'stat 0 d/a 1'], 'the result must be -2'],
  ['events that come twice', ['take 9 d 1,2', 'take 9 d 1,2'], 'the result must be -11'],
  ['events that do not come', ['take 9 d 2'], 'the events must be 1,2'],
  ['a queue without its events', ['take -11 d -'], 'the call must succeed'],
  ['a poll that finds nothing', ['ready 0 d'], 'the result must be 1'],
  ['names in another order', ['readdir 0 d b,a'], 'the names must be a,b'],
  ['a name too much', ['readdir 0 d a,b,c'], 'the names must be a,b'],
  ['another file', ['get 9 d/a 2'], 'it must be file 1'],
  ['a directory that is gone', ['open -2 d/.stream'], 'the call must succeed'],
];
for (const [what, lines, why] of WRONG)
  names(`finds ${what}`, () => {
    const [found, ...more] = wrong(...BEFORE, ...lines);
    assert.match(found ?? '', new RegExp(`^names ${BEFORE.length + lines.length} .*${why}$`));
    assert.equal(more, []);
  });

names('believes nothing after a call that failed because of the daemon', () => {
  assert.equal(
    wrong(...BEFORE, 'mkdir -107 f', 'mkdir -17 f').map((text) => text.slice(0, 8)),
    ['failed 8'],
  );
});

names.run();
