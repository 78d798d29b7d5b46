/**
 * The requests of the helper that raises inotify events (native/notifier/): some mean something else than those of all others.
 *
 * The helper finds ghosts, the directories of dead owners, and removes them. It finds no event that it has to announce: else it
 * could not make one (fs/tree/inotify-queue.ts).
 */
import { Errno, NOT_FOUND } from '../../shared/errors.js';
import { DONE } from '../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../fuse/reply.js';
import type { Request } from '../../fuse/request.js';
import type { SpecialCaller } from '../../fuse/session.js';
import { EventDirectory } from '../../tree/nodes/event-directory.js';
import { EventFile } from '../../tree/nodes/event-file.js';
import { WrittenEvent } from '../../tree/written-event.js';
import { NAME_MAX, NAME_TOO_LONG } from '../common/calls.js';
import { TreeHandlers } from './handlers.js';

/** Why the helper is refused. */
const TO_BE_MADE = 'the helper is to make it';
const TAKEN = 'the event has been taken meanwhile';

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
    if (name.length > NAME_MAX) return reply.refuse(Errno.ENAMETOOLONG, NAME_TOO_LONG);
    // EALREADY spares us the helper's mknod(2).
    if (directory instanceof EventDirectory)
      return inotify.isUnmade(directory, name)
        ? reply.refuse(Errno.ENOENT, TO_BE_MADE)
        : reply.refuse(Errno.EALREADY, TAKEN);
    const node = inotify.ghost(name) ?? directory.lookup(name);
    if (node === undefined) return reply.refuse(Errno.ENOENT, NOT_FOUND);
    this.entry(reply, node);
    return DONE;
  }

  /** Makes an event that is there already: the kernel raises IN_CREATE. ENOENT when it has been taken meanwhile. */
  override mknod(request: Request, reply: Reply): Outcome {
    const { inotify } = this.tree;
    const directory = this.directory(request);
    request.skip(16); // mode, rdev, umask, padding
    const name = this.name(request);
    if (!(directory instanceof EventDirectory) || !inotify.made(directory, name))
      return reply.refuse(Errno.ENOENT, TAKEN);
    const node = directory.lookup(name);
    if (!(node instanceof EventFile) || node.event instanceof WrittenEvent)
      return reply.refuse(Errno.ENOENT, TAKEN);
    inotify.wasRaised(directory);
    this.entry(reply, node);
    return DONE;
  }

  /** Removes a ghost and nothing else. Not ENOENT, which would take a new directory of that name out of the kernel's cache. */
  override rmdir(request: Request, reply: Reply): Outcome {
    this.directory(request);
    return this.tree.inotify.removeGhost(this.name(request))
      ? DONE
      : reply.refuse(Errno.ENOTEMPTY, 'it is no ghost');
  }
}
