#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "clock.h"
#include "descriptor.h"
#include "device/fair_queue.h"
#include "device/read_again.h"
#include "device/reply_batch.h"
#include "event_loop/poll_handle.h"
#include "event_loop/timer_handle.h"
#include "fuse/transport.h"

namespace eventfs {

/**
 * Requests by read(2) of /dev/fuse, and replies by write(2).
 *
 * The kernel has one queue for all users. If requests wait in it for long, this transport reads all
 * of them, and serves the users in turns (FairQueue). Otherwise it reads one request and serves it.
 */
class DeviceTransport final : public Transport {
 public:
  explicit DeviceTransport(Listener& listener) : listener_(listener) {}

  /** Takes the descriptor over. */
  void open(int fd) { fuse_.reset(fd); }
  bool isOpen() const { return static_cast<bool>(fuse_); }
  int fd() const { return fuse_.get(); }
  /** Watches the device in the event loop; throws a SystemError. */
  void watch(Napi::Env env, PollHandle::OnReadable onReadable, void* owner);
  /** Leaves the event loop until the next `watch`. */
  void unwatch();
  bool isWatched() const { return poll_.isActive(); }

  /** epoll reports the device readable, or the event loop calls again. */
  void markReadable() {
    isReadable_ = true;
    if (callsAgain_) stopCallingAgain();
  }
  /**
   * Returns whether a request may wait: no `receive` has found the device empty since
   * `markReadable`.
   */
  bool isReadable() const { return isReadable_; }

  /** Serves requests in the kernel's order from now on. Not called while any were read ahead. */
  void keepKernelsOrder() { keepsOrder_ = true; }
  /**
   * Ends a turn of the event loop. Has it call again if any request was read ahead: epoll does not
   * report those. Else the memory of such requests is given back if none comes for a while.
   */
  void endTurn();
  /** Fails all requests that were read ahead. Async-signal-safe outside of `receive`. */
  void failAhead(int error);
  /** Notes the user of a file that a reply opens: see FairQueue. */
  void noteOpener(const fuse_in_header& request, const iovec& reply) {
    ahead_.noteOpener(request, reply);
  }
  /** Drops the requests that were read ahead and that the kernel sends again. */
  void dropAhead() { ahead_.dropResendable(); }
  /** Drops the requests that `failAhead` has failed. */
  void dropFailed() { ahead_.dropAnswered(); }

  void beginRun(Until until) override {
    until_ = until;
    isTry_ = false;
  }

  ssize_t receive(uint8_t* to, size_t room) override {
    bool isTry = std::exchange(isTry_, false) && ahead_.isEmpty();
    if (!keepsOrder_) {
      nowNs_ = nowNs();
      ahead_.noteServed(nowNs_);
    }
    ssize_t length =
        !ahead_.isEmpty() || isBusyForLong() ? receiveInTurn(to, room) : readRequest(to, room);
    if (isTry && (length > 0 || !isReadable_)) readAgain_.record(triedAfter_, length > 0);
    if (length > 0) noteUser(*reinterpret_cast<const fuse_in_header*>(to));
    return length;
  }

  bool isAnotherLikely(uint32_t opcode, bool isReplied) override {
    isTry_ = isReplied;
    triedAfter_ = opcode;
    bool isLikely = !ahead_.isEmpty() || !isReplied || until_ != Until::kNothingIsLikely ||
                    readAgain_.isWorthIt(opcode);
    if (!isLikely) busySinceNs_ = 0;
    return isLikely;
  }

  int endRun() override { return 0; }

  void send(uint64_t unique, const iovec* parts, int count) override {
    ssize_t written =
        count == 1 ? write(fd(), parts->iov_base, parts->iov_len) : writev(fd(), parts, count);
    if (written < 0) reject(unique, errno);
  }

  void sendError(uint64_t unique, int error) override;
  void queueReply(uint64_t unique, const ReplyBody& body) override;
  void releaseBodies() override;
  int flush() override { return 0; }
  void close() override;

 private:
  /** The most failures of read(2) in a row that may pass. */
  static constexpr uint32_t kMostFailures = 1000;

