/** The language of filters: udev's match syntax. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Filter, FilterError, type Matchable } from '../../../fs/uevent/filter/filter.js';
import { event, stick, valuesOf } from './matchable.js';

const filter = suite('a filter');

const card = event('remove', '/devices/virtual/net/veth0', {
  SUBSYSTEM: 'net',
  INTERFACE: 'veth0',
  DRIVER: 'veth',
});

function takes(text: string, what: Matchable): boolean {
  return Filter.parse(text).matches(what);
}

function error(text: string): FilterError {
  try {
    Filter.parse(text);
  } catch (thrown) {
    assert.instance(thrown, FilterError);
    return thrown as FilterError;
  }
  throw new Error(`'${text}' was taken for a filter`);
}

filter('matches everything if it is empty', () => {
  for (const text of [
    '',
    ' \t\r',
    '\n\n',
    ';',
    ' ; \n;',
    '# SUBSYSTEM==block',
    '\n  # one\n# two\n',
    '\\\n',
  ]) {
    const all = Filter.parse(text);
    assert.ok(all.all, JSON.stringify(text));
    assert.is(all.text, '');
    assert.equal(all.ways(), []);
    assert.ok(all.matches(stick) && all.matches(card));
  }
});

filter('compares a property with ==', () => {
  assert.ok(takes('SUBSYSTEM==block', stick));
  assert.not(takes('SUBSYSTEM==block', card));
  assert.not(Filter.parse('SUBSYSTEM==block').all);
});

filter('accepts = for ==', () => {
  assert.ok(takes('SUBSYSTEM=block', stick));
  assert.is(Filter.parse('SUBSYSTEM=block').text, 'SUBSYSTEM==block');
});

filter('is true with != if no alternative matches', () => {
  assert.ok(takes('SUBSYSTEM!=net|usb', stick));
  assert.not(takes('SUBSYSTEM!=net|usb', card));
});

filter('has alternatives with |', () => {
  for (const pattern of [
    'change|add',
    '"change|add"',
    '"change"|"add"',
    'change | "add"',
    'x|"y|add"|z',
  ]) {
    assert.ok(takes(`ACTION==${pattern}`, stick), pattern);
    assert.not(takes(`ACTION==${pattern}`, card), pattern);
  }
});

filter('has wildcards, and * crosses /', () => {
  assert.ok(takes('DEVNAME==sd?1', stick));
  assert.ok(takes('DEVNAME==sd[a-c][0-9]', stick));
  assert.ok(takes('DEVPATH==*/usb1/*/sdb1', stick));
  assert.not(takes('DEVNAME==sd?', stick));
});

filter('has comma for AND', () => {
  assert.ok(takes('SUBSYSTEM==block, ACTION==add', stick));
  assert.not(takes('SUBSYSTEM==block,ACTION==remove', stick));
});

filter('has line end and semicolon for OR', () => {
  for (const text of [
    'SUBSYSTEM==block;SUBSYSTEM==net',
    'SUBSYSTEM==block\nSUBSYSTEM==net\n',
    'A==b;;ACTION!=x',
  ]) {
    assert.ok(takes(text, stick), text);
    assert.ok(takes(text, card), text);
  }
  assert.not(takes('SUBSYSTEM==usb;ACTION==bind', stick));
});

filter('binds AND closer than OR', () => {
  const text = 'SUBSYSTEM==block, ACTION==remove; SUBSYSTEM==net, ACTION==remove';
  assert.not(takes(text, stick));
  assert.ok(takes(text, card));
});

filter('ignores white space around terms and operators', () => {
  assert.is(
    Filter.parse(' \tSUBSYSTEM  ==\tblock ,ACTION = "add"\r\n\r\n  A!= b | c  ').text,
    'SUBSYSTEM==block, ACTION==add\nA!=b|c',
  );
});

filter('continues after a backslash at the end of a line, as udev rules do', () => {
  assert.is(
    Filter.parse('SUBSYSTEM=="block", \\\n  ACTION=="add"').text,
    'SUBSYSTEM==block, ACTION==add',
  );
});

filter('ignores lines that begin with #', () => {
  assert.is(Filter.parse('# disks; not nets\nSUBSYSTEM==block\n  # end').text, 'SUBSYSTEM==block');
  assert.is(error('SUBSYSTEM==block; # disks').column, 19);
});

filter('has every character but | and " literal within quotes', () => {
  assert.ok(takes('ID_MODEL=="Flash Disk, 2;0 *"', stick));
  assert.ok(takes('ID_MODEL=="a\nb"', event('add', '/x', { ID_MODEL: 'a\nb' })));
  assert.ok(takes('DEVNAME=="sd?1"', stick), 'wildcards are none the less');
});

filter('has any byte literal after a backslash', () => {
  assert.ok(takes('ID_MODEL==Flash\\ Disk\\,\\ 2\\;0\\ \\"pro\\"\\|x', stick));
  assert.ok(takes('ID_MODEL=="Flash Disk, 2;0 \\"pro\\"\\|x"', stick));
  assert.not(takes('DEVNAME==sd\\?1', stick));
});

filter('has ACTION and DEVPATH from the header', () => {
  const bare: Matchable = { action: 'add', devpath: '/devices/x', property: () => undefined };
  assert.ok(takes('ACTION==add, DEVPATH==/devices/x', bare));
});

filter('has the last part of DEVPATH as KERNEL, with / where the kernel has written !', () => {
  assert.ok(takes('KERNEL==sdb1', stick));
  assert.not(takes('KERNEL==sdb', stick));
  const raid = event('add', '/devices/cciss0/block/cciss!c0d0');
  assert.ok(takes('KERNEL==cciss/c0d0', raid));
  assert.not(takes('KERNEL==cciss\\!c0d0', raid));
});

filter('has SUBSYSTEM, DRIVER and any other key from the properties', () => {
  assert.ok(takes('DRIVER==veth', card));
  assert.ok(takes('ID_PATH.1_x==dotted', stick));
});

filter('has the empty string for a missing property', () => {
  assert.ok(takes('DRIVER==""', stick));
  assert.not(takes('DRIVER==""', card));
  assert.ok(takes('DRIVER!=veth', stick));
  assert.ok(takes('DRIVER==*', stick));
  assert.not(takes('DRIVER==?*', stick));
  assert.ok(takes('DRIVER==x|', stick), 'an empty alternative');
  assert.ok(takes('DRIVER==|x', stick), 'an empty alternative');
});

filter('matches one tag of TAGS', () => {
  assert.ok(takes('TAGS==seat', stick));
  assert.ok(takes('TAGS==x|sys*', stick));
  assert.not(takes('TAGS==sea', stick));
  assert.not(takes('TAGS==systemd:seat', stick));
});

filter('matches TAGS!= if no tag matches', () => {
  assert.ok(takes('TAGS!=uaccess', stick));
  assert.not(takes('TAGS!=seat', stick));
  assert.ok(takes('TAGS!=seat', card), 'no tags at all');
  assert.ok(takes('TAGS==""', card));
  assert.not(takes('TAGS==""', stick));
  assert.ok(takes('TAGS==""', event('add', '/x', { TAGS: '::' })));
});

filter('keeps bytes unchanged', () => {
  assert.ok(takes('ID_MODEL==caf\xc3\xa9', event('add', '/x', { ID_MODEL: 'caf\xc3\xa9' })));
  assert.is(Filter.parse('A==\xa0\x85\xff').text, 'A==\xa0\x85\xff', 'these are no white space');
});

filter('has no property of Object.prototype', () => {
  assert.not(takes('constructor==?*', stick));
  assert.not(takes('__proto__==?*', stick));
});

filter('reports the column of an error and the expected token', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['SUBSYSTEM block', 'column 11: expected == or != after SUBSYSTEM'],
    ['SUBSYSTEM', 'column 10: expected == or != after SUBSYSTEM'],
    ['SUBSYSTEM+=block', 'column 10: expected == or != after SUBSYSTEM'],
    [
      'ENV{ID_BUS}==usb',
      'column 4: expected == or != after ENV (write only the name of a property: ID_BUS==usb)',
    ],
    ['==block', 'column 1: expected a key, such as SUBSYSTEM or ACTION'],
    ['A==b\n 1==c', 'column 7: expected a key, such as SUBSYSTEM or ACTION'],
    ['A==b,', 'column 6: expected a key after the comma'],
    ['A==b,\nC==d', 'column 6: expected a key after the comma'],
    ['A==b,,C==d', 'column 6: expected a key after the comma'],
    ['A==', 'column 4: expected a pattern after A== ("" is the empty pattern)'],
    ['A!= , B==c', 'column 5: expected a pattern after A!= ("" is the empty pattern)'],
    [
      'A==b C==d',
      'column 6: expected , or ; or a new line after the pattern of A (a space ends a pattern without quotes)',
    ],
    ['A=="b"c', 'column 7: expected , or ; or a new line after the pattern of A'],
    ['A==b"c"', 'column 5: expected quotes around the whole pattern, or \\" for a quote within it'],
    ['A=="b', 'column 6: expected " to close the quote at column 4'],
    ['A=="b|c\\"', 'column 10: expected " to close the quote at column 4'],
    ['A==b\\', 'column 6: expected a character after \\'],
    ['A==b\0', 'column 5: expected no NUL byte'],
  ];
  for (const [text, message] of cases)
    assert.is(error(text).message, message, JSON.stringify(text));

  const { column, expected, name } = error('SUBSYSTEM block');
  assert.equal(
    { column, expected, name },
    {
      column: 11,
      expected: '== or != after SUBSYSTEM',
      name: 'FilterError',
    },
  );
});

filter('has an unclosed bracket literal', () => {
  assert.ok(takes('A==[a-', event('add', '/x', { A: '[a-' })));
});

filter('quotes in its text only where it must', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['A=="b"', 'A==b'],
    ['A==""', 'A==""'],
    ['A=="b c"', 'A=="b c"'],
    ['A=="b"|"c d"', 'A=="b|c d"'],
    ['A==b\\,c', 'A=="b\\,c"'],
    ['A=="\\""', 'A==\\"'],
    ['A==b||c|', 'A==b||c|'],
    ['A===b', 'A===b'],
    ['A= =b', 'A===b'],
    ['A=!=b', 'A==!=b'],
    ['A=="b\nc"', 'A=="b\nc"'],
    ['A==b ; C==d', 'A==b\nC==d'],
  ];
  for (const [text, canonical] of cases) {
    assert.is(Filter.parse(text).text, canonical);
    assert.is(Filter.parse(canonical).text, canonical);
  }
});

filter('lists the values of a key that it can match', () => {
  const cases: readonly (readonly [string, readonly string[] | null])[] = [
    ['SUBSYSTEM==block', ['block']],
    ['SUBSYSTEM==block|net, ACTION==add', ['block', 'net']],
    ['SUBSYSTEM==block; SUBSYSTEM==net|block', ['block', 'net']],
    ['SUBSYSTEM==\\block', ['block']],
    ['SUBSYSTEM==""', null],
    ['SUBSYSTEM=="|net"', null],
    ['SUBSYSTEM=="|net", SUBSYSTEM!=""', ['net']],
    ['SUBSYSTEM==block|net, SUBSYSTEM==net|usb', ['net']],
    ['SUBSYSTEM!=net, SUBSYSTEM==block|net', ['block']],
    ['SUBSYSTEM==block|net, SUBSYSTEM==*', ['block', 'net']],
    ['SUBSYSTEM==block, SUBSYSTEM==net', []],
    ['SUBSYSTEM==block; ACTION==add', null],
    ['SUBSYSTEM==b*', null],
    ['SUBSYSTEM==block|n*', null],
    ['SUBSYSTEM!=block', null],
    ['ACTION==add', null],
  ];
  for (const [text, values] of cases) {
    for (const key of ['SUBSYSTEM', 'KERNEL', 'HOST'])
      assert.equal(valuesOf(key, text.replaceAll('SUBSYSTEM', key)), values, text);
  }
});

filter('with two tags can match an event that has both', () => {
  assert.equal(Filter.parse('TAGS==a, TAGS==b|c, TAGS!=a').ways(), [
    [
      { key: 'TAGS', values: ['a'] },
      { key: 'TAGS', values: ['b', 'c'] },
    ],
  ]);
});

filter.run();
