/** The model's functions by opcode. */
import type { Processes } from '../machine/processes.js';
import type { OpcodeName, SimReply, SimRequest } from '../machine/request.js';
import { ModelFiles } from './files.js';
import { ModelInodes } from './inodes.js';
import { ModelListings } from './listing.js';
import type { Model } from './model.js';
import { ModelNamespace } from './namespace.js';

/** Predicts the reply to a request, and applies the request's effect to the model. */
type ModelHandler = (request: SimRequest, reply: SimReply) => void;

/** The functions that predict replies. */
export interface ModelHandlers {
  readonly files: ModelFiles;
  readonly of: Partial<Record<OpcodeName, ModelHandler>>;
}

/** Returns the functions of a model. */
export function handlersOf(model: Model, processes: Processes): ModelHandlers {
  const names = new ModelNamespace(model, processes);
  const files = new ModelFiles(model, names);
  const inodes = new ModelInodes(model);
  const listings = new ModelListings(model, files);
  const of: ModelHandlers['of'] = {
    FUSE_LOOKUP: (request, reply) => names.lookup(request, reply),
    FUSE_MKDIR: (request, reply) => names.mkdir(request, reply),
    FUSE_RMDIR: (request, reply) => names.rmdir(request, reply),
    FUSE_UNLINK: (request, reply) => names.unlink(request, reply),
    FUSE_MKNOD: (request, reply) => names.mknod(request, reply),
    FUSE_SYMLINK: (request, reply) => names.mknod(request, reply),
    FUSE_LINK: (request, reply) => names.link(request, reply),
    FUSE_RENAME2: (request, reply) => names.rename(request, reply),
    FUSE_OPEN: (request, reply) => files.open(request, reply),
    FUSE_CREATE: (request, reply) => files.create(request, reply),
    FUSE_RELEASE: (request, reply) => files.release(request, reply),
    FUSE_RELEASEDIR: (request, reply) => files.release(request, reply),
    FUSE_READ: (request, reply) => files.read(request, reply),
    FUSE_WRITE: (request, reply) => files.write(request, reply),
    FUSE_SETATTR: (request, reply) => files.setattr(request, reply),
    FUSE_POLL: (request, reply) => files.poll(request, reply),
    FUSE_OPENDIR: (request, reply) => listings.opendir(request, reply),
    FUSE_READDIR: (request, reply) => listings.readdir(request, reply),
    FUSE_GETATTR: (request, reply) => inodes.getattr(request, reply),
    FUSE_READLINK: (request, reply) => inodes.readlink(request, reply),
    FUSE_SETXATTR: (request, reply) => inodes.setxattr(request, reply),
    FUSE_GETXATTR: (request, reply) => inodes.getxattr(request, reply),
    FUSE_REMOVEXATTR: (request, reply) => inodes.removexattr(request, reply),
    FUSE_FSYNC: (request, reply) => inodes.fsync(request, reply),
  };
  return { files, of };
}
