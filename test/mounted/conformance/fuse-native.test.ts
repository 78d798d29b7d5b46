/**
 * The table of POSIX cases (test/conformance/cases.ts) on a mount of the fuse-native driver, and
 * the cases with another result there. docs/drivers.md explains the reasons.
 */
import { MountByPid } from '../../conformance/by-pid.js';
import { type Difference, conforms, differs } from '../../conformance/system.js';
import { daemon, mounted } from '../../support/mount/mounted.js';

const NO_CALLER =
  'no caller is passed on: a file belongs to its directory’s user, and any user may make a directory for a process';
const NO_FLAGS = 'flags of rename and write are not passed on';
const NAMES = 'names are UTF-8, and those of directories begin with a PID';
const TIMES =
  'milliseconds from 1970 on, the modification time is set to the access time, and one alone is not set';
const PAGE_CACHE =
  'READ does not say whether it is for the page cache; so streams show a size of 0';
const BY_PATH = 'a file that is open is asked about by its path';

const DIFFERENCES: Readonly<Record<string, Difference>> = {
  'rename: with RENAME_NOREPLACE': { gives: 'rename a c 1 = EINVAL', why: NO_FLAGS },
  'names: hold any byte': { gives: 'put %FF%FE 2 = EILSEQ', why: NAMES },
  'names: have at most 255 bytes': { gives: 'mkdir ../{255} 755 = EPERM', why: NAMES },
  'a file: is copied by copy_file_range': { gives: 'copy_file_range 1 2 100 = 5', why: PAGE_CACHE },
  'a file: of a process is not read into the page cache': {
    gives: 'sendfile 1 4 100 = 5',
    why: PAGE_CACHE,
  },
  'a file: of log/ can be sent': {
    gives: 'mmap 2 1 = ENODEV',
    why: 'fuse-native has no flags for single opens',
  },
  'a directory: that is open': { gives: 'fsize 1 = ENOENT', why: BY_PATH },
  'mknod: of a FIFO takes chmod, chown, times': { gives: 'atime f = 1.000000000', why: TIMES },
  'symlinks: lead to any bytes': { gives: 'symlink %01%0A%FE%FF c = EILSEQ', why: NAMES },
  'symlinks: take times': { gives: 'atime a = 1.000000000', why: TIMES },
  'symlinks: are not replaced with RENAME_NOREPLACE': {
    gives: 'rename a c 1 = EINVAL',
    why: NO_FLAGS,
  },
  'symlinks: belong to who makes them': { gives: 'uid a = 0', why: NO_CALLER },
  'utimens: sets both times': { gives: 'atime a = 1.000000000', why: TIMES },
  'utimens: sets times before 1970': { gives: 'atime a = 0.000000000', why: TIMES },
  'utimens: leaves what is UTIME_OMIT': { gives: 'mtime a = 1.000000000', why: TIMES },
  'utimens: sets the time that it is': { gives: 'changed a = nothing', why: TIMES },
  'utimens: sets those of a directory': { gives: 'atime . = 1.000000000', why: TIMES },
  'set-id bits: are cleared by a write of an unprivileged user': {
    gives: 'mode a = 6777',
    why: NO_FLAGS,
  },
  'set-id bits: give a new file': { gives: 'uid a = 1001', why: NO_CALLER },
  'permissions: of a queue of mode 0733 let all put events in': {
    gives: 'alice: cat mine = EACCES',
    why: NO_CALLER,
  },
  'permissions: of a queue of mode 0733 keep an event that was delivered': {
    gives: 'alice: size .stream = 0',
    why: PAGE_CACHE,
  },
  'permissions: of the sticky bit': { gives: 'bob: unlink b = EPERM', why: NO_CALLER },
  'permissions: of the root let a user make a directory only for a process': {
    gives: 'size ../1 = 0',
    why: NO_CALLER,
  },
};

const native = mounted('behind fuse-native', ['--source', 'none', '--driver', 'fuse-native']);
const system = (): Promise<MountByPid> => Promise.resolve(new MountByPid(daemon.path));

conforms(
  native,
  system,
  Object.fromEntries(Object.entries(DIFFERENCES).map(([name, { why }]) => [name, why])),
);
differs(native, system, DIFFERENCES);

native.run();
