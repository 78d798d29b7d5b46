#include "device/fair_queue.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "fuse/opcode_kinds.h"
#include "invariant.h"

namespace eventfs {

// Linux 6.9 and newer; older headers lack it
static constexpr uint64_t kResent = uint64_t{1} << 63;  // FUSE_UNIQUE_RESEND

FairQueue::~FairQueue() {
  clear();
  while (free_ != nullptr) {
    Copy* copy = free_;
    free_ = copy->next;
    free(copy);
  }
}

bool FairQueue::isBarrier(const fuse_in_header& request) {
  return isRelease(request.opcode) || (request.unique & kResent) != 0;
}

/**
 * Returns the user in whose order a request belongs. An INTERRUPT comes after its target: before
 * it, the signal would be lost.
 */
uint64_t FairQueue::userOf(const uint8_t* bytes) const {
  const auto& header = *reinterpret_cast<const fuse_in_header*>(bytes);
  if (isBarrier(header)) return kBarrier;
  if (header.opcode != FUSE_INTERRUPT) return header.uid;
  uint64_t target = reinterpret_cast<const fuse_interrupt_in*>(&header + 1)->unique;
  for (const User& user : turns_) {
    for (const Copy* copy = user.first; copy != nullptr; copy = copy->next) {
      if (copy->header().unique == target) return user.id;
    }
  }
  return kInterrupts;
}

/** Returns the turn of a user, the last one if the user has none. Few users have most requests. */
FairQueue::User& FairQueue::turnOf(uint64_t user) {
  for (auto turn = turns_.rbegin(); turn != turns_.rend(); ++turn) {
    if (turn->id == user) return *turn;
  }
  turns_.push_back({user, nullptr, nullptr});
  return turns_.back();
}

void FairQueue::add(const uint8_t* bytes, size_t length) {
  EVENTFS_INVARIANT(length >= sizeof(fuse_in_header));
  Copy* copy = allocate(length);
  memcpy(copy->bytes(), bytes, length);
  append(userOf(bytes), copy);
}

void FairQueue::append(uint64_t user, Copy* copy) {
  User& turn = turnOf(user);
  if (turn.first == nullptr) turn.first = copy;
  else turn.last->next = copy;
  turn.last = copy;
  if (user == kBarrier) hasBarrier_ = true;
  bytes_ += memoryOf(copy->length);
}

ssize_t FairQueue::take(uint8_t* to) {
  if (isEmpty()) return 0;
  User turn = turns_.front();
  turns_.pop_front();
  if (turn.id == kBarrier) hasBarrier_ = false;
  Copy* copy = turn.first;
  turn.first = copy->next;
  if (turn.first != nullptr) turns_.push_back(turn);
  size_t length = copy->length;
  memcpy(to, copy->bytes(), length);
  bytes_ -= memoryOf(length);
  release(copy);
  return static_cast<ssize_t>(length);
}

void FairQueue::clear() {
  for (const User& turn : turns_) {
    for (Copy* copy = turn.first; copy != nullptr;) {
      Copy* next = copy->next;
      release(copy);
      copy = next;
    }
  }
  turns_.clear();
  bytes_ = 0;
  hasBarrier_ = false;
}

void FairQueue::dropAnswered() {
  std::deque<User> before;
  before.swap(turns_);
  bytes_ = 0;
  hasBarrier_ = false;
  for (const User& turn : before) {
    for (Copy* copy = turn.first; copy != nullptr;) {
      Copy* next = copy->next;
      copy->next = nullptr;
      if (hasReply(copy->header().opcode)) release(copy);
      else append(turn.id, copy);
      copy = next;
    }
  }
}

FairQueue::Copy* FairQueue::allocate(size_t length) {
  Copy* copy = free_;
  if (memoryOf(length) == kCopyBytes && copy != nullptr) {
    free_ = copy->next;
    --freeCount_;
  } else {
    copy = static_cast<Copy*>(malloc(memoryOf(length)));
    if (copy == nullptr) throw std::bad_alloc();
  }
  copy->next = nullptr;
  copy->length = length;
  return copy;
}

void FairQueue::release(Copy* copy) {
  if (memoryOf(copy->length) != kCopyBytes || freeCount_ == kMostFree) return free(copy);
  copy->next = free_;
  free_ = copy;
  ++freeCount_;
}

}  // namespace eventfs
