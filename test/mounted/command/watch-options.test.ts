/** Tests what `eventfs watch` tells of an event besides its text, and when it ends. */
import Ajv from 'ajv';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { eventText, publish, publishNumbered, statusOf } from '../../support/clients/clients.js';
import { Background, eventfs } from '../../support/mount/command.js';
import {
  EVENTFS,
  EVENTFS_SCRIPT,
  PROJECT,
  makeUevent,
  run,
  startDaemon,
  until,
} from '../../support/mount/daemon.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

interface Shown {
  readonly time: number;
  readonly monotonic: number;
  readonly devpath: string;
  readonly source: string;
  readonly queue: string;
  readonly loss: number;
}

const schema = JSON.parse(
  readFileSync(join(PROJECT, 'docs/reference/watch.schema.json'), 'utf8'),
) as { properties: Record<string, unknown> };
const fitsSchema = new Ajv().compile(schema);

/** Parses lines of `watch --json`, and checks each against the schema. */
function shown(text: string): Shown[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const object = JSON.parse(Buffer.from(line, 'latin1').toString()) as Shown;
      assert.ok(fitsSchema(object), `${JSON.stringify(fitsSchema.errors)}: ${line}`);
      for (const key of Object.keys(object)) assert.ok(key in schema.properties, `${key}: ${line}`);
      return object;
    });
}

const watch = (...args: readonly string[]): ReturnType<typeof eventfs> =>
  eventfs(['watch', '--mount', daemon.path, ...args]);

