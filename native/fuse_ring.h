#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "descriptor.h"
#include "io_ring.h"

namespace eventfs {

/**
 * FUSE_OVER_IO_URING (Linux 6.14): requests come into memory of ours, and one io_uring_enter(2) takes all replies that are
 * due and brings all requests that wait.
 *
 * The kernel has a queue for each CPU, and a request goes to the one of the CPU that its caller runs on. A queue has
 * *entries*, a place for one request and its reply each, which are registered once and for all. An entry is idle (the
 * kernel has it) or held (we have a request in it that is not answered yet). A blocked read holds its entry.
 *
 * Everything happens on the thread that has called `prepare`, and requests come only inside of `enter`.
 *
 * A request that finds no idle entry waits in the kernel for a reply on its queue: entries that are registered later are not
 * given to it. So there are always more than are likely to be needed, and `starvedQueue` names a queue where that was not
 * enough: a request by somebody else on that CPU has to help out.
 */
class FuseRing {
 public:
  enum class Sent { kNotHeld, kQueued, kTooLong };

  FuseRing() = default;
  FuseRing(const FuseRing&) = delete;
  FuseRing& operator=(const FuseRing&) = delete;
  ~FuseRing() { close(); }

  /** io_uring_setup(2), and memory for the first entries of `queues` queues. False, with errno, when it can't be had. */
  bool prepare(int fuseFd, uint32_t queues, size_t payloadBytes);
  /** Whether it is set up, and not started yet. */
  bool isPrepared() const { return ring_.isOpen() && queueCount_ > 0 && !isStarted_; }
  /** Registers the entries, which the kernel takes once INIT is answered; 0 or an errno. */
  int start();
  bool isStarted() const { return isStarted_; }
  /** Whether requests come this way: every queue has an entry. */
  bool isServing() const;
  /** Readable when something has come since `rest`: an eventfd(2), since epoll is not told of a ring's deferred work. */
  int wakeFd() const { return wake_.get(); }
  /** Takes the event off `wakeFd`, which is not raised again until `rest`. */
  void wake();
  /** Has `wakeFd` raised by what comes from now on, and by what has come. */
  void rest();
  void close();

  /** Whether `enter` has anything to do: looks at memory only. */
  bool isDue() const;
  /** Submits the replies and takes what waits (io_uring_enter(2)); 0 or an errno. */
  int enter();

  /** Begins with what was brought by now. False when there is nothing. */
  bool beginBatch();
  /** The next request of the batch; nullptr at its end. */
  const fuse_in_header* peek();
  /** Copies it, as read(2) of /dev/fuse would have given it; its length. From now on it is held. */
  size_t take(uint8_t* to, size_t room);

  /** Queues the reply to a held request: a fuse_out_header and what follows it. */
  Sent send(uint64_t unique, const iovec* parts, int count);

  /** So many requests may come to block at once: there are entries for all of them on every queue. */
  void expectBlocked(uint32_t most);
  /** A queue on which requests may wait that no reply will bring, or -1. */
  int32_t starvedQueue() const;

 private:
  struct Entry;
  struct Queue {
    /** Idle entries, as far as we know; and those that will be with the next `enter`. */
    uint32_t idle = 0;
    uint32_t queued = 0;
    /** How many are left of those that were idle when entries were added last: generation tells them. */
    uint32_t oldIdle = 0;
    uint32_t generation = 0;
    bool hasEntry = false;
    /** Whether requests may wait in the kernel for a reply on this queue. */
    bool mayStarve = false;
    /** Since then the entry whose reply was queued last: when that brings no request at once, nobody waits. */
    Entry* probe = nullptr;

    void suspect() {
      mayStarve = true;
      probe = nullptr;
    }
  };
  struct Map {
    void* at;
    size_t bytes;
  };

  uint8_t* map(size_t bytes);
  void command(Entry* entry, uint32_t operation, uint64_t commitId);
  bool addEntries(uint32_t queue, uint32_t count);
  void keepAhead();
  void lookAtProbes();
  void touched(Entry* entry, size_t bytes);
  void giveBack();
  Entry** bucket(uint64_t unique);
  int submit(uint32_t flags);

  IoRing ring_;
  Descriptor wake_;
  int fuseFd_ = -1;
  size_t payloadBytes_ = 0;
  bool isStarted_ = false;
  /** The kernel would not have an entry. */
  bool isRefused_ = false;
  std::vector<Map> maps_;

  uint32_t batchEnd_ = 0;
  uint32_t queueCount_ = 0;
  uint32_t expected_ = 0;
  std::vector<Queue> queues_;
  /** Held entries, by `unique`. */
  std::vector<Entry*> held_;
  /** Entries with much memory behind them, and how much that is together. */
  std::vector<Entry*> large_;
  size_t largeBytes_ = 0;
};

}  // namespace eventfs
