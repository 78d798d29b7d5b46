/** The nodes and open files of a tree, by the numbers under which the kernel knows them. */
import type { Caller } from '../owners/owners.js';
import { Errno, FsError } from '../shared/errors.js';
import type { Recorder } from '../state/recorder.js';
import { HandleTable, chargeOpen } from './handle-table.js';
import { Directory } from './nodes/directory.js';
import { EventDirectory } from './nodes/event-directory.js';
import { EVENT_DIRECTORY_INODES } from './nodes/fixed/fixed-names.js';
import { type FileHandle, type Handle, type Node, type NodeId, ROOT_ID } from './nodes/node.js';
import type { RootDirectory } from './nodes/root-directory.js';
import type { QuotaAccount } from './quota/account.js';
import type { QuotaLedger } from './quota/ledger.js';

/** The reason in an ESTALE. A constant, because a thousand readers may get one at once. */
const NODE_ENDED = 'the directory has ended, with its owner or by rmdir';

/** More lookups than the kernel forgets while a node lives, and still a small integer of V8. */
const LOOKUPS_UNKNOWN = 2 ** 29;

/**
 * The base class of the tree, so that a driver's call with a number finds its node without a call
 * of another object.
 */
export abstract class KnownObjects {
  abstract readonly root: RootDirectory;
  abstract readonly ledger: QuotaLedger;
  /** The nodes that the kernel knows. */
  readonly #nodes = new Map<NodeId, Node>();
  readonly #handles: HandleTable;

  /** @param recorder records the changes for a later daemon; null without a guardian */
  constructor(readonly recorder: Recorder | null) {
    this.#handles = new HandleTable(recorder);
  }

  /** Enters the root, which the kernel knows from the beginning. */
  protected addRoot(root: RootDirectory): void {
    this.#nodes.set(ROOT_ID, root);
  }

  /** The number of nodes that the kernel knows. */
  protected get nodeCount(): number {
    return this.#nodes.size;
  }

  /**
   * Finds a node by the kernel's number.
   * @throws FsError ESTALE if the node has ended
   */
  node(id: NodeId): Node {
    const node = this.#nodes.get(id) ?? this.#fixture(id);
    if (node === undefined || node.lifetime.over) throw new FsError(Errno.ESTALE, NODE_ENDED);
    return node;
  }

  /** Returns whether `node` refuses the id. */
  hasEnded(id: NodeId): boolean {
    return (this.#nodes.get(id) ?? this.#fixture(id))?.lifetime.over ?? true;
  }

  /**
   * Finds a fixed name that the kernel knows from the last daemon: its node id follows from that of
   * its directory. The kernel repeats an open(2) that fails by ESTALE only once, and the daemon may
   * die again meanwhile.
   */
  #fixture(id: NodeId): Node | undefined {
    if (this.recorder === null) return undefined;
    for (let offset = 1; offset < EVENT_DIRECTORY_INODES; offset++) {
      const directory = this.#nodes.get((id - offset) as NodeId);
      if (!(directory instanceof EventDirectory)) continue;
      const node = directory.fixtureAt(offset);
      if (node?.id !== id) return undefined;
      this.remember(node);
      return node;
    }
    return undefined;
  }

  /** Returns the node that the kernel knows by a number, or undefined; the root is always known. */
  known(id: NodeId): Node | undefined {
    const fixed = this.root.fixed(id);
    return fixed ?? this.#nodes.get(id);
  }

  /**
   * Returns the reason, in words, that a lookup found nothing. For the trace.
   * @param parent the directory's node id
   * @param name the name that was looked up
   */
  whyNotFound(parent: NodeId, name: string): string {
    const node = this.#nodes.get(parent);
    return node instanceof Directory ? node.whyNotFound(name) : NODE_ENDED;
  }

  /** Adds 1 to a node's lookup count: a reply names the node, and the kernel counts it too. */
  remember(node: Node): void {
    if (node.lookups++ === 0) this.#nodes.set(node.id, node);
  }

  /**
   * Enters a node of the last daemon that no FORGET removes: how often the kernel has looked it up
   * is unknown, and a process may have it as its working directory. The tree keeps it anyway.
   * @param node a directory, or a fixed name of the root
   */
  rememberAlways(node: Node): void {
    this.remember(node);
    node.lookups = LOOKUPS_UNKNOWN;
  }

  /**
   * FORGET: lowers a node's lookup count. At zero the kernel does not know the node any more, and
   * the tree drops it from the table of nodes.
   * @param lookups the number to subtract
   */
  forget(id: NodeId, lookups: number): void {
    const node = this.#nodes.get(id);
    if (node === undefined || id === ROOT_ID) return;
    node.lookups -= lookups;
    if (node.lookups > 0) return;
    if (node.opens > 0) {
      // The kernel knows the node of an open file, so the last daemon's lookups were among these.
      node.lookups = 1;
      return;
    }
    node.lookups = 0;
    this.#nodes.delete(id);
    node.forgotten();
  }

  /**
   * Removes an ended node from the table of nodes, before the kernel's FORGET. The kernel keeps the
   * inode until it needs the memory, even with time-outs of zero (fs/fuse/dir.c: only virtiofs uses
   * delete_stale). Its later FORGET finds no node, and `forget` ignores it.
   */
  disown(node: Node): void {
    this.#nodes.delete(node.id);
  }

  /**
   * Charges the caller for an open file of `node`, before the open. `enter` or a refund must
   * follow.
   * @returns the charged account
   * @throws FsError the errors of `chargeOpen` (handle-table.ts)
   */
  chargeOpen(node: Node, { uid, gid }: Caller): QuotaAccount {
    const account = this.ledger.account(uid, gid);
    chargeOpen(account, node.openHeap);
    return account;
  }

  /**
   * Does the same as `chargeOpen` for an open directory, which needs no memory.
   * @returns undefined if a quota refuses the charge
   */
  tryChargeDirectory(node: Directory, { uid, gid }: Caller): QuotaAccount | undefined {
    const account = this.ledger.account(uid, gid);
    return account.tryChargeOpen(node.openHeap) ? account : undefined;
  }

  /**
   * Enters an open file into the table, under the number by which the kernel will call it
   * (fuse_open_out.fh).
   * @param handle the open file
   * @param account the account that `chargeOpen` has charged
   * @param heap the charged memory, in bytes
   * @returns the number
   */
  enter(handle: Handle, account: QuotaAccount, heap: number): FileHandle {
    return this.#handles.enter(handle, account, heap);
  }

  /**
   * Finds an open file by the kernel's number.
   * @throws FsError ESTALE if the open node has ended, EBADF if no file has that number
   */
  handle(fh: FileHandle): Handle {
    return this.#handles.get(fh);
  }

  /** All open files, for the restoring of the tree and for a compaction of its state. */
  get handles(): HandleTable {
    return this.#handles;
  }

  /**
   * RELEASE: the last descriptor is closed. Removes the open file and refunds its memory.
   * @returns its node, which may have ended; undefined if no file has that number
   */
  leave(fh: FileHandle): Node | undefined {
    return this.#handles.leave(fh);
  }
}
