/** For commands that use a mount: whether there is one. */
import { realpathSync } from 'node:fs';
import { mountPath, probe } from '../drivers/mount-point.js';
import { Refusal } from '../errno.js';

/** The mount's path, where `directory` may be a symlink to it. Throws {@link Refusal} when nothing of ours is there or nobody serves it. */
export async function requireMount(directory: string): Promise<string> {
  const path = mountPath(directory);
  const state = await probe(path);
  const target = state === 'none' ? targetOf(path) : path;
  if (target !== path) return requireMount(target);
  switch (state) {
    case 'alive':
      return path;
    case 'stale':
      throw new Refusal(`${path}: its daemon was killed (try eventfs mount ${path})`);
    case 'stuck':
      throw new Refusal(`${path}: its daemon does not answer (try eventfs umount ${path})`);
    default:
      throw new Refusal(`${path}: eventfs is not mounted here (try eventfs mount ${path}, or --mount DIR)`);
  }
}

/** What a symlink leads to; itself for anything else. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
