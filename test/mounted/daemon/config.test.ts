/** Tests the configuration file: its keys, their values, and the messages for a broken file. */
import * as assert from 'uvu/assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { DEFAULT_CONFIG, readConfig } from '../../../fs/daemon/config/config.js';
import { oneOf } from '../../../fs/daemon/config/kinds.js';
import { NO_BOUNDS } from '../../../fs/tree/quota/bounds.js';
import { UsageError } from '../../../fs/shared/errors.js';
import { EVENTFS_NODE, PROJECT, mountPoint, run, startDaemon } from '../../support/mount/daemon.js';
import { statusOf } from '../../support/clients/clients.js';
import { suite } from '../../support/runner/suite.js';

const config = suite('the configuration file');

const KEYS = { source: oneOf('kernel', 'none') };
const read = (text: string) => readConfig('f.toml', text, KEYS);

/** Returns the message for a broken file, or `nothing` if the file is accepted. */
function messageFor(text: string): string {
  try {
    read(text);
    return 'nothing';
  } catch (error) {
    assert.instance(error, UsageError);
    assert.not.match((error as UsageError).message, '\n');
    return (error as UsageError).message;
  }
}

/** Writes a file with that text. @returns its path */
function fileOf(text: string | Buffer): string {
  const path = join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), `config-${process.pid}.toml`);
  writeFileSync(path, text);
  return path;
}

const mount = async (path: string, ...args: readonly string[]) =>
  run([...EVENTFS_NODE, 'mount', '--config', path, ...args, mountPoint()]);

config('means the defaults if it is empty', () => {
  assert.equal(read(''), DEFAULT_CONFIG);
  assert.equal(read('# nothing\n[queue]\n[quota.uid]\n'), DEFAULT_CONFIG);
});

config("finds users and groups that only the machine's name services know", () => {
  const folder = mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'getent-'));
  const answer = '#!/bin/sh\necho "$2:x:4711:0::/:"; echo "$1 $2" >>"$0.asked"\n';
  writeFileSync(join(folder, 'getent'), answer, { mode: 0o755 });
  const { PATH } = process.env;
  process.env.PATH = `${folder}:${PATH}`;
  try {
    const { quotas } = read('quota.uid.far.events = 1\nquota.gid.away.events = 2');
    assert.equal([...quotas.uid.of.keys()], [4711]);
    assert.is(quotas.uid.of.get(4711)!.events, 1);
    assert.is(quotas.gid.of.get(4711)!.events, 2);
  } finally {
    process.env.PATH = PATH;
  }
  const asked = readFileSync(join(folder, 'getent.asked'), 'latin1').trim().split('\n');
  assert.equal([...new Set(asked)], ['passwd far', 'group away']);
});

config(
  'takes sizes with units, `unlimited`, and quotas of one user that inherit from the default',
  () => {
    const { queue, quotas } = read(
      'queue.bytes = "2 MiB"\n[quota.uid]\ndefault = { events = 7 }\n5 = { bytes = "1KiB" }\n0 = { streams = 3 }\n6.bytes = "unlimited"',
    );
    assert.is(queue.bytes, 2 * 1024 * 1024);
    const usual = { ...DEFAULT_CONFIG.quotas.uid.others, events: 7 };
    assert.equal(quotas.uid.others, usual);
    assert.equal(quotas.uid.of.get(5), { ...usual, bytes: 1024 });
    assert.equal(quotas.uid.of.get(6), { ...usual, bytes: Infinity });
    assert.equal(quotas.uid.of.get(0), { ...NO_BOUNDS, streams: 3 });
    assert.equal(Object.values(NO_BOUNDS), new Array(7).fill(Infinity));
  },
);

config('may not ask for a history larger than the ring', () => {
  assert.equal(read('[log]\nring_events = 100\nring_bytes = 262144').history, {
    events: 100,
    bytes: 262_144,
  });
  assert.is(
    messageFor('[log]\nring_events = 100\nhistory_events = 200'),
    'f.toml:3: log.history_events: 200 exceeds log.ring_events, which is 100',
  );
});

