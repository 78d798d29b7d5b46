#pragma once

#include <unistd.h>

#include <cerrno>

#include "descriptor.h"
#include "device/read_again.h"
#include "device/reply_batch.h"
#include "event_loop/poll_handle.h"
#include "fuse/transport.h"

namespace eventfs {

/** Requests by read(2) of /dev/fuse, and replies by write(2). */
class DeviceTransport final : public Transport {
 public:
  explicit DeviceTransport(Listener& listener) : listener_(listener) {}

  /** Takes the descriptor over. */
  void open(int fd) { fuse_.reset(fd); }
  bool isOpen() const { return static_cast<bool>(fuse_); }
  int fd() const { return fuse_.get(); }
  /** Watches the device in the event loop; throws a SystemError. */
  void watch(Napi::Env env, PollHandle::OnReadable onReadable, void* owner) {
    poll_.start(env, fd(), onReadable, owner);
  }
  /** Leaves the event loop until the next `watch`. */
  void unwatch() { poll_.close(); }
  bool isWatched() const { return poll_.isActive(); }

  /** epoll reports the device readable. */
  void markReadable() { isReadable_ = true; }
  /**
   * Returns whether a request may wait: no `receive` has found the device empty since
   * `markReadable`.
   */
  bool isReadable() const { return isReadable_; }

  void beginRun(Until until) override {
    until_ = until;
    isTry_ = false;
  }

  ssize_t receive(uint8_t* to, size_t room) override {
    for (;;) {
      ssize_t length = read(fd(), to, room);
      if (length >= 0) {
        failures_ = 0;
        if (isTry_) readAgain_.record(triedAfter_, true);
        return length;
      }
      // ENOENT: a signal interrupted the caller during the read (fs/fuse/dev.c, fuse_dev_do_read)
      if (errno == ENOENT || errno == EINTR) continue;
      // Any other error than that of a connection that is over may pass: a machine without memory.
      // The event loop tries again.
      if (errno != EAGAIN) return isEnd(errno) || ++failures_ > kMostFailures ? -errno : 0;
      failures_ = 0;
      if (isTry_) readAgain_.record(triedAfter_, false);
      isReadable_ = false;
      return 0;
    }
  }

  bool isAnotherLikely(uint32_t opcode, bool isReplied) override {
    isTry_ = isReplied;
    triedAfter_ = opcode;
    return !isReplied || until_ != Until::kNothingIsLikely || readAgain_.isWorthIt(opcode);
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
};

}  // namespace eventfs
