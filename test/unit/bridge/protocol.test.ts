/** The names and payloads of the fleet's protocol, also those that a hostile host sends. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { backoffMs } from '../../../fs/bridge/mqtt/link.js';
import { Fleet, type FleetSink } from '../../../fs/bridge/protocol/fleet.js';
import { badHostName, parseTopic } from '../../../fs/bridge/protocol/names.js';
import { OwnName } from '../../../fs/bridge/protocol/own-name.js';
import {
  MOST_PAYLOAD,
  lossRecord,
  parseMessage,
  recordWithHost,
} from '../../../fs/bridge/protocol/payload.js';
import {
  type HostState,
  parseQuestion,
  parseState,
  stateText,
} from '../../../fs/bridge/protocol/state.js';
import { Filter } from '../../../fs/uevent/filter/filter.js';
import { cpuMs, runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';

const protocol = suite('the protocol of a fleet');

protocol('has names of hosts that are good names of directories', () => {
  for (const good of ['web1', 'a', 'node-3.rack_2', '3com']) assert.is(badHostName(good), null);
  const bad = ['', '..', '.x', 'a/b', 'a b', 'a\n', 'a\0', '+', '#', '4711', '10.0.0.1', 'log'];
  for (const name of [...bad, 'publish', 'x'.repeat(129)])
    assert.ok(badHostName(name) !== null, JSON.stringify(name));
});

protocol('has topics of four kinds', () => {
  assert.equal(parseTopic('eventfs/1/web1/state'), { kind: 'state', from: 'web1' });
  assert.equal(parseTopic('eventfs/1/a/ask/b'), { kind: 'ask', from: 'a', to: 'b' });
  for (const bad of [
    'eventfs/2/web1/state',
    'eventfs/1/web1',
    'eventfs/1/../state',
    'eventfs/1/web1/state/x',
    'eventfs/1/web1/ask',
    'eventfs/1/web1/ask/..',
    'eventfs/1/web1/answer/b/c',
    'eventfs/1//event',
  ])
    assert.is(parseTopic(bad), null, bad);
});

const STATE: HostState = {
  online: true,
  session: 'boot-1',
  connection: 1,
  machine: 'm1',
  first: 1,
  next: 1,
  ended: [],
};

protocol('survives any payload', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), (bytes, text) => {
      const payload = Buffer.from(bytes);
      parseState(payload);
      parseQuestion(payload);
      parseMessage(payload, { session: 'a-1', seq: text, count: '1' });
      parseState(Buffer.from(text));
    }),
    runs(300),
  );
  assert.equal(parseState(Buffer.from(stateText(STATE))), STATE);
  const wrong = [{ first: 2 }, { next: 0 }, { session: 'a b' }, { machine: '' }, { online: 1 }];
  for (const each of wrong)
    assert.is(parseState(Buffer.from(JSON.stringify({ ...STATE, ...each }))), null);
});

const properties = { session: 'a-1', seq: '5', count: '2' };

protocol('counts a record that the mount would refuse as lost', () => {
  const parse = (text: string): unknown =>
    parseMessage(Buffer.from(text), properties)?.pieces.map((piece) => piece.text?.toString());
  const good = 'add@/x\nA=1\n';
  assert.equal(parse(`${good}\n${good}\n`), [good, good]);
  for (const bad of [
    'add@/../x\nA=1\n',
    'add@/a/..\nA=1\n',
    'add@/x\nDEVPATH=/../x\n',
    'add@/x\nDEVPATH=x\n',
    'add@/x\nDEVPATH=/x\nDEVPATH=/x\r/..\n',
    'add@/x\nDEVNAME=../etc/shadow\n',
    'no header\n',
    'add@/x\nno property\n',
    'add@/x\x1b\nA=1\n',
    'add@/x\nA=\0\n',
  ])
    assert.equal(parse(`${bad}\n${good}\n`), [undefined, good], JSON.stringify(bad));
  assert.equal(parse(`${good}\nadd@/../x`), [good, undefined], 'a header without a line end');
  assert.is(parse(`${good}\n`), undefined, 'the count must be right');
  assert.is(parse(`${good}\n`.repeat(3)), undefined);
  assert.equal(parse('overflow@/eventfs\nLOST=2\n\n'), [undefined]);
  assert.is(parse('overflow@/eventfs\nLOST=9007199254740993\n\n'), undefined);
});

protocol(
  'refuses each of 16,000 records without a stack trace, which would take ten times as long',
  () => {
    /** The least CPU time of a message full of this record, for each record, in ms. */
    const costOf = (record: string): number => {
      const count = Math.floor(MOST_PAYLOAD / record.length);
      const payload = Buffer.from(record.repeat(count));
      const properties = { session: 's', seq: '1', count: String(count) };
      const times = Array.from({ length: 10 }, () => {
        const before = cpuMs();
        assert.is(parseMessage(payload, properties)?.pieces.length, count);
        return cpuMs() - before;
      });
      return Math.min(...times) / count;
    };
    const { stackTraceLimit } = Error;
    const [taken, refused] = [costOf('a@/b\n\n'), costOf('a@\n\n')];
    assert.ok(refused < 7 * taken, `${refused} ms, and ${taken} ms for one that is taken`);
    assert.is(Error.stackTraceLimit, stackTraceLimit);
  },
);

