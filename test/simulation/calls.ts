/** The system calls that the simulated processes make, by chance. */
import { Errno } from '../../fs/shared/errors.js';
import type { Task } from './clients.js';
import type { Random } from './machine/random.js';
import type { SimReply, SimRequest } from './machine/request.js';
import type { Call, OpenFile } from './machine/vfs.js';
import type { ModelDirectory } from './model/directory.js';
import type { Simulation } from './simulation.js';

const [O_WRONLY, O_RDWR, O_TRUNC, O_APPEND, O_NONBLOCK] = [1, 2, 0o1000, 0o2000, 0o4000];
const FILTERS = ['K==1\n', 'K==2\n', 'K==1\nK==3\n', '', 'K\n'];
const USER_NAMES = ['a', 'b', 'c', 'head', 'tail', '.status'];
/** POLLIN, POLLERR and POLLHUP. */
const POLLED = 0x19;

type Maker = (simulation: Simulation, task: Task) => Call | null;

/** Returns the next system call of a process. */
export function callOf(simulation: Simulation, task: Task): Call {
  const { random } = simulation;
  for (;;) {
    const [, make] = pick(random, CALLS);
    const call = make(simulation, task);
    if (call !== null) return call;
  }
}

function pick<T extends readonly [number, ...unknown[]]>(random: Random, list: readonly T[]): T {
  let at = random.below(list.reduce((sum, [weight]) => sum + weight, 0));
  for (const one of list) if ((at -= one[0]) < 0) return one;
  return list[0];
}

// ---- names

function directoryOf({ model, random }: Simulation): ModelDirectory | null {
  return model.directories.length === 0 ? null : random.of(model.directories);
}

/** Returns the name of a directory that is there, or was there. */
function directoryName(simulation: Simulation, task: Task): string {
  const { random, processes } = simulation;
  const directory = random.once(12) ? null : directoryOf(simulation);
  if (directory !== null) return directory.name;
  const pid = random.once(2) ? task.process.pid : random.of(processes.living).pid;
  return random.of([`${pid}`, `${pid}.x`, `name${pid % 3}`, 'log']);
}

/** Returns the name of an event or file in a directory, or a name that is not there. */
function nameIn(simulation: Simulation, directory: string): string {
  const { random, model } = simulation;
  const found =
    directory === 'log' ? model.history : model.directories.find(({ name }) => name === directory);
  const names = found === undefined ? [] : [...found.entries, ...found.specials];
  if (names.length > 0 && !random.once(4)) return random.of(names).name;
  if (random.once(4)) return String(simulation.seqnum + random.below(3));
  return random.of(USER_NAMES);
}

function pathOf(simulation: Simulation, task: Task): string[] {
  const { random } = simulation;
  if (random.once(12)) return [random.of(['stream', 'publish', 'log', 'match'])];
  const directory = random.once(8) ? 'log' : directoryName(simulation, task);
  if (random.once(6)) return [directory];
  if (random.once(6)) return [directory, random.of(['.stream', '.filter', '.since', '.status'])];
  return [directory, nameIn(simulation, directory)];
}

function newPath(simulation: Simulation, task: Task): string[] {
  const directory = directoryName(simulation, task);
  return [directory, nameIn(simulation, directory)];
}

// ---- open files

function fileOf(
  { random }: Simulation,
  task: Task,
  takes: (file: OpenFile) => boolean,
): OpenFile | null {
  const files = task.files.filter(takes);
  return files.length === 0 ? null : random.of(files);
}

const isStream = ({ name, isDirectory }: OpenFile): boolean =>
  !isDirectory && (name === 'stream' || name === '.stream' || name.startsWith('K=='));

/** Makes a request of an open file; RELEASE waits for it. */
function* withFile(
  { vfs }: Simulation,
  file: OpenFile,
  call: () => Call<SimReply>,
): Call<SimReply> {
  file.busy++;
  const reply = yield* call();
  file.busy--;
  vfs.releaseUnused(file);
  return reply;
}

