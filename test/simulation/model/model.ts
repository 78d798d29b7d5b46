/**
 * The reference model: the tree, its queues, its log and its quotas as lists and strings. It
 * predicts the reply to each request, and takes over only what the contract leaves open.
 */
import { Errno, errnoName } from '../../../fs/shared/errors.js';
import type { SimProcess } from '../machine/processes.js';
import type { SimReply, SimRequest } from '../machine/request.js';
import { ModelDirectory, ModelEntry, type ModelLimits } from './directory.js';
import { ModelEvent, ModelLog, matches, overflowText } from './events.js';
import type { ModelHandle } from './handles.js';
import { ALWAYS_KNOWN, BY_HANDLE, ModelNode, type Target, isUnreachable } from './nodes.js';
import { ModelQuotas, type Most } from './quota.js';

/** The daemon has done something else than the model. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

/** Throws a Mismatch unless `isTrue`. */
export function check(isTrue: boolean, what: () => string): void {
  if (!isTrue) throw new Mismatch(what());
}

/** The configuration of one run. */
export interface ModelSettings {
  /** Whether the daemon records its state. */
  readonly isGuarded: boolean;
  /** Whether long work is cut into turns. Then no bound may be reached: the model frees at once. */
  readonly isSlow: boolean;
  readonly queue: ModelLimits;
  readonly history: { readonly events: number; readonly bytes: number };
  readonly ring: { readonly events: number; readonly bytes: number };
  readonly mount: Most;
  readonly perUser: Most;
}

/** A READ without a reply. */
export interface ModelRead {
  readonly request: SimRequest;
  readonly handle: ModelHandle;
}

const UNLIMITED = { directories: 0, streams: 0, reads: 0, events: 0, bytes: 0 };
const [EVENT_FILE, DIRECTORY, SYMLINK] = [0o100000, 0o040000, 0o120000];

/** Returns a u64 of a reply. */
export function u64(body: Buffer, at: number): number {
  return body.readUInt32LE(at) + body.readUInt32LE(at + 4) * 2 ** 32;
}

/** The whole state. */
export class Model {
  readonly quotas: ModelQuotas;
  readonly log: ModelLog;
  readonly history: ModelDirectory;
  /** The process directories, in the order in which they were made. */
  directories: ModelDirectory[] = [];
  /** The nodes that the kernel knows, by number. */
  readonly nodes = new Map<number, ModelNode>();
  readonly handles = new Map<number, ModelHandle>();
  /** The READs without a reply. */
  reads: ModelRead[] = [];
  /** The names under which `match/` is known. */
  readonly matchFiles = new Map<string, ModelNode>();
  rootModes = new Map<string, { mode: number; uid: number; gid: number }>();
  lastSeqnum = 0;
  #stamp = 0;
  #restarts = 0;
  readonly #inodes = new Map<number, object>();
  /** The place in the root of each directory, by offset of a listing. */
  readonly rootOffsets = new Map<number, ModelDirectory>();
  /** Every directory that was ever made gets a number. */
  readonly places = new Map<ModelDirectory, number>();
  placed = 0;
  /** Returns whether the daemon may hold events back: its readers are not settled. */
  isUnsettled: () => boolean = () => false;

  constructor(readonly settings: ModelSettings) {
    this.quotas = new ModelQuotas(settings.mount, settings.perUser);
    this.log = new ModelLog(settings.ring.bytes, settings.ring.events);
    const account = new ModelQuotas(UNLIMITED, UNLIMITED).account(0, 0);
    const limits = { ...settings.history, dropsOldest: true };
    this.history = new ModelDirectory('log', null, 0, 0o555, account, limits);
    this.nodes.set(1, new ModelNode(1, { kind: 'root' }));
    this.rootModes.set('root', { mode: 0o1777, uid: 0, gid: 0 });
    this.rootModes.set('stream', { mode: 0o444, uid: 0, gid: 0 });
    this.rootModes.set('publish', { mode: 0o200, uid: 0, gid: 0 });
  }

