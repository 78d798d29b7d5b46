/** One run of the simulation: random steps from a seed, and the model beside them. */
import * as assert from 'uvu/assert';
import { Errno } from '../../fs/shared/errors.js';
import { type Clock, replaceClock } from '../../fs/shared/clock.js';
import { Journal } from '../../fs/state/journal.js';
import { StateLayout, type StateMemory, heapMemory } from '../../fs/state/layout.js';
import { StateTable } from '../../fs/state/table.js';
import { replaceProcesses } from '../../fs/owners/system.js';
import { Clients, type Task } from './clients.js';
import { checkEmpty, compareDumps, compareState } from './compare.js';
import { noCounts } from './counts.js';
import { dumpExact } from './dump.js';
import { Crash, type Observer, SimDaemon, requestMemory } from './machine/daemon.js';
import { Device, type Read } from './machine/device.js';
import { Processes, type SimProcess } from './machine/processes.js';
import { Random } from './machine/random.js';
import { RequestWriter, SimRequest } from './machine/request.js';
import { type MailItem, Mailbox } from './machine/uevents.js';
import { Vfs } from './machine/vfs.js';
import type { ModelFiles } from './model/files.js';
import { handlersOf } from './model/handlers.js';
import { Mismatch, Model, check, describe } from './model/model.js';
import { checkPlaces } from './recorded.js';
import { Replies } from './replies.js';
import { settingsFrom, sizesOf, stepMs } from './settings.js';

/** How often the whole state is compared, in steps. */
const COMPARE_EVERY = 16;
/** The daemon is killed in one of 120 pieces of work, and before another one. */
const CRASH_ONCE_IN = 120;
/** The most points of one work at which the daemon is killed. */
const MOST_POINTS = 12;

/** One run. */
export class Simulation implements Observer {
  readonly random: Random;
  readonly processes: Processes;
  readonly device: Device;
  readonly vfs: Vfs;
  readonly model: Model;
  readonly clients: Clients;
  daemon: SimDaemon;
  readonly counts = noCounts();
  readonly #files: ModelFiles;
  readonly #replies: Replies;
  #epochMs = 1_800_000_000_000;
  #monotonicMs = 0;
  #soon: (() => void)[] = [];
  readonly #mailbox: Mailbox;
  /** The READs that have failed because the request that is served ends their directory. */
  readonly #early: SimRequest[] = [];
  /** The last steps, for the message of a failure. */
  readonly trace: string[] = [];
  readonly #memory: StateMemory | null;
  #isDead = false;
  #isFaulty = true;
  #pointsLeft = Infinity;

