/** The model of requests about names. */
import { Errno } from '../../../fs/shared/errors.js';
import type { Processes, SimProcess } from '../machine/processes.js';
import type { SimReply, SimRequest } from '../machine/request.js';
import { DOT_FILES, ModelDirectory, ModelEntry, ModelSpecial } from './directory.js';
import { ModelEvent } from './events.js';
import type { Model } from './model.js';
import type { ModelNode, Target } from './nodes.js';

const [FIFO, REGULAR, SYMLINK, SOCKET, TYPE] = [0o010000, 0o100000, 0o120000, 0o140000, 0o170000];
const S_ISGID = 0o2000;
const FIXED_ROOT = ['log', 'match', 'stream', 'publish'];

const pidOf = (name: string): number | undefined => {
  const pid = /^(0|[1-9][0-9]*)(\.|$)/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
};

/** Requests about names. */
export class ModelNamespace {
  constructor(
    private readonly model: Model,
    private readonly processes: Processes,
  ) {}

  /** Returns whether a directory gives way to a live process whose PID its name has. */
  #givesWay(directory: ModelDirectory, caller: SimProcess | null): boolean {
    const { madeBy, isOrphaned, owner } = directory;
    if (!isOrphaned && (madeBy === 0 || caller === null || caller.effectiveUid === madeBy))
      return false;
    const pid = pidOf(directory.name);
    if (pid === undefined) return false;
    if (!isOrphaned && owner!.effectiveUid === madeBy) return false;
    const named = this.processes.byPid.get(pid);
    if (named === undefined) return false;
    return caller === null || caller.descendsFrom(named);
  }

  #caller({ pid }: SimRequest): SimProcess | null {
    return this.processes.byPid.get(pid) ?? null;
  }

  /** Finds a name in a directory, or returns an errno. */
  find(node: ModelNode, name: string, caller: SimProcess | null): Target | number {
    const { target } = node;
    switch (target.kind) {
      case 'root': {
        const directory = this.model.directories.find((other) => other.name === name);
        if (directory !== undefined && !this.#givesWay(directory, caller))
          return { kind: 'directory', directory };
        if (directory !== undefined || !FIXED_ROOT.includes(name)) return Errno.ENOENT;
        if (name === 'log') return { kind: 'directory', directory: this.model.history };
        return { kind: name as 'match' | 'stream' | 'publish' };
      }
      case 'match':
        return /^K==\d$/.test(name) ? { kind: 'matchFile', filter: name } : Errno.EINVAL;
      case 'directory':
        return findIn(target.directory, name);
      default:
        return Errno.ENOTDIR;
    }
  }

  lookup(request: SimRequest, reply: SimReply): void {
    const node = this.model.nodeOf(request.nodeid);
    const found =
      node === undefined ? Errno.ESTALE : this.find(node, request.name, this.#caller(request));
    if (this.model.expect(request, reply, typeof found === 'number' ? found : 0))
      this.model.named(request, reply.body, found as Target);
  }

  mkdir(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    if (node === undefined) return void model.expect(request, reply, Errno.ESTALE);
    if (node.target.kind !== 'root') return void model.expect(request, reply, Errno.EPERM);
    const { name, mode, uid, gid } = request;
    const caller = this.#caller(request)!;
    const there = model.directories.find((other) => other.name === name);
    if (there !== undefined && this.#givesWay(there, caller)) model.end(there);
    else if (there !== undefined || FIXED_ROOT.includes(name))
      return void model.expect(request, reply, Errno.EEXIST);
    const account = model.quotas.account(uid, gid);
    const full = account.refusal({ directories: 1 });
    const owner = this.#ownerFor(name, caller);
    const errno = full !== 0 ? full : typeof owner === 'number' ? owner : 0;
    if (!model.expect(request, reply, errno)) return;
    account.add({ directories: 1 });
    const directory = new ModelDirectory(
      name,
      owner as SimProcess,
      uid,
      mode & 0o7777,
      account,
      model.settings.queue,
    );
    directory.after = model.lastSeqnum;
    directory.shown = String(model.lastSeqnum);
    directory.first = model.log.next;
    directory.stamp = model.nextStamp();
    model.directories.push(directory);
    model.places.set(directory, model.placed++);
    model.named(request, reply.body, { kind: 'directory', directory });
  }

  #ownerFor(name: string, caller: SimProcess): SimProcess | number {
    const pid = pidOf(name);
    if (pid === undefined) return caller;
    const named = this.processes.byPid.get(pid);
    if (named === undefined) return Errno.ESRCH;
    const isAllowed =
      named === caller ||
      caller.effectiveUid === 0 ||
      [caller.uid, caller.effectiveUid].includes(named.uid);
    return isAllowed ? named : Errno.EPERM;
  }

  rmdir(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    if (node === undefined) return void model.expect(request, reply, Errno.ESTALE);
    if (node.target.kind !== 'root') return void model.expect(request, reply, Errno.EPERM);
    const directory = model.directories.find((other) => other.name === request.name);
    const errno =
      directory === undefined
        ? FIXED_ROOT.includes(request.name)
          ? Errno.EPERM
          : Errno.ENOENT
        : directory.isRemovable || this.#isOwner(directory, request)
          ? 0
          : Errno.ENOTEMPTY;
    if (model.expect(request, reply, errno)) model.end(directory!);
  }

  /** Returns whether the caller owns a directory that ends with it. */
  #isOwner({ isSticky, owner }: ModelDirectory, request: SimRequest): boolean {
    return !isSticky && this.#caller(request) === owner;
  }

  unlink(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const { nodeid, name } = request;
    const node = model.nodeOf(nodeid);
    if (node === undefined) return void model.expect(request, reply, Errno.ESTALE);
    if (node.target.kind !== 'directory') return void model.expect(request, reply, Errno.EPERM);
    const { directory } = node.target;
    const errno = refusalOfUnlink(directory, name);
    if (model.expect(request, reply, errno)) unlinkFrom(directory, name);
  }

  /** Makes a file: CREATE, MKNOD, SYMLINK. Returns it, unless the request must fail. */
  make(request: SimRequest, reply: SimReply): ModelEntry | ModelSpecial | null {
    const { model } = this;
    const { nodeid, name, op, mode } = request;
    const node = model.nodeOf(nodeid);
    const refuse = (errno: number): null => (model.expect(request, reply, errno), null);
    if (node === undefined) return refuse(Errno.ESTALE);
    if (typeof this.find(node, name, null) !== 'number') return refuse(Errno.EEXIST);
    if (node.target.kind !== 'directory' || node.target.directory === model.history)
      return refuse(Errno.EPERM);
    const { directory } = node.target;
    if (name === 'head' || name === 'tail') return refuse(Errno.EEXIST);
    const type = op === 'FUSE_SYMLINK' ? SYMLINK : op === 'FUSE_CREATE' ? REGULAR : mode & TYPE;
    if (![SYMLINK, REGULAR, FIFO, SOCKET].includes(type)) return refuse(Errno.EPERM);
    if (type === REGULAR && directory.refuses(1, 0)) return refuse(Errno.EDQUOT);
    const full = directory.account.refusal({ events: 1 });
    if (full !== 0) return refuse(full);
    const gid = (directory.mode & S_ISGID) !== 0 ? directory.account.gid : request.gid;
    const { uid } = request;
    model.expect(request, reply, 0);
    if (type === REGULAR) {
      const event = new ModelEvent(name, '', -1, 1, false, `file:${uid}`);
      event.written = { uid, gid, mode: mode & 0o7777, writers: 0, keeper: null };
      return directory.add(name, event)!;
    }
    const special = new ModelSpecial(
      directory,
      name,
      type === SYMLINK ? SYMLINK | 0o777 : type | (mode & 0o7777),
      uid,
      gid,
      request.other,
      directory.nextSpecial++,
    );
    directory.specials.push(special);
    directory.account.add({ events: 1 });
    return special;
  }

  mknod(request: SimRequest, reply: SimReply): void {
    const made = this.make(request, reply);
    if (made === null) return;
    if (made.kind === 'entry') this.model.dataCame(made.directory);
    this.model.named(request, reply.body, made);
  }

  link(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const { nodeid, name, target } = request;
    const [node, old] = [model.nodeOf(nodeid), model.nodeOf(target)];
    const errno = this.#refusalOfLink(node, old, name);
    if (!model.expect(request, reply, errno)) return;
    const { directory } = node!.target as { directory: ModelDirectory };
    const { event } = old!.target as ModelEntry;
    event.opens++; // the queue may drop the only other link to make room
    const entry = directory.add(name, event)!;
    event.close(1);
    model.dataCame(directory);
    model.named(request, reply.body, entry);
  }

  #refusalOfLink(node: ModelNode | undefined, old: ModelNode | undefined, name: string): number {
    if (node === undefined || old === undefined) return Errno.ESTALE;
    if (typeof this.find(node, name, null) !== 'number') return Errno.EEXIST;
    if (node.target.kind !== 'directory' || node.target.directory === this.model.history)
      return Errno.EPERM;
    if (name === 'head' || name === 'tail') return Errno.EEXIST;
    if (old.target.kind !== 'entry') return Errno.EPERM;
    const { event } = old.target;
    if (event.links === 0) return Errno.ENOENT;
    const { directory } = node.target;
    if (directory.refuses(1, event.text.length)) return Errno.EDQUOT;
    return directory.account.refusal({ events: 1, bytes: event.text.length });
  }

  rename(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const { name, other, flags } = request;
    const [from, to] = [model.nodeOf(request.nodeid), model.nodeOf(request.target)];
    const errno = this.#refusalOfRename(from, to, name, other, flags === 1);
    if (!model.expect(request, reply, errno)) return;
    const source = (from!.target as { directory: ModelDirectory }).directory;
    const target = (to!.target as { directory: ModelDirectory }).directory;
    const file = source.find(name)!;
    const taken = target.find(other);
    if (taken === file) return;
    if (taken?.kind === 'entry' && file.kind === 'entry' && taken.event === file.event) return;
    if (taken !== undefined) unlinkFrom(target, other);
    if (source === target) {
      file.name = other;
      return;
    }
    if (file.kind === 'entry') this.#moveEntry(file, source, target, other);
    else {
      source.specials.splice(source.specials.indexOf(file), 1);
      source.account.add({ events: -1 });
      file.directory = target;
      file.name = other;
      file.position = target.nextSpecial++;
      target.specials.push(file);
      target.account.add({ events: 1 });
    }
  }

  #moveEntry(
    entry: ModelEntry,
    source: ModelDirectory,
    target: ModelDirectory,
    name: string,
  ): void {
    const { event } = entry;
    source.takeOut(entry);
    source.account.addEvents(-1, -event.text.length);
    target.makeRoom(1, event.text.length);
    target.account.addEvents(1, event.text.length);
    entry.directory = target;
    entry.name = name;
    entry.position = target.nextPosition++;
    target.items.push(entry);
    target.added++;
    event.link(target);
    event.unlink(source);
    this.model.dataCame(target);
  }

  #refusalOfRename(
    from: ModelNode | undefined,
    to: ModelNode | undefined,
    name: string,
    newName: string,
    isNoReplace: boolean,
  ): number {
    if (from === undefined || to === undefined) return Errno.ESTALE;
    const [source, target] = [from.target, to.target];
    const { history } = this.model;
    if (source.kind !== 'directory' || source.directory === history) return Errno.EPERM;
    if (target.kind !== 'directory' || target.directory === history) return Errno.EPERM;
    if (newName === 'head' || newName === 'tail') return isNoReplace ? Errno.EEXIST : Errno.EPERM;
    const file = source.directory.find(name);
    if (file === undefined)
      return typeof findIn(source.directory, name) === 'number' ? Errno.ENOENT : Errno.EPERM;
    const taken = findIn(target.directory, newName);
    if (typeof taken !== 'number') {
      if (isNoReplace) return Errno.EEXIST;
      if (taken === file) return 0;
      if (taken.kind === 'entry' && file.kind === 'entry' && taken.event === file.event) return 0;
    }
    const full = refusalOfMove(source.directory, target.directory, file, taken);
    if (full !== 0) return full;
    return typeof taken === 'number' ? 0 : refusalOfUnlink(target.directory, newName);
  }
}