  // ---- replies

  /** Checks the errno of a reply; returns whether the request has succeeded. */
  expect(request: SimRequest, reply: SimReply, errno: number): boolean {
    check(
      reply.errno === errno,
      () => `${describe(request)}: ${nameOf(reply.errno)} instead of ${nameOf(errno)}`,
    );
    return errno === 0;
  }

  /** Returns the node of a number, or undefined if its requests fail with ESTALE. */
  nodeOf(nodeid: number): ModelNode | undefined {
    const node = this.nodes.get(nodeid);
    return node === undefined || node.isGone || node.isOver ? undefined : node;
  }

  /** Takes fuse_entry_out: the daemon names a node. */
  named(request: SimRequest, body: Buffer, target: Target): ModelNode {
    const nodeid = u64(body, 0);
    let node = this.nodeFor(target);
    if (node?.mayBeUnknown === true && node.nodeid !== nodeid) {
      this.#lose(node);
      node = null;
    }
    if (node === null) {
      check(!this.nodes.has(nodeid), () => `${describe(request)}: node ${nodeid} is another file`);
      node = new ModelNode(nodeid, target);
      this.nodes.set(nodeid, node);
      this.#remember(target, node);
    } else
      check(
        node.nodeid === nodeid,
        () => `${describe(request)}: node ${nodeid} instead of ${node!.nodeid}`,
      );
    node.lookups++;
    node.mayBeGone = false;
    this.checkAttributes(request, body, 40, node);
    return node;
  }

  /** Returns the node that the kernel knows of a file, or null. */
  nodeFor(target: Target): ModelNode | null {
    switch (target.kind) {
      case 'entry':
      case 'special':
        return target.node;
      case 'directory':
        return target.directory.node;
      case 'fixed':
        return target.directory.fixed.get(target.name) ?? null;
      case 'matchFile':
        return this.matchFiles.get(target.filter) ?? null;
      default:
        for (const node of this.nodes.values()) if (node.target.kind === target.kind) return node;
        return null;
    }
  }

