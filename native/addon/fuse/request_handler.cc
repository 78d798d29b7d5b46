#include "fuse/request_handler.h"

#include <cstring>

#include "callback.h"
#include "options.h"

namespace eventfs {

RequestHandler::RequestHandler(Napi::Object options)
    : env_(options.Env()),
      deaths_(DeathWatch::from(options.Get("deaths"))),
      deathsReference_(Napi::Persistent(options.Get("deaths").As<Napi::Object>())),
      request_(options, "request"),
      reply_(options, "reply"),
      log_(options, "log"),
      control_(options, "control"),
      parked_(options, "parked"),
      onRequest_(functionOption(options, "onRequest")),
      onSettle_(functionOption(options, "onSettle")),
      onRefused_(functionOption(options, "onRefused")),
      onStarved_(functionOption(options, "onStarved")),
      onDry_(functionOption(options, "onDry")),
      onHung_(functionOption(options, "onHung")),
      onEnd_(functionOption(options, "onEnd")) {
  if (request_.size() < FUSE_MIN_READ_BUFFER) {
    throw Napi::RangeError::New(options.Env(), "request has fewer than 8192 bytes");
  }
  if (reply_.size() < sizeof(fuse_out_header)) {
    throw Napi::RangeError::New(options.Env(), "reply has fewer than 16 bytes");
  }
  if (control_.size() < ControlWord::count) {
    throw Napi::RangeError::New(options.Env(), "control has fewer than ControlWord.count words");
  }
}

RequestHandler::Call RequestHandler::prepareCall() const {
  Call call;
  napi_get_undefined(env_, &call.undefined);
  call.onRequest = onRequest_.Value();
  return call;
}

uint32_t RequestHandler::handle(const Call& call, size_t length) {
  napi_value argument;
  napi_value result;
  control_[ControlWord::outcome] = RequestOutcome::unset;
  napi_create_uint32(env_, static_cast<uint32_t>(length), &argument);
  if (napi_call_function(env_, call.undefined, call.onRequest, 1, &argument, &result) != napi_ok) {
    return kThrew;
  }
  return control_[ControlWord::outcome];
}

bool RequestHandler::takeReply(iovec* parts, int* count) {
  size_t length = control_[ControlWord::replyLength];
  parts[0] = {reply_.data(), length};
  *count = 1;
  bool isSound = length != 0 && length <= reply_.size();
  if (control_[ControlWord::sliceLength] == 0) return isSound;
  *count = 2;
  return takeSlice(&parts[1]) && isSound;
}

bool RequestHandler::parkedUnique(uint32_t slot, uint64_t* unique) const {
  size_t start = size_t{slot} * sizeof(*unique);
  if (!parked_.holds(start, sizeof(*unique))) return false;
  memcpy(unique, parked_.data() + start, sizeof(*unique));
  return true;
}

bool RequestHandler::replyBody(size_t length, iovec* part) const {
  if (!reply_.holds(sizeof(fuse_out_header), length)) return false;
  *part = {reply_.data() + sizeof(fuse_out_header), length};
  return true;
}

bool RequestHandler::replyBytes(size_t length, iovec* part) const {
  if (!reply_.holds(0, length)) return false;
  *part = {reply_.data(), length};
  return true;
}

bool RequestHandler::takeSlice(iovec* part) {
  size_t start = control_[ControlWord::sliceStart];
  size_t length = control_[ControlWord::sliceLength];
  clearSlice();
  if (!log_.holds(start, length)) return false;
  *part = {log_.data() + start, length};
  return true;
}

void RequestHandler::settle() {
  setSettleState(SettleState::settled);
  callFunction(env_, onSettle_.Value(), {});
}

void RequestHandler::reportRejected(int error, bool isParked) {
  Napi::HandleScope scope(env_);
  callFunction(env_, onRefused_.Value(),
               {Napi::Number::New(env_, error), Napi::Boolean::New(env_, isParked)});
}

void RequestHandler::reportStarved() {
  Napi::HandleScope scope(env_);
  callFunction(env_, onStarved_.Value(), {});
}

void RequestHandler::reportDry() {
  Napi::HandleScope scope(env_);
  callFunction(env_, onDry_.Value(), {});
}

void RequestHandler::reportHung(uint32_t ms) {
  Napi::HandleScope scope(env_);
  callFunction(env_, onHung_.Value(), {Napi::Number::New(env_, ms)});
}

void RequestHandler::release() {
  deathsReference_.Reset();
  request_.release();
  reply_.release();
  log_.release();
  control_.release();
  parked_.release();
  onRequest_.Reset();
  onSettle_.Reset();
  onRefused_.Reset();
  onStarved_.Reset();
  onDry_.Reset();
  onHung_.Reset();
  onEnd_.Reset();
}

}  // namespace eventfs