  constructor(
    readonly seed: number,
    private readonly keepsTrace = false,
  ) {
    this.random = new Random(seed);
    this.#mailbox = new Mailbox(this.random, (one) => this.#tookMail(one));
    const settings = settingsFrom(this.random);
    this.model = new Model(settings);
    this.processes = new Processes((process) => this.model.died(process));
    const handlers = handlersOf(this.model, this.processes);
    this.#files = handlers.files;
    this.#replies = new Replies(this.model, handlers, (what) => this.note(what));
    this.device = new Device(new RequestWriter(requestMemory), (key) => this.#woken(key));
    this.vfs = new Vfs(this.device);
    this.#memory = settings.isGuarded ? heapMemory(StateLayout.bytes(sizesOf(settings))) : null;
    replaceClock(this.#clock());
    replaceProcesses(this.processes.system());
    this.daemon = this.#boot();
    this.model.isUnsettled = () => this.daemon.isUnsettled || !this.daemon.recovery.isOver;
    this.device.send(new SimRequest('FUSE_INIT'));
    this.daemon.serve();
    this.clients = new Clients(this);
  }

  #clock(): Clock {
    return {
      epochMs: () => this.#epochMs,
      monotonicMs: () => (this.#monotonicMs += stepMs(this.model.settings, this.random)),
      cpuMs: () => 0,
      random: () => this.random.fraction(),
      soon: (callback) => this.#soon.push(callback),
    };
  }

  #boot(): SimDaemon {
    const { settings } = this.model;
    const journal = settings.isGuarded ? Journal.create(this.#memory!, sizesOf(settings)) : null;
    const daemon = new SimDaemon(settings, this.device, this, journal);
    daemon.begin();
    return daemon;
  }

  // ---- crashes

  /** Called at each point at which the daemon can be killed. */
  atPoint(): void {
    if (this.#isDead || --this.#pointsLeft <= 0) {
      this.#isDead = true;
      throw new Crash('the daemon is killed');
    }
  }

  /** Runs a part of the daemon's work; the daemon may be killed in it. */
  #mortal(work: () => void): void {
    const { random } = this;
    const isDoomed = this.#isFaulty && this.model.settings.isGuarded && random.once(CRASH_ONCE_IN);
    this.#pointsLeft = isDoomed ? random.between(1, MOST_POINTS) : Infinity;
    try {
      work();
    } catch (error) {
      if (!this.#isDead) throw error;
    }
    this.#pointsLeft = Infinity;
    if (this.#isDead) this.#crash();
  }

  /** Starts another daemon after a death. The kernel sends unanswered requests again. */
  #crash(): void {
    const { device, random } = this;
    this.counts.crashes++;
    const before =
      this.#isDead || this.daemon.recorder!.isDirty ? null : dumpExact(this.daemon.tree);
    this.note(() => 'THE DAEMON IS KILLED');
    this.#isDead = true;
    this.#soon = [];
    const layout = StateLayout.open(this.#memory!);
    const table = new StateTable(layout);
    checkPlaces(table);
    this.#replies.takeRecorded(layout, table, device.unanswered);
    // Processes go on while no daemon runs.
    for (let n = random.below(4); n > 0; n--) {
      const choice = random.below(4);
      if (choice === 0) this.clients.kill();
      else if (choice === 1) this.clients.begin();
      else if (choice === 2) this.clients.signal();
      else this.clients.birth();
    }
    this.#sendLeft(layout);
    device.resend();
    this.#isDead = false;
    const dead = this.#deadOwners();
    let next = this.#attempt();
    for (; next === null; next = this.#attempt()) {
      this.#sendLeft(layout);
      device.resend(); // after every attempt
    }
    this.#replaceBy(next, dead, before);
    if (random.once(3)) {
      this.#sendLeft(layout);
      device.resend();
    }
    if (random.once(2)) this.clients.killWaiting();
    this.clients.proceed();
  }

  /**
   * Lets another daemon restore the tree while the present one waits. It takes over, or is killed.
   */
  #reload(): void {
    const { daemon, device, processes, random } = this;
    const { recorder } = daemon;
    this.counts.reloads++;
    this.note(() => 'a reload');
    const before = dumpExact(daemon.tree); // writes to the journal
    recorder!.commit();
    recorder!.freeze();
    const takeBack = processes.hold();
    const soon = this.#soon;
    this.#soon = [];
    const dead = this.#deadOwners();
    const next = this.#attempt();
    if (random.once(3)) this.clients.kill();
    if (next === null || random.once(2)) {
      this.note(() => '  which fails');
      takeBack();
      this.#soon = soon;
      if (random.once(2)) this.#takeBack();
      daemon.begin();
    } else {
      device.resend();
      this.#replaceBy(next, dead, before);
    }
    this.clients.proceed();
  }

  /** Takes the mount back from a guardian that is killed in a reload, maybe after its RESEND. */
  #takeBack(): void {
    const { daemon, device, random } = this;
    this.counts.takeBacks++;
    this.note(() => '  and the daemon takes the mount back');
    if (random.once(2)) device.resend();
    daemon.reads.forgetUnanswered();
    device.resend();
  }

  /** Returns the dead owners of which no daemon has reported the death. */
  #deadOwners(): SimProcess[] {
    return this.model.directories.flatMap(({ owner }) => (owner!.isAlive ? [] : [owner!]));
  }

  /** Starts a daemon that restores the tree. Returns null if it is killed meanwhile. */
  #attempt(): SimDaemon | null {
    const { random, device } = this;
    const { settings } = this.model;
    const layout = StateLayout.open(this.#memory!);
    const table = new StateTable(layout);
    checkPlaces(table);
    this.#mailbox.restore(table);
    replaceProcesses(this.processes.system());
    this.#pointsLeft = this.#isFaulty && random.once(4) ? random.between(1, 4) : Infinity;
    try {
      const { last } = this.#mailbox;
      return new SimDaemon(settings, device, this, new Journal(layout), table, last);
    } catch (error) {
      if (!this.#isDead) throw error;
      this.#isDead = false;
      return null;
    } finally {
      this.#pointsLeft = Infinity;
    }
  }

  /**
   * @param dead the owners that the new daemon has not found any more
   * @param before the text of the tree of the last daemon; null if it may differ
   */
  #replaceBy(next: SimDaemon, dead: readonly SimProcess[], before: string | null): void {
    for (const owner of dead) this.model.died(owner);
    this.daemon = next;
    if (before !== null && dead.length === 0) compareDumps(before, next.tree);
    next.begin();
    this.model.restarted();
    this.#mailbox.noteRestored();
  }

