/** The model of requests about attributes and extended attributes. */
import { Errno } from '../../../fs/shared/errors.js';
import type { SimReply, SimRequest } from '../machine/request.js';
import type { ModelDirectory } from './directory.js';
import { type Model, check, describe } from './model.js';
import type { Target } from './nodes.js';

const STICKY = 'user.eventfs_sticky';
const FILTER = 'user.eventfs.filter';
const SOURCE = 'user.eventfs.source';
const READ_ONLY = ['user.eventfs.owner', 'user.eventfs.pending', 'user.eventfs.lost'];
const [XATTR_CREATE, XATTR_REPLACE] = [1, 2];

/** Requests about attributes. */
export class ModelInodes {
  constructor(private readonly model: Model) {}

  getattr(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    if (model.expect(request, reply, node === undefined ? Errno.ESTALE : 0))
      model.checkAttributes(request, reply.body, 16, node!);
  }

  readlink(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    const target = node === undefined ? Errno.ESTALE : targetOf(node.target);
    if (!model.expect(request, reply, typeof target === 'number' ? target : 0)) return;
    check(reply.body.toString('latin1') === target, () => `${describe(request)}: not ${target}`);
  }

  fsync(request: SimRequest, reply: SimReply): void {
    const handle = this.model.handles.get(request.fh)!;
    this.model.expect(request, reply, handle.isOver ? Errno.ESTALE : 0);
  }

  /** Returns the values of the attributes of a process directory. */
  #valuesOf(directory: ModelDirectory): Map<string, string> {
    const values = new Map([
      [FILTER, directory.filter],
      ['user.eventfs.owner', String(directory.owner!.pid)],
      ['user.eventfs.pending', String(directory.size)],
      ['user.eventfs.lost', String(directory.lost)],
    ]);
    if (directory.isSticky) values.set(STICKY, '');
    return values;
  }

  #valuesOfTarget(target: Target): Map<string, string> {
    if (target.kind === 'entry') return new Map([[SOURCE, target.event.source]]);
    if (target.kind === 'directory' && target.directory.owner !== null)
      return this.#valuesOf(target.directory);
    return new Map();
  }

  getxattr(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    const value = node && this.#valuesOfTarget(node.target).get(request.name);
    const errno = node === undefined ? Errno.ESTALE : value === undefined ? Errno.ENODATA : 0;
    if (!model.expect(request, reply, errno)) return;
    const got = reply.body.toString('latin1');
    check(got === value, () => `${describe(request)}: ${got} instead of ${value}`);
  }

  setxattr(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const { name, data, uid } = request;
    const node = model.nodeOf(request.nodeid);
    const errno = node === undefined ? Errno.ESTALE : this.#refusalOfSet(request, node.target);
    if (!model.expect(request, reply, errno)) return;
    const { directory } = node!.target as { directory: ModelDirectory };
    void uid;
    if (name === STICKY) directory.isSticky = true;
    else {
      directory.filter = linesOf(data).join('\n');
      directory.stamp = model.nextStamp();
      directory.lastFilterFile = null;
    }
  }

  #refusalOfSet({ name, data, flags, uid }: SimRequest, target: Target): number {
    const isThere = this.#valuesOfTarget(target).has(name);
    if ((flags & XATTR_CREATE) !== 0 && isThere) return Errno.EEXIST;
    if ((flags & XATTR_REPLACE) !== 0 && !isThere) return Errno.ENODATA;
    if (target.kind === 'entry' && name === SOURCE) return Errno.EPERM;
    if (target.kind !== 'directory' || target.directory.owner === null) return Errno.EOPNOTSUPP;
    if (READ_ONLY.includes(name)) return Errno.EPERM;
    if (name !== STICKY && name !== FILTER) return Errno.EOPNOTSUPP;
    if (uid !== 0 && uid !== target.directory.account.uid) return Errno.EPERM;
    return name === STICKY || linesOf(data).every((line) => /^K==\d$/.test(line))
      ? 0
      : Errno.EINVAL;
  }

  removexattr(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const { name, uid } = request;
    const node = model.nodeOf(request.nodeid);
    const errno = node === undefined ? Errno.ESTALE : refusalOfRemove(node.target, name, uid);
    if (!model.expect(request, reply, errno)) return;
    const { directory } = node!.target as { directory: ModelDirectory };
    if (name === FILTER) {
      directory.filter = '';
      directory.stamp = model.nextStamp();
      directory.lastFilterFile = null;
      return;
    }
    directory.isSticky = false;
    if (directory.isOrphaned) model.end(directory);
  }
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function targetOf(target: Target): string | number {
  if (target.kind === 'special') return target.target === '' ? Errno.ENOENT : target.target;
  if (target.kind === 'fixed') return target.directory.end(target.name)?.name ?? Errno.ENOENT;
  return Errno.EINVAL;
}

function refusalOfRemove(target: Target, name: string, uid: number): number {
  if (target.kind === 'entry' && name === SOURCE) return Errno.EPERM;
  if (target.kind !== 'directory' || target.directory.owner === null) return Errno.ENODATA;
  const { directory } = target;
  if (READ_ONLY.includes(name)) return Errno.EPERM;
  if (name !== FILTER && !(name === STICKY && directory.isSticky)) return Errno.ENODATA;
  return uid !== 0 && uid !== directory.account.uid ? Errno.EPERM : 0;
}
