/** The daemon's log: each message is one line, whatever users have put into it. */
import { spawn } from 'node:child_process';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { quoted, visible } from '../../../fs/shared/escape.js';
import { LOG_LEVELS, type LogLevel } from '../../../fs/shared/log/log-levels.js';
import { LineLogger, type LogOptions } from '../../../fs/shared/log/logger.js';
import { rateLimited } from '../../../fs/shared/log/rate-limit.js';
import { TRACE_KINDS, Trace, type TraceKind, parseKinds } from '../../../fs/shared/log/trace.js';
import { anyCharacter } from '../../support/runner/any-character.js';
import { runs } from '../../support/runner/budget.js';
import { collecting } from '../../support/memory/logger.js';
import { suite } from '../../support/runner/suite.js';

// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;
/** Text with characters that could damage a log. */
const hostile = fc.oneof(
  fc.string({ unit: anyCharacter }),
  fc
    .array(
      fc.constantFrom(
        '\n',
        '\r',
        '\x1b[2J',
        '\x9b',
        '\u2028',
        '\0',
        '"',
        '\\',
        '\\x0a',
        'eventfs: mount: ',
        'é',
        '\xff',
        'a',
      ),
    )
    .map((parts) => parts.join('')),
);
const bytes = fc
  .array(fc.integer({ min: 0, max: 255 }))
  .map((codes) => String.fromCharCode(...codes));

/**
 * Returns a logger that appends its lines to an array instead of writing them to standard error.
 */
function logger(options: Partial<LogOptions> = {}): {
  own: LineLogger;
  lines: [string, LogLevel][];
} {
  const lines: [string, LogLevel][] = [];
  const own = new LineLogger('mount', { level: 'debug', isJson: false, ...options });
  own.sendTo((line, level) => lines.push([line, level]));
  return { own, lines };
}

const names = suite('a name in the log');

names('is printable ASCII between quotation marks, and differs from any other name', () => {
  const decode = (text: string): string =>
    text
      .slice(1, -1)
      .replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex: string | undefined, char: string) =>
        hex === undefined ? char : String.fromCharCode(parseInt(hex, 16)),
      );
  const property = fc.property(bytes, (name) => {
    assert.match(quoted(name), /^"[\x20-\x7e]*"$/);
    assert.is(decode(quoted(name)), name);
  });
  fc.assert(property, runs(1000));
  assert.is(quoted('a"b\\c\n\xff'), '"a\\"b\\\\c\\x0a\\xff"');
});

names('within a message is unchanged but for control characters', () => {
  fc.assert(
    fc.property(hostile, (text) => assert.not.match(visible(text), CONTROL)),
    runs(1000),
  );
  assert.is(visible('caf\xe9 \x1b[31m\u2028'), 'caf\xe9 \\x1b[31m\\u2028');
});

names.run();

const lines = suite('a line of the log');

lines('is one line for any message', () => {
  const property = fc.property(hostile, fc.constantFrom(...LOG_LEVELS), (message, level) => {
    const { own, lines: said } = logger();
    own[level](message);
    own.trace('requests', message);
    assert.equal(said, [
      [visible(message), level],
      [`requests: ${visible(message)}`, 'debug'],
    ]);
    for (const [line] of said) assert.not.match(line, CONTROL);
  });
  fc.assert(property, runs(500));
});

lines('as JSON is one object without control characters, with the message unchanged', () => {
  const property = fc.property(hostile, fc.constantFrom(...LOG_LEVELS), (message, level) => {
    const { own, lines: said } = logger({ isJson: true });
    own[level](message);
    own.trace('deaths', message, { owner: 7 });
    assert.is(said.length, 2);
    for (const [line] of said) assert.not.match(line, CONTROL);
    const [first, second] = said.map(([line]) => JSON.parse(line) as Record<string, unknown>);
    assert.equal([first.msg, first.level, first.pid], [message, level, process.pid]);
    assert.equal(
      [second.msg, second.level, second.kind, second.owner],
      [message, 'debug', 'deaths', 7],
    );
    for (const { time } of [first, second]) assert.is(new Date(String(time)).toISOString(), time);
  });
  fc.assert(property, runs(500));
});

lines('is written if its level is at least the configured one; a trace always is', () => {
  for (const [index, level] of LOG_LEVELS.entries()) {
    const { own, lines: said } = logger({ level });
    for (const each of LOG_LEVELS) own[each](each);
    own.trace('events', 'x');
    assert.equal(
      said.map(([line]) => line),
      [...LOG_LEVELS.slice(0, index + 1), 'events: x'],
    );
  }
});

lines('waits on hold, and then has the options and the way that are known by then', () => {
  const { own, lines: said } = logger();
  own.hold();
  own.warn('early');
  own.debug('unwanted');
  assert.equal(said, []);
  own.configure({ level: 'warn', isJson: true });
  own.warn('late');
  assert.equal(
    said.map(([line, level]) => [(JSON.parse(line) as { msg: string }).msg, level]),
    [
      ['early', 'warn'],
      ['late', 'warn'],
    ],
  );
});

