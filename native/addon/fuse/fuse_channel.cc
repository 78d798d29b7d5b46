#include "fuse/fuse_channel.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "options.h"
#include "system_error.h"

namespace eventfs {

FuseChannel::FuseChannel(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FuseChannel>(info),
      handler_(optionsArgument(info)),
      loop_(*this, handler_, info.Env(), numberOption(optionsArgument(info), "busyPollUs")) {
  int fd = optionsArgument(info).Get("fd").As<Napi::Number>().Int32Value();
  // A descriptor from fusermount(1) may be a blocking one
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    throw systemError(info.Env(), errno, "fcntl");
  }
  Napi::Object hang = optionsArgument(info).Get("hang").As<Napi::Object>();
  int error = loop_.watchFor(numberOption(hang, "boundMs"), HangReport(hang));
  if (error != 0) {
    auto onNoTimer = hang.Get("onNoTimer").As<Napi::Function>();
    onNoTimer.Call({Napi::Number::New(info.Env(), error)});
  }
  loop_.open(fd);  // last: the caller keeps the descriptor if the constructor fails
}

void FuseChannel::start(const Napi::CallbackInfo& info) {
  if (loop_.isStarted()) return;
  if (!loop_.isOpen()) throw systemError(info.Env(), EBADF, "epoll_ctl");
  loop_.start(info.Env());
  if (!isReferenced_) Ref();  // keeps this alive while the event loop refers to it
  isReferenced_ = true;
}

void FuseChannel::pause(const Napi::CallbackInfo&) { loop_.pause(); }

void FuseChannel::dropAhead(const Napi::CallbackInfo&) { loop_.dropAhead(); }

Napi::Value FuseChannel::serve(const Napi::CallbackInfo& info) {
  if (loop_.isOpen() && loop_.isServing()) {
    throw Napi::Error::New(info.Env(), "serve() must not be called while a request is served");
  }
  return Napi::Number::New(info.Env(), loop_.serveAll());
}

void FuseChannel::serveTurn(const Napi::CallbackInfo& info) {
  if (loop_.isOpen() && loop_.isServing()) {
    throw Napi::Error::New(info.Env(), "serveTurn() must not be called while a request is served");
  }
  loop_.serveTurn();
}

void FuseChannel::answer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto slots = info[0].As<Napi::Uint32Array>();
  uint32_t count = info[1].As<Napi::Number>().Uint32Value();
  uint32_t length = info[2].As<Napi::Number>().Uint32Value();
  bool isCorked = info[3].As<Napi::Boolean>();
  if (!loop_.isOpen()) return;
  if (count > slots.ElementLength()) {
    throw Napi::RangeError::New(env, "count exceeds the number of slots");
  }
  ReplyBody body{};
  if (!handler_.replyBody(length, &body.copied)) {
    throw Napi::RangeError::New(env, "length exceeds the reply");
  }
  if (!handler_.takeSlice(&body.slice)) throw Napi::RangeError::New(env, "slice exceeds the log");

  RequestWatchdog::Pause pause(loop_.watchdog());
  const uint32_t* slot = slots.Data();
  for (uint32_t i = 0; i < count && loop_.isOpen(); ++i) {
    loop_.transport().queueReply(parkedUnique(env, slot[i]), body);
  }
  if (!isCorked) {
    loop_.uncork();
  } else if (length > 0) {
    // JavaScript builds the next answer in the same memory. Only bytes of the log stay.
    loop_.transport().releaseBodies();
  }
}

void FuseChannel::uncork(const Napi::CallbackInfo&) {
  RequestWatchdog::Pause pause(loop_.watchdog());
  if (loop_.isOpen()) loop_.uncork();
}

void FuseChannel::fail(const Napi::CallbackInfo& info) {
  uint32_t slot = info[0].As<Napi::Number>().Uint32Value();
  int error = info[1].As<Napi::Number>().Int32Value();
  if (!loop_.isOpen()) return;
  fuse_out_header header = errorReply(parkedUnique(info.Env(), slot), error);
  RequestWatchdog::Pause pause(loop_.watchdog());
  iovec part{&header, sizeof(header)};
  loop_.transport().send(header.unique, &part, 1);
  loop_.flush();
}

Napi::Value FuseChannel::notify(const Napi::CallbackInfo& info) {
  iovec part{};
  if (!handler_.replyBytes(info[0].As<Napi::Number>().Uint32Value(), &part)) {
    throw Napi::RangeError::New(info.Env(), "length exceeds the reply");
  }
  bool isTaken = loop_.isOpen() && write(loop_.deviceFd(), part.iov_base, part.iov_len) >= 0;
  return Napi::Boolean::New(info.Env(), isTaken);
}

Napi::Value FuseChannel::prepareRing(const Napi::CallbackInfo& info) {
  uint32_t queues = info[0].As<Napi::Number>().Uint32Value();
  size_t payloadBytes = info[1].As<Napi::Number>().Uint32Value();
  return Napi::Boolean::New(info.Env(), loop_.prepareRing(info.Env(), queues, payloadBytes));
}

Napi::Value FuseChannel::usesRing(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), loop_.ring().ring().isServing());
}

void FuseChannel::expectBlocked(const Napi::CallbackInfo& info) {
  RequestWatchdog::Pause pause(loop_.watchdog());
  loop_.ring().ring().expectBlocked(info[0].As<Napi::Number>().Uint32Value());
}

Napi::Value FuseChannel::starvedQueue(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), loop_.ring().takeStarvedQueue());
}

void FuseChannel::close(const Napi::CallbackInfo&) {
  RequestWatchdog::Pause pause(loop_.watchdog());
  loop_.close();
}

uint64_t FuseChannel::parkedUnique(Napi::Env env, uint32_t slot) const {
  uint64_t unique;
  if (!handler_.parkedUnique(slot, &unique)) throw Napi::RangeError::New(env, "no such slot");
  return unique;
}

/** Drops what refers to JavaScript: the callbacks are likely to refer to this object. */
void FuseChannel::onReleased() {
  handler_.release();
  if (isReferenced_) Unref();
  isReferenced_ = false;
}

void exportFuseChannel(Napi::Env env, Napi::Object exports) {
  using Channel = FuseChannel;
  exports.Set(
      "FuseChannel",
      Channel::DefineClass(env, "FuseChannel",
                           {
                               Channel::InstanceMethod<&Channel::start>("start"),
                               Channel::InstanceMethod<&Channel::pause>("pause"),
                               Channel::InstanceMethod<&Channel::dropAhead>("dropAhead"),
                               Channel::InstanceMethod<&Channel::serve>("serve"),
                               Channel::InstanceMethod<&Channel::serveTurn>("serveTurn"),
                               Channel::InstanceMethod<&Channel::answer>("answer"),
                               Channel::InstanceMethod<&Channel::uncork>("uncork"),
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