protocol('sets HOST, whatever the event says', () => {
  const record = Buffer.from('add@/x\nHOST=liar\nA=1\nHOST=liar\n');
  assert.is(recordWithHost(record, 'web1')!.toString(), 'add@/x\nA=1\nHOST=web1\n\n');
  const liar = Buffer.from(`add@/x\n${'HOST=liar\n'.repeat(6000)}`);
  const start = cpuMs();
  assert.is(recordWithHost(liar, 'web1')!.toString(), 'add@/x\nHOST=web1\n\n');
  assert.ok(cpuMs() - start < 50, 'each line is looked at once');
  const large = Buffer.from(`add@/x\nA=${'x'.repeat(64 * 1024 - 12)}\n`);
  assert.is(recordWithHost(large, 'web1'), null);
});

/** Returns a sink that records its calls. */
function noting(): { sink: FleetSink; said: string[] } {
  const said: string[] = [];
  const note =
    (what: string) =>
    (...args: unknown[]): void =>
      void said.push([what, ...args.map((each) => JSON.stringify(each))].join(' '));
  const sink = {
    appears: note('appears'),
    vanishes: note('vanishes'),
    event: note('event'),
    lost: note('lost'),
    ask: note('ask'),
    want: note('want'),
    isFull: () => false,
  };
  return { sink, said };
}

protocol('follows the hosts that match, while the broker knows them', () => {
  const { sink, said } = noting();
  const fleet = new Fleet(Filter.parse('HOST==web*'), sink, 1000);
  fleet.connected(0);
  fleet.takeState('db1', STATE, 0);
  fleet.takeState('web1', STATE, 0);
  fleet.takeState('web2', STATE, 0);
  assert.equal(said.splice(0), [
    'appears "web1"',
    'want "web1" true',
    'appears "web2"',
    'want "web2" true',
  ]);
  fleet.disconnected(100);
  fleet.tick(1000);
  assert.equal(said, [], 'a short interruption ends no directory');
  fleet.connected(1000);
  fleet.takeState('web1', { ...STATE, connection: 2 }, 1001);
  fleet.tick(2000);
  assert.equal(said.splice(0), ['want "web1" true', 'vanishes "web2"', 'want "web2" false']);
  fleet.disconnected(3000);
  fleet.tick(4000);
  assert.equal(said.splice(0), ['vanishes "web1"', 'want "web1" false'], 'nobody knows any more');
});