function openAt(
  simulation: Simulation,
  task: Task,
  path: readonly string[],
  flags: number,
): Call | null {
  if (!simulation.clients.mayOpen(task)) return null;
  return simulation.vfs.open(task.process, path, flags, (file) => task.files.push(file));
}

const openStream: Maker = (simulation, task) => {
  const { random } = simulation;
  const path = random.once(2)
    ? [directoryName(simulation, task), '.stream']
    : random.once(2)
      ? ['stream']
      : ['match', random.of(['K==1', 'K==2', 'K'])];
  return openAt(simulation, task, path, random.once(4) ? O_NONBLOCK : 0);
};

const openAny: Maker = (simulation, task) => {
  const { random } = simulation;
  const path = random.once(10) ? [] : pathOf(simulation, task);
  const name = path[path.length - 1];
  const flags =
    name === 'publish' ? O_WRONLY : random.of([0, 0, O_WRONLY, O_RDWR, O_RDWR | O_TRUNC]);
  return openAt(simulation, task, path, flags);
};

const createFile: Maker = (simulation, task) => {
  const { random, vfs, clients } = simulation;
  if (!clients.mayOpen(task)) return null;
  const flags = random.of([O_WRONLY, O_RDWR, 0]);
  return vfs.create(task.process, newPath(simulation, task), flags, 0o644, (file) =>
    task.files.push(file),
  );
};

const closeFile: Maker = (simulation, task) => {
  const file = fileOf(simulation, task, () => true);
  if (file === null) return null;
  task.files.splice(task.files.indexOf(file), 1);
  simulation.vfs.close(file);
  return done();
};

// eslint-disable-next-line require-yield
function* done(): Call {
  return 0;
}

const read: Maker = (simulation, task) => {
  const { random, vfs } = simulation;
  const file = fileOf(
    simulation,
    task,
    (one) => !one.isDirectory && (one.flags & 3) !== O_WRONLY && one.name !== 'publish',
  );
  if (file === null) return null;
  const size = random.once(4) ? random.between(1, 120) : 4096 << random.below(5);
  const offset = isStream(file) ? 0 : random.of([0, 0, file.offset]);
  return (function* (): Call {
    const { errno, body } = yield* withFile(simulation, file, () =>
      vfs.ofFile('FUSE_READ', task.process, file, (request) => {
        Object.assign(request, { size, offset, flags: file.flags });
      }),
    );
    file.offset = offset + body.length;
    return errno;
  })();
};

const write: Maker = (simulation, task) => {
  const { random } = simulation;
  const file = fileOf(
    simulation,
    task,
    (one) => !one.isDirectory && (one.flags & 3) !== 0 && one.name !== 'publish',
  );
  if (file === null) return null;
  const isAppend = random.once(3);
  const data = dataFor(simulation, file.name);
  const offset = isAppend || file.name.startsWith('.') ? 0 : random.of([0, 0, 10, file.offset]);
  return writeTo(simulation, task, file, data, offset, isAppend ? O_APPEND : 0);
};

function dataFor({ random, seqnum }: Simulation, name: string): string {
  if (name === '.filter') return random.of(FILTERS) || 'K==2\n';
  if (name === '.since') return `${Math.max(0, seqnum - random.below(30))}\n`;
  return random.of(['x', 'mine@/x\n', 'a@/b\nK=1\n', 'z'.repeat(random.between(1, 300))]);
}

function* writeTo(
  simulation: Simulation,
  { process }: Task,
  file: OpenFile,
  data: string,
  offset: number,
  flags: number,
): Call {
  const { errno, body } = yield* withFile(simulation, file, () =>
    simulation.vfs.ofFile('FUSE_WRITE', process, file, (request: SimRequest) => {
      Object.assign(request, { data, offset, size: data.length, flags: flags | file.flags });
    }),
  );
  if (errno === 0) file.offset = offset + body.readUInt32LE(0);
  return errno;
}

