#include "device/fair_queue.h"

#include <cstring>
#include <utility>

#include "fuse/opcode_kinds.h"
#include "invariant.h"

namespace eventfs {

// Linux 6.9 and newer; older headers lack it
static constexpr uint64_t kResent = uint64_t{1} << 63;  // FUSE_UNIQUE_RESEND

bool FairQueue::isBarrier(const fuse_in_header& request) {
  return isRelease(request.opcode) || (request.unique & kResent) != 0;
}

/**
 * Returns the user in whose order a request belongs. An INTERRUPT comes after its target: before
 * it, the signal would be lost.
 */
FairQueue::User FairQueue::userOf(const uint8_t* bytes) const {
  fuse_in_header header;
  memcpy(&header, bytes, sizeof(header));
  if (isBarrier(header)) return kBarrier;
  if (header.opcode != FUSE_INTERRUPT) return header.uid;
  fuse_interrupt_in interrupt;
  memcpy(&interrupt, bytes + sizeof(header), sizeof(interrupt));
  auto target = userOfUnique_.find(interrupt.unique);
  return target == userOfUnique_.end() ? kInterrupts : target->second;
}

void FairQueue::add(const uint8_t* bytes, size_t length) {
  EVENTFS_INVARIANT(length >= sizeof(fuse_in_header));
  User user = userOf(bytes);
  std::deque<Bytes>& waiting = users_[user];
  if (waiting.empty()) turns_.push_back(user);
  if (user == kBarrier) hasBarrier_ = true;
  waiting.emplace_back(bytes, bytes + length);
  const fuse_in_header& header = headerOf(waiting.back());
  if (header.opcode != FUSE_INTERRUPT) userOfUnique_[header.unique] = user;
  bytes_ += length + kBytesOfEach;
}

ssize_t FairQueue::take(uint8_t* to) {
  if (isEmpty()) return 0;
  User user = turns_.front();
  turns_.pop_front();
  if (user == kBarrier) hasBarrier_ = false;
  auto found = users_.find(user);
  EVENTFS_INVARIANT(found != users_.end() && !found->second.empty());
  std::deque<Bytes>& waiting = found->second;
  Bytes request = std::move(waiting.front());
  waiting.pop_front();
  if (waiting.empty()) users_.erase(found);
  else turns_.push_back(user);
  userOfUnique_.erase(headerOf(request).unique);
  bytes_ -= request.size() + kBytesOfEach;
  memcpy(to, request.data(), request.size());
  return static_cast<ssize_t>(request.size());
}

void FairQueue::dropAnswered() {
  std::vector<Bytes> left;
  for (const auto& user : users_) {
    for (const Bytes& request : user.second) {
      if (!hasReply(headerOf(request).opcode)) left.push_back(request);
    }
  }
  clear();
  for (const Bytes& request : left) add(request.data(), request.size());
}

void FairQueue::clear() {
  users_.clear();
  turns_.clear();
  userOfUnique_.clear();
  bytes_ = 0;
  hasBarrier_ = false;
}

}  // namespace eventfs
