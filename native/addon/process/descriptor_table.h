#pragma once

namespace eventfs {

/**
 * Has another thread enlarge this process's table of descriptors if `fd` is in its upper half.
 *
 * The kernel doubles the table once it is full. In a process with threads it then waits until each
 * CPU has passed a quiescent state (fs/file.c, expand_fdtable): 4 to 27 ms on a busy machine, for
 * which a daemon that needs one more pidfd would serve no request.
 */
void growDescriptorTableFor(int fd);

}  // namespace eventfs
