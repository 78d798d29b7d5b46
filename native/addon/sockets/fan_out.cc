#include "sockets/fan_out.h"

#include <cerrno>
#include <cstring>

#include "shared_words.h"

namespace eventfs {

FanOut::FanOut(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto sockets = info[0].As<Napi::Int32Array>();
  count_ = info[1].As<Napi::Number>().Uint32Value();
  auto memory = info[2].As<Napi::Uint8Array>();
  auto slices = info[3].As<Napi::Uint32Array>();
  messages_ = sendable_ = info[4].As<Napi::Number>().Uint32Value();
  auto failed = info[5].As<Napi::Int32Array>();
  if (messages_ > kMaxMessages || slices.ElementLength() < SliceWord::count * size_t{messages_}) {
    throw Napi::RangeError::New(env, "messages exceeds the slices, or 64");
  }
  if (sockets.ElementLength() < count_ ||
      failed.ElementLength() < FailureWord::count * size_t{count_}) {
    throw Napi::RangeError::New(env, "count exceeds the sockets or the room in failed");
  }
  sockets_ = sockets.Data();
  failed_ = failed.Data();
  const uint32_t* words = slices.Data();
  size_t bytes = memory.ElementLength();
  for (uint32_t i = 0; i < messages_; ++i) {
    size_t start = words[SliceWord::count * i + SliceWord::start];
    size_t length = words[SliceWord::count * i + SliceWord::length];
    if (start > bytes || length > bytes - start) {
      throw Napi::RangeError::New(env, "a slice exceeds the memory");
    }
    slices_[i] = {memory.Data() + start, length};
  }
}

void FanOut::prepare(const int* descriptors) {
  for (uint32_t i = 0; i < sendable_; ++i) {
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_iov = &slices_[i];
    header.msg_iovlen = 1;
    if (descriptors != nullptr) attach(i, descriptors[i]);
  }
}

/** Makes message `i` the first line of its slice, with a descriptor (SCM_RIGHTS). */
void FanOut::attach(uint32_t i, int descriptor) {
  msghdr& header = headers_[i].msg_hdr;
  Passing& passing = passings_[i];
  auto* start = static_cast<const char*>(slices_[i].iov_base);
  size_t length = slices_[i].iov_len;
  const void* end = memchr(start, '\n', length);
  if (end != nullptr) length = static_cast<size_t>(static_cast<const char*>(end) + 1 - start);
  passing.line = {slices_[i].iov_base, length};
  header.msg_iov = &passing.line;
  attachDescriptor(&header, &passing.control, descriptor);
}

uint32_t FanOut::send(const int* descriptors) {
  prepare(descriptors);
  uint32_t incomplete = 0;
  for (uint32_t i = 0; i < count_; ++i) {
    int sent;
    do {
      sent = sendmmsg(sockets_[i], headers_, sendable_, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    int outcome = sent < 0 ? -errno : sent;
    if (outcome == static_cast<int>(messages_)) continue;
    int32_t* failure = failed_ + FailureWord::count * size_t{incomplete};
    failure[FailureWord::place] = static_cast<int32_t>(i);
    failure[FailureWord::outcome] = outcome;
    ++incomplete;
  }
  return incomplete;
}

}  // namespace eventfs
