#pragma once

#include <linux/fuse.h>
#include <napi.h>
#include <sys/uio.h>

#include "fuse/transport.h"
#include "process/death_watch.h"
#include "shared_array.h"
#include "shared_words.h"

namespace eventfs {

/**
 * The JavaScript side of a channel: its callbacks, and the memory that both sides share.
 *
 * JavaScript may close the channel in each callback. The memory stays valid until `release`.
 */
class RequestHandler {
 public:
  /** The values that each call needs. Valid as long as the current handle scope. */
  struct Call {
    napi_value undefined;
    napi_value onRequest;
  };
  /** `outcome` besides the values of RequestOutcome: `onRequest` has thrown. */
  static constexpr uint32_t kThrew = RequestOutcome::count;

  /** Takes FuseChannelOptions; throws a TypeError or a RangeError. */
  explicit RequestHandler(Napi::Object options);

  // ---- The current request

  uint8_t* requestBytes() const { return request_.data(); }
  size_t requestRoom() const { return request_.size(); }
  const fuse_in_header* request() const {
    return reinterpret_cast<const fuse_in_header*>(request_.data());
  }

  /** Reports deaths, so that a process that died before the request is gone when it is handled. */
  void drainDeaths() { deaths_->drainBefore(callFunction); }
  Call prepareCall() const;
  /**
   * Calls `onRequest` for the request of `length` bytes.
   * @returns a value of RequestOutcome, or kThrew; then call `reportException`
   */
  uint32_t handle(const Call& call, size_t length);
  void reportException() const { eventfs::reportException(env_); }
  /**
   * Takes the reply that `onRequest` has built.
   * @param parts room for two parts @param count receives how many there are
   * @returns false if it exceeds the memory that JavaScript shares
   */
  bool takeReply(iovec* parts, int* count);

  // ---- Parked requests

  /** Finds the number of a parked request. Returns false if there is no such slot. */
  bool parkedUnique(uint32_t slot, uint64_t* unique) const;
  /** Returns `length` bytes of the reply memory behind its header; false if they exceed it. */
  bool replyBody(size_t length, iovec* part) const;
  /** Takes the slice of the log that ends the reply; false if it exceeds the log. */
  bool takeSlice(iovec* part);
  void clearSlice() { control_[ControlWord::sliceLength] = 0; }
  /** Returns the first `length` bytes of the reply memory; false if they exceed it. */
  bool replyBytes(size_t length, iovec* part) const;

  // ---- Readers that wait for events

  /** A value of SettleState. */
  uint32_t settleState() const { return control_[ControlWord::settle]; }
  void setSettleState(uint32_t state) { control_[ControlWord::settle] = state; }
  /** Calls `onSettle`, which wakes readers. It sets the state again if it has not woken all. */
  void settle();

  // ---- Problems

  /** Calls `onRefused`. @param isParked the reply was not to the request in memory */
  void reportRejected(int error, bool isParked);
  void reportStarved();
  void reportDry();
  /** Calls `onHung`. @param ms how long the handler of the request in memory has run */
  void reportHung(uint32_t ms);
  /** Returns `onEnd`, which outlives `release` within the current handle scope. */
  napi_value onEnd() const { return onEnd_.Value(); }

  /** Drops all references: V8 may collect the memory and the callbacks. */
  void release();

 private:
  napi_env env_;
  DeathWatch* deaths_;
  Napi::ObjectReference deathsReference_;
  SharedArray<uint8_t> request_;
  SharedArray<uint8_t> reply_;
  SharedArray<uint8_t> log_;
  SharedArray<uint32_t> control_;
  SharedArray<uint8_t> parked_;
  Napi::FunctionReference onRequest_;
  Napi::FunctionReference onSettle_;
  Napi::FunctionReference onRefused_;
  Napi::FunctionReference onStarved_;
  Napi::FunctionReference onDry_;
  Napi::FunctionReference onHung_;
  Napi::FunctionReference onEnd_;
};

}  // namespace eventfs
