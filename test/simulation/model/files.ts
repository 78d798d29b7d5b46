/** The model of requests about open files. */
import { Errno } from '../../../fs/shared/errors.js';
import type { SimReply, SimRequest } from '../machine/request.js';
import { type ModelDirectory, ModelEntry } from './directory.js';
import { ModelStream } from './events.js';
import { ModelHandle, type Use } from './handles.js';
import { type Model, type ModelRead, check, describe, u64 } from './model.js';
import type { ModelNamespace } from './namespace.js';
import { type ModelNode, type Target, isUnreachable } from './nodes.js';
import { dropSetIds, moveCharge, refusalOfGrowth, resize } from './written.js';
import { ModelPublish } from './publish.js';

const [O_ACCMODE, O_TRUNC, O_APPEND, O_NONBLOCK] = [3, 0o1000, 0o2000, 0o4000];
const LARGEST_EVENT = 64 * 1024;

/** Requests about open files. */
export class ModelFiles {
  constructor(
    private readonly model: Model,
    private readonly names: ModelNamespace,
  ) {}

  // ---- open and close

  open(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    if (node === undefined) return void model.expect(request, reply, Errno.ESTALE);
    const errno = this.#refusalOfOpen(request, node.target);
    if (!model.expect(request, reply, errno)) return;
    this.enter(request, u64(reply.body, 0), node, this.#useOf(request, node.target));
  }

  create(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const made = this.names.make(request, reply);
    if (made === null || made.kind !== 'entry') return;
    const writes = (request.flags & O_ACCMODE) !== 0;
    made.event.opens++;
    made.opens++;
    if (writes) made.event.written!.writers++;
    else model.dataCame(made.directory);
    const node = model.named(request, reply.body, made);
    this.enter(request, u64(reply.body, 128), node, { kind: 'event', entry: made, writes });
  }

  /** Enters an open file. */
  enter(request: SimRequest, fh: number, node: ModelNode, use: Use): void {
    const { handles } = this.model;
    check(!handles.has(fh), () => `${describe(request)}: file handle ${fh} is in use`);
    const { target } = node;
    const directory =
      target.kind === 'fixed' || target.kind === 'directory' ? target.directory : null;
    handles.set(fh, new ModelHandle(fh, node, use, directory));
  }

  #refusalOfOpen({ uid, gid, flags }: SimRequest, target: Target): number {
    const account = this.model.quotas.account(uid, gid);
    const isStream =
      target.kind === 'stream' ||
      target.kind === 'matchFile' ||
      (target.kind === 'fixed' && target.name === '.stream');
    if (isStream) return account.refusal({ streams: 1 });
    if (target.kind !== 'entry') return 0;
    if (isUnreachable(target)) return Errno.ESTALE;
    return (flags & O_ACCMODE) !== 0 && target.event.written === null ? Errno.EPERM : 0;
  }

