/**
 * The handlers of the notifier's requests, the helper that raises inotify events
 * (native/notifier/). Some of its requests mean something else than those of other processes.
 *
 * The notifier finds ghosts, the directories of dead owners, and removes them. It finds no event
 * that it has to announce: a file that exists can't be made (fs/tree/inotify/inotify-queue.ts).
 */
import { Errno, NOT_FOUND } from '../../../shared/errors.js';
import { DONE, type Handlers } from '../../../fuse/opcodes.js';
import type { Outcome, Reply } from '../../../fuse/reply.js';
import type { Request } from '../../../fuse/request.js';
import type { SpecialCaller } from '../../../fuse/session.js';
import { EventDirectory } from '../../../tree/nodes/event-directory.js';
import { EventFile } from '../../../tree/nodes/event-file.js';
import type { Tree } from '../../../tree/tree.js';
import { WrittenEvent } from '../../../tree/written/written-event.js';
import { NAME_TOO_LONG } from '../../common/calls.js';
import { NAME_MAX } from '../../../shared/kernel/name-max.js';
import { directoryOf, nameOf, replyEntry } from './operands.js';

/** The reasons of errors. */
const TO_BE_MADE = 'the notifier has to make the event';
const POPPED = 'a process has popped the event since';

/** Serves the requests of the notifier. */
export class InotifyHelperHandlers implements SpecialCaller {
  readonly handlers: Handlers;

  /**
   * @param others the handlers of other processes' requests; most of them serve the notifier too
   */
  constructor(
    private readonly tree: Tree,
    others: Handlers,
  ) {
    this.handlers = {
      ...others,
      lookup: this.#lookup.bind(this),
      mknod: this.#mknod.bind(this),
      rmdir: this.#rmdir.bind(this),
    };
  }

  /** The notifier's PID; -1 while there is none. */
  get pid(): number {
    return this.tree.inotify.notifierPid;
  }

  /**
   * Replies fuse_entry_out of a ghost or a file. Fails with ENOENT for an event that the notifier
   * has to make, and with EALREADY for an event that a process has popped since.
   */
  #lookup(request: Request, reply: Reply): Outcome {
    const { inotify } = this.tree;
    const directory = directoryOf(this.tree, request);
    const name = request.name();
    if (name.length > NAME_MAX) return reply.refuse(Errno.ENAMETOOLONG, NAME_TOO_LONG);
    // After EALREADY the notifier does not try mknod(2).
    if (directory instanceof EventDirectory)
      return inotify.isUnmade(directory, name)
        ? reply.refuse(Errno.ENOENT, TO_BE_MADE)
        : reply.refuse(Errno.EALREADY, POPPED);
    const node =
      inotify.ghost(name) ?? this.tree.root.names.findForNotifier(name) ?? directory.lookup(name);
    if (node === undefined) return reply.refuse(Errno.ENOENT, NOT_FOUND);
    if (node instanceof EventDirectory) inotify.heldBack.lookedUp(node);
    replyEntry(this.tree, reply, node);
    return DONE;
  }

  /**
   * Replies fuse_entry_out of an event that exists already. The kernel then raises IN_CREATE. Fails
   * with ENOENT if a process has popped the event since.
   */
  #mknod(request: Request, reply: Reply): Outcome {
    const { inotify } = this.tree;
    const directory = directoryOf(this.tree, request);
    request.skip(16); // mode, rdev, umask, padding
    const name = nameOf(request);
    if (!(directory instanceof EventDirectory) || !inotify.made(directory, name))
      return reply.refuse(Errno.ENOENT, POPPED);
    const node = directory.lookup(name);
    if (!(node instanceof EventFile) || node.event instanceof WrittenEvent)
      return reply.refuse(Errno.ENOENT, POPPED);
    inotify.countRaised(directory);
    replyEntry(this.tree, reply, node);
    return DONE;
  }

  /**
   * Removes a ghost, the name of a dead owner's directory. Empty reply; fails with ENOTEMPTY for
   * anything else. It does not fail with ENOENT, because the kernel would then drop a new directory
   * of that name from its cache.
   */
  #rmdir(request: Request, reply: Reply): Outcome {
    directoryOf(this.tree, request);
    return this.tree.inotify.removeGhost(nameOf(request))
      ? DONE
      : reply.refuse(Errno.ENOTEMPTY, 'not a ghost');
  }
}
