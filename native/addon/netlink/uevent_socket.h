#pragma once

#include <linux/netlink.h>
#include <napi.h>
#include <sys/socket.h>

#include "descriptor.h"
#include "event_loop/poll_handle.h"
#include "shared_array.h"

namespace eventfs {

/** A NETLINK_KOBJECT_UEVENT socket in the event loop; see index.d.ts. */
class UeventSocket : public Napi::ObjectWrap<UeventSocket> {
 public:
  explicit UeventSocket(const Napi::CallbackInfo& info);

  Napi::Value receiveBufferBytes(const Napi::CallbackInfo& info);
  Napi::Value descriptor(const Napi::CallbackInfo& info);
  void start(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);
  Napi::Value readBatch(const Napi::CallbackInfo& info);
  Napi::Value batch(const Napi::CallbackInfo& info);
  Napi::Value recover(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

 private:
  /** Room for the sender and the credentials of one datagram. */
  struct Slot {
    sockaddr_nl sender;
    iovec bytes;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  };
  /**
   * The head of the memory `headers`: it outlives the process, if a guardian keeps it. The slots
   * and the messages follow it.
   */
  struct Head {
    /** The number of the batch that the messages belong to. */
    uint32_t batch;
    /** Whether the kernel has dropped messages, and messages from before still wait. */
    uint32_t isOverrun;
    alignas(64) char end[];
  };
  /** Why a batch ends. */
  enum class Batch { kFull, kDry, kOverrun, kFailed };

  static void onPoll(void* owner);
  void open(Napi::Env env, uint32_t group);
  void adopt(Napi::Env env, int fd);
  void placeSlots(Napi::Env env);
  void beginBatch();
  void arm(size_t slot);
  void describe(size_t slot);
  void readUpTo(uint32_t max);
  bool hasMore() const;
  Batch receive(uint32_t* count);
  void report(uint32_t count, bool overrun, bool dry);

  Descriptor socket_;
  PollHandle poll_;
  bool isReading_ = false;
  int receiveBufferBytes_;

  SharedArray<uint8_t> data_;
  uint32_t slotBytes_;
  SharedArray<uint32_t> meta_;
  Napi::FunctionReference onBatch_;
  SharedArray<uint8_t> headers_;
  size_t count_;
  Head* head_;
  Slot* slots_;
  mmsghdr* messages_;
};

}  // namespace eventfs
