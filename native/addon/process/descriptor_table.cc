#include "process/descriptor_table.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <system_error>
#include <thread>

#include "descriptor.h"

namespace eventfs {

/** The first size: 32 KiB of the kernel's memory. */
static constexpr rlim_t kFirstRoom = 4096;
/** How many times as large each further size is. */
static constexpr rlim_t kFactor = 4;

/** How many descriptors the table has room for, as far as this file has made it. */
static std::atomic<rlim_t> room{0};
static std::atomic<bool> isGrowing{false};

/** Makes room for descriptors below `wanted`. A descriptor with the highest number has it made. */
static void grow(rlim_t wanted) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the signals of the process are for its main thread
  Descriptor any(eventfd(0, EFD_CLOEXEC));
  Descriptor highest(fcntl(any.get(), F_DUPFD_CLOEXEC, static_cast<int>(wanted - 1)));
  // If it fails, the kernel doubles the table itself when it is full
  room = wanted;
  isGrowing = false;
}

void growDescriptorTableFor(int fd) {
  rlim_t now = room;
  if (static_cast<rlim_t>(fd) < now / 2 || isGrowing) return;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  rlim_t wanted = std::min(std::max(kFirstRoom, kFactor * now), limit.rlim_cur);
  if (wanted <= now) return;
  isGrowing = true;
  try {
    std::thread(grow, wanted).detach();
  } catch (const std::system_error&) {
    // The user may have no more threads: the kernel doubles the table itself
    room = wanted;
    isGrowing = false;
  }
}

}  // namespace eventfs
