import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { FUSE_READ_LOCKOWNER, FUSE_ROOT_ID, Opcode } from '../../../fs/fuse/abi.js';
import { Errno } from '../../../fs/shared/errors.js';
import { cstring } from '../../support/memory/kernel.js';
import { runs } from '../../support/runner/budget.js';
import { suite } from '../../support/runner/suite.js';
import { decode, encode, sizeOf } from '../fuse/structs.js';
import { CrashingDaemon, Kernel } from './crashing-daemon.js';

const once = suite('a request that the kernel sends again');

const O_WRONLY = 1;
const ENTRY = sizeOf('fuse_entry_out');
const OWN = `${process.pid}.own`;

/** Clients of one mount, each with one request at a time. */
class Clients {
  readonly kernel = new Kernel();
  daemon = CrashingDaemon.first(this.kernel);
  published = 0;
  /** All that the readers of `stream` have got, each by its own open file. */
  readonly streams = ['', ''];
  /** All that the readers of `.stream` have got, each by itself. */
  readonly taken = ['', ''];
  made = 0;
  readonly #publish: number;

  constructor() {
    const { nodeid: own } = decode('fuse_entry_out', this.#now('FUSE_MKDIR', 1, mkdir(OWN)));
    this.#publish = this.#open('publish', FUSE_ROOT_ID, O_WRONLY);
    for (const n of [0, 1]) {
      this.#read(this.#open('stream', FUSE_ROOT_ID, 0), (text) => (this.streams[n] += text));
      this.#read(this.#open('.stream', own, 0), (text) => (this.taken[n] += text));
    }
    this.publish();
    this.#make();
  }

  /** Makes a request that is answered at once. */
  #now(opcode: keyof typeof Opcode, nodeid: number, payload: Uint8Array): Buffer {
    let result = '';
    this.kernel.send(opcode, nodeid, payload, (errno, body) => {
      assert.is(errno, 0, opcode);
      result = body;
    });
    while (this.daemon.serveOne());
    return Buffer.from(result, 'latin1');
  }

  #open(name: string, parent: number, flags: number): number {
    const entry = this.#now('FUSE_LOOKUP', parent, cstring(name));
    assert.is(entry.length, ENTRY);
    const { nodeid } = decode('fuse_entry_out', entry);
    return decode(
      'fuse_open_out',
      this.#now('FUSE_OPEN', nodeid, encode('fuse_open_in', { flags })),
    ).fh;
  }

  #read(fh: number, take: (text: string) => void): void {
    const payload = encode('fuse_read_in', { fh, size: 90, read_flags: FUSE_READ_LOCKOWNER });
    const again = (): void =>
      this.kernel.send('FUSE_READ', 0, payload, (errno, body) => {
        assert.is(errno, 0, 'read');
        assert.ok(body.length > 0, 'read returns no end of file');
        take(body);
        again();
      });
    again();
  }

  /** Publishes one event, and then the next one for ever. */
  publish(): void {
    const text = `add@/x\nN=${this.published + 1}\nFILL=${'x'.repeat((this.published * 37) % 60)}\n`;
    const payload = Buffer.concat([
      encode('fuse_write_in', { fh: this.#publish, size: text.length }),
      Buffer.from(text),
    ]);
    this.kernel.send('FUSE_WRITE', 0, payload, (errno, body) => {
      assert.is(errno, 0, 'write');
      assert.is(decode('fuse_write_out', Buffer.from(body, 'latin1')).size, text.length);
      this.published++;
      this.publish();
    });
  }

  #make(): void {
    const name = `${process.pid}.x`;
    this.kernel.send('FUSE_MKDIR', FUSE_ROOT_ID, mkdir(name), (errno, body) => {
      assert.is(errno, 0, 'mkdir');
      this.made++;
      const { nodeid } = decode('fuse_entry_out', Buffer.from(body, 'latin1'));
      this.#openToRemove(nodeid, () =>
        this.kernel.send('FUSE_RMDIR', FUSE_ROOT_ID, cstring(name), (error) => {
          assert.is(error, 0, 'rmdir');
          this.#make();
        }),
      );
    });
  }

  /**
   * Opens the stream of a directory and lets a read block on it until the directory ends.
   * @param then runs when the read is sent
   */
  #openToRemove(directory: number, then: () => void): void {
    this.kernel.send('FUSE_LOOKUP', directory, cstring('.stream'), (errno, body) => {
      assert.is(errno, 0, 'lookup');
      const { nodeid } = decode('fuse_entry_out', Buffer.from(body, 'latin1'));
      this.kernel.send('FUSE_OPEN', nodeid, encode('fuse_open_in', {}), (error, opened) => {
        // A restart has lost the node: the kernel looks the name up again.
        if (error === Errno.ESTALE) return this.#openToRemove(directory, then);
        assert.is(error, 0, 'open');
        const { fh } = decode('fuse_open_out', Buffer.from(opened, 'latin1'));
        this.#readToEnd(fh);
        then();
      });
    });
  }

  /** Reads until the directory ends, and closes the file. */
  #readToEnd(fh: number): void {
    const payload = encode('fuse_read_in', { fh, size: 9000, read_flags: FUSE_READ_LOCKOWNER });
    this.kernel.send('FUSE_READ', 0, payload, (errno) => {
      if (errno === 0) return this.#readToEnd(fh);
      assert.is(errno, Errno.ESTALE);
      this.kernel.send('FUSE_RELEASE', 0, encode('fuse_release_in', { fh }), (error) =>
        assert.is(error, 0, 'release'),
      );
    });
  }

  /** Takes the next daemon, if this one has crashed. */
  restartIfDead(order: () => number): void {
    const { daemon } = this;
    daemon.survive();
    if (daemon.left === null) return;
    assert.equal(daemon.warnings, []);
    this.daemon = daemon.next();
    this.kernel.resend(order);
  }

  /** Checks all that the clients have got. */
  check(): void {
    const numbers = (text: string): number[] =>
      [...text.matchAll(/^N=(\d+)$/gm)].map(([, n]) => Number(n));
    const all = Array.from({ length: this.published }, (_, n) => n + 1);
    for (const text of this.streams) {
      assert.equal(numbers(text), all);
      assert.is(text.match(/^overflow@/m), null);
    }
    const [a, b] = this.taken.map(numbers);
    for (const own of [a, b])
      assert.equal(
        own,
        [...own].sort((x, y) => x - y),
      );
    assert.equal(
      [...a, ...b].sort((x, y) => x - y),
      all,
    );
  }
}

