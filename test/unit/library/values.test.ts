/** The values that pass through the library: events, filters, errors, and options of a mount. */
import * as fc from 'fast-check';
import { Command } from 'commander';
import * as assert from 'uvu/assert';
import { addMountOptions } from '../../../fs/cli/commands/mount/mount-options.js';
import { parseEvent } from '../../../fs/client/events/text.js';
import { EventfsError, Filter, publish, subscribe } from '../../../fs/index.js';
import { type DeviceEvent, eventOrLoss } from '../../../fs/library/event.js';
import { COMMAND_OPTIONS, mountArguments } from '../../../fs/library/mount.js';
import { recordOf } from '../../../fs/library/publish.js';
import { UeventText, overflowText } from '../../../fs/uevent/text.js';
import { suite } from '../../support/runner/suite.js';

const library = suite('the library');

/** Returns the code and the message that a call throws. */
function thrown(call: () => unknown): [string, string] {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof EventfsError, String(error));
    return [error.code, error.message];
  }
  return assert.unreachable('it throws nothing') as never;
}

/** Reads a record as the daemon reads it from `publish`, and returns the event of a subscriber. */
function received(record: Buffer): DeviceEvent {
  const text = new UeventText();
  text.readPublished(record, 0, record.length);
  const bytes = Buffer.from(text.bytes.subarray(0, text.length));
  return eventOrLoss(parseEvent(bytes.toString('latin1').replace(/\n+$/, ''))) as DeviceEvent;
}

const VALUE = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'));

library('publishes properties that a subscriber gets back', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.stringMatching(/^[A-Z][A-Z_0-9]{0,9}$/), VALUE, { maxKeys: 6 }),
      (properties) => {
        const { ACTION: _, DEVPATH: __, ...own } = properties;
        const wanted = Object.entries(own).map(([key, value]) => [
          key,
          value.replaceAll('\n', '\\x0a'),
        ]);
        const got = received(recordOf({ action: 'change', devpath: '/ü', properties }));
        assert.equal(
          { ...got.properties },
          { ACTION: 'change', DEVPATH: '/ü', ...Object.fromEntries(wanted) },
        );
      },
    ),
    { examples: [[{ A: 'one\nB=two', B: '\n\nadd@/other\n' }]] },
  );
});

library('publishes an event that a subscriber has got', () => {
  const bytes = recordOf({ action: 'add', devpath: '/a', properties: { SEQNUM: 7, K: 'v' } });
  assert.equal(recordOf(received(bytes)), bytes);
});

library('refuses an event that is none, and says what to use', () => {
  const cases: (readonly [object, string])[] = [
    [{ action: '', devpath: '/a' }, 'action: "" is not valid (use a text without @ and line ends)'],
    [{ devpath: '/a' }, 'action: undefined is not valid (use a text without @ and line ends)'],
    [{ action: 'add', devpath: 'a' }, 'devpath: "a" is not valid (use a path that begins with /)'],
    [
      { action: 'add', devpath: '/a', properties: { 'A=B': '' } },
      'key: "A=B" is not valid (use a text without = and line ends)',
    ],
    [
      { action: 'add', devpath: '/a', properties: { A: '\0' } },
      'A: "\\u0000" is not valid (use a text without NUL)',
    ],
    [
      { action: 'add', devpath: '/a', properties: { A: 'x'.repeat(65536) } },
      '/a: the event has 65568 bytes (shorten it to 65536)',
    ],
  ];
  for (const [event, message] of cases)
    assert.equal(
      thrown(() => recordOf(event as never)),
      ['BAD_EVENT', message],
    );
});

library('decodes UTF-8, keeps other bytes, and takes the last value of a key', () => {
  const text = 'add@/\xc3\xbc\nSUBSYSTEM=a\nSUBSYSTEM=b\nSEQNUM=12\n__proto__=x\nBAD=\xff';
  const event = eventOrLoss(parseEvent(text)) as DeviceEvent;
  assert.is(event.devpath, '/ü');
  assert.is(event.subsystem, 'b');
  assert.is(event.seqnum, 12);
  assert.is(event.properties['__proto__'], 'x');
  assert.is(event.properties.BAD, '\ufffd');
  assert.is(Buffer.from(event.bytes).toString('latin1'), text);
  assert.is((eventOrLoss(parseEvent('add@/a')) as DeviceEvent).seqnum, undefined);
});

library('tells a loss from an event', () => {
  assert.equal(eventOrLoss(parseEvent(overflowText(12).toString('latin1'))), {
    type: 'loss',
    lost: 12,
  });
});

library('matches filters with the bytes of an event', () => {
  const event = received(recordOf({ action: 'add', devpath: '/a', properties: { L: 'Übung' } }));
  assert.ok(new Filter('L==Ü*').matches(event));
  assert.not.ok(new Filter('L==U*').matches(event));
  assert.is(String(new Filter(' L == "Übung" ')), 'L==Übung');
});

library('refuses bad filters and options at once', () => {
  assert.equal(
    thrown(() => new Filter('SUBSYSTEM')),
    ['BAD_FILTER', 'bad filter: column 10: expected == or != after SUBSYSTEM'],
  );
  assert.is(thrown(() => subscribe({ filter: 7 as never }))[0], 'BAD_FILTER');
  assert.equal(
    thrown(() => subscribe({ since: -1 })),
    ['BAD_OPTION', "since: it is neither a SEQNUM nor an event's name (use 1041 or '1041.7')"],
  );
  assert.is(thrown(() => subscribe({ netlink: 'udevd' as never }))[0], 'BAD_OPTION');
  assert.equal(
    thrown(() => subscribe({ netlink: 'udev', mount: '/dev/events' })),
    ['BAD_OPTION', 'netlink: netlink excludes mount (leave one of them out)'],
  );
});

library('refuses options and events of any other shape', async () => {
  const BAD = 'BAD_OPTION';
  assert.is(thrown(() => subscribe(null as never))[0], BAD);
  assert.equal(
    thrown(() => subscribe({ filters: 'A==1' } as never)),
    [BAD, 'filters: subscribe has no such option (see SubscribeOptions)'],
  );
  assert.is(thrown(() => subscribe({ signal: new AbortController() as never }))[0], BAD);
  const event = { action: 'add', devpath: '/x' };
  for (const bad of [null, 'add@/x', 5, [null], { ...event, properties: null }] as never[])
    await publish(bad).then(
      () => assert.unreachable(),
      ({ code }: EventfsError) => assert.is(code, 'BAD_EVENT', String(bad)),
    );
  for (const value of [null, {}, [], Symbol('x'), () => 1])
    assert.is(
      thrown(() => recordOf({ ...event, properties: { A: value as never } }))[0],
      'BAD_EVENT',
      typeof value,
    );
});

library('has only options of a mount that the command has', () => {
  const known = addMountOptions(new Command('mount')).options.map((option) =>
    option.attributeName(),
  );
  assert.equal(
    COMMAND_OPTIONS.filter((name) => !known.includes(name)),
    [],
  );
  assert.equal(
    mountArguments({
      source: ['kernel', 'udev'],
      fdSocket: '/run/x',
      busyPoll: 0,
      udev: true,
      listLinks: false,
      onLog: () => undefined,
    }),
    ['--source=kernel', '--source=udev', '--udev', '--fd-socket=/run/x', '--busy-poll=0'],
  );
  assert.equal(
    thrown(() => mountArguments({ sources: 'none' } as never)),
    ['BAD_OPTION', 'sources: mount has no such option (see MountOptions)'],
  );
});

library.run();
