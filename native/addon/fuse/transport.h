#pragma once

#include <linux/fuse.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace eventfs {

/** When a run of requests ends. */
enum class Until {
  kNothingIsLikely,  // once another request is unlikely to wait
  kNothingIsLeft,
};

/** The part of a reply behind its header, in two pieces that the reply does not own. */
struct ReplyBody {
  iovec copied;
  iovec slice;

  size_t bytes() const { return copied.iov_len + slice.iov_len; }
};

/**
 * A reply as writev(2) takes it. `parts[0]` points to `header`, so a Reply must not be copied or
 * moved.
 */
struct Reply {
  static constexpr int kParts = 3;

  fuse_out_header header;
  iovec parts[kParts];

  /** Makes this the successful reply to the request `unique`. */
  void build(uint64_t unique, const ReplyBody& body) {
    header = {static_cast<uint32_t>(sizeof(header) + body.bytes()), 0, unique};
    parts[0] = {&header, sizeof(header)};
    parts[1] = body.copied;
    parts[2] = body.slice;
  }
};

/** Returns the whole of a reply that fails with `error`, a positive errno. */
inline fuse_out_header errorReply(uint64_t unique, int error) {
  return {sizeof(fuse_out_header), -error, unique};
}

/**
 * Carries requests from the kernel and replies to it.
 *
 * A run is `beginRun`, any number of `receive`, each followed by `isAnotherLikely`, then `endRun`.
 */
class Transport {
 public:
  /** The receiver of a transport's problems. They may come at any time while it works. */
  class Listener {
   public:
    /** The kernel rejected a reply, or it is too long for the kernel. `error` is the errno. */
    virtual void onReplyRejected(uint64_t unique, int error) = 0;
    /** The kernel may hold requests that no reply of ours releases (FuseRing::starvedQueue). */
    virtual void onStarved() = 0;

   protected:
    ~Listener() = default;
  };

  virtual void beginRun(Until until) = 0;
  /**
   * Copies the next request to `to`, as read(2) of /dev/fuse does, without blocking.
   * @returns its length in bytes; 0 if none waits; a negative errno if the connection is over
   */
  virtual ssize_t receive(uint8_t* to, size_t room) = 0;
  /** Whether to call `receive` again after the request `opcode`, which was replied to or not. */
  virtual bool isAnotherLikely(uint32_t opcode, bool isReplied) = 0;
  /** Hands replies of the run to the kernel. Returns 0 or an errno. */
  virtual int endRun() = 0;

  /** Sends one reply: a fuse_out_header at the start of `parts`, and `count` parts in all. */
  virtual void send(uint64_t unique, const iovec* parts, int count) = 0;
  /** Fails a request. The listener hears nothing if the kernel rejects that too. */
  virtual void sendError(uint64_t unique, int error) = 0;

  /** Adds a reply. The memory of `body` must not change until `releaseBodies`. */
  virtual void queueReply(uint64_t unique, const ReplyBody& body) = 0;
  /** Copies or writes the bodies of queued replies: their memory may change afterwards. */
  virtual void releaseBodies() = 0;
  /** Hands queued replies to the kernel, outside of a run. Returns 0 or an errno. */
  virtual int flush() = 0;

  virtual void close() = 0;

 protected:
  ~Transport() = default;
};

}  // namespace eventfs