  /**
   * The time without an empty queue after which users take turns, in nanoseconds. It is the time of
   * some fifty requests: shorter bursts are served sooner without copies.
   */
  static constexpr uint64_t kLongNs = 300'000;

  /** The time between two looks at the kernel's queue while several users have requests, in ns. */
  static constexpr uint64_t kLookNs = 50'000;
  /**
   * The same if one user has all requests. Between the looks this transport serves what it reads:
   * a copy of each request would cost that user up to a sixth of the throughput.
   */
  static constexpr uint64_t kLookForOthersNs = 2'000'000;
  /** The time for which several users count as such after they have taken turns. */
  static constexpr uint64_t kSharedNs = 20'000'000;

  /**
   * The longest time for which a request of another user that was read ahead waits for the reading
   * of further ones, in ns.
   */
  static constexpr uint64_t kMostReadingNs = 400'000;
  /** The requests that are read between two looks at the clock meanwhile. */
  static constexpr uint32_t kReadsPerLook = 8;

  /** The time without a request that was read ahead after which their memory is given back. */
  static constexpr uint64_t kRestMs = 1000;
  /** The pause between two parts of it. */
  static constexpr uint64_t kGiveBackPauseMs = 5;

  /** Returns whether the kernel's queue has not been empty for long. */
  bool isBusyForLong() {
    if (keepsOrder_) return false;
    if (busySinceNs_ == 0) busySinceNs_ = nowNs_;
    return nowNs_ - busySinceNs_ >= kLongNs && nowNs_ >= nextLookNs_;
  }

  /** Notes whose request is served: if it is another user's, several users have requests. */
  void noteUser(const fuse_in_header& request) {
    if (request.uid == lastUser_ || request.pid == 0) return;
    lastUser_ = request.uid;
    sharedUntilNs_ = nowNs_ + kSharedNs;
    nextLookNs_ = std::min(nextLookNs_, nowNs_ + kLookNs);
  }

  /** Reads requests that wait, and returns the one whose turn it is; see `receive`. */
  ssize_t receiveInTurn(uint8_t* to, size_t room);
  /** Returns whether users that have requests wait for long while further requests are read. */
  bool isReadingForLong(uint32_t reads) const;
  static void onRest(void* owner);
  /** Reads one request; see `receive`. */
  ssize_t readRequest(uint8_t* to, size_t room);
  void stopCallingAgain();

  /** Returns whether an error of read(2) says that the connection is over (fs/fuse/dev.c). */
  static bool isEnd(int error) {
    return error == ENODEV || error == ECONNABORTED || error == EPERM || error == EBADF;
  }

  void reject(uint64_t unique, int error);

  Listener& listener_;
  Descriptor fuse_;
  PollHandle poll_;
  bool isReadable_ = false;
  uint32_t failures_ = 0;
  Until until_ = Until::kNothingIsLikely;
  /** Whether the next read follows a reply to `triedAfter_`: readAgain_ records what it finds. */
  bool isTry_ = false;
  uint32_t triedAfter_ = 0;
  ReadAgain readAgain_;
  ReplyBatch replies_;
  bool keepsOrder_ = false;
  /** The first read since the kernel's queue was empty; 0 if it is empty. */
  uint64_t busySinceNs_ = 0;
  /** The requests that were read ahead. */
  FairQueue ahead_;
  /** When `receive` was called last. */
  uint64_t nowNs_ = 0;
  /** No earlier does this transport look for requests of others. */
  uint64_t nextLookNs_ = 0;
  uint32_t lastUser_ = 0;
  /** Until then several users count as such. */
  uint64_t sharedUntilNs_ = 0;
  /** An eventfd(2), and its watch: `endTurn` writes to it. */
  Descriptor again_;
  PollHandle againPoll_;
  bool callsAgain_ = false;
  /** Gives the memory of `ahead_` back. */
  TimerHandle rest_;
  /** When a request was read ahead last. */
  uint64_t readAheadNs_ = 0;
};

}  // namespace eventfs
