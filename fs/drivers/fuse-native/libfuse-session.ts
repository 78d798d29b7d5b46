/**
 * Extends the class of fuse-native, and replaces its parts that are wrong or missing.
 *
 * fuse-native passes each call on from a thread of libfuse, which waits for a semaphore until the
 * daemon answers. Its own index.js accepts only a few options, shows a link count of 0 as 1,
 * answers getxattr(2) with more bytes than were asked for, and unmounts by a shell command.
 */
import type { Signal } from 'fuse-native';
import { LibfuseMount } from './libfuse-mount.js';
import { STAT_WORDS, fillStat, joined, sized, toUtf8 } from './values.js';
import type { Listing } from '../../tree/nodes/directory.js';

/** The operations of one mount by libfuse. */
export class LibfuseSession extends LibfuseMount {
  // fuse-native calls `_op_<name>` for each call, and `signal` answers it. PathCalls and OpenFiles
  // document the system calls and the errors.

  _op_statfs(signal: Signal, path: string): void {
    const fields = new Uint32Array(11);
    this.serve(
      'statfs',
      path,
      (result) => signal(result, fields),
      () => fields.set(this.host.calls.statfs(path)),
    );
  }

  _op_getattr(signal: Signal, path: string): void {
    const stat = new Uint32Array(STAT_WORDS);
    this.serve(
      'getattr',
      path,
      (result) => signal(result, stat),
      () => fillStat(stat, this.host.calls.getattr(path)),
    );
  }

  _op_fgetattr(signal: Signal, path: string, fh: number): void {
    const stat = new Uint32Array(STAT_WORDS);
    this.serve(
      'fgetattr',
      path,
      (result) => signal(result, stat),
      () => fillStat(stat, this.host.files.fgetattr(fh)),
    );
  }

  _op_readdir(signal: Signal, path: string): void {
    const names: string[] = [];
    const stats: Uint32Array[] = [];
    const listing: Listing = {
      add(ino, type, name) {
        const stat = new Uint32Array(STAT_WORDS);
        stat[0] = type;
        stat[7] = ino;
        stats.push(stat);
        names.push(toUtf8(name));
        return true;
      },
    };
    this.serve(
      'readdir',
      path,
      (result) => signal(result, names, stats),
      () => this.host.calls.readdir(path, listing),
    );
  }

  _op_truncate(signal: Signal, path: string, sizeLow: number, sizeHigh: number): void {
    this.serve('truncate', path, signal, () =>
      this.host.calls.truncate(path, joined(sizeLow, sizeHigh)),
    );
  }

  _op_ftruncate(signal: Signal, path: string, fh: number, sizeLow: number, sizeHigh: number): void {
    this.serve('ftruncate', path, signal, () =>
      this.host.files.ftruncate(fh, joined(sizeLow, sizeHigh)),
    );
  }

  /** fuse-native passes the access time twice, and does not pass the modification time. */
  _op_utimens(signal: Signal, path: string, atimeLow: number, atimeHigh: number): void {
    const ms = joined(atimeLow, atimeHigh);
    this.serve('utimens', path, signal, () => this.host.calls.utimens(path, ms, ms));
  }

  _op_readlink(signal: Signal, path: string): void {
    let target = '';
    const work = (): void => void (target = this.host.calls.readlink(path));
    this.serve('readlink', path, (result) => signal(result, target), work);
  }

  _op_chown(signal: Signal, path: string, uid: number, gid: number): void {
    this.serve('chown', path, signal, () => this.host.calls.chown(path, uid, gid));
  }

  _op_chmod(signal: Signal, path: string, mode: number): void {
    this.serve('chmod', path, signal, () => this.host.calls.chmod(path, mode));
  }

  _op_mknod(signal: Signal, path: string, mode: number): void {
    this.serve('mknod', path, signal, () => this.host.calls.mknod(path, mode));
  }