/** Starts a watch, and resolves once its stream is open. */
async function watching(...args: readonly string[]): Promise<Background> {
  const before = Number(statusOf(`${daemon.path}/log`).STREAMS);
  const child = new Background(['watch', '--mount', daemon.path, ...args]);
  // Where the source is shown, it opens the stream of the kernel's events first.
  const more = args.some((arg) => /^--(json|record)$|\{source/.test(arg)) ? 2 : 1;
  await until(
    () => Number(statusOf(`${daemon.path}/log`).STREAMS) >= before + more,
    'it does not watch',
    20_000,
  );
  return child;
}

const monotonic = (): number => Number(process.hrtime.bigint()) / 1e9;

const command = mounted('eventfs watch', ['--source', 'kernel']);
command.after(() => Background.killAll());

command('prints JSON that fits its schema: times, source, queue and loss', async () => {
  const filter = 'KERNEL==x|two|null, N!=no'; // other tests make the kernel send events too
  const child = await watching('--json', filter);
  const before = { time: Date.now() / 1000, monotonic: monotonic() };
  publish(
    daemon.path,
    eventText('/x', { N: 'caf\xe9' }),
    'add@/two\nA=1\nA=2\n',
    eventText('/x', { N: 'no' }),
  );
  await makeUevent('change');
  await child.prints(/(.*\n){3}/);
  const after = { time: Date.now() / 1000, monotonic: monotonic() };
  const events = shown(child.out);
  assert.equal(
    events
      .toSorted((one, other) => Number(one.source < other.source) - 0.5)
      .map(({ source, queue, loss }) => [source, queue, loss]),
    [
      ['publish', `match/${filter}`, 0],
      ['publish', `match/${filter}`, 0],
      ['kernel', `match/${filter}`, 0],
    ],
  );
  for (const event of events)
    for (const clock of ['time', 'monotonic'] as const)
      assert.ok(
        event[clock] >= before[clock] - 0.001 && event[clock] <= after[clock] + 0.001,
        `${clock}: ${before[clock]} ${event[clock]} ${after[clock]}`,
      );
  await child.stop();
});

command('takes a filter that is not UTF-8', async () => {
  const since = statusOf(`${daemon.path}/log`).SEQNUM;
  const bytes = Buffer.from('add@/bytes\nN=caf\xe9\n', 'latin1');
  publish(daemon.path, eventText('/bytes', { N: 'caf\uFFFD' }), bytes);
  const script = 'exec "$1" watch --mount "$2" --since "$3" --count 1 "$(printf "N==caf\\351")"';
  const { out } = await run(['sh', '-c', script, 'sh', EVENTFS, daemon.path, since]);
  assert.match(out, ' /bytes\n');
});

command('has the source from the daemon, whatever a publisher writes', async () => {
  const filter = 'KERNEL==null|imitated';
  const since = statusOf(`${daemon.path}/log`).SEQNUM;
  const children = [
    await watching('--json', filter),
    await watching('--format', '{source} {devpath}', `${filter}, DEVPATH!=/${'no'.repeat(120)}`),
  ];
  const next = Number(since) + 1;
  publish(
    daemon.path,
    eventText('/imitated', { SEQNUM: next }),
    eventText('/imitated', { SEQNUM: next, USEC_INITIALIZED: 1, SOURCE: 'kernel' }),
  );
  await makeUevent('change');
  const copied = await until(() => {
    const names = readdirSync(`${daemon.path}/log`)
      .filter((name) => /^\d/.test(name))
      .toSorted((one, other) => one.localeCompare(other, 'en', { numeric: true }));
    const texts = names.map((name) => readFileSync(`${daemon.path}/log/${name}`, 'latin1'));
    const own = texts.filter((one) => /^(add|change)@.*\/(null|imitated)\n/.test(one)).slice(-3);
    return own.at(-1)!.startsWith('change@') ? own : null;
  }, 'the event of the kernel did not come');
  publish(daemon.path, copied!.at(-1)!); // The same bytes once more.
  await makeUevent('change');
  const expected = ['publish', 'publish', 'kernel', 'publish', 'kernel'];
  for (const child of children) await child.prints(/(.*\n){5}/);
  assert.equal(
    shown(children[0].out).map(({ source }) => source),
    expected,
  );
  assert.equal(
    children[1].out.split('\n').map((line) => line.split(' ')[0]),
    [...expected, ''],
  );
  // The files of kept events tell it too.
  const kept = await watch('--json', '--since', since, '--count', '5', filter);
  assert.equal(
    shown(kept.out).map(({ source }) => source),
    expected,
  );
  for (const child of children) await child.stop();
});

command('prints the loss of an overflow record, in JSON and beside a template', async () => {
  const children = [await watching('--json'), await watching('--format', '{devpath}')];
  for (const child of children) child.process.kill('SIGSTOP');
  publishNumbered(daemon.path, 5000);
  for (const child of children) child.process.kill('SIGCONT');
  await children[0].prints(/overflow(.*\n){2}/);
  // Mounts of other programs make events of the kernel, which may come first.
  const { source, devpath } = shown(children[0].out).find(({ loss }) => loss > 0)!;
  assert.equal([source, devpath], ['eventfs', '/eventfs']);
  await until(
    () => /^eventfs: watch: \d+ events were lost before the next line\n$/.test(children[1].err),
    () => `no warning, but ${children[1].err}`,
  );
  for (const child of children) await child.stop();
});

command('tells when kept events came, not when it read them', async () => {
  const [begin, since] = [Date.now() / 1000, statusOf(`${daemon.path}/log`).SEQNUM];
  publish(daemon.path, eventText('/t', { T: 'a' }), eventText('/other'));
  await makeUevent();
  publish(daemon.path, eventText('/t', { T: 'b' }));
  const end = Date.now() / 1000;
  await sleep(300);
  const { out, code } = await watch('--since', since, 'T==a|b', '--json', '--count', '2');
  assert.is(code, 0);
  const events = shown(out).filter(({ loss }) => loss === 0); // an earlier test's loss comes first
  const offset = Date.now() / 1000 - monotonic();
  assert.is(events.length, 2);
  for (const { time, monotonic: at, queue } of events) {
    assert.ok(time >= begin - 0.001 && time <= end + 0.001, `${begin} ${time} ${end}`);
    assert.ok(Math.abs(at + offset - time) < 0.1, `${at} ${offset} ${time}`);
    assert.match(queue, /^\d+\.watch\/\.stream$/);
  }
});

command('prints lines after a template', async () => {
  const since = statusOf(`${daemon.path}/log`).SEQNUM;
  publish(daemon.path, eventText('/f', { SUBSYSTEM: 'net', F: 1 }));
  const { out, code } = await watch(
    '--since',
    since,
    'F==1',
    '--count',
    '1',
    '--format',
    '{time} {action:6}|{subsystem} {devpath} {seqnum}',
  );
  assert.is(code, 0);
  assert.match(out, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d add {3}\|net \/f -\n$/);
  const wrong = await watch('--format', '{');
  assert.equal([wrong.code, wrong.out], [100, '']);
  assert.match(wrong.err, /^eventfs: watch: --format: column 1: [^\n]*\n$/);
});

command('ends after --count events, and with 1 if they do not come in time', async () => {
  const since = statusOf(`${daemon.path}/log`).SEQNUM;
  publishNumbered(daemon.path, 5, 0, { C: '1' });
  const counted = await watch('--since', since, 'C==1', '--count', '3');
  assert.equal([counted.code, counted.out.split('\n').length], [0, 4]);
  const late = await watch('C==none', '--count', '3', '--timeout', '0.2');
  assert.equal(
    [late.code, late.out, late.err],
    [1, '', 'eventfs: watch: 0 of 3 events came within 0.2 s\n'],
  );
  const timed = await watch('C==none', '--timeout', '0.2');
  assert.equal([timed.code, timed.out, timed.err], [0, '', '']);
});

command('ends at its time-out while a pipe is full', async () => {
  const since = statusOf(`${daemon.path}/log`).SEQNUM;
  publishNumbered(daemon.path, 900, 0, { P: 'x'.repeat(400) });
  const watches = `${process.execPath} ${EVENTFS_SCRIPT} watch --mount ${daemon.path} --since ${since} --json --timeout 1`;
  const fifo = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'full-')), 'fifo');
  const script = `mkfifo ${fifo}; sleep 30 < ${fifo} > /dev/null 2>&1 & ${watches} > ${fifo}; code=$?; kill $!; echo "code $code"`;
  const started = performance.now();
  const { out } = await run(['bash', '-c', script]);
  assert.is(out, 'code 0\n');
  assert.ok(performance.now() - started < 20_000);
});

