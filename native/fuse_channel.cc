#include "fuse_channel.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "callback.h"
#include "options.h"
#include "system_error.h"

namespace eventfs {

/** After this many requests at one wake-up, timers and the other descriptors get their turn. */
static constexpr uint32_t kRequestsPerWakeUp = 128;

/** The word of `slice` that asks for `onSettle`, and what it can be besides 0: as set, and as left while we hold it. */
static constexpr size_t kUnsettled = 2;
static constexpr uint32_t kFresh = 1;
static constexpr uint32_t kHeld = 2;

/** After so many rounds of serving and telling, too. */
static constexpr uint32_t kTurnsPerWakeUp = 32;

/** How long after an event those who wait for it are told at the latest: longer than the CPUs belong to readers that were woken before. */
static constexpr uint64_t kMostHeldNs = 2'000'000;

/** The requests that have no reply (include/uapi/linux/fuse.h): the kernel would refuse one. */
static bool hasReply(uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

/** The requests for which no caller waits: the kernel lets go of something. */
static bool isLettingGo(uint32_t opcode) {
  return opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR || opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
}

/**
 * The requests that nobody's death changes: they only free memory. RELEASE is none of them: it
 * completes a written file and publishes a header that still waits in an open `publish`.
 */
static bool isForget(uint32_t opcode) { return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET; }

FuseChannel::FuseChannel(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FuseChannel>(info),
      busyPoll_(optionsArgument(info).Get("busyPollUs").As<Napi::Number>().Uint32Value()),
      deaths_(DeathWatch::from(optionsArgument(info).Get("deaths"))),
      deathsReference_(Napi::Persistent(optionsArgument(info).Get("deaths").As<Napi::Object>())),
      request_(optionsArgument(info), "request"),
      reply_(optionsArgument(info), "reply"),
      log_(optionsArgument(info), "log"),
      slice_(optionsArgument(info), "slice"),
      parked_(optionsArgument(info), "parked"),
      onRequest_(functionOption(optionsArgument(info), "onRequest")),
      onSettle_(functionOption(optionsArgument(info), "onSettle")),
      onRefused_(functionOption(optionsArgument(info), "onRefused")),
      onStarved_(functionOption(optionsArgument(info), "onStarved")),
      onEnd_(functionOption(optionsArgument(info), "onEnd")) {
  if (request_.size() < FUSE_MIN_READ_BUFFER) throw Napi::RangeError::New(info.Env(), "request is under 8192 bytes");
  if (reply_.size() < sizeof(fuse_out_header)) throw Napi::RangeError::New(info.Env(), "reply is under 16 bytes");
  if (slice_.size() < 3) throw Napi::RangeError::New(info.Env(), "slice is under 3 words");

  int fd = optionsArgument(info).Get("fd").As<Napi::Number>().Int32Value();
  // A descriptor that fusermount(1) has passed to us may be a blocking one
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) throw systemError(info.Env(), errno, "fcntl");
  fuse_.reset(fd);  // last: until the constructor has succeeded it is the caller's
}

void FuseChannel::start(const Napi::CallbackInfo& info) {
  if (poll_.isActive()) return;
  if (!fuse_) throw systemError(info.Env(), EBADF, "epoll_ctl");
  poll_.start(info.Env(), fuse_.get(), onPoll, this);
  Ref();  // the event loop holds it now, whoever else does
  isHeldByLoop_ = true;
}

void FuseChannel::onPoll(void* owner) {
  auto* channel = static_cast<FuseChannel*>(owner);
  channel->hasMail_ = true;
  channel->serveInTurns();
}

void FuseChannel::onRingPoll(void* owner) {
  auto* channel = static_cast<FuseChannel*>(owner);
  channel->ring_.wake();
  channel->serveInTurns();
  if (channel->ring_.isStarted()) channel->ring_.rest();
}

void FuseChannel::serveInTurns() {
  for (uint32_t turn = 0; fuse_ && turn < kTurnsPerWakeUp; ++turn) {
    uint32_t served = serveUpTo(kRequestsPerWakeUp, Until::kNothingIsLikely);
    if (served > 0) lookAgain();
    if (!fuse_ || slice_[kUnsettled] == 0) return;
    settle();
  }
  settleAll();
}

/**
 * Waits for the next requests without sleeping, where they are likely to come soon. Where the next event is as likely,
 * those who wait for events are woken only then, for all that have come at once: what wakes them costs many times as
 * much as one more event does. Where no further event has come within a look, they are woken at its end.
 */
void FuseChannel::lookAgain() {
  if (!fuse_ || !busyPoll_.suits(!isLettingGo(request()->opcode))) return;
  bool holds = slice_[kUnsettled] == kFresh && hold_.isWorthIt();
  if (slice_[kUnsettled] != 0 && (!holds || isHeldTooLong())) return;
  bool looks = !hasParked_ && busyPoll_.isWorthIt();
  if (!holds && !looks) return;

  bool hasFound = false;
  bool hasFoundEvent = false;
  busyPoll_.begin();
  do {
    if (slice_[kUnsettled] != 0) slice_[kUnsettled] = kHeld;
    busyPoll_.giveWay();
    if (serveUpTo(kRequestsPerWakeUp, Until::kNothingIsLikely) == 0) {
      busyPoll_.missed();
      continue;
    }
    busyPoll_.found();
    hasFound = true;
    if (!fuse_ || slice_[kUnsettled] != kFresh) continue;
    hasFoundEvent = true;
    if (!holds) break;
  } while (fuse_ && !busyPoll_.isOver() && !isHeldTooLong());
  if (holds) hold_.hasPaid(hasFoundEvent);
  if (looks) busyPoll_.hasPaid(hasFound);
}

/** Whether who waits must be told now, however much more may come. */
bool FuseChannel::isHeldTooLong() {
  if (!fuse_ || slice_[kUnsettled] == 0) return false;
  uint64_t now = nowNs();
  if (unsettledSinceNs_ == 0) unsettledSinceNs_ = now;
  return now - unsettledSinceNs_ >= kMostHeldNs;
}

/** Has those told who wait for what has come, or some of them: then it is to be called again. */
void FuseChannel::settle() {
  Napi::HandleScope scope(Env());
  slice_[kUnsettled] = 0;
  unsettledSinceNs_ = 0;
  isServing_ = true;
  callFunction(Env(), onSettle_.Value(), {});
  isServing_ = false;
  flushRing();
  if (!fuse_) letGo();
}

/** Has all of them told, and serves nobody meanwhile: while publishers go on there would be no end, and others want their turn. */
void FuseChannel::settleAll() {
  while (fuse_ && slice_[kUnsettled] != 0) settle();
}

Napi::Value FuseChannel::serve(const Napi::CallbackInfo& info) {
  if (!fuse_) return Napi::Number::New(info.Env(), 0);
  if (isServing_) throw Napi::Error::New(info.Env(), "serve() called while a request is being served");
  uint32_t served = serveUpTo(UINT32_MAX, Until::kNothingIsLeft);
  settleAll();
  return Napi::Number::New(info.Env(), served);
}

uint32_t FuseChannel::serveUpTo(uint32_t most, Until until) {
  Napi::HandleScope scope(Env());  // one for all: a request adds two handles to it
  isServing_ = true;
  uint32_t served = ring_.isStarted() ? serveRing(most, until) : serveDevice(most, until);
  isServing_ = false;
  if (!fuse_) letGo();
  return served;
}

/** The hot path. Any call into JavaScript may have closed the channel: `fuse_` is looked at after each. */
uint32_t FuseChannel::serveDevice(uint32_t most, Until until) {
  napi_env env = Env();
  napi_value onRequest = onRequest_.Value();
  napi_value undefined;
  napi_get_undefined(env, &undefined);

  uint32_t served = 0;
  bool isTry = false;  // this read may find nothing, and readAgain_ wants to know
  uint32_t opcode = 0;
  while (fuse_ && served < most) {
    ssize_t length = read(fuse_.get(), request_.data(), request_.size());
    if (length < 0) {
      // ENOENT: the caller was interrupted while its request was being read (fs/fuse/dev.c, fuse_dev_do_read)
      if (errno == ENOENT || errno == EINTR) continue;
      if (errno == EAGAIN && isTry) readAgain_.hasPaid(opcode, false);
      if (errno == EAGAIN) hasMail_ = false;
      if (errno != EAGAIN) end(errno);
      break;
    }
    if (isTry) readAgain_.hasPaid(opcode, true);
    ++served;

    opcode = request()->opcode;
    // Before the request is looked at: what died before it was sent is gone when it is answered
    if (!isForget(opcode)) deaths_->drainBefore(callFunction);
    if (!fuse_) break;

    Outcome outcome = handle(static_cast<size_t>(length), onRequest, undefined);
    isTry = outcome == Outcome::kAnswered;
    if (ring_.isPrepared()) startRing();
    if (until == Until::kNothingIsLikely && isHeldTooLong()) break;
    if (isTry && until == Until::kNothingIsLikely && !readAgain_.isWorthIt(opcode)) break;
  }
  return served;
}

/**
 * The same through the ring, where requests are handed over inside io_uring_enter(2) only. The deaths are drained
 * before each request of a batch: an earlier one may have published an event that the next one reads.
 *
 * /dev/fuse is read when no request is left that has been handed over: of those it may tell that they were interrupted.
 */
uint32_t FuseChannel::serveRing(uint32_t most, Until until) {
  napi_value onRequest = onRequest_.Value();
  napi_value undefined;
  napi_get_undefined(Env(), &undefined);

  uint32_t served = 0;
  bool isForced = until == Until::kNothingIsLeft;
  bool isLate = false;
  while (fuse_ && served < most && !isLate) {
    if (!ring_.beginBatch()) {
      if (hasMail_) served += serveDevice(UINT32_MAX, Until::kNothingIsLeft);
      if (!fuse_ || !bringRing(isForced)) break;
      isForced = false;
      continue;
    }
    for (const fuse_in_header* next; fuse_ && served < most && !isLate && (next = ring_.peek()) != nullptr;) {
      if (!isForget(next->opcode)) {
        deaths_->drainBefore(callFunction);
        if (!fuse_) break;
      }
      size_t length = ring_.take(request_.data(), request_.size());
      ++served;
      handle(length, onRequest, undefined);
      isLate = until == Until::kNothingIsLikely && isHeldTooLong();
    }
  }
  if (fuse_) bringRing(false);
  return served;
}

/** Hands the replies over and takes what waits; false when there is neither. */
bool FuseChannel::bringRing(bool isForced) {
  if (!isForced && !ring_.isDue()) {
    if (isStarvationTold_ || ring_.starvedQueue() < 0) return false;
    isStarvationTold_ = true;
    callFunction(Env(), onStarved_.Value(), {});
    return false;
  }
  int error = ring_.enter();
  if (error != 0) end(error);
  return error == 0;
}

/** Out of a run of requests replies go out at once. */
void FuseChannel::flushRing() {
  if (fuse_ && !isServing_ && ring_.isStarted() && ring_.isDue()) bringRing(false);
}

/** INIT is answered: from now on requests come through the ring. */
void FuseChannel::startRing() {
  int error = ring_.start();
  if (error != 0) end(error);
}

FuseChannel::Outcome FuseChannel::handle(size_t length, napi_value onRequest, napi_value undefined) {
  napi_env env = Env();
  napi_value argument;
  napi_value result;
  hasParked_ = false;
  napi_create_uint32(env, static_cast<uint32_t>(length), &argument);
  if (napi_call_function(env, undefined, onRequest, 1, &argument, &result) != napi_ok) {
    if (fuse_) failRequest();
    reportException(env);  // last, for it may end the process
    return Outcome::kAnswered;
  }
  if (!fuse_) return Outcome::kNoReply;

  uint32_t replyLength;
  if (napi_get_value_uint32(env, result, &replyLength) != napi_ok) replyLength = UINT32_MAX;  // no number: refused
  hasParked_ = replyLength == 0 && hasReply(request()->opcode);
  if (replyLength == 0) return Outcome::kNoReply;
  sendReply(replyLength);
  return Outcome::kAnswered;
}

void FuseChannel::sendReply(uint32_t length) {
  uint64_t unique = request()->unique;
  iovec parts[2] = {{reply_.data(), length}, {}};
  int count = 1;
  bool isSound = length <= reply_.size();
  if (slice_[1] != 0) {
    isSound = takeSlice(&parts[1]) && isSound;
    count = 2;
  }
  if (!isSound) return refuse(unique, EINVAL);
  send(unique, parts, count);
}

/** The answer to a request whose handler has thrown. */
void FuseChannel::failRequest() {
  slice_[1] = 0;
  if (hasReply(request()->opcode)) sendError(request()->unique, EIO);
}

void FuseChannel::answer(const Napi::CallbackInfo& info) {
  auto slots = info[0].As<Napi::Uint32Array>();
  uint32_t count = info[1].As<Napi::Number>().Uint32Value();
  uint32_t length = info[2].As<Napi::Number>().Uint32Value();
  bool more = info[3].As<Napi::Boolean>();
  if (!fuse_) return;
  if (count > slots.ElementLength()) throw Napi::RangeError::New(info.Env(), "count is over the number of slots");
  if (!reply_.holds(sizeof(fuse_out_header), length)) {
    throw Napi::RangeError::New(info.Env(), "length is over the reply's");
  }
  iovec slice{};
  if (!takeSlice(&slice)) throw Napi::RangeError::New(info.Env(), "slice is not inside the log");

  const uint32_t* slot = slots.Data();
  replies_.begin({reply_.data() + sizeof(fuse_out_header), length}, slice);
  for (uint32_t i = 0; i < count; ++i) {
    uint64_t unique = parkedUnique(info.Env(), slot[i]);
    if (ring_.isStarted()) {
      fuse_out_header header{static_cast<uint32_t>(sizeof(header) + length + slice.iov_len), 0, unique};
      iovec parts[3] = {{&header, sizeof(header)}, {reply_.data() + sizeof(header), length}, slice};
      send(unique, parts, 3);
    } else {
      replies_.add(unique);
      if (replies_.isFull()) sendBatch();
    }
  }
  // The next answer is built where this one's bytes are, but for those that lie in the log
  if (!more || length > 0) sendBatch();
  if (!more) flushRing();
}

void FuseChannel::flush(const Napi::CallbackInfo&) {
  sendBatch();
  flushRing();
}

void FuseChannel::fail(const Napi::CallbackInfo& info) {
  uint32_t slot = info[0].As<Napi::Number>().Uint32Value();
  int error = info[1].As<Napi::Number>().Int32Value();
  if (!fuse_) return;
  fuse_out_header header{sizeof(header), -error, parkedUnique(info.Env(), slot)};
  iovec part{&header, sizeof(header)};
  send(header.unique, &part, 1);
  flushRing();
}

Napi::Value FuseChannel::notify(const Napi::CallbackInfo& info) {
  uint32_t length = info[0].As<Napi::Number>().Uint32Value();
  if (length > reply_.size()) throw Napi::RangeError::New(info.Env(), "length is over the reply's");
  return Napi::Boolean::New(info.Env(), fuse_ && write(fuse_.get(), reply_.data(), length) >= 0);
}

Napi::Value FuseChannel::prepareRing(const Napi::CallbackInfo& info) {
  uint32_t queues = info[0].As<Napi::Number>().Uint32Value();
  size_t payloadBytes = info[1].As<Napi::Number>().Uint32Value();
  bool isThere = fuse_ && ring_.prepare(fuse_.get(), queues, payloadBytes);
  try {
    if (isThere) ringPoll_.start(info.Env(), ring_.wakeFd(), onRingPoll, this);
  } catch (const Napi::Error&) {
    ring_.close();
    isThere = false;
  }
  return Napi::Boolean::New(info.Env(), isThere);
}

Napi::Value FuseChannel::usesRing(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), ring_.isServing());
}