protocol('asks for events that were dropped at the end, once there is room', () => {
  const { sink, said } = noting();
  let isFull = true;
  const fleet = new Fleet(Filter.parse('HOST==web1'), { ...sink, isFull: () => isFull }, 1000);
  fleet.takeState('web1', { ...STATE, next: 1 }, 0);
  said.length = 0;
  const record = { weight: 1, text: Buffer.from('add@/x\nA=1\n') };
  fleet.takeMessage('web1', { session: STATE.session, seq: 1, pieces: [record, record] }, 0);
  assert.is(fleet.due, Infinity);
  isFull = false;
  const { due } = fleet;
  assert.ok(due < Infinity);
  fleet.tick(due);
  const question = { session: STATE.session, from: 1, to: 3 };
  assert.equal(said, [`ask "web1" ${JSON.stringify(question)}`]);
});

protocol('forgets no host for a new one while the mount is full: its losses wait', () => {
  const { sink } = noting();
  let isFull = false;
  const fleet = new Fleet(Filter.parse(''), { ...sink, isFull: () => isFull }, 1000);
  for (let n = 0; n < 50_000; n++) fleet.takeState(`web${n}`, STATE, 0);
  fleet.takeState('web7', { ...STATE, online: false }, 0);
  isFull = true;
  fleet.takeState('late', STATE, 0);
  assert.is(fleet.refused, 1);
  isFull = false;
  fleet.takeState('late', STATE, 0);
  assert.is(fleet.refused, 1);
  assert.equal([fleet.hosts.length, fleet.hosts.at(-1)!.host], [50_000, 'late']);
});

protocol('refuses hosts beyond the bound without a look at all others', () => {
  const { sink } = noting();
  const fleet = new Fleet(Filter.parse(''), sink, 1000);
  for (let n = 0; n < 50_000; n++) fleet.takeState(`web${n}`, STATE, 0);
  const start = performance.now();
  for (let n = 0; n < 50_000; n++) fleet.takeState(`more${n}`, STATE, 0);
  assert.is(fleet.refused, 50_000);
  assert.ok(performance.now() - start < 2000, `${performance.now() - start} ms`);
  for (const name of ['web9', 'web3']) fleet.takeState(name, { ...STATE, online: false }, 0);
  for (const name of ['late1', 'late2']) fleet.takeState(name, STATE, 0);
  const names = fleet.hosts.map(({ host }) => host);
  assert.equal(names.slice(-2), ['late1', 'late2'], 'in the place of those that are gone');
  assert.not.ok(names.includes('web9') || names.includes('web3'));
});

protocol('refuses a name that another machine uses, and takes one whose owner is silent', () => {
  const other = { ...STATE, machine: 'm2' };
  const silent = new OwnName('m1', 0, 100);
  silent.takeState(other, true);
  silent.takeCall('m1');
  silent.tick(99);
  assert.is(silent.state, 'checking');
  silent.tick(100);
  assert.is(silent.state, 'online', 'a will that no broker has sent');
  const alive = new OwnName('m1', 0, 100);
  alive.takeState(other, true);
  alive.takeState(other, false);
  assert.is(alive.state, 'refused');
  const free = new OwnName('m1', 0, 100);
  free.takeState({ ...other, online: false }, true);
  free.takeCall('m1');
  assert.is(free.state, 'online');
  assert.ok(free.takeCall('m2'), 'it answers another one');
  assert.ok(free.takeState({ ...STATE, online: false }, false), 'its own late will');
  assert.ok(free.takeState(other, false), 'of two that began at once one stays');
  assert.is(free.state, 'online');
  const late = new OwnName('m2', 0, 100);
  late.takeCall('m2');
  assert.ok(late.takeState(STATE, true), 'it shows itself');
  assert.is(late.state, 'online', 'the broker has kept the state of a machine that may be dead');
  const both = new OwnName('m2', 0, 100);
  both.takeCall('m2');
  both.takeState(STATE, false);
  assert.is(both.state, 'refused');
});

protocol('connects again later and later, and never at once', () => {
  for (let failures = 0; failures < 40; failures++)
    for (const random of [0, 0.5, 1]) {
      const ms = backoffMs(failures, random);
      assert.ok(ms >= 250 && ms <= 30_000, `${failures}: ${ms}`);
      assert.ok(failures === 0 || ms >= backoffMs(failures - 1, random));
    }
  assert.is(lossRecord(3).toString().split('\n').includes('LOST=3'), true);
});

protocol.run();