  #remember(target: Target, node: ModelNode | null): void {
    if (target.kind === 'entry' || target.kind === 'special') target.node = node;
    else if (target.kind === 'directory') target.directory.node = node;
    else if (target.kind === 'fixed') {
      if (node === null) target.directory.fixed.delete(target.name);
      else target.directory.fixed.set(target.name, node);
    } else if (target.kind === 'matchFile') {
      if (node === null) this.matchFiles.delete(target.filter);
      else this.matchFiles.set(target.filter, node);
    }
  }

  /** FORGET. */
  forget(nodeid: number, count: number): void {
    const node = this.nodes.get(nodeid);
    if (node === undefined || nodeid === 1) return;
    node.lookups -= count;
    // A daemon that was restarted has forgotten some, and the kernel has not.
    check(
      node.lookups >= 0 || this.#restarts > 0,
      () => `node ${nodeid} is forgotten more often than it was named`,
    );
    if (node.lookups > 0) {
      const isKnown = ALWAYS_KNOWN.has(node.target.kind) || this.#isOpen(node);
      node.mayBeGone ||= node.isInexact && !isKnown;
      return;
    }
    this.#lose(node);
  }

  #isOpen(node: ModelNode): boolean {
    for (const handle of this.handles.values()) if (handle.node === node) return true;
    return false;
  }

  #lose(node: ModelNode): void {
    this.nodes.delete(node.nodeid);
    if (this.nodeFor(node.target) === node) this.#remember(node.target, null);
  }

  /**
   * Handles a request that fails with ESTALE: a restarted daemon may have forgotten one of its
   * nodes. It has not if the request fails for another reason.
   *
   * @returns whether the model can't tell which node it was
   */
  stale({ nodeid, target, op }: SimRequest): boolean {
    const named = op === 'FUSE_LINK' || op === 'FUSE_RENAME2' ? [target, nodeid] : [nodeid];
    if (named.some((id) => this.nodeOf(id) === undefined)) return false;
    if (op === 'FUSE_OPEN' && isUnreachable(this.nodes.get(nodeid)!.target)) return false;
    const lost = named.map((id) => this.nodes.get(id)!).filter((node) => node.mayBeUnknown);
    if (lost.length === 1) this.#lose(lost[0]);
    return lost.length > 1;
  }

  /** Notes that a request has succeeded: the daemon knows its nodes. */
  found({ nodeid, target, op }: SimRequest): void {
    if (BY_HANDLE.has(op)) return;
    const nodes = op === 'FUSE_LINK' || op === 'FUSE_RENAME2' ? [nodeid, target] : [nodeid];
    for (const id of nodes) {
      const node = this.nodes.get(id);
      if (node !== undefined) node.mayBeGone = false;
    }
  }

  /** Notes that the daemon was killed, and that the next one serves. */
  restarted(): void {
    this.#restarts++;
    this.log.restarted();
    for (const node of this.nodes.values()) {
      const { target } = node;
      node.isInexact = true;
      const isKnown =
        target.kind === 'entry' || target.kind === 'special'
          ? target.isLinked
          : target.kind !== 'fixed';
      // Else it stays as it was: an inexact FORGET may have removed it from the state.
      if (!isKnown) node.mayBeGone = true;
    }
    for (const { use, node } of this.handles.values())
      if (use.kind !== 'text' || !node.isOver) node.mayBeGone = false;
    for (const directory of this.directories) {
      directory.stamp = this.nextStamp();
      directory.restarted();
    }
  }

  /** Checks the attributes in a reply. */
  checkAttributes(request: SimRequest, body: Buffer, at: number, node: ModelNode): void {
    const shown = {
      size: u64(body, at + 8),
      mode: body.readUInt32LE(at + 60),
      nlink: body.readUInt32LE(at + 64),
      uid: body.readUInt32LE(at + 68),
      gid: body.readUInt32LE(at + 72),
    };
    const wanted = this.attributesOf(node.target);
    for (const [key, value] of Object.entries(wanted) as [keyof typeof shown, number][])
      check(
        shown[key] === value,
        () =>
          `${describe(request)}: ${key} ${key === 'mode' ? shown[key].toString(8) : shown[key]} instead of ${key === 'mode' ? value.toString(8) : value}`,
      );
    this.#checkInode(request, u64(body, at), node.target);
  }

  #checkInode(request: SimRequest, ino: number, target: Target): void {
    if (target.kind !== 'entry') return;
    const { event } = target;
    if (event.ino === 0) {
      check(!this.#inodes.has(ino), () => `${describe(request)}: inode ${ino} is another event`);
      event.ino = ino;
      this.#inodes.set(ino, event);
    }
    check(event.ino === ino, () => `${describe(request)}: inode ${ino} instead of ${event.ino}`);
  }

  /** Returns the attributes that the contract fixes. */
  attributesOf(target: Target): Record<string, number> {
    switch (target.kind) {
      case 'root': {
        const { mode, uid, gid } = this.rootModes.get('root')!;
        return { mode: DIRECTORY | mode, uid, gid, nlink: 4 + this.directories.length };
      }
      case 'stream':
      case 'publish': {
        const { mode, uid, gid } = this.rootModes.get(target.kind)!;
        return { mode: EVENT_FILE | mode, uid, gid, nlink: 1 };
      }
      case 'match':
        return { mode: DIRECTORY | 0o555, nlink: 2 };
      case 'matchFile':
        return { nlink: 1 };
      case 'directory': {
        const { mode, account, owner } = target.directory;
        const { uid, gid } = account;
        return { mode: DIRECTORY | mode, nlink: 2, ...(owner === null ? {} : { uid, gid }) };
      }
      case 'special':
        return {
          mode: target.mode,
          nlink: target.isLinked ? 1 : 0,
          uid: target.uid,
          gid: target.gid,
          size: target.size,
        };
      case 'entry':
        return this.#attributesOfEntry(target);
      case 'fixed':
        return this.#attributesOfFixed(target.directory, target.name);
    }
  }

  #attributesOfEntry({ event, directory }: ModelEntry): Record<string, number> {
    const { written } = event;
    const { uid, gid } = written ?? directory.account;
    const deliveredMode = directory.owner === null ? 0o444 : 0o440;
    return {
      mode: EVENT_FILE | (written?.mode ?? deliveredMode),
      nlink: event.links,
      size: event.text.length,
      ...(directory.owner === null ? {} : { uid, gid }),
    };
  }

  #attributesOfFixed(directory: ModelDirectory, name: string): Record<string, number> {
    const { mode } = directory;
    switch (name) {
      case 'head':
      case 'tail': {
        const entry = directory.end(name);
        return { mode: SYMLINK | 0o777, nlink: entry ? 1 : 0, size: entry?.name.length ?? 0 };
      }
      case '.stream':
        return { mode: EVENT_FILE | (mode & 0o444 & ((mode & 0o222) << 1)), size: 4096 };
      case '.filter': {
        const size = directory.filter === '' ? 0 : directory.filter.length + 1;
        const readers = mode & 0o444;
        return { mode: EVENT_FILE | readers | (mode & 0o222 & (readers >> 1)), size };
      }
      case '.since':
        return { mode: EVENT_FILE | (mode & 0o644), size: `${directory.shown}\n`.length };
      default:
        return {};
    }
  }

  // ---- events

  /** Adds an event that comes through netlink. */
  kernelEvent(text: string, seqnum: number): void {
    this.#append(text, seqnum, 1, false, 'kernel');
    if (seqnum > this.lastSeqnum) this.lastSeqnum = seqnum;
    this.committed();
  }

  /** Adds a loss of a source. */
  loss(count: number): void {
    this.#append(overflowText(count), NaN, count, true, 'eventfs');
    this.committed();
  }

  /** Adds an event that a program publishes. */
  published(text: string, uid: number): void {
    const trimmed = `${text.replace(/\n+$/, '')}\n`;
    const seqnum = [...trimmed.matchAll(/^SEQNUM=(\d+)$/gm)].at(-1)?.[1]; // the last one counts
    this.#append(trimmed, Number(seqnum ?? NaN), 1, false, `publish:${uid}`);
  }

  /** Ends a transaction: the log of a guarded daemon makes room for the next one. */
  committed(): void {
    if (this.settings.isGuarded) this.log.reserve();
  }

  /** Names an event by the rule of fs/bus/events/name-index.ts. */
  #nameOf(seqnum: number, source: string): string {
    const { log } = this;
    const isNew = seqnum > log.highest;
    if (isNew) log.highest = seqnum;
    const isPlain =
      isNew || (source === 'kernel' && this.history.find(String(seqnum)) === undefined);
    if (isPlain) return String(seqnum);
    return `${Number.isNaN(seqnum) ? this.lastSeqnum : seqnum}.${log.next + 1}`;
  }

  #append(text: string, seqnum: number, weight: number, isLoss: boolean, source: string): void {
    const name = this.#nameOf(seqnum, source);
    const event = new ModelEvent(name, text, this.log.next, weight, isLoss, source);
    this.log.append(event, this.lastSeqnum);
    this.history.add(name, event);
    for (const directory of this.#inOrder()) {
      if (!directory.wants(event)) continue;
      directory.add(directory.freeName(name), event);
      this.dataCame(directory);
    }
    for (const handle of this.handles.values())
      if (handle.use.kind === 'stream' && matches(handle.use.stream.filter, event))
        handle.isDue = true;
  }

  /**
   * Returns the directories in the order in which they get an event: those without a filter come
   * first. It matters where directories share a quota.
   */
  #inOrder(): ModelDirectory[] {
    return [...this.directories].sort(
      (a, b) => Number(a.filter !== '') - Number(b.filter !== '') || a.stamp - b.stamp,
    );
  }

  nextStamp(): number {
    return ++this.#stamp;
  }

  /** Notes that something has come for the readers of a directory. */
  dataCame(directory: ModelDirectory): void {
    for (const handle of this.handles.values())
      if (handle.use.kind === 'queue' && handle.directory === directory) handle.isDue = true;
  }

  // ---- ends

  /** Handles a death that the daemon has learned. */
  died(process: SimProcess): void {
    for (const directory of [...this.directories]) {
      if (directory.owner !== process || directory.isOrphaned) continue;
      directory.isOrphaned = true;
      if (!directory.isSticky) this.end(directory);
    }
  }

  /** Ends a directory and all that it holds. */
  end(directory: ModelDirectory): void {
    this.directories = this.directories.filter((other) => other !== directory);
    directory.isOver = true;
    const { account, specials } = directory;
    account.add({ directories: -1, events: -specials.length });
    for (const entry of directory.entries) directory.remove(entry);
    for (const handle of this.handles.values()) {
      const { use } = handle;
      // The daemon closes the events that no process can read any more.
      if (use.kind !== 'event' || use.entry.directory !== directory) continue;
      const { event } = use.entry;
      if (use.writes) this.writerClosed(event);
      event.close(1);
    }
  }

  /** Notes that an open file can't write to an event any more: the last such file completes it. */
  writerClosed(event: ModelEvent): void {
    if (--event.written!.writers > 0) return;
    for (const holder of new Set(event.holders)) if (holder !== null) this.dataCame(holder);
  }

  // ---- checks between steps

  /** Returns whether a read of a handle returns bytes. */
  isReady({ use, directory }: ModelHandle): boolean {
    if (use.kind === 'stream') return this.log.isReady(use.stream);
    return use.kind === 'queue' && directory!.isReady(use.rest);
  }

  /** Checks that no reader waits while an event for it is there, once readers were woken. */
  checkWaiting(): void {
    for (const { request, handle } of this.reads) {
      check(!handle.isOver, () => `${describe(request)} waits for a directory that has ended`);
      check(!this.isReady(handle), () => `${describe(request)} waits though there is something`);
    }
    for (const handle of this.handles.values())
      check(
        !(handle.isWatched && (handle.isOver || (handle.isDue && this.isReady(handle)))),
        () =>
          `the pollers of file ${handle.fh} (${handle.use.kind} of ${handle.directory?.name}, over: ${handle.isOver}) wait though there is something`,
      );
  }

  /** Notes that the daemon has woken the pollers of a file. */
  woken(key: number): void {
    for (const handle of this.handles.values()) {
      if (handle.pollKey !== key) continue;
      handle.isWatched = false;
      return;
    }
  }
}