function refusalOfMove(
  from: ModelDirectory,
  to: ModelDirectory,
  file: ModelEntry | ModelSpecial,
  taken: Target | number,
): number {
  if (from === to) return 0;
  const isNew = typeof taken === 'number';
  const replaced = typeof taken !== 'number' && taken.kind === 'entry' ? taken : undefined;
  const length = file.kind === 'entry' ? file.event.text.length : 0;
  const bytes = length - (replaced?.event.text.length ?? 0);
  if (file.kind === 'entry' && to.refuses(replaced === undefined ? 1 : 0, bytes))
    return Errno.EDQUOT;
  return to.account.refusalFrom(from.account, { events: isNew ? 1 : 0, bytes });
}

/** Finds a name in a directory of events. */
function findIn(directory: ModelDirectory, name: string): Target | number {
  if (name === 'head' || name === 'tail')
    return directory.end(name) === undefined ? Errno.ENOENT : { kind: 'fixed', directory, name };
  const isDot =
    directory.owner === null ? name === '.status' || name === '.metrics' : DOT_FILES.includes(name);
  if (isDot) return { kind: 'fixed', directory, name };
  return directory.find(name) ?? Errno.ENOENT;
}

function refusalOfUnlink(directory: ModelDirectory, name: string): number {
  const found = findIn(directory, name);
  if (typeof found === 'number') return found;
  if (directory.owner === null) return Errno.EPERM;
  return found.kind === 'fixed' && name !== 'head' && name !== 'tail' ? Errno.EPERM : 0;
}

function unlinkFrom(directory: ModelDirectory, name: string): void {
  const file = directory.end(name) ?? directory.find(name)!;
  if (file.kind === 'entry') return directory.remove(file);
  file.isLinked = false;
  file.target = '';
  directory.specials.splice(directory.specials.indexOf(file), 1);
  directory.account.add({ events: -1 });
}
