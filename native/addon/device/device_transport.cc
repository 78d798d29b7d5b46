#include "device/device_transport.h"

namespace eventfs {

void DeviceTransport::sendError(uint64_t unique, int error) {
  fuse_out_header header = errorReply(unique, error);
  // The kernel rejects an error reply only if the request is gone, and then no caller waits
  [[maybe_unused]] ssize_t written = write(fd(), &header, sizeof(header));
}

void DeviceTransport::queueReply(uint64_t unique, const ReplyBody& body) {
  replies_.add(unique, body);
  if (replies_.isFull()) releaseBodies();
}

void DeviceTransport::releaseBodies() {
  if (!isOpen() || replies_.isEmpty()) return;
  uint32_t count = replies_.send(fd());
  // The listener may close the channel during the loop
  for (uint32_t i = 0; i < count && isOpen(); ++i) {
    if (replies_.error(i) != 0) reject(replies_.unique(i), replies_.error(i));
  }
}

void DeviceTransport::reject(uint64_t unique, int error) {
  // ENOENT: the caller was killed, or the connection is over. ENODEV, ECONNABORTED: it is over. The
  // next read(2) reports the end, in one place.
  if (error == ENOENT || error == ENODEV || error == ECONNABORTED) return;
  listener_.onReplyRejected(unique, error);
}

void DeviceTransport::close() {
  poll_.close();
  replies_.close();
  fuse_.reset();
}

}  // namespace eventfs
