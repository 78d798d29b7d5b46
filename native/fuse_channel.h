#pragma once

#include <linux/fuse.h>
#include <napi.h>
#include <sys/uio.h>

#include "busy_poll.h"
#include "death_watch.h"
#include "descriptor.h"
#include "fuse_ring.h"
#include "poll_handle.h"
#include "read_again.h"
#include "reply_batch.h"
#include "shared_array.h"

namespace eventfs {

/** The serving loop on one /dev/fuse descriptor; see index.d.ts. */
class FuseChannel : public Napi::ObjectWrap<FuseChannel> {
 public:
  explicit FuseChannel(const Napi::CallbackInfo& info);

  void start(const Napi::CallbackInfo& info);
  Napi::Value serve(const Napi::CallbackInfo& info);
  void answer(const Napi::CallbackInfo& info);
  void flush(const Napi::CallbackInfo& info);
  void fail(const Napi::CallbackInfo& info);
  Napi::Value notify(const Napi::CallbackInfo& info);
  Napi::Value prepareRing(const Napi::CallbackInfo& info);
  Napi::Value usesRing(const Napi::CallbackInfo& info);
  void expectBlocked(const Napi::CallbackInfo& info);
  Napi::Value starvedQueue(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

 private:
  /** When to give the event loop its turn back. */
  enum class Until { kNothingIsLikely, kNothingIsLeft };
  enum class Outcome { kAnswered, kNoReply };

  static void onPoll(void* owner);
  static void onRingPoll(void* owner);
  void serveInTurns();
  void lookAgain();
  void settle();
  bool isHeldTooLong();
  void settleAll();
  uint32_t serveUpTo(uint32_t most, Until until);
  uint32_t serveDevice(uint32_t most, Until until);
  uint32_t serveRing(uint32_t most, Until until);
  bool bringRing(bool isForced);
  void startRing();
  void flushRing();
  Outcome handle(size_t length, napi_value onRequest, napi_value undefined);
  void sendReply(uint32_t length);
  void failRequest();

  void send(uint64_t unique, iovec* parts, int count);
  void sendBatch();
  void notTaken(uint64_t unique, int error);
  void sendError(uint64_t unique, int error);
  void refuse(uint64_t unique, int error);
  bool takeSlice(iovec* part);
  uint64_t parkedUnique(Napi::Env env, uint32_t slot);

  const fuse_in_header* request() const { return reinterpret_cast<const fuse_in_header*>(request_.data()); }

  void end(int error);
  void closeNow();
  void letGo();

  Descriptor fuse_;
  PollHandle poll_;
  FuseRing ring_;
  PollHandle ringPoll_;
  /** Whether /dev/fuse may have something for us, while requests come through the ring. */
  bool hasMail_ = false;
  bool isStarvationTold_ = false;
  ReadAgain readAgain_;
  ReplyBatch replies_;
  BusyPoll busyPoll_;
  /** Whether it pays off not to wake those who wait for an event before the next one is there too. */
  Backoff<63> hold_;
  /** Since when somebody has not been told of an event; 0 when everybody was. */
  uint64_t unsettledSinceNs_ = 0;
  /** The last request waits for an event: whoever made it does not ask again soon. */
  bool hasParked_ = false;
  bool isServing_ = false;
  bool isHeldByLoop_ = false;

  DeathWatch* deaths_;
  Napi::ObjectReference deathsReference_;
  SharedArray<uint8_t> request_;
  SharedArray<uint8_t> reply_;
  SharedArray<uint8_t> log_;
  SharedArray<uint32_t> slice_;
  SharedArray<uint8_t> parked_;
  Napi::FunctionReference onRequest_;
  Napi::FunctionReference onSettle_;
  Napi::FunctionReference onRefused_;
  Napi::FunctionReference onStarved_;
  Napi::FunctionReference onEnd_;
};

}  // namespace eventfs