config('is refused with the line, the key, the value and the allowed values', () => {
  const whole = 'is not a whole number from 1 to 1048576';
  const bytes = 'is not a size from 64 KiB to 1 GiB, as in 65536 or "4 MiB"';
  const count = 'is not a whole number from 0 to 1000000000000, or "unlimited"';
  const ids =
    'there is no such key (the known keys are default, numbers from 0 to 4294967294, and names of users that exist)';
  const known =
    'there is no such key (the known keys are source, queue, log, filter, limits, quota)';
  const cases: Record<string, string> = {
    '\n\n[queue]\n# events = 4\nevents = -3': `5: queue.events: -3 ${whole}`,
    'queue.events = 0': `1: queue.events: 0 ${whole}`,
    'queue = { bytes = 70000, events = 1048577 }': `1: queue.events: 1048577 ${whole}`,
    '[queue]\nevents = 1.5': `2: queue.events: 1.5 ${whole}`,
    '[queue]\nevents = nan': `2: queue.events: NaN ${whole}`,
    '[queue]\nevents = -inf': `2: queue.events: -Infinity ${whole}`,
    '[queue]\nevents = "4"': `2: queue.events: "4" ${whole}`,
    '[queue]\nevents = true': `2: queue.events: true ${whole}`,
    '[queue]\nevents = [\n1,\n2]': `2: queue.events: a list ${whole}`,
    '[queue]\nevents = 1979-05-27': `2: queue.events: a date ${whole}`,
    '[queue.events]\nx = 1': `1: queue.events: a table ${whole}`,
    '[queue]\nevents = 99999999999999999999': '2: integer value cannot be represented losslessly',
    '[queue]\nbytes = "4 MB"': `2: queue.bytes: "4 MB" ${bytes}`,
    '[queue]\nbytes = "-1 MiB"': `2: queue.bytes: "-1 MiB" ${bytes}`,
    '[queue]\nbytes = "9999999999999999 GiB"': `2: queue.bytes: "9999999999999999 GiB" ${bytes}`,
    '[queue]\noverflow = "panic"':
      '2: queue.overflow: "panic" is not one of "drop-oldest", "drop-newest", "refuse"',
    '[queue]\nevnets = 1':
      '2: queue.evnets: there is no such key (the known keys are events, bytes, overflow)',
    '[filter]\ntext = "1 GiB"':
      '2: filter.text: "1 GiB" is not a size from 256 B to 64 KiB, as in 65536 or "4 MiB"',
    '[filter]\nterms = 0': '2: filter.terms: 0 is not a whole number from 1 to 16384',
    '[filter]\nalternatives = "unlimited"':
      '2: filter.alternatives: "unlimited" is not a whole number from 1 to 32768',
    '[filter]\nbytes = 1':
      '2: filter.bytes: there is no such key (the known keys are text, terms, alternatives)',
    'queue = 3': '1: queue: 3 is not a table',
    '[[queue]]\nevents = 1': '1: queue: a list is not a table',
    'events = 3': `1: events: ${known}`,
    '"a\\nb" = 3': `1: "a\\nb": ${known}`,
    '"qu\\u0065ue2" = 1\nx = 2': `1: queue2: ${known}`,
    '__proto__ = 3': `1: __proto__: ${known}`,
    'constructor = 3': `1: constructor: ${known}`,
    'source = "net"': '1: source: "net" is not one of "kernel", "none"',
    '[limits]\ndirectories = -1': `2: limits.directories: -1 ${count}`,
    '[quota.uid.1000]\nevents = 1e300': `2: quota.uid.1000.events: 1e+300 ${count}`,
    '[quota.gid.default]\nstreams = "none"': `2: quota.gid.default.streams: "none" ${count}`,
    '[quota.uid.alice]': `1: quota.uid.alice: ${ids}`,
    '[quota.uid.4294967295]': `1: quota.uid.4294967295: ${ids}`,
    '[quota.uid.007]': `1: quota.uid.007: ${ids}`,
    '[quota.pid.1]': '1: quota.pid: there is no such key (the known keys are uid, gid)',
    '[quota.uid.5]\nevents = 1\n[quota.uid.6]\nevents = -1': `4: quota.uid.6.events: -1 ${count}`,
  };
  for (const [text, message] of Object.entries(cases))
    assert.is(messageFor(text), `f.toml:${message}`, text);
  for (const text of [
    'x =',
    '[queue',
    'a = "',
    'a = [[[[',
    '\0',
    'a = 1\na = 2',
    '[queue]\n[queue]',
    '='.repeat(1000),
    '['.repeat(5000),
  ]) {
    assert.match(messageFor(text), /^f\.toml:\d+: ./, text);
  }
});

