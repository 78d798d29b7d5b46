#include "device/fair_queue.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "fuse/opcode_kinds.h"
#include "invariant.h"

namespace eventfs {

// Linux 6.9 and newer; older headers lack it
static constexpr uint64_t kResentBit = uint64_t{1} << 63;  // FUSE_UNIQUE_RESEND

static const fuse_in_header& headerOf(const uint8_t* bytes) {
  return *reinterpret_cast<const fuse_in_header*>(bytes);
}

static const fuse_release_in& releaseOf(const fuse_in_header& header) {
  return *reinterpret_cast<const fuse_release_in*>(&header + 1);
}

static bool isResent(const fuse_in_header& header) { return (header.unique & kResentBit) != 0; }

/** Returns whether a request closes a file that may have been written. */
static bool isCloseOfWritten(const fuse_in_header& header) {
  return header.opcode == FUSE_RELEASE && (releaseOf(header).flags & O_ACCMODE) != O_RDONLY;
}

/** Returns the memory of the machine in bytes. */
static size_t memoryOfMachine() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

FairQueue::FairQueue()
    : mostBytes_(std::min(kMostBytes, memoryOfMachine() / kMachineShare)), memory_(mostBytes_) {}

FairQueue::~FairQueue() { clear(); }

bool FairQueue::isUrgent(const uint8_t* bytes, uint64_t nowNs) {
  const fuse_in_header& header = headerOf(bytes);
  if (isResent(header)) return ++resentInARow_ <= kMostResentInARow;
  if (header.nodeid == FUSE_ROOT_ID) {
    if (locksDirectory(header.opcode)) return true;
    if (header.opcode == FUSE_LOOKUP) return isWithinBudget(header.uid, nowNs);
  }
  if (!isCloseOfWritten(header)) return false;
  uint64_t opener = userOf(bytes);
  auto user = users_.find(opener);
  if (user != users_.end() && user->second.closes > 0) return false;
  return isWithinBudget(opener, nowNs);
}

/** Returns whether a request of the user may be served at once, and counts it if so. */
bool FairQueue::isWithinBudget(uint64_t user, uint64_t nowNs) {
  if (nowNs - windowStartNs_ >= kWindowNs) {
    atOnce_.clear();
    served_ = nullptr;
    windowStartNs_ = nowNs;
  }
  AtOnce& atOnce = atOnce_[user];
  if (atOnce.count == kMostAtOnce || atOnce.ns >= kMostAtOnceNs) return false;
  ++atOnce.count;
  served_ = &atOnce;  // the map moves no value
  servedSinceNs_ = nowNs;
  return true;
}

/**
 * Returns the user in whose order a request belongs. A RELEASE belongs to the user that has opened
 * the file. An INTERRUPT comes after its target: before it, the signal would be lost.
 */
uint64_t FairQueue::userOf(const uint8_t* bytes) const {
  const fuse_in_header& header = headerOf(bytes);
  if (isResent(header)) return kResent;
  if (isForget(header.opcode)) return kForgets;
  if (isRelease(header.opcode)) return openers_.of(releaseOf(header).fh);
  if (header.opcode != FUSE_INTERRUPT) return header.uid;
  uint64_t target = reinterpret_cast<const fuse_interrupt_in*>(&header + 1)->unique;
  for (const Copy* copy = buckets_[bucketOf(target)]; copy != nullptr; copy = copy->nextInBucket) {
    if (copy->header().unique == target) return copy->user;
  }
  return kInterrupts;
}

/** Takes a request out of its bucket. */
void FairQueue::forget(const Copy* copy) {
  Copy** place = &buckets_[bucketOf(copy->header().unique)];
  while (*place != copy) place = &(*place)->nextInBucket;
  *place = copy->nextInBucket;
}

void FairQueue::add(const uint8_t* bytes, size_t length) {
  EVENTFS_INVARIANT(length >= sizeof(fuse_in_header));
  Copy* copy = allocate(length);
  memcpy(copy->bytes(), bytes, length);
  copy->user = userOf(bytes);
  append(copy);
}

void FairQueue::append(Copy* copy) {
  Copy*& bucket = buckets_[bucketOf(copy->header().unique)];
  copy->nextInBucket = bucket;
  bucket = copy;
  User& user = users_[copy->user];
  if (user.first == nullptr) {
    user = {copy, copy, 0};
    turns_.push_back(&user);
  } else {
    user.last->next = copy;
    user.last = copy;
  }
  if (isCloseOfWritten(copy->header())) ++user.closes;
  if (copy->user == kResent) hasResent_ = true;
  bytes_ += memoryOf(copy->length);
}

ssize_t FairQueue::take(uint8_t* to) {
  resentInARow_ = 0;
  if (isEmpty()) return 0;
  User* user = turns_.front();
  turns_.pop_front();
  Copy* copy = user->first;
  if (copy->user == kResent) hasResent_ = false;
  if (isCloseOfWritten(copy->header())) --user->closes;
  user->first = copy->next;
  if (user->first != nullptr) turns_.push_back(user);
  else users_.erase(copy->user);
  forget(copy);
  size_t length = copy->length;
  memcpy(to, copy->bytes(), length);
  bytes_ -= memoryOf(length);
  memory_.noteServed();
  release(copy);
  return static_cast<ssize_t>(length);
}

void FairQueue::clear() {
  dropIf([](const fuse_in_header&) { return true; });
}

void FairQueue::dropResendable() {
  dropIf([](const fuse_in_header& request) { return !isForget(request.opcode); });
}

void FairQueue::dropAnswered() {
  dropIf([](const fuse_in_header& request) { return hasReply(request.opcode); });
}

template <typename Test>
void FairQueue::dropIf(const Test& isDropped) {
  std::deque<Copy*> lists;
  for (const User* user : turns_) lists.push_back(user->first);
  turns_.clear();
  users_.clear();
  memset(buckets_, 0, sizeof(buckets_));
  bytes_ = 0;
  hasResent_ = false;
  for (Copy* copy : lists) {
    while (copy != nullptr) {
      Copy* next = std::exchange(copy->next, nullptr);
      if (isDropped(copy->header())) release(copy);
      else append(copy);
      copy = next;
    }
  }
}

FairQueue::Copy* FairQueue::allocate(size_t length) {
  auto* copy = static_cast<Copy*>(memory_.allocate(sizeof(Copy) + length));
  copy->next = nullptr;
  copy->length = length;
  return copy;
}

void FairQueue::release(Copy* copy) { memory_.release(copy, sizeof(Copy) + copy->length); }

}  // namespace eventfs
