#include "device/device_transport.h"

#include <sys/eventfd.h>

#include "fuse/opcode_kinds.h"
#include "invariant.h"
#include "system_error.h"

namespace eventfs {

void DeviceTransport::watch(Napi::Env env, PollHandle::OnReadable onReadable, void* owner) {
  if (!again_) again_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!again_) throw systemError(env, errno, "eventfd");
  poll_.start(env, fd(), onReadable, owner);
  againPoll_.start(env, again_.get(), onReadable, owner);
  rest_.open(env, onRest, this);
}

void DeviceTransport::unwatch() {
  poll_.close();
  againPoll_.close();
  rest_.close();
}

void DeviceTransport::onRest(void* owner) {
  auto* transport = static_cast<DeviceTransport*>(owner);
  uint64_t restedNs = nowNs() - transport->readAheadNs_;
  if (restedNs < kRestMs * 1'000'000) transport->rest_.start(kRestMs);
  else if (transport->ahead_.giveBackSome()) transport->rest_.start(kGiveBackPauseMs);
}

void DeviceTransport::endTurn() {
  if (ahead_.keepsMemory()) rest_.start(kRestMs);
  if (ahead_.isEmpty() || callsAgain_) return;
  callsAgain_ = eventfd_write(again_.get(), 1) == 0;
  EVENTFS_INVARIANT(callsAgain_);
}

void DeviceTransport::stopCallingAgain() {
  eventfd_t count;
  callsAgain_ = eventfd_read(again_.get(), &count) != 0;
  EVENTFS_INVARIANT(!callsAgain_);
}

void DeviceTransport::failAhead(int error) {
  ahead_.forEach([this, error](const fuse_in_header& request) {
    if (hasReply(request.opcode)) sendError(request.unique, error);
  });
}

ssize_t DeviceTransport::readRequest(uint8_t* to, size_t room) {
  for (;;) {
    ssize_t length = read(fd(), to, room);
    if (length >= 0) {
      failures_ = 0;
      return length;
    }
    // ENOENT: a signal interrupted the caller during the read (fs/fuse/dev.c, fuse_dev_do_read)
    if (errno == ENOENT || errno == EINTR) continue;
    // Any other error than that of a connection that is over may pass: a machine without memory.
    // The event loop tries again.
    if (errno != EAGAIN) return isEnd(errno) || ++failures_ > kMostFailures ? -errno : 0;
    failures_ = 0;
    isReadable_ = false;
    busySinceNs_ = 0;
    return 0;
  }
}

bool DeviceTransport::isReadingForLong(uint32_t reads) const {
  return reads % kReadsPerLook == 0 && ahead_.users() > 1 && nowNs() - nowNs_ >= kMostReadingNs;
}

ssize_t DeviceTransport::receiveInTurn(uint8_t* to, size_t room) {
  bool looks = ahead_.isEmpty() || nowNs_ >= nextLookNs_;
  for (uint32_t reads = 1; looks && ahead_.hasRoom(); ++reads) {
    ssize_t length = readRequest(to, room);
    if (length < 0) return length;
    if (length == 0) break;
    if (ahead_.isUrgent(to, nowNs_)) return length;
    ahead_.add(to, static_cast<size_t>(length));
    readAheadNs_ = nowNs_;
    // The next call goes on reading
    if (isReadingForLong(reads)) return ahead_.take(to);
  }
  if (looks) {
    bool areSeveral = ahead_.users() > 1 || nowNs_ < sharedUntilNs_;
    nextLookNs_ = nowNs_ + (areSeveral ? kLookNs : kLookForOthersNs);
  }
  return ahead_.take(to);
}

void DeviceTransport::sendError(uint64_t unique, int error) {
  fuse_out_header header = errorReply(unique, error);
  // The kernel rejects an error reply only if the request is gone, and then no caller waits
  [[maybe_unused]] ssize_t written = write(fd(), &header, sizeof(header));
}

void DeviceTransport::queueReply(uint64_t unique, const ReplyBody& body) {
  replies_.add(unique, body);
  if (replies_.isFull()) releaseBodies();
}

void DeviceTransport::releaseBodies() {
  if (!isOpen() || replies_.isEmpty()) return;
  uint32_t count = replies_.send(fd());
  // The listener may close the channel during the loop
  for (uint32_t i = 0; i < count && isOpen(); ++i) {
    if (replies_.error(i) != 0) reject(replies_.unique(i), replies_.error(i));
  }
}

void DeviceTransport::reject(uint64_t unique, int error) {
  // ENOENT: the caller was killed, or the connection is over. ENODEV, ECONNABORTED: it is over. The
  // next read(2) reports the end, in one place.
  if (error == ENOENT || error == ENODEV || error == ECONNABORTED) return;
  listener_.onReplyRejected(unique, error);
}

void DeviceTransport::close() {
  unwatch();
  ahead_.clear();
  replies_.close();
  fuse_.reset();
}

}  // namespace eventfs
