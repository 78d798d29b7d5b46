/**
 * The names of the process directories.
 *
 * Processes of different PID namespaces may have the same PID: the first process of each container
 * has PID 1. Each of them gets a directory under its own PID. So a name may stand for several
 * directories, and the caller decides for which.
 *
 * A directory has an *inner* name if its owner has the PID of the name in an inner PID namespace
 * only. All other directories have *outer* names, each of which stands for one outer directory.
 */
import type { Sequence } from '../../bus/sequence.js';
import type { Caller, Owners } from '../../owners/owners.js';
import type { Pid } from '../../owners/process.js';
import { type NamedDirectory, pidOf } from './pid-names.js';

/** A directory that ends with its owner. */
interface MortalDirectory extends NamedDirectory {
  readonly ino: number;
  readonly lifetime: { readonly over: boolean };
}

/** The notifier finds a directory by this name that it can't find by its own. */
const TWIN_NAME = /^\.twin-([0-9]+)$/;

/** Finds the directory that a process means by a name. */
export class DirectoryNames<Directory extends MortalDirectory> {
  /** The directories with inner names, by name and by the owner's PID, oldest first. */
  readonly #inner = new Map<string, Map<Pid, Directory>>();
  /** The same by inode number. */
  readonly #innerByInode = new Map<number, Directory>();

  /** @param directories all directories, by the keys of {@link add} */
  constructor(
    private readonly directories: Sequence<Directory>,
    private readonly owners: Owners,
  ) {}

  /**
   * Returns the directory that stands in the place of a new one: its owner is dead, and the daemon
   * has not removed it yet.
   */
  inTheWay(name: string, owner: { readonly pid: Pid }): Directory | undefined {
    return this.directories.get(keyOf({ name, owner }));
  }

  /**
   * Notes the name of a new directory.
   *
   * @returns the key of the directory in the sequence of all
   */
  add(directory: Directory): string {
    const { name, owner } = directory;
    if (isInner(directory)) {
      const namesakes = this.#inner.get(name) ?? new Map<Pid, Directory>();
      this.#inner.set(name, namesakes.set(owner.pid, directory));
      this.#innerByInode.set(directory.ino, directory);
    }
    return keyOf(directory);
  }

  /** Removes a directory from the sequence, and its name. */
  delete(directory: Directory): void {
    const { name, owner } = directory;
    this.directories.delete(keyOf(directory));
    if (!this.#innerByInode.delete(directory.ino)) return;
    const namesakes = this.#inner.get(name)!;
    namesakes.delete(owner.pid);
    if (namesakes.size === 0) this.#inner.delete(name);
  }

  /**
   * Returns the directory that processes find that mean none of their own by the name.
   *
   * @returns undefined if there is none
   */
  any(name: string): Directory | undefined {
    const outer = living(this.directories.get(name));
    if (outer !== undefined || this.#inner.size === 0) return outer;
    for (const inner of this.#inner.get(name)?.values() ?? [])
      if (!inner.lifetime.over) return inner;
    return undefined;
  }

  /** Returns whether other directories of the same name hide this one in the listing. */
  isHidden(directory: Directory): boolean {
    return this.#inner.size > 0 && this.any(directory.name) !== directory;
  }

  /**
   * Returns the directory that the caller means. If the PID of the name is the caller's own or that
   * of an ancestor, in the caller's PID namespace, then it is the directory of that process.
   *
   * @param caller the process that uses the name, if the driver knows it
   * @returns undefined if there is none
   * @throws FsError ENFILE if the daemon has no descriptor left
   */
  find(name: string, caller?: Caller): Directory | undefined {
    const outer = living(this.directories.get(name));
    const inner = this.#inner.get(name);
    if (inner === undefined)
      return outer === undefined || this.#isStrangers(outer, caller) ? undefined : outer;
    const meant = caller === undefined ? undefined : this.owners.meant(pidOf(name)!, caller);
    if (meant === undefined) return this.any(name);
    return outer?.owner.pid === meant ? outer : living(inner.get(meant));
  }

  /**
   * Returns whether an outer directory is that of another process than the caller means. The caller
   * is in an inner PID namespace then. To know that takes a read of a link in /proc: the owner
   * itself is spared it.
   */
  #isStrangers(directory: Directory, caller?: Caller): boolean {
    const { name, owner, isOrphaned } = directory;
    if (caller === undefined || (!isOrphaned && caller.pid === owner.pid)) return false;
    const pid = pidOf(name);
    if (pid === undefined || !this.owners.isInside(caller)) return false;
    const meant = this.owners.meant(pid, caller);
    return meant !== undefined && meant !== owner.pid;
  }

  /** Returns the name by which the notifier finds a directory: FUSE tells it no PID namespace. */
  nameForNotifier(directory: Directory): string {
    return this.isHidden(directory) ? `.twin-${directory.ino}` : directory.name;
  }

  /** Returns the hidden directory that has this name for the notifier. */
  findForNotifier(name: string): Directory | undefined {
    const ino = TWIN_NAME.exec(name)?.[1];
    return ino === undefined ? undefined : living(this.#innerByInode.get(Number(ino)));
  }
}

/** Returns the directory unless its owner is dead. */
function living<Directory extends MortalDirectory>(
  directory: Directory | undefined,
): Directory | undefined {
  return directory?.lifetime.over === true ? undefined : directory;
}

/** The parts of a directory that decide what kind of name it has. */
interface Named {
  readonly name: string;
  readonly owner: { readonly pid: Pid };
}

function isInner({ name, owner }: Named): boolean {
  const pid = pidOf(name);
  return pid !== undefined && pid !== (owner.pid as number);
}

/** Returns a key that no other directory has: a name has no slash. */
function keyOf(directory: Named): string {
  return isInner(directory) ? `${directory.name}/${directory.owner.pid}` : directory.name;
}
