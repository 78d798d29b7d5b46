#pragma once

#include <linux/fuse.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace eventfs {

/**
 * Requests that were read from the kernel and are not served yet. Users take turns, one request
 * each, so that a user with thousands of requests delays another user's by one of them.
 *
 * The order of one user's requests stays as it was. Requests of different users may change places:
 * the callers of all of them wait at the same time, so none can tell.
 */
class FairQueue {
 public:
  /**
   * Returns whether a request must be served before all that come after it:
   * - No caller waits for a RELEASE: a process that has closed a file may tell others that it has.
   * - A FORGET has no user.
   * - Requests that the kernel sends again come before all others (FUSE_NOTIFY_RESEND).
   */
  static bool isBarrier(const fuse_in_header& request);

  bool isEmpty() const { return turns_.empty(); }
  /**
   * Returns whether the queue takes one more request. The rest waits in the kernel: if the queue is
   * full, or has a request that must be served before all that come after it.
   */
  bool hasRoom() const { return !hasBarrier_ && bytes_ < kMostBytes; }
  /** Adds a copy of a request of `length` bytes, which begins with a fuse_in_header. */
  void add(const uint8_t* bytes, size_t length);
  /**
   * Takes the request whose turn it is.
   * @param to receives it: it has room for the longest request
   * @returns its length in bytes; 0 if the queue is empty
   */
  ssize_t take(uint8_t* to);
  /** Drops all requests. */
  void clear();
  /** Drops the requests that have a reply: it was sent. INTERRUPTs and FORGETs stay. */
  void dropAnswered();

  /**
   * Calls `act` with the header of each request. Async-signal-safe if `act` is, and if the signal
   * has interrupted none of the functions above.
   */
  template <typename Act>
  void forEach(const Act& act) const {
    for (const auto& user : users_) {
      for (const Bytes& request : user.second) act(headerOf(request));
    }
  }

 private:
  using Bytes = std::vector<uint8_t>;
  /** A uid, or one of the constants below. */
  using User = uint64_t;

  /** The INTERRUPTs of requests that were served already: the kernel names no user in them. */
  static constexpr User kInterrupts = UINT64_MAX;
  /** The barrier, if there is one. */
  static constexpr User kBarrier = UINT64_MAX - 1;
  /** The most memory of the queue: about 40,000 requests without data. */
  static constexpr size_t kMostBytes = size_t{16} << 20;
  /** The memory that a request takes besides its bytes, about. */
  static constexpr size_t kBytesOfEach = 128;

  static const fuse_in_header& headerOf(const Bytes& request) {
    return *reinterpret_cast<const fuse_in_header*>(request.data());
  }
  User userOf(const uint8_t* bytes) const;

  std::unordered_map<User, std::deque<Bytes>> users_;
  /** The users that have requests, in the order of their turns. */
  std::deque<User> turns_;
  /** The user of each request, by the request's `unique`. */
  std::unordered_map<uint64_t, User> userOfUnique_;
  size_t bytes_ = 0;
  bool hasBarrier_ = false;
};

}  // namespace eventfs
