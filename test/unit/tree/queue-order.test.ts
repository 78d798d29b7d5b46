/**
 * Compares a queue's order, head, tail and nlink with a small model, for any mix of operations on
 * two directories.
 */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { runs } from '../../support/runner/budget.js';
import { refusal } from '../../support/memory/connection.js';
import { MemoryKernel } from '../../support/memory/kernel.js';
import { suite } from '../../support/runner/suite.js';

const RENAME_NOREPLACE = 1;
const S_IFIFO = 0o010000;
/** The names that users choose. */
const NAMES = ['a', 'b', 'c'];
/** The buffer of a listing is small, so that listings continue from every offset. */
const SMALLEST_READDIR = 64;

/** The model of two directories: each is an ordered list of links. A refusal is an errno's name. */
class Model {
  readonly links: { name: string; event: object }[][] = [[], []];

  find = (at: number, name: string) => this.links[at].find((link) => link.name === name);
  free = (at: number, name: string, n = 0): string =>
    this.find(at, n === 0 ? name : `${name}.${n}`)
      ? this.free(at, name, n + 1)
      : n === 0
        ? name
        : `${name}.${n}`;
  add = (at: number, name: string, event: object): string =>
    this.find(at, name) ? 'EEXIST' : (this.links[at].push({ name, event }), 'none');
  remove = (at: number, name: string): string => {
    const link =
      name === 'head'
        ? this.links[at][0]
        : name === 'tail'
          ? this.links[at].at(-1)
          : this.find(at, name);
    this.links[at] = this.links[at].filter((other) => other !== link);
    return link === undefined ? 'ENOENT' : 'none';
  };
  rename = (
    from: number,
    name: string,
    to: number,
    newName: string,
    noReplace: boolean,
  ): string => {
    const [link, taken] = [this.find(from, name), this.find(to, newName)];
    if (link === undefined || (taken !== undefined && noReplace))
      return link === undefined ? 'ENOENT' : 'EEXIST';
    if (taken?.event === link.event) return 'none'; // the same file: rename(2) does nothing
    if (taken !== undefined) this.remove(to, newName);
    if (from !== to) this.links[to].push({ name: newName, event: link.event });
    if (from !== to) this.remove(from, name);
    else link.name = newName;
    return 'none';
  };
  count = (event: object): number =>
    this.links.flat().filter((link) => link.event === event).length;
}

/**
 * One operation: `at` and `to` are directories; a name is a user's, or that of an existing link.
 */
interface Step {
  readonly do: 'create' | 'link' | 'unlink' | 'rename' | 'deliver' | 'forget';
  readonly at: number;
  readonly to: number;
  readonly name: number;
  readonly newName: number;
  readonly flag: boolean;
}

/** The model's directories on a kernel in memory. */
class Mounted {
  readonly model = new Model();
  readonly directories: readonly number[];
  /** The same directories, opened once: getdents64(2) from offset 0 is rewinddir(3). */
  readonly open: readonly number[];
  /** A delivered event is in the log too. */
  readonly logged = new Set<object>();

  constructor(
    readonly kernel: MemoryKernel,
    readonly seqnum: { next: number },
  ) {
    this.directories = [kernel.mkdir('one'), kernel.mkdir('two')];
    this.open = this.directories.map((directory) => kernel.opendir(directory));
  }

