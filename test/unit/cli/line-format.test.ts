/** The templates of `eventfs watch --format`. */
import * as assert from 'uvu/assert';
import { parseFormat } from '../../../fs/cli/commands/watch/line-format.js';
import { parseEvent } from '../../../fs/client/events/text.js';
import { UsageError } from '../../../fs/shared/errors.js';
import { suite } from '../../support/runner/suite.js';

const format = suite('a template of lines');

const AT = { time: 1_764_156_421.5, monotonic: 12.25 };

function line(template: string, text = 'add@/bus/a!b\nACTION=add\nDEVNAME=sda\nx.y=1\n'): string {
  const event = parseEvent(text);
  return parseFormat(template)({ event, at: AT, source: 'kernel', queue: 'stream', loss: 0 });
}

format('has fields, properties in either case, and - for a property that is missing', () => {
  assert.is(
    line('{action} {devpath} {kernel} {source} {queue} {loss}'),
    'add /bus/a!b a/b kernel stream 0\n',
  );
  assert.is(line('{DEVNAME} {devname} {x.y} {ID_BUS} {id_bus}'), 'sda sda 1 - -\n');
  assert.is(line('{epoch} {monotonic}'), '1764156421.500 12.250000\n');
});

format('has the local time with its offset', () => {
  const [, time, offset] = /^(.*)([+-]\d\d:\d\d)\n$/.exec(line('{time}'))!;
  assert.is(new Date(`${time}${offset}`).getTime(), AT.time * 1000);
  assert.match(time, /^2025-11-\d\dT\d\d:\d\d:\d\d\.500$/);
});

format('has widths, braces and escapes', () => {
  assert.is(line('[{action:6}][{action:>6}][{action:2}]'), '[add   ][   add][add]\n');
  assert.is(line('{{{action}}} \\t\\n\\\\ \\x \u00e9'), '{add} \t\n\\ \\x \xc3\xa9\n');
});

format('escapes control characters of values', () => {
  assert.is(line('{N}', 'add@/x\nN=\x1b[2J\n'), '\\x1b[2J\n');
});

format('is refused with the column of the mistake', () => {
  for (const [template, column] of [
    ['{', 1],
    ['ab{}', 3],
    ['{action', 1],
    ['x}', 2],
    ['{a b}', 1],
    ['{a:1001}', 1],
  ] as const) {
    try {
      parseFormat(template);
      assert.unreachable(template);
    } catch (error) {
      assert.instance(error, UsageError);
      assert.match((error as Error).message, new RegExp(`^--format: column ${column}: `));
    }
  }
});

format.run();
