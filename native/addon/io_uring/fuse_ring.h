#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "descriptor.h"
#include "io_uring/io_ring.h"

namespace eventfs {

/**
 * FUSE_OVER_IO_URING (Linux 6.14): the kernel copies requests into memory of this process. One
 * io_uring_enter(2) hands over all replies that are due and fetches all requests that wait.
 *
 * The kernel has one queue for each CPU. A request goes to the queue of its caller's CPU. A queue
 * has *entries*. An entry is room for one request and its reply, registered once for its lifetime.
 * It is idle (the kernel has it), held (it has a request without a reply) or queued (its reply goes
 * to the kernel with the next `enter`, and then it is idle). A blocked read holds its entry. For
 * each queue:
 *
 *     entries = idle + held + queued
 *
 * One thread does everything: the one that has called `prepare`. Requests come only inside of
 * `enter`.
 *
 * A request that finds no idle entry waits in the kernel for a reply on its queue. The kernel does
 * not give it to entries that are registered later. So each queue has more entries than it is
 * likely to need. `starvedQueue` names a queue where they were too few: another process has to make
 * a request on that CPU (fs/drivers).
 */
class FuseRing {
 public:
  enum class Sent { kNotHeld, kQueued, kTooLong };

  FuseRing() = default;
  FuseRing(const FuseRing&) = delete;
  FuseRing& operator=(const FuseRing&) = delete;
  ~FuseRing() { close(); }

  /**
   * Sets the ring up (io_uring_setup(2)).
   * @param queues the number of CPUs that the machine may have
   * @param payloadBytes the most bytes that a request or reply has behind its fixed part
   * @returns false, with errno, if io_uring is not available
   */
  bool prepare(int fuseFd, uint32_t queues, size_t payloadBytes);
  /** Returns whether it is set up, and not started yet. */
  bool isPrepared() const { return ring_.isOpen() && queueCount_ > 0 && !isStarted_; }
  /**
   * Registers the entries, which the kernel accepts after the INIT reply. Returns 0 or an errno.
   */
  int start();
  bool isStarted() const { return isStarted_; }
  /** Returns whether the kernel sends requests this way: every queue has an entry. */
  bool isServing() const;
  /**
   * A descriptor that becomes readable when requests have come since `rest`. It is an eventfd(2),
   * because epoll does not report a ring's deferred work.
   */
  int wakeFd() const { return wake_.get(); }
  /** Clears `wakeFd`. It stays clear until `rest`. */
  void wake();
  /** Makes requests that have come, and later ones, signal `wakeFd`. */
  void rest();
  void close();

  /** Returns whether `enter` has anything to do. Reads memory only. */
  bool isDue() const;
  /** Hands over queued replies and fetches requests (io_uring_enter(2)). Returns 0 or an errno. */
  int enter();

  /** Begins a batch of the requests that the last `enter` fetched. False if there are none. */
  bool beginBatch();
  /** Returns the next request of the batch; nullptr at its end. */
  const fuse_in_header* peek();
  /**
   * Copies the request that `peek` has returned, in the form of read(2) of /dev/fuse, and holds it.
   * @returns its length in bytes
   */
  size_t take(uint8_t* to, size_t room);

  /**
   * Fails each request that was fetched and not taken, hands queued replies over, and fetches more
   * requests. Calls only async-signal-safe functions.
   */
  void failFetched(int error);

  /** Queues the reply to a held request: a fuse_out_header at the start of `parts`. */
  Sent send(uint64_t unique, const iovec* parts, int count);

  /** Provides entries for `count` requests that may block at once, on every queue. */
  void expectBlocked(uint32_t count);
  /** Returns a queue whose waiting requests no reply may release, or -1. */
  int32_t starvedQueue() const;

 private:
  struct Entry;
  struct Queue {
    uint32_t entries = 0;
    uint32_t idle = 0;
    uint32_t held = 0;
    uint32_t queued = 0;
    /** Counts how often entries were added. */
    uint32_t generation = 0;
    /** The number of entries that have been idle since entries were last added. */
    uint32_t oldIdle = 0;
    bool hasEntry = false;
    /** Whether requests may wait in the kernel for a reply on this queue. */
    bool mayStarve = false;
    /**
     * The entry of the last reply since `suspect`. If the kernel returns no request in it at once,
     * no request waits on this queue.
     */
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

  Entry* hold();
  uint8_t* map(size_t bytes);
  void command(Entry* entry, uint32_t operation, uint64_t commitId);
  bool addEntries(uint32_t queue, uint32_t count);
  void keepAhead();
  void clearSuspicions();
  void noteLargePayload(Entry* entry, size_t bytes);
  void discardLargePayloads();
  Entry** bucket(uint64_t unique);
  int submit(uint32_t flags);
  bool isConsistent(const Queue& queue) const;

  IoRing ring_;
  Descriptor wake_;
  int fuseFd_ = -1;
  size_t payloadBytes_ = 0;
  bool isStarted_ = false;
  /** The kernel has rejected an entry. */
  bool isRejected_ = false;
  std::vector<Map> maps_;

  uint32_t batchEnd_ = 0;
  uint32_t queueCount_ = 0;
  /** How many requests may block at once. */
  uint32_t expected_ = 0;
  std::vector<Queue> queues_;
  /** Held entries in chains, by a hash of `unique`. */
  std::vector<Entry*> held_;
  /** Entries with much memory behind their payloads, and the bytes of that memory in all. */
  std::vector<Entry*> large_;
  size_t largeBytes_ = 0;
};

}  // namespace eventfs
