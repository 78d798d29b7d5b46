/** The simulated processes: what they call, how they wait, how they die. */
import { Errno } from '../../fs/shared/errors.js';
import type { SimProcess } from './machine/processes.js';
import { type SimReply, SimRequest } from './machine/request.js';
import { type Call, OpenFile } from './machine/vfs.js';
import { callOf } from './calls.js';
import type { Simulation } from './simulation.js';

const MOST_PROCESSES = 12;
const FEWEST_PROCESSES = 3;
const MOST_FILES = 6;
/** The users that processes run as. */
const USERS = [0, 0, 1000, 1001];

/** A process with its open files, and the system call that it is in. */
export class Task {
  call: Call | null = null;
  /** The request that the call waits for. */
  request: SimRequest | null = null;
  /** The open file whose wake-up the call waits for. */
  polled: OpenFile | null = null;
  /** The reply that the call has not seen yet. */
  reply: SimReply | null = null;
  files: OpenFile[] = [];
  /** The text that the process publishes in several writes. */
  publishes = '';

  constructor(readonly process: SimProcess) {}

  get isIdle(): boolean {
    return this.call === null;
  }
}

/** All processes. */
export class Clients {
  tasks: Task[] = [];
  /** The tasks whose call has a reply, and can proceed. */
  #ready: Task[] = [];

  constructor(readonly simulation: Simulation) {
    for (let n = 0; n < FEWEST_PROCESSES; n++) this.birth();
  }

  /** Forks a process, which inherits the open files of its parent. */
  birth(): void {
    const { random, processes } = this.simulation;
    if (this.tasks.length >= MOST_PROCESSES) return;
    const parent = this.tasks.length > 0 && random.once(2) ? random.of(this.tasks) : null;
    const uid = random.of(USERS);
    const process = processes.birth(parent?.process ?? null, uid, random.of([0, 100]));
    const task = new Task(process);
    if (parent !== null && random.once(2)) {
      task.files = [...parent.files];
      for (const file of task.files) file.holders++;
    }
    this.tasks.push(task);
    this.simulation.note(() => `process ${process.pid} of uid ${uid} is born`);
  }

  /** Begins a system call of some process that waits for nothing. */
  begin(): void {
    const { random } = this.simulation;
    const idle = this.tasks.filter((task) => task.isIdle && !task.process.isKilled);
    if (idle.length < 2) this.birth();
    if (idle.length === 0) return;
    const task = random.of(idle);
    if (random.once(30)) this.#changeUser(task.process);
    this.simulation.counts.calls++;
    task.call = callOf(this.simulation, task);
    this.#advance(task, null);
  }

  /** execve(2) of a set-user-ID program, or its end. */
  #changeUser(process: SimProcess): void {
    process.effectiveUid = process.effectiveUid === process.uid ? 0 : process.uid;
  }

  /** Resumes the calls whose requests are answered. */
  proceed(): void {
    for (let task = this.#ready.shift(); task !== undefined; task = this.#ready.shift()) {
      const { reply } = task;
      task.reply = null;
      this.#advance(task, reply);
    }
    for (const task of this.tasks)
      if (task.polled !== null && task.polled.isWoken) {
        task.polled = null;
        this.#advance(task, { errno: 0, body: Buffer.alloc(0) });
      }
  }

  /** Handles the reply to a task's request. */
  replied(task: Task, reply: SimReply): void {
    task.request = null;
    task.reply = reply;
    this.#ready.push(task);
  }

  #advance(task: Task, reply: SimReply | null): void {
    let next = task.call!.next(reply as SimReply);
    // A killed process waits for no further request.
    while (next.done !== true && task.process.isKilled)
      next = task.call!.next({ errno: Errno.EINTR, body: Buffer.alloc(0) });
    if (next.done === true) {
      this.simulation.note(() => `  process ${task.process.pid}: ${next.value}`);
      task.call = null;
      if (task.process.isKilled) this.#exit(task);
    } else if (next.value instanceof SimRequest) this.simulation.send(task, next.value);
    else task.polled = next.value;
  }

  /** Ends some process, by SIGKILL or exit(2). */
  kill(): void {
    const { random } = this.simulation;
    if (this.tasks.length <= FEWEST_PROCESSES || random.once(2)) return;
    this.killAt(random.of(this.tasks).process);
  }

  /** Kills a process whose request the kernel has to send again. */
  killWaiting(): void {
    const { random } = this.simulation;
    const waiting = this.tasks.filter(({ request }) => request?.isResent === true);
    if (this.tasks.length > FEWEST_PROCESSES && waiting.length > 0)
      this.killAt(random.of(waiting).process);
  }

  killAt(process: SimProcess): void {
    const task = this.tasks.find((other) => other.process === process);
    if (task === undefined || process.isKilled) return;
    this.simulation.note(() => `SIGKILL to ${process.pid}`);
    process.isKilled = true;
    if (task.isIdle) return this.#exit(task);
    this.#interrupt(task, true);
  }

  /** Sends a signal with a handler to some process that waits. */
  signal(): void {
    const { random } = this.simulation;
    const waiting = this.tasks.filter(({ request, polled }) => request !== null || polled !== null);
    if (waiting.length === 0) return;
    const task = random.of(waiting);
    this.simulation.note(() => `a signal for ${task.process.pid}`);
    this.#interrupt(task, false);
  }

  #interrupt(task: Task, isFatal: boolean): void {
    const { request, polled } = task;
    if (polled !== null) {
      task.polled = null;
      this.#advance(task, { errno: Errno.EINTR, body: Buffer.alloc(0) });
    } else if (request !== null && this.simulation.device.interrupt(request, isFatal)) {
      task.request = null;
      this.simulation.abandoned(request);
      this.#advance(task, { errno: Errno.EINTR, body: Buffer.alloc(0) });
    }
  }

  #exit(task: Task): void {
    this.tasks = this.tasks.filter((other) => other !== task);
    for (const file of task.files.splice(0)) this.simulation.vfs.close(file);
    this.simulation.exited(task.process);
  }

  /** Returns whether the process may open another file. */
  mayOpen(task: Task): boolean {
    return task.files.length < MOST_FILES;
  }
}