function nameOf(errno: number): string {
  return errno === 0 ? 'success' : errnoName(errno);
}

/** Describes a request for a message. */
export function describe(request: SimRequest): string {
  const { op, nodeid, name, other, fh, size, offset, uid, pid } = request;
  const parts = [`node ${nodeid}`];
  if (name !== '') parts.push(JSON.stringify(name));
  if (other !== '') parts.push(JSON.stringify(other));
  if (op === 'FUSE_READ' || op === 'FUSE_WRITE' || op === 'FUSE_READDIR' || op === 'FUSE_POLL')
    parts.push(`fh ${fh} size ${size} offset ${offset}`);
  if (op === 'FUSE_SETATTR')
    parts.push(
      `valid ${request.valid} mode ${request.mode.toString(8)} uid ${request.newUid} gid ${request.newGid} size ${size}`,
    );
  if (op === 'FUSE_WRITE' || op === 'FUSE_SETXATTR') parts.push(JSON.stringify(request.data));
  if (op === 'FUSE_OPEN' || op === 'FUSE_CREATE') parts.push(`flags ${request.flags.toString(8)}`);
  if (op === 'FUSE_LINK' || op === 'FUSE_RENAME2') parts.push(`node ${request.target}`);
  return `#${request.unique / 2} ${op} ${parts.join(' ')} uid ${uid} pid ${pid}`;
}

/** The errnos of the model. */
export { Errno };