  #useOf({ uid, gid, flags }: SimRequest, target: Target): Use {
    const { model } = this;
    const account = model.quotas.account(uid, gid);
    switch (target.kind) {
      case 'stream':
      case 'matchFile': {
        account.add({ streams: 1 });
        const filter = target.kind === 'matchFile' ? target.filter : '';
        const stream = new ModelStream(filter, model.log.next);
        model.log.streams.add(stream);
        return { kind: 'stream', stream, account };
      }
      case 'publish':
        return { kind: 'publish', publish: new ModelPublish(uid) };
      case 'entry':
        return this.#openEntry(target, flags, uid);
      case 'fixed':
        if (target.name === '.stream') {
          account.add({ streams: 1 });
          return { kind: 'queue', rest: '', account };
        }
        if (target.name === '.filter')
          return { kind: 'filter', isEmptied: (flags & O_TRUNC) !== 0, written: '' };
        if (target.name === '.since') return { kind: 'since' };
        return { kind: 'text', known: statusOf(target.directory) };
      default:
        throw new Error(`no open file of ${target.kind}`);
    }
  }

  #openEntry(entry: ModelEntry, flags: number, uid: number): Use {
    const { event } = entry;
    const writes = (flags & O_ACCMODE) !== 0;
    if (writes && (flags & O_TRUNC) !== 0) {
      resize(event, 0);
      dropSetIds(event, uid);
    }
    event.opens++;
    entry.opens++;
    if (writes) event.written!.writers++;
    return { kind: 'event', entry, writes };
  }

  release(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    model.expect(request, reply, 0);
    const handle = model.handles.get(request.fh);
    check(handle !== undefined, () => `${describe(request)}: no open file`);
    const { use, directory } = handle!;
    const isOver = handle!.isOver;
    model.handles.delete(request.fh);
    switch (use.kind) {
      case 'stream':
        model.log.streams.delete(use.stream);
        return use.account.add({ streams: -1 });
      case 'queue':
        return use.account?.add({ streams: -1 });
      case 'event':
        return this.#closeEntry(use.entry, use.writes, isOver);
      case 'publish': {
        const { event } = use.publish.release();
        if (event !== null) model.published(event, use.publish.uid);
        model.committed();
        return;
      }
      case 'filter':
        if (isOver) return;
        if (directory!.lastFilterFile === use) directory!.lastFilterFile = null;
        if (use.isEmptied) this.#setFilter(directory!, '', null);
        return;
      default:
        return;
    }
  }

  #closeEntry(entry: ModelEntry, writes: boolean, isOver: boolean): void {
    const { event, directory } = entry;
    entry.opens--;
    if (isOver) return; // the end of the directory has closed it
    if (writes) this.model.writerClosed(event);
    // A daemon that was restarted knows an unlinked file only while it is open.
    const { node } = entry;
    if (node !== null && !entry.isLinked && entry.opens === 0) node.mayBeGone ||= node.isInexact;
    event.close(1);
    directory.letGo(entry);
  }

  // ---- reads

  /** Returns the handle of a request, unless the request must fail. */
  handleOf(request: SimRequest, reply: SimReply): ModelHandle | null {
    const handle = this.model.handles.get(request.fh);
    if (handle === undefined) return (this.model.expect(request, reply, Errno.EBADF), null);
    if (handle.isOver) return (this.model.expect(request, reply, Errno.ESTALE), null);
    return handle;
  }

  /** Checks a READ that the daemon has answered at once. */
  read(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const handle = this.handleOf(request, reply);
    if (handle === null) return;
    const { use } = handle;
    const { size, offset } = request;
    if (use.kind === 'stream' || use.kind === 'queue') {
      const isReady = model.isReady(handle);
      if (reply.errno === Errno.EAGAIN) {
        const account = model.quotas.account(request.uid, request.gid);
        const isFull = account.refusal({ reads: 1 }) !== 0;
        const mayWait = (request.flags & O_NONBLOCK) === 0;
        const isHeld = mayWait && isFull && model.isUnsettled();
        return check(
          (!isReady || isHeld) && (!mayWait || isFull),
          () => `${describe(request)}: EAGAIN though there is something`,
        );
      }
      model.expect(request, reply, 0);
      check(isReady, () => `${describe(request)}: bytes though there are none`);
      return this.#takeRead({ request, handle }, reply, false);
    }
    if (!model.expect(request, reply, use.kind === 'publish' ? Errno.EINVAL : 0)) return;
    const text = this.#textOf(handle);
    if (text !== null) expectText(request, reply, text.slice(offset, offset + size));
    else if (use.kind === 'text') expectStatus(request, reply, use.known, offset);
  }

  #textOf({ use, directory }: ModelHandle): string | null {
    if (use.kind === 'event') return use.entry.event.text;
    if (use.kind === 'since') return `${directory!.shown}\n`;
    if (use.kind === 'filter') return directory!.filter === '' ? '' : `${directory!.filter}\n`;
    return null;
  }

  /** Notes a READ that the daemon parks. */
  parked(request: SimRequest): void {
    const { model } = this;
    const handle = model.handles.get(request.fh)!;
    check(
      !handle.isOver && (!model.isReady(handle) || model.isUnsettled()),
      () => `${describe(request)}: it waits though there is something`,
    );
    check((request.flags & O_NONBLOCK) === 0, () => `${describe(request)}: it must not wait`);
    const account = model.quotas.account(request.uid, request.gid);
    // A daemon that has just started refuses no read that another one may have parked.
    check(
      request.isResent || account.refusal({ reads: 1 }) === 0,
      () => `${describe(request)}: too many reads wait`,
    );
    account.add({ reads: 1 });
    model.reads.push({ request, handle });
  }

  /** Takes back a READ that the kernel sends again. */
  abandoned(request: SimRequest): void {
    const { model } = this;
    if (!model.reads.some((read) => read.request === request)) return;
    model.reads = model.reads.filter((read) => read.request !== request);
    model.quotas.account(request.uid, request.gid).add({ reads: -1 });
  }

  /** Returns whether the directory of a READ that waits has ended. */
  isOver(request: SimRequest): boolean {
    return this.model.reads.find((read) => read.request === request)!.handle.isOver;
  }

  /** Checks the answer to a parked READ. */
  answered(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const at = model.reads.findIndex((read) => read.request === request);
    check(at >= 0, () => `${describe(request)}: an answer, though it does not wait`);
    const [read] = model.reads.splice(at, 1);
    model.quotas.account(request.uid, request.gid).add({ reads: -1 });
    if (reply.errno === Errno.ESTALE)
      return check(read.handle.isOver, () => `${describe(request)}: ESTALE of a living directory`);
    if (reply.errno === Errno.EINTR)
      return check(request.isInterrupted, () => `${describe(request)}: EINTR without a signal`);
    model.expect(request, reply, 0);
    check(!read.handle.isOver, () => `${describe(request)}: bytes of a dead owner's directory`);
    this.#takeRead(read, reply, true);
  }

  /** Takes what the daemon has returned off the model's stream or queue. */
  #takeRead({ request, handle }: ModelRead, reply: SimReply, isShare: boolean): void {
    const { use, directory } = handle;
    const { body } = reply;
    check(body.length > 0, () => `${describe(request)}: the end of the file`);
    if (use.kind === 'stream')
      return expectText(request, reply, this.model.log.read(use.stream, request.size));
    if (use.kind !== 'queue') return;
    const length = isShare ? body.length : request.size;
    const { text, rest } = directory!.read(use.rest, request.size, length);
    use.rest = rest;
    expectText(request, reply, text);
  }

  // ---- writes

  write(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const handle = this.handleOf(request, reply);
    if (handle === null) return;
    const { use } = handle;
    const { data } = request;
    switch (use.kind) {
      case 'event':
        return this.#writeEvent(request, reply, use.entry, use.writes);
      case 'publish': {
        const taken = reply.errno === 0 ? reply.body.readUInt32LE(0) : 0;
        const { events, isRefused } = use.publish.write(data, taken);
        model.expect(request, reply, isRefused ? Errno.EINVAL : 0);
        for (const text of events) model.published(text, use.publish.uid);
        model.committed();
        return;
      }
      case 'filter':
        return this.#writeFilter(request, reply, handle);
      case 'since': {
        return this.#replay(request, reply, handle.directory!);
      }
      default:
        model.expect(request, reply, Errno.EINVAL);
    }
  }

  #writeEvent(request: SimRequest, reply: SimReply, entry: ModelEntry, writes: boolean): void {
    const { event } = entry;
    const { data, flags, uid } = request;
    const offset = (flags & O_APPEND) !== 0 ? event.text.length : request.offset;
    const end = offset + data.length;
    const errno = !writes
      ? Errno.EBADF
      : end > LARGEST_EVENT
        ? Errno.EFBIG
        : refusalOfGrowth(event, end - event.text.length);
    if (!this.model.expect(request, reply, errno)) return;
    check(
      reply.body.readUInt32LE(0) === data.length,
      () => `${describe(request)}: ${reply.body.readUInt32LE(0)} bytes written`,
    );
    if (end > event.text.length) resize(event, end);
    event.text = event.text.slice(0, offset) + data + event.text.slice(end);
    dropSetIds(event, uid);
  }

  #writeFilter(request: SimRequest, reply: SimReply, { use, directory }: ModelHandle): void {
    if (use.kind !== 'filter') return;
    const { data, flags, offset } = request;
    use.isEmptied = false;
    const isAppend = (flags & O_APPEND) !== 0;
    const continues = isAppend
      ? directory!.lastFilterFile === use
      : offset > 0 && offset === use.written.length;
    let text = continues ? use.written : '';
    if (!continues) {
      const present = directory!.filter === '' ? '' : `${directory!.filter}\n`;
      if (offset !== 0 || isAppend) text = present;
      if (!isAppend && offset !== 0 && offset !== present.length)
        return void this.model.expect(request, reply, Errno.EINVAL);
    }
    if (isAppend && text !== '' && !text.endsWith('\n')) text += '\n';
    text += data;
    const lines = text.split('\n').filter((line) => line !== '');
    const isFilter = lines.every((line) => /^K==\d$/.test(line));
    if (!this.model.expect(request, reply, isFilter ? 0 : Errno.EINVAL)) return;
    use.written = text;
    this.#setFilter(directory!, lines.join('\n'), use);
  }

  #setFilter(directory: ModelDirectory, filter: string, use: object | null): void {
    directory.filter = filter;
    directory.lastFilterFile = use;
    directory.stamp = this.model.nextStamp();
  }

  #replay(request: SimRequest, reply: SimReply, directory: ModelDirectory): void {
    const { log, history, lastSeqnum } = this.model;
    const name = request.data.trim();
    const seqnum = Number(name);
    const named = history.find(name);
    const number = named?.kind === 'entry' ? named.event.number : log.numberOf(name, lastSeqnum);
    const isUnknown = number === undefined && name.includes('.');
    if (!this.model.expect(request, reply, isUnknown ? Errno.ENOENT : 0)) return;
    if (number === undefined ? seqnum > directory.after : number + 1 > directory.first) return;
    const after =
      number === undefined
        ? log.after(seqnum, directory.after, lastSeqnum)
        : { number: number + 1, unknown: 0 };
    directory.after =
      number === undefined
        ? seqnum
        : (log.index.find((logged) => logged.number >= number + 1)?.seqnumBefore ?? lastSeqnum);
    const end = directory.first;
    const first = Math.min(after.number, end);
    const kept = history.entries.map(({ event }) => event);
    const oldest = Math.max(first, Math.min(end, kept[0]?.number ?? end));
    const wanted = kept.filter(
      (event) =>
        event.number >= first &&
        event.number < end &&
        directory.wants(event) &&
        !directory.entries.some((entry) => entry.name === event.name && entry.event === event),
    );
    directory.prepend(wanted, after.unknown + log.weight(first, oldest));
    directory.first = first;
    directory.shown = name;
    this.model.dataCame(directory);
  }

  // ---- attributes

  setattr(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    if (node === undefined) return void model.expect(request, reply, Errno.ESTALE);
    if (!model.expect(request, reply, this.#change(request, node.target))) return;
    model.checkAttributes(request, reply.body, 16, node);
  }

  /** Changes attributes; returns the errno if that must fail. */
  #change(request: SimRequest, target: Target): number {
    const { valid, mode, newUid, newGid, size } = request;
    const setsMode = (valid & 1) !== 0;
    const setsUid = (valid & 2) !== 0;
    const setsGid = (valid & 4) !== 0;
    const setsSize = (valid & 8) !== 0;
    switch (target.kind) {
      case 'root':
      case 'stream':
      case 'publish': {
        const own = this.model.rootModes.get(target.kind)!;
        if (setsMode) own.mode = mode & 0o7777;
        if (setsUid) own.uid = newUid;
        if (setsGid) own.gid = newGid;
        return 0;
      }
      case 'directory': {
        const { directory } = target;
        if (directory.owner === null) return Errno.EPERM;
        if (setsSize) return Errno.EISDIR;
        const { uid, gid } = directory.account;
        const account = this.model.quotas.account(setsUid ? newUid : uid, setsGid ? newGid : gid);
        const errno = moveCharge(directory, account);
        if (errno === 0 && setsMode) directory.mode = mode & 0o7777;
        return errno;
      }
      case 'entry': {
        const { event } = target;
        const { written } = event;
        if (written === null) return Errno.EPERM;
        if (setsSize) {
          if (size > LARGEST_EVENT) return Errno.EFBIG;
          const errno = refusalOfGrowth(event, size - event.text.length);
          if (errno !== 0) return errno;
          resize(event, size);
        }
        if (setsMode) written.mode = mode & 0o7777;
        if (setsUid) written.uid = newUid;
        if (setsGid) written.gid = newGid;
        return 0;
      }
      case 'special':
        if (setsMode && (target.mode & 0o170000) === 0o120000) return Errno.EOPNOTSUPP;
        if (setsMode) target.mode = (target.mode & 0o170000) | (mode & 0o7777);
        if (setsUid) target.uid = newUid;
        if (setsGid) target.gid = newGid;
        return 0;
      case 'fixed':
        if (!setsSize || target.directory.owner === null) return Errno.EPERM;
        if (target.name === '.since') return 0;
        if (target.name !== '.filter') return Errno.EPERM;
        if (size !== 0) return Errno.EINVAL;
        this.#setFilter(target.directory, '', null);
        return 0;
      default:
        return Errno.EPERM;
    }
  }

  /** poll(2). */
  poll(request: SimRequest, reply: SimReply): void {
    const handle = this.handleOf(request, reply);
    if (handle === null || !this.model.expect(request, reply, 0)) return;
    const revents = reply.body.readUInt32LE(0);
    const { kind } = handle.use;
    const isReady = this.model.isReady(handle);
    const wanted =
      kind === 'stream' || kind === 'queue'
        ? isReady
          ? 0x41
          : 0
        : kind === 'publish'
          ? 0x104
          : 0x145;
    check(revents === wanted, () => `${describe(request)}: ${revents} instead of ${wanted}`);
    handle.pollKey = request.target;
    if (kind !== 'stream' && kind !== 'queue') return;
    handle.isWatched = true;
    handle.isDue = !isReady;
  }
}

function statusOf(directory: ModelDirectory): string {
  if (directory.owner === null) return '';
  const { owner, lost, added, account, filter } = directory;
  return (
    `OWNER=${owner.pid}\nPENDING=${directory.size}\nBYTES=${directory.bytes}\nLOST=${lost}\n` +
    `ADDED=${added}\nUID=${account.uid}\nGID=${account.gid}\nFILTER=${filter.replaceAll('\n', '; ')}\n`
  );
}

/** Checks the lines of `.status` that the model knows, in a read of its beginning. */
function expectStatus(request: SimRequest, reply: SimReply, known: string, offset: number): void {
  if (known === '' || offset > 0 || request.size < 4096) return;
  const lines = new Set(reply.body.toString('latin1').split('\n'));
  for (const line of known.split('\n'))
    check(lines.has(line), () => `${describe(request)}: no line ${line} in .status`);
}

function expectText(request: SimRequest, reply: SimReply, text: string): void {
  const got = reply.body.toString('latin1');
  check(
    got === text,
    () => `${describe(request)}: ${JSON.stringify(got)} instead of ${JSON.stringify(text)}`,
  );
}
