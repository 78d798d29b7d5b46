#pragma once

#include "device/device_transport.h"
#include "event_loop/poll_handle.h"
#include "fuse/transport.h"
#include "io_uring/fuse_ring.h"

namespace eventfs {

/**
 * Requests and replies through io_uring (FuseRing).
 *
 * FORGET and INTERRUPT still come through /dev/fuse, and so do replies to requests from there. The
 * device is read once no fetched request is left: an INTERRUPT is about one of these.
 */
class RingTransport final : public Transport {
 public:
  RingTransport(Listener& listener, DeviceTransport& device)
      : listener_(listener), device_(device) {}

  /** Sets the ring up and watches it in the event loop. False if io_uring is not available. */
  bool prepare(Napi::Env env, uint32_t queues, size_t payloadBytes,
               PollHandle::OnReadable onReadable, void* owner);
  FuseRing& ring() { return ring_; }
  const FuseRing& ring() const { return ring_; }

  /** Returns FuseRing::starvedQueue, and reports starvation again once it has been -1. */
  int32_t takeStarvedQueue();

  void beginRun(Until until) override;
  ssize_t receive(uint8_t* to, size_t room) override;
  bool isAnotherLikely(uint32_t, bool) override { return true; }
  int endRun() override;

  void send(uint64_t unique, const iovec* parts, int count) override;
  void sendError(uint64_t unique, int error) override;
  void queueReply(uint64_t unique, const ReplyBody& body) override;
  /** The ring copies each body at once. */
  void releaseBodies() override {}
  int flush() override { return ring_.isDue() ? ring_.enter() : 0; }
  void close() override;

 private:
  bool checkForWork();

  Listener& listener_;
  DeviceTransport& device_;
  FuseRing ring_;
  PollHandle poll_;
  /** The run serves all that waits: it enters the ring once even if it sees no work. */
  bool isForced_ = false;
  bool hasReportedStarvation_ = false;
};

}  // namespace eventfs