lines('of an unexpected error has a stack trace', () => {
  const { own, lines: said } = logger();
  own.error('unexpected', new TypeError('it is\nbroken'));
  assert.is(said[0][0], 'unexpected: TypeError: it is\\x0abroken');
  assert.ok(said.length > 1);
  for (const [line] of said.slice(1)) assert.match(line, /^ {4}at /);
  const json = logger({ isJson: true });
  json.own.error('unexpected', new TypeError('it is broken'));
  assert.is(json.lines.length, 1);
  assert.match((JSON.parse(json.lines[0][0]) as { stack: string }).stack, /^ {4}at .*\n/);
});

lines.run();

const pipe = suite('standard error without a reader');

/** A program that writes many long lines, and then `done` to standard output. */
const TALKER = `
  import { writeSync } from 'node:fs';
  const { LineLogger } = await import(process.argv[1]);
  const own = new LineLogger('mount', { level: 'info', isJson: false });
  const say = { trace: (text) => own.trace('events', text), warn: (text) => own.warn(text) };
  own.warn('first');
  for (let n = 0; n < 20_000; n++) say[process.argv[2]](String(n).padStart(100, '.'));
  own.warn('last');
  writeSync(1, 'done');`;

/** Starts it, and returns all lines of its standard error, which is read after `done`. */
async function talk(how: 'trace' | 'warn'): Promise<string[]> {
  const module = new URL('../../../fs/shared/log/logger.js', import.meta.url).href;
  const talker = spawn(process.execPath, ['--input-type=module', '-e', TALKER, module, how], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await new Promise((done) => talker.stdout.once('data', done));
  let said = '';
  talker.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  assert.is(await new Promise((done) => talker.once('close', done)), 0);
  return said.trimEnd().split('\n');
}

/** Checks that the lines are whole and in order, and that the others are counted. */
function checkLines(all: readonly string[], isLine: RegExp): void {
  assert.is(all[0], 'eventfs: mount: first');
  const counts = all
    .map((text) => isLine.exec(text)?.[1])
    .filter((count) => count !== undefined)
    .map(Number);
  const lost = all
    .flatMap((text) => /^eventfs: mount: the log dropped (\d+) lines: /.exec(text)?.[1] ?? [])
    .map(Number);
  assert.equal(
    counts,
    [...counts].sort((a, b) => a - b),
  );
  assert.ok(lost.length > 0, 'all of it was kept in memory');
  // `last` is a message, and may be lost with other messages.
  const last = all.filter((text) => text === 'eventfs: mount: last').length;
  assert.is(counts.length + last + lost.reduce((sum, count) => sum + count, 0), 20_001);
  assert.is(all.length, counts.length + lost.length + 1 + last);
}

pipe('does not block a trace, whose lines are whole and in order, or counted', async () => {
  const all = await talk('trace');
  checkLines(all, /^eventfs: events: \.+(\d+)$/);
  assert.ok(all.includes('eventfs: mount: last'));
});

pipe('does not block messages, whose lines are whole and in order, or counted', async () => {
  checkLines(await talk('warn'), /^eventfs: mount: \.+(\d+)$/);
});

pipe.run();

const limit = suite('a series of messages');

limit('ends after fifty, and the number of suppressed messages is logged', () => {
  const realNow = performance.now.bind(performance);
  let nowMs = Math.ceil(realNow()); // a fraction would be rounded in the sum
  performance.now = () => nowMs;
  try {
    const messages: string[] = [];
    const own = rateLimited(collecting(messages));
    for (let n = 0; n < 60; n++) own.warn(String(n));
    assert.equal(
      messages,
      Array.from({ length: 50 }, (_, n) => String(n)),
    );
    nowMs += 10_000;
    own.error('the next');
    assert.equal(messages.slice(50), [
      'the log dropped 10 messages: more than 50 in 10 s',
      'the next',
    ]);
  } finally {
    performance.now = realNow;
  }
});

limit.run();

const trace = suite('a trace');

trace('has names for its kinds', () => {
  assert.equal(parseKinds('all'), TRACE_KINDS);
  assert.equal(parseKinds('none'), []);
  assert.equal(parseKinds(''), []);
  assert.equal(parseKinds('deaths,requests,deaths'), ['requests', 'deaths']);
  assert.equal(parseKinds('requests,deads'), { unknown: 'deads' });
  assert.equal(parseKinds('requests,'), { unknown: '' });
  assert.equal(parseKinds('constructor'), { unknown: 'constructor' });
});

trace('is null while it is off, and its subscribers get each switch', () => {
  const said: string[] = [];
  const own = new Trace((kind, text) => said.push(`${kind} ${text}`));
  let told = 0;
  own.watch(() => told++);
  const on = (): TraceKind[] => TRACE_KINDS.filter((kind) => own[kind] !== null);
  assert.equal(on(), []);
  own.set(['deaths', 'events']);
  assert.equal(on(), ['deaths', 'events']);
  assert.ok(own.toggle('requests'));
  assert.equal(on(), ['requests', 'deaths', 'events']);
  own.requests?.('x');
  assert.not.ok(own.toggle('requests'));
  assert.equal(on(), ['deaths', 'events']);
  own.requests?.('y');
  assert.equal([said, told], [['requests x'], 4]);
});

trace.run();