void FuseChannel::expectBlocked(const Napi::CallbackInfo& info) {
  ring_.expectBlocked(info[0].As<Napi::Number>().Uint32Value());
}

Napi::Value FuseChannel::starvedQueue(const Napi::CallbackInfo& info) {
  int32_t queue = ring_.starvedQueue();
  isStarvationTold_ = queue >= 0;
  return Napi::Number::New(info.Env(), queue);
}

/** Writes one reply. */
void FuseChannel::send(uint64_t unique, iovec* parts, int count) {
  FuseRing::Sent sent = ring_.send(unique, parts, count);
  if (sent == FuseRing::Sent::kTooLong) refuse(unique, EINVAL);
  if (sent != FuseRing::Sent::kNotHeld) return;
  int fd = fuse_.get();
  ssize_t written = count == 1 ? write(fd, parts->iov_base, parts->iov_len) : writev(fd, parts, count);
  if (written < 0) notTaken(unique, errno);
}

/** Writes the replies of the batch. */
void FuseChannel::sendBatch() {
  if (!fuse_ || replies_.isEmpty()) return;
  uint32_t count = replies_.send(fuse_.get());
  for (uint32_t i = 0; i < count && fuse_; ++i) {
    if (replies_.error(i) != 0) notTaken(replies_.unique(i), replies_.error(i));
  }
}

