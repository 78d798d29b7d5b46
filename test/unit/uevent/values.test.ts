/** The parser of an event's text, which the daemon and the commands share. */
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { parseEvent } from '../../../fs/client/events/text.js';
import { EventValues, parseProperties } from '../../../fs/uevent/values.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const values = suite("the values of an event's text");

function parse(text: string): EventValues<Map<string, string>> {
  return new EventValues(text, new Map<string, string>());
}

values('have no action and no devpath if the first line has no @/', () => {
  for (const text of ['add', 'add\n', 'add@x\nA=1\n', 'A=1\nB=add@/x\n', '\nadd@/x\n', '']) {
    for (const { action, devpath } of [parse(text), parseEvent(text)])
      assert.equal([action, devpath], ['', ''], JSON.stringify(text));
  }
});

values('are those of the first @/ of the first line', () => {
  const { action, devpath } = parse('a@b@/c@/d\nX=@/y\n');
  assert.equal([action, devpath], ['a@b', '/c@/d']);
});

values('do not contain a line without a key or without =', () => {
  const text = 'add@/x\nA=1\n=2\nno property\n\nA=3\nB=x=y';
  assert.equal(
    [...parse(text).properties],
    [
      ['A', '3'],
      ['B', 'x=y'],
    ],
  );
  assert.equal(parseEvent(text).properties, [
    ['A', '1'],
    ['A', '3'],
    ['B', 'x=y'],
  ]);
});

values('are the same for the daemon and for a command', () => {
  const line = fc.stringMatching(/^[A@/=!: ]{0,8}$/);
  const property = fc.property(fc.array(line), fc.boolean(), (lines, isEnded) => {
    const text = lines.join('\n') + (isEnded ? '\n' : '');
    const [daemon, command] = [parse(text), parseEvent(text)];
    assert.equal([command.action, command.devpath], [daemon.action, daemon.devpath]);
    assert.equal([...new Map(command.properties)], [...daemon.properties]);
    for (const key of ['A', '', ...daemon.properties.keys()])
      assert.is(command.property(key), daemon.property(key));
  });
  fc.assert(property, runs(1000));
});

values('are read from a text without a header too', () => {
  const found = new Map<string, string>();
  parseProperties('OWNER=1\nFILTER=A==b\n', 0, found);
  assert.equal(
    [...found],
    [
      ['OWNER', '1'],
      ['FILTER', 'A==b'],
    ],
  );
});

values.run();