  _op_setxattr(
    signal: Signal,
    path: string,
    name: string,
    value: Buffer,
    _position: number,
    flags: number,
  ): void {
    const done = (result: number): void => signal(result, value.buffer);
    this.serve('setxattr', path, done, () =>
      this.host.calls.setxattr(path, name, value.toString('latin1'), flags),
    );
  }

  _op_getxattr(signal: Signal, path: string, name: string, room: Buffer): void {
    const done = (result: number): void => signal(result, room.buffer);
    this.serve('getxattr', path, done, () => sized(room, this.host.calls.getxattr(path, name)));
  }

  _op_listxattr(signal: Signal, path: string, room: Buffer): void {
    const done = (result: number): void => signal(result, room.buffer);
    this.serve('listxattr', path, done, () => sized(room, this.host.calls.listxattr(path)));
  }

  _op_removexattr(signal: Signal, path: string, name: string): void {
    this.serve('removexattr', path, signal, () => this.host.calls.removexattr(path, name));
  }

  _op_open(signal: Signal, path: string, flags: number): void {
    this.#open('open', signal, path, () => this.host.calls.open(path, flags));
  }

  _op_create(signal: Signal, path: string, mode: number): void {
    this.#open('create', signal, path, () => this.host.calls.create(path, mode));
  }

  #open(name: string, signal: Signal, path: string, work: () => number): void {
    let fh = 0;
    this.serve(
      name,
      path,
      (result) => signal(result, fh),
      () => void (fh = work()),
    );
  }

  _op_read(
    signal: Signal,
    path: string,
    fh: number,
    bytes: Buffer,
    _length: number,
    offsetLow: number,
    offsetHigh: number,
  ): void {
    const thread = this.waiting;
    const done = (result: number): void => signal(result, 0, bytes.buffer);
    const read = { fh, offset: joined(offsetLow, offsetHigh), bytes, thread, done };
    let isKept = false;
    const work = (): number => {
      const count = this.host.read(read);
      isKept = count === undefined;
      return count ?? 0;
    };
    this.serve('read', path, (result) => isKept || done(result), work);
  }

  _op_write(
    signal: Signal,
    path: string,
    fh: number,
    bytes: Buffer,
    length: number,
    offsetLow: number,
    offsetHigh: number,
  ): void {
    const done = (result: number): void => signal(result, 0, bytes.buffer);
    this.serve('write', path, done, () =>
      this.host.files.write(fh, bytes, length, joined(offsetLow, offsetHigh)),
    );
  }

  _op_fsync(signal: Signal, path: string, _datasync: number, fh: number): void {
    this.serve('fsync', path, signal, () => this.host.files.fsync(fh));
  }

  _op_fsyncdir(signal: Signal, path: string): void {
    this.serve('fsyncdir', path, signal, () => this.host.calls.fsyncdir(path));
  }

  _op_release(signal: Signal, path: string, fh: number): void {
    this.serve('release', path, signal, () => this.host.files.release(fh));
  }

  _op_unlink(signal: Signal, path: string): void {
    this.serve('unlink', path, signal, () => this.host.calls.unlink(path));
  }

  _op_rename(signal: Signal, path: string, newPath: string): void {
    this.serve('rename', path, signal, () => this.host.calls.rename(path, newPath));
  }

  _op_link(signal: Signal, path: string, newPath: string): void {
    this.serve('link', path, signal, () => this.host.calls.link(path, newPath));
  }

  _op_symlink(signal: Signal, target: string, path: string): void {
    this.serve('symlink', path, signal, () => this.host.calls.symlink(target, path));
  }

  _op_mkdir(signal: Signal, path: string, mode: number): void {
    this.serve('mkdir', path, signal, () => this.host.calls.mkdir(path, mode));
  }

  _op_rmdir(signal: Signal, path: string): void {
    this.serve('rmdir', path, signal, () => this.host.calls.rmdir(path, this.waiting));
  }
}
