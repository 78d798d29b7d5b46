/**
 * Runs the path of an event a few thousand times at the start, before any reader waits.
 *
 * V8 compiles code that has run often, and uevents are rare. Without the warm-up a daemon's first
 * thousand uevents take about 15 us longer each, even hours after its start
 * (benchmarks/figures/uevents.ts, on a fresh daemon). The warm-up leaves no events behind.
 */
import { constants } from 'node:fs';
import { ControlWord } from '#native';
import { ReplySink } from '../drivers/devfuse/reply-sink.js';
import { Bus } from '../bus/bus.js';
import { Log } from '../bus/log.js';
import { IdAllocator } from '../shared/id-allocator.js';
import { UeventText } from '../uevent/text.js';
import type { Owners } from '../owners/owners.js';
import { NO_PORT, type ReplyPort } from '../tree/ports.js';
import { ParkedRead } from '../tree/nodes/node.js';
import { Tree } from '../tree/tree.js';

const ROOT = { uid: 0, gid: 0, pid: 0 };

/** So many runs make V8's optimizing compiler act; they take some 30 ms. */
const TIMES = 4000;
const LIMITS = { bytes: 64 * 1024, events: 256 };
const READ_BYTES = 4096;

/**
 * Publishes events to a blocked reader of a tree of its own.
 *
 * @param owners the daemon's; none of them owns anything in that tree
 * @param isFleet whether events come through `publish`, and leave by a filter
 */
export function warmUp(owners: Owners, isFleet: boolean): void {
  const bus = new Bus(new Log(LIMITS), new IdAllocator(0));
  const tree = new Tree(bus, owners);
  const sink = new ReplySink(
    new Uint8Array(2 * READ_BYTES),
    bus.log.memory,
    new Uint32Array(ControlWord.count),
  );
  const port: ReplyPort = {
    ...NO_PORT,
    begin: (size) => sink.begin(size),
    answer: () => sink.end(),
  };
  tree.attach(port, () => undefined);
  const node = isFleet ? tree.match.lookup('SUBSYSTEM=warm-up') : tree.root.lookup('stream');
  const stream = node!.open(0, ROOT);
  const read = new ParkedRead(0, stream, READ_BYTES);
  const publish = isFleet ? publisher(tree) : receiver(bus);
  for (let seqnum = 1; seqnum <= TIMES; seqnum++) {
    stream.park(read);
    publish(seqnum);
    bus.settle();
  }
}

/** Returns the lines of an event. */
function linesOf(seqnum: number): string[] {
  return ['add@/devices/virtual/warm-up', 'ACTION=add', 'SUBSYSTEM=warm-up', `SEQNUM=${seqnum}`];
}

/** Returns a function that takes the event of a number as one of the kernel. */
export function receiver(bus: Bus): (seqnum: number) => void {
  const text = new UeventText();
  return (seqnum) => {
    const datagram = Buffer.from(`${linesOf(seqnum).join('\0')}\0`);
    text.readDatagram(datagram, 0, datagram.length);
    bus.publishKernel(text);
  };
}

/** Returns a function that writes the event of a number to `publish`. */
function publisher(tree: Tree): (seqnum: number) => void {
  const file = tree.root.lookup('publish')!.open(constants.O_WRONLY, ROOT);
  return (seqnum) => {
    const record = Buffer.from(`${linesOf(seqnum).join('\n')}\n\n`);
    file.write(record, 0, record.length, 0);
  };
}
