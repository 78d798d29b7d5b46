#include "io_uring/ring_transport.h"

#include <cerrno>

namespace eventfs {

bool RingTransport::prepare(Napi::Env env, uint32_t queues, size_t payloadBytes,
                            PollHandle::OnReadable onReadable, void* owner) {
  if (!ring_.prepare(device_.fd(), queues, payloadBytes)) return false;
  try {
    poll_.start(env, ring_.wakeFd(), onReadable, owner);
  } catch (const Napi::Error&) {
    ring_.close();
    return false;
  }
  return true;
}

int32_t RingTransport::takeStarvedQueue() {
  int32_t queue = ring_.starvedQueue();
  hasReportedStarvation_ = queue >= 0;
  return queue;
}

void RingTransport::beginRun(Until until) {
  isForced_ = until == Until::kNothingIsLeft;
  device_.beginRun(until);
}

ssize_t RingTransport::receive(uint8_t* to, size_t room) {
  for (;;) {
    if (ring_.peek() != nullptr) return static_cast<ssize_t>(ring_.take(to, room));
    if (ring_.beginBatch()) continue;
    if (device_.isReadable()) {
      ssize_t length = device_.receive(to, room);
      if (length != 0) return length;
    }
    if (!checkForWork()) return 0;
    int error = ring_.enter();
    if (error != 0) return -error;
  }
}

int RingTransport::endRun() {
  isForced_ = false;
  return checkForWork() ? ring_.enter() : 0;
}

/** Returns whether `enter` has anything to do. If not, reports a starved queue, once. */
bool RingTransport::checkForWork() {
  bool isForced = isForced_;
  isForced_ = false;
  if (isForced || ring_.isDue()) return true;
  if (!hasReportedStarvation_ && ring_.starvedQueue() >= 0) {
    hasReportedStarvation_ = true;
    listener_.onStarved();
  }
  return false;
}

void RingTransport::send(uint64_t unique, const iovec* parts, int count) {
  switch (ring_.send(unique, parts, count)) {
    case FuseRing::Sent::kQueued: return;
    case FuseRing::Sent::kTooLong: return listener_.onReplyRejected(unique, EINVAL);
    case FuseRing::Sent::kNotHeld: return device_.send(unique, parts, count);
  }
}

void RingTransport::sendError(uint64_t unique, int error) {
  fuse_out_header header = errorReply(unique, error);
  iovec part{&header, sizeof(header)};
  if (ring_.send(unique, &part, 1) == FuseRing::Sent::kNotHeld) device_.sendError(unique, error);
}

void RingTransport::queueReply(uint64_t unique, const ReplyBody& body) {
  Reply reply;
  reply.build(unique, body);
  send(unique, reply.parts, Reply::kParts);
}

void RingTransport::close() {
  poll_.close();
  ring_.close();
}

}  // namespace eventfs