command('ends by Ctrl-C as by SIGTERM, and a recording is whole then', async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const file = join(mkdtempSync(join(process.env.EVENTFS_TEST_DIR ?? tmpdir(), 'record-')), 'r');
    const child = await watching('--record', file, 'R==1');
    publish(daemon.path, eventText('/r', { R: 1, SEQNUM: 7 }));
    await child.prints(/\/r\n/);
    assert.is(await child.stop(signal), signal);
    assert.match(
      readFileSync(file, 'latin1'),
      /^# eventfs recording 1\n@ \d+\.\d{3} \d+\.\d{6} publish\nadd@\/r\nACTION=add\nR=1\nSEQNUM=7\n\n$/,
    );
  }
});

command('refuses a recording that it cannot write', async () => {
  const missing = await watch('--record', '/nowhere/file');
  assert.equal([missing.code, missing.out], [111, '']);
  assert.match(
    missing.err,
    /^eventfs: watch: \/nowhere\/file: No such file or directory \(check the path\)\n$/i,
  );
  const full = await watch('--record', '/dev/full');
  assert.is(full.code, 111);
  assert.match(full.err, /^eventfs: watch: \/dev\/full: no space left on device \([^\n]*\)\n$/i);
});

command('says on a terminal what it waits for', async () => {
  const command = `${process.execPath} ${EVENTFS_SCRIPT} watch SUBSYSTEM==net --timeout 0.1 --mount ${daemon.path}`;
  const { out } = await run(['script', '-qec', command, '/dev/null']);
  assert.is(out, `eventfs: watch: waiting for SUBSYSTEM==net in ${daemon.path} until Ctrl-C\r\n`);
  assert.is((await watch('SUBSYSTEM==net', '--timeout', '0.1')).err, '');
});

command('warns of a key in lower case, and refuses =>', async () => {
  const lower = await watch('subsystem==net, A==b', '--timeout', '0.1');
  assert.equal(
    [lower.code, lower.err],
    [
      0,
      "eventfs: watch: the filter's key subsystem is in lower case, and keys of uevents are in upper case (did you mean SUBSYSTEM?)\n",
    ],
  );
  const ofParents = await watch('KERNELS=="1-1", SUBSYSTEM=="block"', '--timeout', '0.1');
  assert.match(ofParents.err, /^[^\n]*'s key KERNELS is for the parents of a device [^\n]*\n$/);
  const arrow = await watch('SUBSYSTEM=>net');
  assert.is(
    arrow.err,
    'eventfs: watch: bad filter: column 10: expected == or != after SUBSYSTEM (there is no =>; quote a pattern that begins with it)\n',
  );
});

command('fails with one line if standard output is closed', async () => {
  const { err, out } = await run([
    'bash',
    '-c',
    `{ timeout 10 ${EVENTFS} watch --mount ${daemon.path} >&-; } 2>&1; echo "code $?"`,
  ]);
  assert.is(err, '');
  assert.match(
    out,
    /^eventfs: watch: standard output: Bad file descriptor \([^\n]*\)\ncode 111\n$/,
  );
});

command('fails like each command that only prints if standard output is closed', async () => {
  const printing = [
    '--help',
    '--version',
    'help watch',
    'mount --check /mnt',
    'coldplug --dry-run',
    'bridge --help',
    `--mount ${daemon.path} status`,
  ];
  const closed = (args: string): ReturnType<typeof run> =>
    run(['bash', '-c', `timeout 10 ${EVENTFS} ${args} >&-`]);
  for (const args of printing) {
    const { err, code } = await closed(args);
    assert.equal([code, err.split('\n').length], [111, 2], args);
  }
  const quiet = [`exec --mount ${daemon.path} -- sh -c : --help`, `emit ACTION=a DEVPATH=/x`];
  for (const args of quiet) {
    const { code } = await closed(`--mount ${daemon.path} ${args}`);
    assert.is(code, 0, args);
  }
});

command('and run end with 103 and one line when the daemon ends', async () => {
  for (const end of ['stop', 'kill'] as const) {
    const other = await startDaemon();
    const children = [
      new Background(['watch', '--mount', other.path]),
      new Background(['run', '--mount', other.path, '', '--', 'true']),
    ];
    await until(() => statusOf(`${other.path}/log`).STREAMS === '1', 'it does not watch');
    await children[1].runsOn(other.path);
    await other[end]();
    assert.equal(await Promise.all(children.map(({ ended }) => ended)), [103, 103]);
    assert.match(children[0].err, /^eventfs: watch: \/[^\n]*: its daemon has ended \([^\n]*\)\n$/);
    assert.match(children[1].err, /^eventfs: run: the daemon has ended \([^\n]*\)\n$/);
    if (end === 'kill') await run(['umount', '-l', other.path]);
  }
});

command.run();
