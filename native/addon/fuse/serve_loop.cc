#include "fuse/serve_loop.h"

#include <cerrno>
#include <utility>

#include "callback.h"
#include "clock.h"
#include "fuse/opcode_kinds.h"
#include "invariant.h"

namespace eventfs {

/** Requests in one run. Timers and other descriptors then get a turn. */
static constexpr uint32_t kRequestsPerWakeUp = 128;

/** Rounds of a run and `settle` in one wake-up of the event loop. */
static constexpr uint32_t kTurnsPerWakeUp = 32;

/** Requests of a run between two looks at the clock. A look costs as much as a small copy. */
static constexpr uint32_t kRequestsPerLook = 4;

/**
 * The longest time between an event and the wake-up of its readers, in nanoseconds. Readers that
 * were woken for the event before are off the CPUs by then.
 */
static constexpr uint64_t kMaxDeferredNs = 2'000'000;

// ---- The event loop

void ServeLoop::onDeviceReadable(void* owner) {
  auto* loop = static_cast<ServeLoop*>(owner);
  loop->device_.markReadable();
  loop->serveInTurns();
}

void ServeLoop::onRingReadable(void* owner) {
  auto* loop = static_cast<ServeLoop*>(owner);
  loop->ring_.ring().wake();
  loop->serveInTurns();
  if (loop->usesRing()) loop->ring_.ring().rest();
}

void ServeLoop::serveInTurns() {
  for (uint32_t turn = 0; isOpen() && turn < kTurnsPerWakeUp; ++turn) {
    uint32_t served = serveUpTo(kRequestsPerWakeUp, Until::kNothingIsLikely);
    if (served > 0) pollForMore();
    if (!isOpen()) return;
    if (handler_.settleState() == SettleState::settled) return device_.endTurn();
    settle();
  }
  settleAll();
  if (isOpen()) device_.endTurn();
}

/**
 * Polls for the next requests without sleeping, if they are likely to come soon. If the next event
 * is likely too, readers are woken only then, once for all events: a wake-up costs many times as
 * much as one more event. If no further event comes during the poll, its end wakes them.
 */
void ServeLoop::pollForMore() {
  if (!isOpen() || !busyPoll_.suits(!isRelease(handler_.request()->opcode))) return;
  bool coalesces = handler_.settleState() == SettleState::pending && coalesce_.isWorthIt();
  bool hasEvent = handler_.settleState() != SettleState::settled;
  if (hasEvent && (!coalesces || isDeferredTooLong())) return;
  bool polls = !hasParked_ && busyPoll_.isWorthIt();
  if (!coalesces && !polls) return;

  bool hasFound = false;
  bool hasFoundEvent = false;
  busyPoll_.begin();
  do {
    if (handler_.settleState() != SettleState::settled) {
      handler_.setSettleState(SettleState::deferred);
    }
    busyPoll_.yield();
    if (serveUpTo(kRequestsPerWakeUp, Until::kNothingIsLikely) == 0) {
      busyPoll_.missed();
      continue;
    }
    busyPoll_.found();
    hasFound = true;
    if (!isOpen() || handler_.settleState() != SettleState::pending) continue;
    hasFoundEvent = true;
    if (!coalesces) break;
  } while (isOpen() && !busyPoll_.isOver() && !isDeferredTooLong());
  if (coalesces) coalesce_.record(hasFoundEvent);
  if (polls) busyPoll_.record(hasFound);
}

/** Returns whether readers have to be woken now, even if more events are likely. */
bool ServeLoop::isDeferredTooLong() {
  if (!isOpen() || handler_.settleState() == SettleState::settled) return false;
  uint64_t now = nowNs();
  if (unsettledSinceNs_ == 0) unsettledSinceNs_ = now;
  return now - unsettledSinceNs_ >= kMaxDeferredNs;
}

/** Wakes waiting readers, maybe only some; then the settle state is set again. */
void ServeLoop::settle() {
  Napi::HandleScope scope(env_);
  unsettledSinceNs_ = 0;
  isServing_ = true;
  handler_.settle();
  isServing_ = false;
  flush();
  if (!isOpen()) owner_.onReleased();
}

/**
 * Wakes all waiting readers, and serves no request meanwhile. Publishers that go on would keep the
 * loop from its end, and other descriptors from their turn.
 */
void ServeLoop::settleAll() {
  while (isOpen() && handler_.settleState() != SettleState::settled) settle();
}

void ServeLoop::serveTurn() {
  if (!isOpen()) return;
  device_.markReadable();
  serveInTurns();
}

/** Tells JavaScript once that no request waits: those that were sent again are all served. */
void ServeLoop::tellDry() {
  if (isDryTold_) return;
  isDryTold_ = true;
  handler_.reportDry();
}

uint32_t ServeLoop::serveAll() {
  if (!isOpen()) return 0;
  uint32_t served = serveUpTo(UINT32_MAX, Until::kNothingIsLeft);
  settleAll();
  return served;
}

// ---- Requests

uint32_t ServeLoop::serveUpTo(uint32_t max, Until until) {
  EVENTFS_INVARIANT(!isServing_);
  Napi::HandleScope scope(env_);  // one for the whole run: a request adds two handles
  isServing_ = true;
  uint32_t served = usesRing() ? run(ring_, max, until) : run(device_, max, until);
  isServing_ = false;
  if (!isOpen()) owner_.onReleased();
  return served;
}

/**
 * The hot path. JavaScript may close the channel in each call, so `isOpen` is checked after each.
 */
template <typename AnyTransport>
uint32_t ServeLoop::run(AnyTransport& transport, uint32_t max, Until until) {
  RequestHandler::Call call = handler_.prepareCall();
  uint32_t served = 0;
  transport.beginRun(until);
  while (isOpen() && served < max) {
    ssize_t length = transport.receive(handler_.requestBytes(), handler_.requestRoom());
    if (length < 0) end(static_cast<int>(-length));
    // A read that fails for a while does not show that the device is empty
    if (length == 0 && !device_.isReadable()) tellDry();
    if (length <= 0) break;
    ++served;

    watchdog_.begin();
    uint32_t opcode = handler_.request()->opcode;
    // Deaths come first: the reply must not show a process that died before the request. An earlier
    // request of the run may also have published an event that this one reads.
    if (!isForget(opcode)) handler_.drainDeaths();
    if (!isOpen()) break;

    bool isReplied = serveOne(transport, call, static_cast<size_t>(length));
    if (ring_.ring().isPrepared()) startRing();
    if (until == Until::kNothingIsLikely && served % kRequestsPerLook == 0 && isDeferredTooLong()) {
      break;
    }
    if (!transport.isAnotherLikely(opcode, isReplied)) break;
  }
  if (isOpen()) endIfFailed(transport.endRun());
  return served;
}

/** Handles the request in memory. Returns whether it was replied to. */
template <typename AnyTransport>
bool ServeLoop::serveOne(AnyTransport& transport, const RequestHandler::Call& call, size_t length) {
  hasParked_ = false;
  uint32_t outcome = handler_.handle(call, length);
  bool isHung = watchdog_.end();
  if (isHung) device_.dropFailed();
  uint64_t unique = handler_.request()->unique;
  if (outcome == RequestHandler::kThrew) {
    if (isOpen()) {
      handler_.clearSlice();
      if (hasReply(handler_.request()->opcode)) transport.sendError(unique, EIO);
    }
    handler_.reportException();  // last, because it may end the process
    return true;
  }
  if (!isOpen()) return false;
  if (isHung) {
    handler_.clearSlice();
    handler_.reportHung(watchdog_.ageMs());
    return true;
  }
  EVENTFS_INVARIANT(outcome != RequestOutcome::unset);
  if (outcome == RequestOutcome::noReply && !hasReply(handler_.request()->opcode)) return false;
  if (outcome == RequestOutcome::parked) {
    hasParked_ = true;
    return false;
  }
  iovec parts[2];
  int count;
  if (outcome == RequestOutcome::replied && handler_.takeReply(parts, &count)) {
    device_.noteOpener(*handler_.request(), parts[0]);
    transport.send(unique, parts, count);
  } else {
    onReplyRejected(unique, outcome == RequestOutcome::noReply ? ENOMSG : EINVAL);
  }
  return true;
}

/** Starts the ring after the INIT reply is sent: requests come through it from now on. */
void ServeLoop::startRing() {
  device_.keepKernelsOrder();
  endIfFailed(ring_.ring().start());
}

// ---- Replies

void ServeLoop::flush() {
  if (isOpen() && !isServing_) endIfFailed(transport().flush());
}

void ServeLoop::uncork() {
  transport().releaseBodies();
  flush();
}

/**
 * Fails the request of a reply that the kernel rejects, so that its caller does not wait forever.
 */
void ServeLoop::onReplyRejected(uint64_t unique, int error) {
  transport().sendError(unique, EIO);
  handler_.reportRejected(error, unique != handler_.request()->unique);
}

// ---- Handlers that hang

int ServeLoop::watchFor(uint32_t boundMs, HangReport report) {
  hangReport_ = std::move(report);
  return watchdog_.start(boundMs) ? 0 : errno;
}

/**
 * Answers the request in memory, in a signal handler. Requests behind it that were read ahead, or
 * fetched through io_uring, are answered too: no signal ends their callers.
 */
void ServeLoop::onHung(bool isFirst) {
  if (!isOpen()) return;
  const fuse_in_header* request = handler_.request();
  if (isFirst) {
    if (hasReply(request->opcode)) transport().sendError(request->unique, EIO);
    hangReport_.write(*request);
    device_.failAhead(EIO);
  }
  if (usesRing()) ring_.ring().failFetched(EIO);
}

// ---- The end

void ServeLoop::endIfFailed(int error) {
  if (error != 0) end(error);
}

void ServeLoop::end(int error) {
  Napi::HandleScope scope(env_);
  napi_value onEnd = handler_.onEnd();
  close();
  makeCallback(env_, onEnd, {Napi::Number::New(env_, error)});
}

void ServeLoop::close() {
  if (!isOpen()) return;
  watchdog_.stop();
  // Before the device: otherwise the kernel still sends requests to the ring, which has no reader
  ring_.close();
  device_.close();
  if (!isServing_) owner_.onReleased();  // otherwise the end of the run releases
}

}  // namespace eventfs
