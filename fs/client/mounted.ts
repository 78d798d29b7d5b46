/** For commands that use a mount: whether there is one. */
import { mountPath, probe } from './probe.js';
import { UserError } from '../shared/errors.js';

/** The mount's path, where `directory` may be a symlink to it. Throws {@link UserError} when nothing of ours is there or nobody serves it. */
export async function requireMount(directory: string): Promise<string> {
  const path = mountPath(directory);
  switch (await probe(path)) {
    case 'alive':
      return path;
    case 'stale':
      throw new UserError(`${path}: its daemon was killed (try eventfs mount ${path})`);
    case 'stuck':
      throw new UserError(`${path}: its daemon does not answer (try eventfs umount ${path})`);
    default:
      throw new UserError(
        `${path}: eventfs is not mounted here (try eventfs mount ${path}, or --mount DIR)`,
      );
  }
}