  #name(at: number, which: number): string {
    const names = [
      ...NAMES,
      String(this.seqnum.next),
      ...this.model.links[at].map(({ name }) => name),
    ];
    return names[which % names.length];
  }

  #lookup(at: number, name: string): number {
    return this.kernel.lookup(this.directories[at], name).nodeid;
  }

  perform({ do: what, at, to, name: which, newName: newWhich, flag }: Step): void {
    const { kernel, model, directories } = this;
    const name = this.#name(at, which);
    const newName = this.#name(to, newWhich);
    switch (what) {
      case 'create':
        assert.is(
          refusal(() => kernel.make(directories[at], name, '')),
          model.add(at, name, {}),
        );
        break;
      case 'link': {
        const source = model.find(at, name);
        if (source === undefined) break; // the kernel would not send the request
        const node = this.#lookup(at, name);
        const linked = refusal(() => kernel.link(node, directories[to], newName));
        assert.is(linked, model.add(to, newName, source.event));
        this.#nlink(node, source.event);
        break;
      }
      case 'unlink': {
        const removed = ['head', 'tail', name, name, name][newWhich % 5];
        const event = model.find(at, removed)?.event;
        const node = event !== undefined && flag ? this.#lookup(at, removed) : undefined;
        assert.is(
          refusal(() => kernel.unlink(directories[at], removed)),
          model.remove(at, removed),
        );
        if (node !== undefined) this.#nlink(node, event!);
        break;
      }
      case 'rename': {
        const noReplace = newWhich % 3 === 0;
        const event = model.find(at, name)?.event;
        const node = event !== undefined && flag ? this.#lookup(at, name) : undefined;
        const renamed = refusal(() =>
          kernel.rename(
            directories[at],
            name,
            directories[to],
            newName,
            noReplace ? RENAME_NOREPLACE : 0,
          ),
        );
        assert.is(renamed, model.rename(at, name, to, newName, noReplace));
        if (node !== undefined) this.#nlink(node, event!);
        break;
      }
      case 'deliver': {
        const event = {};
        const seqnum = this.seqnum.next++;
        for (const each of [0, 1]) model.add(each, model.free(each, String(seqnum)), event);
        this.logged.add(event);
        kernel.event(seqnum);
        break;
      }
      case 'forget': {
        const nodes = [...kernel.known].filter(([nodeid]) => !directories.includes(nodeid));
        kernel.batchForget(nodes.map(([nodeid, nlookup]) => ({ nodeid, nlookup })));
      }
    }
  }

  /** Compares fstat(2) by the nodes that the kernel has kept. */
  #nlink(node: number, event: object): void {
    assert.is(this.kernel.getattr(node)['attr.nlink'], this.#count(event));
  }

  #count(event: object): number {
    return this.model.count(event) + (this.logged.has(event) ? 1 : 0);
  }

  /**
   * Compares the directories with the model.
   * @param look whether to look up every name, which makes a node for it
   */
  check(look: boolean, which: readonly number[] = [0, 1]): void {
    const { kernel, model, directories } = this;
    const inodes = new Map<object, number>();
    for (const at of which) {
      const links = model.links[at];
      const listed = kernel.readdir(this.open[at]).slice(2);
      assert.equal(
        listed.map(({ name }) => name),
        links.map(({ name }) => name),
      );
      if (look)
        assert.equal(
          kernel.names(directories[at], SMALLEST_READDIR),
          links.map(({ name }) => name),
        );
      links.forEach(({ event }, n) => {
        assert.is(listed[n].ino, inodes.get(event) ?? listed[n].ino);
        inodes.set(event, listed[n].ino);
      });
      for (const { name, event } of look ? links : []) {
        const entry = kernel.lookup(directories[at], name);
        assert.is(entry['attr.ino'], inodes.get(event));
        assert.is(entry['attr.nlink'], this.#count(event));
      }
      this.#checkEnds(at);
    }
  }

  #checkEnds(at: number): void {
    const { kernel, model, directories } = this;
    const links = model.links[at];
    for (const [end, link] of [
      ['head', links[0]],
      ['tail', links.at(-1)],
    ] as const) {
      if (link === undefined)
        assert.is(
          refusal(() => kernel.lookup(directories[at], end)),
          'ENOENT',
        );
      else assert.is(kernel.readlink(this.#lookup(at, end)), link.name);
    }
  }

  /** Empties both directories from either end, and removes them. */
  end(): void {
    for (const at of [0, 1]) {
      for (let n = 0; this.model.links[at].length > 0; n++) {
        const end = n % 2 === 0 ? 'head' : 'tail';
        this.kernel.unlink(this.directories[at], end);
        this.model.remove(at, end);
        this.#checkEnds(at);
      }
    }
    this.check(false);
    for (const fh of this.open) this.kernel.releasedir(fh);
    this.kernel.rmdir('one');
    this.kernel.rmdir('two');
    this.kernel.forgetAll();
    const { directories, handles, nodes, known } = this.kernel.counts;
    assert.equal(
      { directories, handles, nodes, known },
      { directories: 0, handles: 0, nodes: 0, known: 0 },
    );
  }
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    do: fc.constantFrom(
      'create',
      'create',
      'link',
      'link',
      'unlink',
      'rename',
      'rename',
      'deliver',
      'forget',
    ),
    at: fc.nat(1),
    to: fc.nat(1),
    name: fc.nat(29),
    newName: fc.nat(29),
    flag: fc.boolean(),
  }),
  { maxLength: 14 },
);

const ends = suite('a queue');

ends(
  'keeps order, head, tail and nlink right under any mix of operations',
  () => {
    let kernel = MemoryKernel.started();
    let seqnum = { next: 1000 };
    let broken = false;
    const property = fc.property(steps, (all) => {
      if (broken) {
        // Each shrinking run starts from an empty mount.
        kernel.close();
        kernel = MemoryKernel.started();
        seqnum = { next: 1000 };
      }
      broken = true;
      const mounted = new Mounted(kernel, seqnum);
      for (const one of all) {
        mounted.perform(one);
        // the directories that the step can have changed
        const only = one.do === 'create' || one.do === 'unlink' || one.at === one.to;
        mounted.check(one.flag, one.do === 'deliver' || !only ? undefined : [one.at]);
      }
      mounted.end();
      broken = false;
    });
    try {
      fc.assert(property, runs(10_000));
      assert.equal(kernel.warnings, []);
    } finally {
      kernel.close();
    }
  },
  600_000,
);

ends('renames an event if a FIFO has its name', () => {
  const kernel = MemoryKernel.started();
  try {
    const own = kernel.mkdir('own');
    for (const name of ['7', '8.1']) kernel.mknod(own, name, S_IFIFO | 0o600);
    kernel.make(own, '8', '');
    for (const seqnum of [7, 8]) kernel.event(seqnum);
    assert.equal(kernel.names(own), ['8', '7.1', '8.2', '7', '8.1']);
    for (const [name, seqnum] of [
      ['7.1', 7],
      ['8.2', 8],
    ] as const)
      assert.match(kernel.cat(kernel.walk(`own/${name}`)), `SEQNUM=${seqnum}\n`);
    assert.is(kernel.lookup(own, '7')['attr.mode'], S_IFIFO | 0o600);
  } finally {
    kernel.close();
  }
});

ends.run();
