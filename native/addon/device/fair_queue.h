#pragma once

#include <linux/fuse.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>

#include "device/openers.h"
#include "device/request_memory.h"

namespace eventfs {

/**
 * Requests that were read from the kernel and are not served yet. Users take turns, one request
 * each, so that a user with thousands of requests delays another user by one of them.
 *
 * The order of one user's requests stays as it was. Requests of different users may change places:
 * the callers of all of them wait at the same time, so none can tell. No caller waits for a RELEASE
 * or a FORGET, so these have rules of their own: see `isUrgent` and `userOf`.
 */
class FairQueue {
 public:
  FairQueue();
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;
  ~FairQueue();

  /**
   * Notes the user of a file that a reply opens: see Openers.
   * @param request the header of the request @param reply its first bytes
   */
  void noteOpener(const fuse_in_header& request, const iovec& reply) {
    openers_.note(request, reply);
  }

  /**
   * Returns whether a request must be served now, before any further one is read:
   * - Requests that the kernel sends again come before all others (FUSE_NOTIFY_RESEND).
   * - A process that has closed a file that it has written may tell others that the file is
   *   complete. A user's closes beyond kMostAtOnce in a window wait for the user's turns, and so
   *   do closes behind these: otherwise thousands of files that one process closes at its end
   *   would delay everybody.
   * - While a user makes or removes a directory in the root, the kernel lets no other user do so.
   *   It sends a LOOKUP, and then one such request at a time. LOOKUPs count with the closes.
   * If true, the request counts as served.
   */
  bool isUrgent(const uint8_t* bytes, uint64_t nowNs);
  /** Notes that the last request is served, so that its time counts if it was urgent. */
  void noteServed(uint64_t nowNs) {
    if (served_ == nullptr) return;
    served_->ns += nowNs - servedSinceNs_;
    served_ = nullptr;
  }

  bool isEmpty() const { return turns_.empty(); }
  /** Returns how many users have requests. */
  size_t users() const { return turns_.size(); }
  /**
   * Returns whether the queue takes one more request. The rest waits in the kernel: if the queue is
   * full, would need new memory too often, or has a request that the kernel has sent again.
   */
  bool hasRoom() const {
    return !hasResent_ && bytes_ < mostBytes_ && (isEmpty() || memory_.isReady());
  }
  /** Adds a copy of a request of `length` bytes, which begins with a fuse_in_header. */
  void add(const uint8_t* bytes, size_t length);
  /**
   * Takes the request whose turn it is.
   * @param to receives it: it has room for the longest request
   * @returns its length in bytes; 0 if the queue is empty
   */
  ssize_t take(uint8_t* to);
  /** Returns whether the queue is empty and keeps memory: see RequestMemory. */
  bool keepsMemory() const { return memory_.hasPages(); }
  /** Gives some of that memory back. Returns whether there is more. */
  bool giveBackSome() { return memory_.giveBackSome(); }
  /** Drops all requests. */
  void clear();
  /** Drops the requests that the kernel sends again (FUSE_NOTIFY_RESEND): all but FORGETs. */
  void dropResendable();
  /** Drops the requests that have a reply: it was sent. INTERRUPTs and FORGETs stay. */
  void dropAnswered();

  /**
   * Calls `act` with the header of each request. Async-signal-safe if `act` is, and if the signal
   * has interrupted none of the functions above.
   */
  template <typename Act>
  void forEach(const Act& act) const {
    for (const User* user : turns_) {
      for (const Copy* copy = user->first; copy != nullptr; copy = copy->next) act(copy->header());
    }
  }

 private:
  /** A request in memory of its own: its bytes follow. */
  struct Copy {
    Copy* next;
    Copy* nextInBucket;
    /** A uid, or one of the constants below. */
    uint64_t user;
    size_t length;

    uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
    const fuse_in_header& header() const {
      return *reinterpret_cast<const fuse_in_header*>(this + 1);
    }
  };
  /** The requests of one user that were served at once in a window, and their time. */
  struct AtOnce {
    uint32_t count = 0;
    uint64_t ns = 0;
  };
  struct User {
    Copy* first = nullptr;
    Copy* last = nullptr;
    /** How many of the requests close a file that may have been written. */
    size_t closes = 0;
  };

  /** The INTERRUPTs of requests that were served already: the kernel names no user in them. */
  static constexpr uint64_t kInterrupts = UINT64_MAX;
  /** A request that the kernel has sent again, if there is one. */
  static constexpr uint64_t kResent = UINT64_MAX - 1;
  /** The FORGETs. They only lower counts, so that they may come late. */
  static constexpr uint64_t kForgets = UINT64_MAX - 2;
  /** The most requests sent again that are served before a user has a turn. */
  static constexpr uint32_t kMostResentInARow = 8;
  /** The most requests of one user that are served at once in a window, and the most time. */
  static constexpr uint32_t kMostAtOnce = 32;
  static constexpr uint64_t kMostAtOnceNs = 400'000;
  static constexpr uint64_t kWindowNs = 5'000'000;
  /**
   * The most memory of the queue: the writes of a thousand processes of 64 KiB each, or 130,000
   * requests without data. On a machine with less than 2 GiB it is less.
   */
  static constexpr size_t kMostBytes = size_t{68} << 20;
  static constexpr size_t kMachineShare = 32;
  /** Many requests may be interrupted at once, so each must be found quickly. */
  static constexpr size_t kBuckets = 4096;

  /** Returns the memory of a request of `length` bytes. */
  static size_t memoryOf(size_t length) { return RequestMemory::memoryOf(sizeof(Copy) + length); }
  static size_t bucketOf(uint64_t unique) { return unique / 2 % kBuckets; }
  void forget(const Copy* copy);
  uint64_t userOf(const uint8_t* bytes) const;
  bool isWithinBudget(uint64_t user, uint64_t nowNs);
  void append(Copy* copy);
  /** Drops each request for whose header `isDropped` returns true. */
  template <typename Test>
  void dropIf(const Test& isDropped);
  Copy* allocate(size_t length);
  void release(Copy* copy);

  /** The users that have requests, by Copy.user. */
  std::unordered_map<uint64_t, User> users_;
  /** The same in the order of their turns. */
  std::deque<User*> turns_;
  /** The requests by `unique`, which the kernel counts in steps of two. */
  Copy* buckets_[kBuckets] = {};
  size_t bytes_ = 0;
  const size_t mostBytes_;
  RequestMemory memory_;
  bool hasResent_ = false;
  uint32_t resentInARow_ = 0;
  Openers openers_;
  /** The requests of each user that were served at once since `windowStartNs_`. */
  std::unordered_map<uint64_t, AtOnce> atOnce_;
  uint64_t windowStartNs_ = 0;
  /** The user of the urgent request that is being served, and since when; null if there is none. */
  AtOnce* served_ = nullptr;
  uint64_t servedSinceNs_ = 0;
};

}  // namespace eventfs
