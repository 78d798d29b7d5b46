/** The designs of the discussion, and their properties that figures do not show. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../../../test/support/mount/daemon.js';
import { NetlinkPeer, SocketPeer, TreePeer } from './daemon-peer.js';
import { FilesPeer } from './files-peer.js';
import type { Peer, Setting } from './peer.js';

type Family = 'eventfs' | 'messages' | 'files';

export interface Design {
  readonly id: string;
  readonly title: string;
  readonly family: Family;
  /** The system calls by which a subscriber takes events. */
  readonly how: string;
  readonly traits: Traits;
  /** Returns the reason why the design cannot run here; undefined if it can. */
  unavailable?(): string | undefined;
  make(setting: Setting, scratch: string): Peer;
}

/** Properties that figures do not show. */
interface Traits {
  readonly filters: string;
  readonly order: string;
  readonly loss: string;
  readonly permissions: string;
  readonly shell: string;
}

const FILTERED_BEFORE = 'before an event is queued';
const KERNEL_RIGHTS = 'mode, owner, group of each directory';
const IN_ORDER = 'yes';
const TOLD = 'told in place, with its number';
const EVENTFS: Traits = {
  filters: FILTERED_BEFORE,
  order: IN_ORDER,
  loss: TOLD,
  permissions: KERNEL_RIGHTS,
  shell: 'ls, cat, rm',
};
const FILES: Traits = {
  filters: 'none: every subscriber gets every event',
  order: 'by name, where names sort',
  loss: 'none told; files grow until the tmpfs is full, then all subscribers lose',
  permissions: KERNEL_RIGHTS,
  shell: 'ls, cat, rm',
};

const NOTIFIER = join(PROJECT, 'build/Release/eventfs-notify');

export const DESIGNS: readonly Design[] = [
  {
    id: 'own-stream',
    title: 'eventfs .stream',
    family: 'eventfs',
    how: "read(2) of its own directory's .stream",
    traits: EVENTFS,
    make: (setting) => new TreePeer(setting, 'own-stream'),
  },
  {
    id: 'stream',
    title: 'eventfs stream',
    family: 'eventfs',
    how: 'read(2) of stream, a cursor into the log; no directory',
    traits: { ...EVENTFS, permissions: 'mode of stream, for all alike', shell: 'cat' },
    make: (setting) => new TreePeer(setting, 'stream'),
  },
  {
    id: 'head',
    title: 'eventfs head',
    family: 'eventfs',
    how: 'poll(2), then each file through head: readlink, open, read, close, unlink',
    traits: { ...EVENTFS, loss: 'counted in .status' },
    make: (setting) => new TreePeer(setting, 'head'),
  },
  {
    id: 'inotify',
    title: 'eventfs inotify',
    family: 'eventfs',
    how: 'IN_CREATE, a listing, then each file: open, read, close, unlink',
    traits: { ...EVENTFS, loss: 'counted in .status' },
    unavailable: () => (existsSync(NOTIFIER) ? undefined : 'this build has no inotify helper'),
    make: (setting) => new TreePeer(setting, 'inotify'),
  },
  {
    id: 'socket',
    title: 'Unix socket',
    family: 'messages',
    how: 'read(2), one event a message',
    traits: {
      filters: FILTERED_BEFORE,
      order: IN_ORDER,
      loss: TOLD,
      permissions: 'mode of the one socket',
      shell: 'none without a helper',
    },
    make: (setting, scratch) => new SocketPeer(setting, 'messages', scratch),
  },
  {
    id: 'fdpass',
    title: 'fd passing',
    family: 'messages',
    how: 'recvmsg(2) of a sealed memfd, pread, close',
    traits: {
      filters: FILTERED_BEFORE,
      order: IN_ORDER,
      loss: TOLD,
      permissions: 'mode of the one socket',
      shell: 'none',
    },
    make: (setting, scratch) => new SocketPeer(setting, 'descriptors', scratch),
  },
  {
    id: 'netlink',
    title: 'netlink group',
    family: 'messages',
    how: 'recv(2), one event a datagram, receive buffer of 4 MiB',
    traits: {
      filters: 'in the receiver (BPF in its socket)',
      order: IN_ORDER,
      loss: 'told (ENOBUFS), not how much',
      permissions: 'none: every listener gets all',
      shell: 'none',
    },
    make: (setting) => new NetlinkPeer(setting),
  },
  {
    id: 'fifodir',
    title: 'fifodir + links',
    family: 'files',
    how: 'a byte in a FIFO, a listing, then each file: open, read, close, unlink',
    traits: FILES,
    make: (setting, scratch) => new FilesPeer(setting, false, scratch),
  },
  {
    id: 'cleaned',
    title: 'fifodir + cleaners',
    family: 'files',
    how: 'the same, under a wrapper that cleans up, with a catch-all that looks every second',
    traits: FILES,
    make: (setting, scratch) => new FilesPeer(setting, true, scratch),
  },
];

export function designOf(id: string): Design {
  return DESIGNS.find((design) => design.id === id)!;
}
