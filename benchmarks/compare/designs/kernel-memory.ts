/** Estimates the kernel memory of unread events. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const PAGE_BYTES = 4096;
/** <linux/netlink.h> */
const NETLINK_KOBJECT_UEVENT = 15;

/**
 * Returns the bytes of an object of a slab cache: slabinfo(5); `otherwise` if that is unreadable.
 */
function slabObjectBytes(cache: string, otherwise: number): number {
  try {
    const line = readFileSync('/proc/slabinfo', 'latin1')
      .split('\n')
      .find((each) => each.startsWith(`${cache} `));
    return line === undefined ? otherwise : Number(line.split(/\s+/)[3]);
  } catch {
    return otherwise;
  }
}

/** Returns the bytes of a memfd: whole pages, an inode, a dentry and an open file. */
export function memfdBytes(size: number): number {
  return pagesBytes(size) + INODE_BYTES + DENTRY_BYTES + slabObjectBytes('filp', 256);
}

function pagesBytes(size: number): number {
  return Math.ceil(size / PAGE_BYTES) * PAGE_BYTES;
}

export const INODE_BYTES = slabObjectBytes('shmem_inode_cache', 800);
export const DENTRY_BYTES = slabObjectBytes('dentry', 192);
export const SKB_HEAD_BYTES = slabObjectBytes('skbuff_head_cache', 256);

/**
 * Returns the bytes between a Unix socket's server and its clients, with overhead: ss(8), skmem,
 * `t`.
 */
export function socketBytes(path: string): number {
  const out = execFileSync('ss', ['-xaHm', 'src', path], {
    encoding: 'latin1',
    maxBuffer: 64 * 1024 * 1024,
  });
  return [...out.matchAll(/skmem:\(r\d+,rb\d+,t(\d+),/g)].reduce(
    (all, [, bytes]) => all + Number(bytes),
    0,
  );
}

/** Returns the charged bytes and the number of uevent sockets in a process's network namespace. */
export function netlinkCharge(pid: number): { bytes: number; sockets: number } {
  const rows = readFileSync(`/proc/${pid}/net/netlink`, 'latin1')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, protocol]) => Number(protocol) === NETLINK_KOBJECT_UEVENT);
  return {
    bytes: rows.reduce((all, [, , , , rmem]) => all + Number(rmem), 0),
    sockets: rows.length,
  };
}
