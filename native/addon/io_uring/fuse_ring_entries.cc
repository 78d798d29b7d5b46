// The entries of a FuseRing: how many each queue has, and the memory behind them.
#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "invariant.h"
#include "io_uring/fuse_ring.h"
#include "io_uring/fuse_ring_entry.h"

namespace eventfs {

/** How many idle entries a queue has besides those for blocked requests. Half of them may go. */
static constexpr uint32_t kSpare = 64;

/**
 * The bytes of each payload whose memory stays; and of all memory beyond that, the most that stays.
 */
static constexpr size_t kSmallBytes = 64 * 1024;
static constexpr size_t kMaxLargeBytes = 32 * 1024 * 1024;

// ---- How many

void FuseRing::expectBlocked(uint32_t count) {
  expected_ = std::max(expected_, count);
  if (isStarted_) keepAhead();
}

/**
 * Provides enough idle entries on every queue. Queued entries count: the next `enter` frees them.
 */
void FuseRing::keepAhead() {
  for (uint32_t i = 0; i < queueCount_; ++i) {
    uint32_t idle = queues_[i].idle + queues_[i].queued;
    if (idle >= expected_ + kSpare / 2) continue;
    // If there is no memory, a starved queue is the worst result
    addEntries(i, expected_ + kSpare + kSpare / 2 - idle);
  }
}

/**
 * Returns private memory whose pages cost nothing until the first write; nullptr if memory is
 * short.
 */
uint8_t* FuseRing::map(size_t bytes) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  maps_.push_back({at, bytes});
  return static_cast<uint8_t*>(at);
}

bool FuseRing::addEntries(uint32_t index, uint32_t count) {
  uint8_t* payloads = map(count * payloadBytes_);
  if (payloads == nullptr) return false;
  // With huge pages the first byte of a payload would take 2 MiB
  madvise(payloads, count * payloadBytes_, MADV_NOHUGEPAGE);
  uint8_t* entries = map(count * sizeof(Entry));
  if (entries == nullptr) return false;

  Queue& queue = queues_[index];
  // The kernel uses the newest entries first. Once it uses one of the old idle entries, it has had
  // no other left.
  if (queue.oldIdle == 0) {
    queue.oldIdle = queue.idle;
    ++queue.generation;
    if (queue.idle == 0 && queue.hasEntry) queue.suspect();
  }
  queue.hasEntry = true;
  for (uint32_t i = 0; i < count; ++i) {
    auto* entry = new (entries + i * sizeof(Entry)) Entry{};
    entry->queue = index;
    entry->parts[0] = {&entry->headers, sizeof(entry->headers)};
    entry->parts[1] = {payloads + i * payloadBytes_, payloadBytes_};
    ++queue.entries;
    command(entry, kRegister, 0);
  }
  EVENTFS_INVARIANT(isConsistent(queue));
  return true;
}

// ---- Starvation

/** Ends the suspicion of each queue whose last reply has fetched no request. The batch is empty. */
void FuseRing::clearSuspicions() {
  for (Queue& queue : queues_) {
    if (queue.mayStarve && queue.probe != nullptr && queue.queued == 0) queue.mayStarve = false;
  }
}

int32_t FuseRing::starvedQueue() const {
  for (uint32_t i = 0; i < queueCount_; ++i) {
    if (queues_[i].mayStarve) return static_cast<int32_t>(i);
  }
  return -1;
}

// ---- Memory

void FuseRing::noteLargePayload(Entry* entry, size_t bytes) {
  if (bytes <= std::max(kSmallBytes, entry->largeBytes)) return;
  if (entry->largeBytes == 0) large_.push_back(entry);
  largeBytes_ += bytes - entry->largeBytes;
  entry->largeBytes = bytes;
}

/** Frees the memory of large payloads, if they are many and the kernel reads none of them. */
void FuseRing::discardLargePayloads() {
  if (largeBytes_ <= kMaxLargeBytes || isDue()) return;
  std::vector<Entry*> kept;
  size_t keptBytes = 0;
  for (Entry* entry : large_) {
    EVENTFS_INVARIANT(entry->largeBytes > kSmallBytes);
    if (entry->isHeld) {
      kept.push_back(entry);
      keptBytes += entry->largeBytes;
      continue;
    }
    madvise(entry->payload() + kSmallBytes, payloadBytes_ - kSmallBytes, MADV_DONTNEED);
    largeBytes_ -= entry->largeBytes;
    entry->largeBytes = 0;
  }
  EVENTFS_INVARIANT(largeBytes_ == keptBytes);
  large_ = std::move(kept);
}

}  // namespace eventfs