/** Publishes: one event, one by lines, several, or a part of a file. */
const publish: Maker = (simulation, task) => {
  const { random } = simulation;
  const file = fileOf(simulation, task, ({ name }) => name === 'publish');
  if (file === null) return openAt(simulation, task, ['publish'], O_WRONLY);
  if (task.publishes === '') task.publishes = recordsOf(simulation);
  const length = random.once(2) ? task.publishes.length : random.between(1, task.publishes.length);
  const data = task.publishes.slice(0, length);
  task.publishes = task.publishes.slice(length);
  return writeTo(simulation, task, file, data, 0, 0);
};

function recordsOf({ random, seqnum }: Simulation): string {
  let text = '';
  for (let n = random.between(1, 3); n > 0; n--) {
    text += `change@/mine/${random.below(10)}\n`;
    if (!random.once(3)) text += `ACTION=change\nK=${random.between(1, 3)}\n`;
    if (random.once(6)) text += `SEQNUM=${seqnum + random.between(-3, 3)}\n`;
    if (n > 1 || random.once(2)) text += '\n'.repeat(random.between(1, 2));
  }
  if (random.once(12)) text += 'nonsense\n';
  return text.replace(/SEQNUM=-\d+\n/, '');
}

const poll: Maker = (simulation, task) => {
  const { random, vfs } = simulation;
  const file = fileOf(
    simulation,
    task,
    (one) => !one.isDirectory && (isStream(one) || random.once(4)),
  );
  if (file === null) return null;
  const waits = random.once(2) && isStream(file);
  return (function* (): Call {
    for (let n = 0; n < 3; n++) {
      file.isWoken = false;
      const { errno, body } = yield* withFile(simulation, file, () =>
        vfs.ofFile('FUSE_POLL', task.process, file, (request) => {
          Object.assign(request, { target: file.pollKey, flags: POLLED });
        }),
      );
      if (errno !== 0 || !waits || body.readUInt32LE(0) !== 0) return errno;
      file.busy++;
      const woken = yield file;
      file.busy--;
      vfs.releaseUnused(file);
      if (woken.errno !== 0) return woken.errno;
    }
    return 0;
  })();
};

const readdir: Maker = (simulation, task) => {
  const { random, vfs } = simulation;
  const file = fileOf(simulation, task, ({ isDirectory }) => isDirectory);
  if (file === null)
    return openAt(simulation, task, random.once(4) ? [] : [directoryName(simulation, task)], 0);
  if (random.once(4)) file.offset = 0;
  const size = random.of([4096, 4096, 160, 100]);
  return (function* (): Call {
    const { errno, body } = yield* withFile(simulation, file, () =>
      vfs.ofFile('FUSE_READDIR', task.process, file, (request) => {
        Object.assign(request, { offset: file.offset, size });
      }),
    );
    if (errno === 0) file.offset = lastOffset(body, file.offset);
    return errno;
  })();
};

function lastOffset(body: Buffer, before: number): number {
  let last = before;
  for (let at = 0; at < body.length; at += (24 + body.readUInt32LE(at + 16) + 7) & ~7)
    last = body.readUInt32LE(at + 8) + body.readUInt32LE(at + 12) * 2 ** 32;
  return last;
}

// ---- names

const mkdir: Maker = (simulation, task) => {
  const { random, vfs, processes } = simulation;
  const { pid } = random.once(4) ? random.of(processes.living) : task.process;
  const name = random.of([`${pid}`, `${pid}`, `${pid}.x`, `name${pid % 3}`, '0', '99999', 'log']);
  const mode = random.of([0o755, 0o700, 0o2777]);
  return vfs.make(
    'FUSE_MKDIR',
    task.process,
    random.once(20) ? ['log', name] : [name],
    (request) => {
      request.mode = mode;
    },
  );
};

const mknod: Maker = (simulation, task) => {
  const { random, vfs } = simulation;
  const mode = random.of([0o100644, 0o010600, 0o140600, 0o020600]);
  return vfs.make('FUSE_MKNOD', task.process, newPath(simulation, task), (request) => {
    request.mode = mode;
  });
};

