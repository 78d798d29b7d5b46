#pragma once

#include <cstdint>

#include "device/device_transport.h"
#include "fuse/busy_poll.h"
#include "fuse/hang_report.h"
#include "fuse/request_handler.h"
#include "fuse/request_watchdog.h"
#include "fuse/transport.h"
#include "io_uring/ring_transport.h"

namespace eventfs {

/** Decides which requests are served when, and when waiting readers are woken. */
class ServeLoop final : private Transport::Listener, private RequestWatchdog::Owner {
 public:
  class Owner {
   public:
    /** The loop is closed, and needs neither the handler nor its owner any more. */
    virtual void onReleased() = 0;

   protected:
    ~Owner() = default;
  };

  /** @param busyPollUs see BusyPoll */
  ServeLoop(Owner& owner, RequestHandler& handler, napi_env env, uint32_t busyPollUs)
      : owner_(owner), handler_(handler), env_(env), busyPoll_(busyPollUs) {}

  /**
   * Answers requests whose handlers hang from now on.
   * @param boundMs see RequestWatchdog @param report writes the first line about each
   * @returns 0, or the errno if the machine has no timer left
   */
  int watchFor(uint32_t boundMs, HangReport report);
  RequestWatchdog& watchdog() { return watchdog_; }
  /** Takes a /dev/fuse descriptor over. */
  void open(int fd) { device_.open(fd); }
  bool isOpen() const { return device_.isOpen(); }
  /** Serves in the event loop; throws a SystemError. */
  void start(Napi::Env env) { device_.watch(env, onDeviceReadable, this); }
  /** Leaves the event loop until the next `start`. */
  void pause() { device_.unwatch(); }
  bool isStarted() const { return device_.isWatched(); }
  /** Drops the requests that were read ahead: the kernel sends them again. */
  void dropAhead() { device_.dropAhead(); }
  /** Sets the ring up. The INIT reply switches to it. False if io_uring is not available. */
  bool prepareRing(Napi::Env env, uint32_t queues, size_t payloadBytes) {
    return isOpen() && ring_.prepare(env, queues, payloadBytes, onRingReadable, this);
  }
  RingTransport& ring() { return ring_; }
  int deviceFd() const { return device_.fd(); }

  /** Serves all requests that wait, without blocking. Returns how many there were. */
  uint32_t serveAll();
  /** Serves requests that wait, as if the event loop had found the device readable. */
  void serveTurn();
  bool isServing() const { return isServing_; }

  /** The transport of the requests that come now. */
  Transport& transport() {
    return usesRing() ? static_cast<Transport&>(ring_) : static_cast<Transport&>(device_);
  }
  /** Hands sent replies to the kernel. Within a run of requests, the end of the run does that. */
  void flush();
  /** Writes queued replies, then flushes. */
  void uncork();

  /** Stops, and closes the descriptor. */
  void close();

 private:
  static void onDeviceReadable(void* owner);
  static void onRingReadable(void* owner);
  void onReplyRejected(uint64_t unique, int error) override;
  void onStarved() override { handler_.reportStarved(); }
  void onHung(bool isFirst) override;

  void serveInTurns();
  void pollForMore();
  bool isDeferredTooLong();
  void settle();
  void settleAll();

  bool usesRing() const { return ring_.ring().isStarted(); }
  uint32_t serveUpTo(uint32_t max, Until until);
  template <typename AnyTransport>
  uint32_t run(AnyTransport& transport, uint32_t max, Until until);
  template <typename AnyTransport>
  bool serveOne(AnyTransport& transport, const RequestHandler::Call& call, size_t length);
  void tellDry();
  void startRing();
  void endIfFailed(int error);
  void end(int error);

  Owner& owner_;
  RequestHandler& handler_;
  napi_env env_;
  DeviceTransport device_{*this};
  RingTransport ring_{*this, device_};
  BusyPoll busyPoll_;
  RequestWatchdog watchdog_{*this};
  HangReport hangReport_;
  /** Whether it pays to let readers wait for the next event, and then wake them once for both. */
  Backoff<63> coalesce_;
  /** When the oldest event came that readers have not been woken for; 0 without such an event. */
  uint64_t unsettledSinceNs_ = 0;
  /** The last request is a read that waits for an event: its caller sends no other one soon. */
  bool hasParked_ = false;
  bool isDryTold_ = false;
  /** JavaScript runs for a request or for `settle`. */
  bool isServing_ = false;
};

}  // namespace eventfs
