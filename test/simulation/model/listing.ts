/** The model of listings: opendir(3) and readdir(3). */
import { Errno } from '../../../fs/shared/errors.js';
import type { SimReply, SimRequest } from '../machine/request.js';
import type { ModelDirectory } from './directory.js';
import type { ModelFiles } from './files.js';
import type { Use } from './handles.js';
import { type Model, check, describe, u64 } from './model.js';
import type { Target } from './nodes.js';

/** Requests about open directories. */
export class ModelListings {
  constructor(
    private readonly model: Model,
    private readonly files: ModelFiles,
  ) {}

  opendir(request: SimRequest, reply: SimReply): void {
    const { model } = this;
    const node = model.nodeOf(request.nodeid);
    if (node === undefined) return void model.expect(request, reply, Errno.ESTALE);
    if (!model.expect(request, reply, 0)) return;
    const use: Use = { kind: 'list', end: this.#endOf(node.target), positions: null };
    this.files.enter(request, u64(reply.body, 0), node, use);
  }

  #endOf(target: Target): number {
    if (target.kind === 'root') return this.model.placed;
    return target.kind === 'directory' ? target.directory.nextPosition : 0;
  }

  readdir(request: SimRequest, reply: SimReply): void {
    const handle = this.files.handleOf(request, reply);
    if (handle === null || !this.model.expect(request, reply, 0)) return;
    const { use, node } = handle;
    if (use.kind !== 'list') return;
    const { target } = node;
    if (request.offset === 0) use.end = this.#endOf(target);
    const got = direntsOf(reply.body);
    const wanted = this.#listingOf(target, request, use.end);
    const names = [...wanted.keys()];
    check(
      got.length === names.length && got.every(({ name }, at) => name === names[at]),
      () =>
        `${describe(request)}: lists ${got.map(({ name }) => name).join(' ')} instead of ${names.join(' ')}`,
    );
    for (const { name, off } of got) wanted.get(name)!(off);
  }

  /** Returns the names that a listing must show, each with a function that takes its offset. */
  #listingOf(
    target: Target,
    { offset, size }: SimRequest,
    end: number,
  ): Map<string, (offset: number) => void> {
    const names = new Map<string, (offset: number) => void>();
    let room = size;
    const add = (name: string, took: (offset: number) => void): boolean => {
      const bytes = (24 + name.length + 7) & ~7;
      if (bytes > room) return false;
      room -= bytes;
      names.set(name, took);
      return true;
    };
    const ignored = (): void => undefined;
    if (offset < 1 && !add('.', ignored)) return names;
    if (offset < 2 && !add('..', ignored)) return names;
    if (target.kind === 'root') this.#listRoot(offset, end, add);
    else if (target.kind === 'directory') listDirectory(target.directory, offset, end, add);
    return names;
  }

  #listRoot(
    offset: number,
    end: number,
    add: (name: string, took: (offset: number) => void) => boolean,
  ): void {
    const { model } = this;
    const fixed = ['log', 'match', 'publish'];
    const last = model.rootOffsets.get(offset);
    const from = last === undefined ? -1 : model.places.get(last)!;
    const isInFixed = offset >= 2 ** 30;
    if (!isInFixed) {
      for (const directory of model.directories) {
        const place = model.places.get(directory)!;
        if (place <= from || place >= end) continue;
        if (!add(directory.name, (off) => model.rootOffsets.set(off, directory))) return;
      }
    }
    // `stream` has a place among the fixed names, but is not listed.
    const places = [1, 2, 4];
    for (let n = 0; n < fixed.length; n++)
      if (!isInFixed || 2 ** 30 + places[n] > offset) if (!add(fixed[n], () => undefined)) return;
  }
}

function listDirectory(
  directory: ModelDirectory,
  offset: number,
  end: number,
  add: (name: string, took: (offset: number) => void) => boolean,
): void {
  const from = offset < 3 ? -Infinity : (directory.offsets.get(offset) ?? -Infinity);
  for (const { name, position } of directory.entries) {
    if (position <= from || position >= end) continue;
    if (!add(name, (off) => directory.offsets.set(off, position))) return;
  }
  directory.listedTo = Math.max(directory.listedTo, end);
  for (const { name, position } of directory.specials)
    if (position > from && !add(name, (off) => directory.offsets.set(off, position))) return;
}

/** Reads fuse_dirents. */
function direntsOf(body: Buffer): { readonly name: string; readonly off: number }[] {
  const entries = [];
  for (let at = 0; at < body.length;) {
    const length = body.readUInt32LE(at + 16);
    const name = body.toString('latin1', at + 24, at + 24 + length);
    entries.push({ name, off: u64(body, at + 8) });
    at += (24 + length + 7) & ~7;
  }
  return entries;
}