const symlink: Maker = (simulation, task) => {
  const { vfs } = simulation;
  return vfs.make('FUSE_SYMLINK', task.process, newPath(simulation, task), (request) => {
    request.other = 'somewhere';
  });
};

const link: Maker = (simulation, task) =>
  simulation.vfs.link(task.process, pathOf(simulation, task), newPath(simulation, task));

const unlink: Maker = (simulation, task) =>
  simulation.vfs.remove('FUSE_UNLINK', task.process, pathOf(simulation, task));

const rmdir: Maker = (simulation, task) =>
  simulation.vfs.remove('FUSE_RMDIR', task.process, [directoryName(simulation, task)]);

const rename: Maker = (simulation, task) =>
  simulation.vfs.rename(
    task.process,
    pathOf(simulation, task),
    newPath(simulation, task),
    simulation.random.once(4),
  );

// ---- attributes

const stat: Maker = (simulation, task) =>
  simulation.vfs.ofPath('FUSE_GETATTR', task.process, pathOf(simulation, task), () => undefined);

const readlink: Maker = (simulation, task) => {
  const directory = directoryName(simulation, task);
  const name = simulation.random.once(2) ? 'head' : nameIn(simulation, directory);
  return simulation.vfs.readlink(task.process, [directory, name]);
};

const setattr: Maker = (simulation, task) => {
  const { random, vfs } = simulation;
  const path = random.once(3) ? [directoryName(simulation, task)] : pathOf(simulation, task);
  const valid = random.of([1, 2, 4, 6, 8, 9]);
  const values = {
    valid,
    mode: random.of([0o644, 0o600, 0o777, 0o6755]),
    newUid: random.of([0, 1000, 1001]),
    newGid: random.of([0, 100]),
    size: random.of([0, 0, 5, 400]),
  };
  return vfs.ofPath('FUSE_SETATTR', task.process, path, (request) => {
    Object.assign(request, values);
  });
};

const XATTRS = [
  'user.eventfs_sticky',
  'user.eventfs.filter',
  'user.eventfs.pending',
  'user.eventfs.lost',
  'user.eventfs.source',
  'user.other',
];

const xattr: Maker = (simulation, task) => {
  const { random, vfs } = simulation;
  const path = random.once(3) ? pathOf(simulation, task) : [directoryName(simulation, task)];
  const op = random.of(['FUSE_SETXATTR', 'FUSE_GETXATTR', 'FUSE_REMOVEXATTR'] as const);
  const name = random.of(XATTRS);
  const values = {
    name,
    size: 4096,
    flags: op === 'FUSE_SETXATTR' ? random.of([0, 0, 1, 2]) : 0,
    data: name === 'user.eventfs.filter' ? random.of(FILTERS) : '',
  };
  return vfs.ofPath(op, task.process, path, (request) => {
    Object.assign(request, values);
  });
};

const fsync: Maker = (simulation, task) => {
  const { vfs } = simulation;
  const file = fileOf(simulation, task, ({ isDirectory }) => !isDirectory);
  if (file === null) return null;
  return (function* (): Call {
    const { errno } = yield* withFile(simulation, file, () =>
      vfs.ofFile('FUSE_FSYNC', task.process, file, () => undefined),
    );
    return errno;
  })();
};

const CALLS: readonly (readonly [number, Maker])[] = [
  [8, mkdir],
  [2, rmdir],
  [10, openStream],
  [5, openAny],
  [5, createFile],
  [8, closeFile],
  [30, read],
  [9, write],
  [8, publish],
  [4, poll],
  [6, readdir],
  [2, mknod],
  [2, symlink],
  [6, link],
  [6, unlink],
  [6, rename],
  [4, stat],
  [2, readlink],
  [4, setattr],
  [5, xattr],
  [1, fsync],
];

export { Errno };