void FuseChannel::notTaken(uint64_t unique, int error) {
  // ENOENT: the caller was killed, or the connection is over; of the latter the next read(2) tells, in one place
  if (error != ENOENT && error != ENODEV && error != ECONNABORTED) refuse(unique, error);
}

void FuseChannel::sendError(uint64_t unique, int error) {
  fuse_out_header header{sizeof(header), -error, unique};
  iovec part{&header, sizeof(header)};
  if (ring_.send(unique, &part, 1) != FuseRing::Sent::kNotHeld) return;
  // What goes wrong here goes wrong because the request is gone, and there is nobody to tell
  [[maybe_unused]] ssize_t written = write(fuse_.get(), &header, sizeof(header));
}

/** A reply that the kernel would not take, or that we would not give it: the caller must not wait for ever. */
void FuseChannel::refuse(uint64_t unique, int error) {
  sendError(unique, EIO);
  Napi::HandleScope scope(Env());
  callFunction(Env(), onRefused_.Value(), {Napi::Number::New(Env(), error)});
}

/** The slice of the log that ends this reply, as `part`; none for the next. False when it is not inside the log. */
bool FuseChannel::takeSlice(iovec* part) {
  size_t start = slice_[0];
  size_t length = slice_[1];
  slice_[1] = 0;
  if (!log_.holds(start, length)) return false;
  *part = {log_.data() + start, length};
  return true;
}