  /**
   * Does the work of the guardian: sends the reply that opens a file, which the dead daemon may not
   * have sent.
   */
  #sendLeft({ leftReply }: StateLayout): void {
    if (leftReply === null) return;
    const request = this.device.writeLeft(leftReply);
    if (request === null) return;
    this.note(() => `  left: ${describe(request)} = ${request.reply!.errno}`);
    this.#replies.checkRepeated(request);
  }

  // ---- Observer

  served(read: Read, outcome: 'replied' | 'parked' | 'noReply'): void {
    this.counts.requests++;
    if (read.kind === 'forget') {
      this.note(
        () => `  FORGET ${read.nodes.map(([nodeid, count]) => `${nodeid} x${count}`).join(' ')}`,
      );
      for (const [nodeid, count] of read.nodes) this.model.forget(nodeid, count);
    }
    if (read.kind !== 'request' || read.request.op === 'FUSE_INIT') return;
    const { request } = read;
    if (outcome === 'parked') {
      if (!this.model.reads.some((read) => read.request === request)) this.#files.parked(request);
      return;
    }
    if (request.isTaken) return;
    if (request.recorded !== null) return this.#replies.checkRepeated(request);
    check(outcome === 'replied', () => `${describe(request)}: no reply`);
    this.#replies.check(request);
    for (const early of this.#early.splice(0)) this.#files.answered(early, early.reply!);
  }

  logged(message: string): void {
    if (this.#isDead) return;
    throw new Mismatch(`the daemon logs: ${message}`);
  }

  #woken(key: number): void {
    this.model.woken(key);
    const file = this.vfs.files.get(key);
    if (file !== undefined) file.isWoken = true;
  }

  /** Sends a request of a process. The reply goes to the process's task. */
  send(task: Task, request: SimRequest): void {
    task.request = request;
    request.onReply = (reply) => {
      const { model } = this;
      if (request.op === 'FUSE_READ' && model.reads.some((read) => read.request === request)) {
        request.isTaken = true;
        this.note(() => `  answer to ${describe(request)} = ${reply.errno} ${reply.body.length}`);
        // A request that ends a directory fails its readers before its own reply.
        if (reply.errno === Errno.ESTALE && !this.#files.isOver(request)) this.#early.push(request);
        else this.#files.answered(request, reply);
      }
      // The next request is on its way only after this one is done.
      this.clients.replied(task, { errno: reply.errno, body: Buffer.from(reply.body) });
    };
    this.device.send(request);
  }

  /** Drops a request of a killed process which no daemon has read since it was sent again. */
  abandoned(request: SimRequest): void {
    this.#replies.abandoned(request);
  }

  /** Notes a step for the message of a failure. */
  note(what: () => string): void {
    if (!this.keepsTrace) return;
    this.trace.push(what());
    if (this.trace.length > 400) this.trace.shift();
  }

  // ---- steps

  /** Makes `count` steps. */
  run(count: number): void {
    for (let n = 0; n < count; n++) this.step();
  }

  /** Makes one step. */
  step(): void {
    const { random } = this;
    this.counts.steps++;
    const choice = random.below(100);
    if (choice < 55) this.#daemonStep();
    else if (choice < 84) this.clients.begin();
    else if (choice < 89) this.#events();
    else if (choice < 91) this.clients.birth();
    else if (choice < 93) this.clients.kill();
    else if (choice < 95) this.clients.signal();
    else if (choice < 97) this.#shrink();
    else if (choice < 98) this.#epochMs += random.below(2000);
    else this.#later();
    if (this.keepsTrace || this.counts.steps % COMPARE_EVERY === 0) this.compare();
  }

  #daemonStep(): void {
    const { random, daemon, model } = this;
    if (model.settings.isGuarded && this.#isFaulty && random.once(CRASH_ONCE_IN)) this.#crash();
    else if (daemon.recorder !== null && random.once(50)) this.#mortal(() => this.#compact());
    else if (daemon.recorder !== null && this.#isFaulty && random.once(100)) this.#reload();
    else if (daemon.settles && random.once(3)) {
      this.note(() => 'settle');
      this.#mortal(() => daemon.settle());
    } else this.#mortal(() => void daemon.serve());
    this.clients.proceed();
    this.#checkWaiting();
  }

  /** Checks that no reader waits while an event for it is there. */
  #checkWaiting(): void {
    const { daemon, device } = this;
    if (daemon.settles || (daemon.isUnsettled && device.isReadable)) return;
    if (this.#soon.length > 0 || this.#early.length > 0) return;
    if (daemon.recovery.isOver) this.model.checkWaiting();
  }

  /** Makes the daemon compact its journal. */
  #compact(): void {
    const { recorder, recovery, tree } = this.daemon;
    if (recorder === null || !recovery.isOver || recorder.journal.isCompacting) return;
    this.note(() => 'a compaction');
    recorder.commit();
    recorder.sent();
    recorder.compact();
    tree.turns.finish();
  }

  /** Runs the callbacks that the daemon has deferred: all of them, if no request waits. */
  #later(): void {
    this.#mortal(() => {
      this.#runDeferred();
      this.daemon.owners.drain();
      while (this.#soon.length > 0 && !this.device.isReadable) this.#runDeferred();
    });
    this.clients.proceed();
    this.#checkWaiting();
  }

  #runDeferred(): void {
    for (const callback of this.#soon.splice(0)) callback();
  }

  /** Sends uevents of the kernel, which the daemon reads. */
  #events(): void {
    const { daemon } = this;
    if (!daemon.recovery.isOver) return; // the sources start later
    const mail = this.#mailbox.receive();
    this.note(() => `${mail.items.length - mail.done} events up to ${this.seqnum}`);
    this.#mortal(() => daemon.take(mail, () => this.#mailbox.noteTaken()));
    this.clients.proceed();
    this.#checkWaiting();
  }

  #tookMail({ datagram, text, seqnum }: MailItem): void {
    if (typeof datagram === 'number') return this.model.loss(datagram);
    this.model.kernelEvent(text, seqnum);
    this.counts.events++;
  }

  /** The kernel's last SEQNUM. */
  get seqnum(): number {
    return this.#mailbox.seqnum;
  }

  /** Drops a dentry that no process uses, as a kernel does that needs memory. */
  #shrink(): void {
    const { vfs, random } = this;
    const parent = random.of([vfs.root, ...vfs.parents()]);
    const names = [...parent.children.keys()];
    if (names.length === 0) return;
    const name = random.of(names);
    const inode = parent.children.get(name)!;
    if (inode.references - inode.children.size > 1) return;
    this.note(() => `the kernel drops the dentry ${name}`);
    vfs.drop(parent, name);
  }

  /** Notes a death for the counts. */
  exited(process: SimProcess): void {
    this.counts.deaths++;
    this.note(() => `process ${process.pid} has ended`);
    this.processes.exit(process);
  }

  /** Compares the state of the daemon with the model's. */
  compare(): void {
    if (this.daemon.recovery.isOver) compareState(this.model, this.daemon.tree);
  }

  // ---- the end

  /**
   * Liveness: without further faults the daemon serves everything. Then every process ends, and
   * nothing may be left.
   */
  finish(): void {
    this.note(() => 'the end begins');
    this.#isFaulty = false;
    this.#serveAll();
    for (const { request } of this.model.reads)
      check(this.device.processing.has(request.unique), () => `${describe(request)} is lost`);
    // One event for every queue and stream: each reader that waits gets it.
    const waiting = this.model.reads.filter(({ handle }) => !handle.isOver);
    this.#events();
    this.#serveAll();
    for (const { request, handle } of waiting)
      check(
        request.reply !== null || !this.model.isReady(handle),
        () => `${describe(request)} is never answered`,
      );
    for (const process of [...this.processes.living]) this.clients.killAt(process);
    this.#serveAll();
    this.daemon.owners.drain();
    this.#serveAll();
    this.#leaveNothing();
  }

  #serveAll(): void {
    for (let n = 0; n < 100_000; n++) {
      this.#runDeferred();
      const hasServed = this.daemon.serve();
      if (!hasServed && this.daemon.settles) this.daemon.settle();
      else if (!hasServed) {
        this.clients.proceed();
        if (!this.device.isReadable && this.#soon.length === 0) break;
      }
      this.clients.proceed();
    }
    assert.not(this.device.isReadable, 'the daemon never ends to serve');
    this.model.checkWaiting();
    this.compare();
  }

  #leaveNothing(): void {
    const { model, daemon, processes, vfs } = this;
    vfs.dropAll();
    this.#serveAll();
    check(processes.living.length === 0, () => `${processes.living.length} processes live`);
    check(model.reads.length === 0, () => 'a read waits for ever');
    check(vfs.files.size === 0, () => `${vfs.files.size} files are open`);
    check(vfs.inodes.size === 0, () => `the kernel knows ${vfs.inodes.size} nodes`);
    for (const directory of [...daemon.tree.root.directories]) {
      check(directory.isSticky, () => `the directory ${directory.name} is left`);
      directory.setSticky(false);
    }
    daemon.tree.turns.finish();
    this.#runDeferred();
    daemon.tree.turns.finish();
    check(processes.pidfds === 0, () => `${processes.pidfds} pidfds are open`);
    checkEmpty(daemon.tree, this.counts.crashes + this.counts.reloads === 0);
  }
}