config(
  'ends the command with 100 and one line if it is broken, and nothing is mounted',
  async () => {
    for (const [text, message] of [
      ['[queue]\nevents = -3', /:2: queue\.events: -3 is not /],
      ['ready_fd = 3', /:1: ready_fd: there is no such key/],
      ['sticky = ["a", "b/c"]', /:1: sticky: /],
      ['list_links = 1', /:1: list_links: 1 is neither true nor false/],
      ['sticky = ["a", "a"]', /sticky: a: /],
      [`sticky = "${'ä'.repeat(128)}"`, /:1: sticky: .* use a name of at most 255 bytes$/m],
      [
        'request_bound = 1.5',
        /:1: request_bound: 1\.5 is not valid: use a whole number from 0 to /,
      ],
    ] as const) {
      const { out, err, code } = await mount(fileOf(text));
      assert.equal([out, code], ['', 100], err);
      assert.match(err, message);
      assert.match(err, /^eventfs: mount: .*\n$/);
    }
    assert.match((await mount(fileOf(Buffer.from([0x61, 0xff])))).err, 'it is not UTF-8');
    assert.equal((await mount('/dev/zero')).code, 100);
    assert.equal((await mount('/nowhere/eventfs.toml')).code, 111);
    assert.equal((await mount('/')).code, 111);
  },
  120_000,
);

config('is valid wherever the documents or packages have one', async () => {
  const where = ['docs', 'examples', 'packaging'].map((name) => join(PROJECT, name));
  const names = ['-name', '*.md', '-o', '-name', '*.toml'];
  const found = execFileSync('find', [...where, '-type', 'f', '(', ...names, ')'], {
    encoding: 'utf8',
  });
  const blocks = found
    .trim()
    .split('\n')
    .flatMap((file) => {
      const text = readFileSync(file, 'utf8');
      if (file.endsWith('.toml')) return [[file, text] as const];
      return [...text.matchAll(/```toml\n([^]*?)```/g)].map(([, block]) => [file, block] as const);
    });
  assert.ok(blocks.length >= 4);
  for (const [file, block] of blocks) {
    // The bridge's user need not be here.
    const text = block.replaceAll('eventfs-bridge', 'root');
    const { out, code } = await mount(fileOf(text), '--check');
    assert.is.not(code, 100, `${file}: ${out}`);
  }
});

config('is accepted as the reference shows it, and options of the command line win', async () => {
  const [, example] = /```toml\n([^]*?)```/.exec(
    readFileSync(join(PROJECT, 'docs/reference/config.md'), 'utf8'),
  )!;
  const daemon = await startDaemon([
    '--source',
    'none',
    '--sticky',
    'mine',
    '--config',
    fileOf(example),
  ]);
  const { MOST_BYTES, MOST_EVENTS, KERNEL } = statusOf(`${daemon.path}/log`);
  assert.equal([MOST_BYTES, MOST_EVENTS, KERNEL], [String(2 * 1024 ** 3), '8000000', '0']);
  assert.equal((await run(['ls', daemon.path])).out.split('\n').filter(Boolean), [
    'log',
    'match',
    'mine',
    'publish',
  ]);
  await daemon.stop();
  const shown = parse(example);
  for (const table of ['queue', 'log', 'filter', 'limits', 'quota.uid.default']) {
    const [, keys] = /\(the known keys are (.*)\)/.exec(messageFor(`[${table}]\nx = 1`))!;
    const there = table
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], shown);
    assert.equal(
      Object.keys(there as object).sort(),
      keys.split(', ').sort(),
      `[${table}] of the reference`,
    );
  }
  const { queue, ring, history, filter, quotas } = readConfig(
    'config.md',
    example.replace(
      /^(fleet|publisher|sticky|netns|guard|request_bound|list_links|log_level|log_json|debug).*$/gm,
      '',
    ),
    KEYS,
  );
  const {
    queue: defaultQueue,
    ring: defaultRing,
    history: defaultHistory,
    filter: defaultFilter,
  } = DEFAULT_CONFIG;
  assert.equal(
    { queue, ring, history, filter },
    { queue: defaultQueue, ring: defaultRing, history: defaultHistory, filter: defaultFilter },
  );
  // The defaults of the others depend on the machine.
  const { mount: whole, uid } = DEFAULT_CONFIG.quotas;
  for (const item of ['directories', 'streams', 'reads', 'filter_cost'] as const)
    assert.is(quotas.mount[item], whole[item], item);
  assert.equal({ ...quotas.uid.others, memory: uid.others.memory }, uid.others);
  rmSync(fileOf(''));
});

config.run();