uint64_t FuseChannel::parkedUnique(Napi::Env env, uint32_t slot) {
  uint64_t unique;
  size_t start = size_t{slot} * sizeof(unique);
  if (!parked_.holds(start, sizeof(unique))) throw Napi::RangeError::New(env, "no such slot");
  memcpy(&unique, parked_.data() + start, sizeof(unique));
  return unique;
}

void FuseChannel::end(int error) {
  Napi::HandleScope scope(Env());
  Napi::Function onEnd = onEnd_.Value();
  closeNow();
  makeCallback(Env(), onEnd, {Napi::Number::New(Env(), error)});
}

void FuseChannel::close(const Napi::CallbackInfo&) { closeNow(); }

void FuseChannel::closeNow() {
  if (!fuse_) return;
  poll_.close();
  replies_.close();
  ringPoll_.close();
  ring_.close();  // before the device: else the kernel asks us on, where nobody looks
  fuse_.reset();
  if (!isServing_) letGo();  // else the serving loop does, when it no longer needs what is let go of
}

/** Lets all be collected that this holds, and this itself: its callbacks are likely to refer to it. */
void FuseChannel::letGo() {
  deathsReference_.Reset();
  request_.release();
  reply_.release();
  log_.release();
  slice_.release();
  parked_.release();
  onRequest_.Reset();
  onSettle_.Reset();
  onRefused_.Reset();
  onStarved_.Reset();
  onEnd_.Reset();
  if (isHeldByLoop_) Unref();
  isHeldByLoop_ = false;
}

void exportFuseChannel(Napi::Env env, Napi::Object exports) {
  using Channel = FuseChannel;
  exports.Set("FuseChannel", Channel::DefineClass(env, "FuseChannel",
                                                  {
                                                      Channel::InstanceMethod<&Channel::start>("start"),
                                                      Channel::InstanceMethod<&Channel::serve>("serve"),
                                                      Channel::InstanceMethod<&Channel::answer>("answer"),
                                                      Channel::InstanceMethod<&Channel::flush>("flush"),
                                                      Channel::InstanceMethod<&Channel::fail>("fail"),
                                                      Channel::InstanceMethod<&Channel::notify>("notify"),
                                                      Channel::InstanceMethod<&Channel::prepareRing>("prepareRing"),
                                                      Channel::InstanceMethod<&Channel::usesRing>("usesRing"),
                                                      Channel::InstanceMethod<&Channel::expectBlocked>("expectBlocked"),
                                                      Channel::InstanceMethod<&Channel::starvedQueue>("starvedQueue"),
                                                      Channel::InstanceMethod<&Channel::close>("close"),
                                                  }));
}

}  // namespace eventfs