function mkdir(name: string): Buffer {
  return Buffer.concat([encode('fuse_mkdir_in', { mode: 0o755 }), cstring(name)]);
}

/** `crash`: after how many stores to the journal the daemon crashes; more than 30: it does not. */
const step = fc.record({ settles: fc.boolean(), crash: fc.nat(60), order: fc.nat(1000) });

once('is carried out once, wherever the daemon is killed', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 150 }), (steps) => {
      const clients = new Clients();
      let seed = 1;
      const order = (): number => (seed = (seed * 48271) % 2147483647);
      for (const { settles, crash, order: more } of steps) {
        seed += more;
        if (crash <= 30) clients.daemon.crashAfter(crash);
        if (settles) clients.daemon.settle();
        else clients.daemon.serveOne();
        clients.restartIfDead(order);
      }
      const { published, made } = clients;
      for (let rounds = 0; rounds < 40; rounds++) {
        clients.daemon.serveOne();
        clients.daemon.settle();
      }
      assert.ok(clients.published > published && clients.made > made);
      for (let rounds = 0; rounds < 12; rounds++) clients.daemon.serveOne();
      clients.daemon.crashAfter(0); // some events are published and not read
      clients.restartIfDead(order);
      readAll(clients);
      clients.check();
      clients.daemon.close();
    }),
    { ...runs(60), endOnFailure: true },
  );
});

function opcodeOf({ bytes }: { bytes: Buffer }): number {
  return bytes.readUInt32LE(4);
}

/** Lets the readers get all that is published, while no client publishes more. */
function readAll({ kernel, daemon }: Clients): void {
  for (let rounds = 0; rounds < 200; rounds++) {
    const isNew = ({ bytes }: { bytes: Buffer }): boolean => (bytes[15] & 0x80) === 0;
    const kept = kernel.pending
      .splice(0)
      .filter((request) => !isNew(request) || opcodeOf(request) === Opcode.FUSE_READ);
    kernel.pending.push(...kept);
    if (!daemon.serveOne()) daemon.settle();
  }
}

once('is answered with the others, if one answer is for several', () => {
  for (let stores = 0; stores < 40; stores++) {
    const clients = new Clients();
    for (let n = 0; n < 5; n++) clients.daemon.serveOne(); // four reads and a write
    clients.daemon.crashAfter(stores);
    clients.daemon.settle();
    clients.restartIfDead(() => 0);
    readAll(clients);
    clients.check();
    clients.daemon.close();
  }
});

once('is carried out once, if it ends a blocked read of its directory', () => {
  for (let stores = 0; stores < 40; stores++) {
    const clients = new Clients();
    const { daemon, kernel } = clients;
    while (!kernel.pending.some((request) => opcodeOf(request) === Opcode.FUSE_RMDIR))
      daemon.serveOne();
    const { made } = clients;
    daemon.crashAfter(stores);
    for (let rounds = 0; rounds < 20; rounds++) daemon.serveOne();
    clients.restartIfDead(() => 0);
    for (let rounds = 0; rounds < 40; rounds++) {
      clients.daemon.serveOne();
      clients.daemon.settle();
    }
    assert.ok(clients.made > made, `no mkdir after a crash at store ${stores}`);
    clients.daemon.close();
  }
});

once('waits in its old place, if it is a blocked read', () => {
  for (const isReversed of [false, true]) {
    const clients = new Clients();
    const { daemon, kernel } = clients;
    const [write] = kernel.pending.splice(-2);
    while (daemon.serveOne());
    daemon.crashAfter(0);
    let at = 0;
    clients.restartIfDead(() => (isReversed ? --at : ++at));
    kernel.pending.push(write);
    for (let rounds = 0; rounds < 10; rounds++) clients.daemon.serveOne();
    kernel.pending.length = 0;
    for (let rounds = 0; rounds < 10; rounds++) clients.daemon.settle();
    assert.is(clients.taken[0].match(/N=1\n/)?.length, 1);
    clients.daemon.close();
  }
});

once.run();
