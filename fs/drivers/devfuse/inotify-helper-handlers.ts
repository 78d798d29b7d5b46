/**
 * The requests of the helper that raises inotify events (native/notifier/): some mean something else than those of all others.
 *
 * The helper finds ghosts, the directories of dead owners, and removes them. It finds no event that it has to announce: else it
 * could not make one (fs/tree/inotify-queue.ts).
 */
import { Errno } from '../../shared/errors.js';
import { DONE, type Outcome } from '../../fuse/opcodes.js';
import type { Reply } from '../../fuse/reply.js';
import type { Request } from '../../fuse/request.js';
import type { SpecialCaller } from '../../fuse/session.js';
import { EventDirectory } from '../../tree/nodes/event-directory.js';
import { EventFile } from '../../tree/nodes/event-file.js';
import { WrittenEvent } from '../../tree/written-event.js';
import { NAME_MAX } from '../common/calls.js';
import { TreeHandlers } from './handlers.js';

export class InotifyHelperHandlers extends TreeHandlers implements SpecialCaller {
  get pid(): number {
    return this.tree.inotify.helper;
  }

  get handlers(): this {
    return this;
  }

  /** fuse_entry_out of a ghost or a file; ENOENT for an event to be made, EALREADY for one that has been taken meanwhile. */
  override lookup(request: Request, reply: Reply): Outcome {
    const { inotify } = this.tree;
    const directory = this.directory(request);
    const name = request.name();
    if (name.length > NAME_MAX) return Errno.ENAMETOOLONG;
    // EALREADY spares us the helper's mknod(2).
    if (directory instanceof EventDirectory) return inotify.isUnmade(directory, name) ? Errno.ENOENT : Errno.EALREADY;
    const node = inotify.ghost(name) ?? directory.lookup(name);
    if (node === undefined) return Errno.ENOENT;
    this.entry(reply, node);
    return DONE;
  }

  /** Makes an event that is there already: the kernel raises IN_CREATE. ENOENT when it has been taken meanwhile. */
  override mknod(request: Request, reply: Reply): Outcome {
    const { inotify } = this.tree;
    const directory = this.directory(request);
    request.skip(16); // mode, rdev, umask, padding
    const name = this.name(request);
    if (!(directory instanceof EventDirectory) || !inotify.made(directory, name)) return Errno.ENOENT;
    const node = directory.lookup(name);
    if (!(node instanceof EventFile) || node.event instanceof WrittenEvent) return Errno.ENOENT;
    inotify.wasRaised(directory);
    this.entry(reply, node);
    return DONE;
  }

  /** Removes a ghost and nothing else. Not ENOENT, which would take a new directory of that name out of the kernel's cache. */
  override rmdir(request: Request): Outcome {
    this.directory(request);
    return this.tree.inotify.removeGhost(this.name(request)) ? DONE : Errno.ENOTEMPTY;
  }
}
