#include "device/request_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "invariant.h"

namespace eventfs {

RequestMemory::~RequestMemory() {
  for (Pool& pool : pools_) {
    if (pool.memory != nullptr) munmap(pool.memory, mostBytes_);
  }
}

size_t RequestMemory::memoryOf(size_t bytes) {
  for (size_t slotBytes : kSlotBytes) {
    if (bytes <= slotBytes) return slotBytes;
  }
  return bytes;
}

RequestMemory::Pool* RequestMemory::poolOf(size_t bytes) {
  for (Pool& pool : pools_) {
    if (bytes <= pool.slotBytes) return &pool;
  }
  return nullptr;
}

bool RequestMemory::owns(const Pool& pool, const void* memory) const {
  auto at = static_cast<const char*>(memory);
  return pool.memory != nullptr && at >= pool.memory && at < pool.memory + mostBytes_;
}

/** Maps the memory of a pool. It takes no page before the first use. */
bool RequestMemory::map(Pool& pool) const {
  void* memory = mmap(nullptr, mostBytes_, PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  pool.memory = static_cast<char*>(memory);
  // For a huge page the kernel may move others first, which takes milliseconds
  madvise(memory, mostBytes_, MADV_NOHUGEPAGE);
  return true;
}

/**
 * Returns whether a pool has room for one more slot. All pools share one bound: a user who sends
 * requests of each size takes no more memory.
 */
bool RequestMemory::makeRoom(Pool& pool) {
  size_t needed = pool.made + pool.slotBytes;
  if (needed > pool.resident) {
    size_t more = needed - pool.resident;
    if (resident_ + more > mostBytes_) return false;
    if (pool.memory == nullptr && !map(pool)) return false;
    pool.resident += more;
    resident_ += more;
    if (isLargest(pool)) credit_ -= std::min(credit_, kCreditASlot);
  }
  return true;
}

void* RequestMemory::allocate(size_t bytes) {
  Pool* pool = poolOf(bytes);
  void* memory;
  if (pool != nullptr && pool->free != nullptr) {
    memory = std::exchange(pool->free, pool->free->next);
    ++used_;
  } else if (pool != nullptr && makeRoom(*pool)) {
    memory = pool->memory + pool->made;
    pool->made += pool->slotBytes;
    ++used_;
  } else {
    memory = malloc(bytes);
    if (memory == nullptr) throw std::bad_alloc();
  }
  return memory;
}

void RequestMemory::release(void* memory, size_t bytes) {
  Pool* pool = poolOf(bytes);
  if (pool == nullptr || !owns(*pool, memory)) return free(memory);
  EVENTFS_INVARIANT(used_ > 0);
  --used_;
  auto* slot = static_cast<FreeSlot*>(memory);
  slot->next = pool->free;
  pool->free = slot;
}

bool RequestMemory::giveBackSome() {
  size_t left = hasPages() ? kGivenBackBytes : 0;
  for (Pool& pool : pools_) {
    if (left == 0) break;
    pool.free = nullptr;
    pool.made = 0;
    size_t bytes = std::min(left, pool.resident);
    if (bytes == 0) continue;
    pool.resident -= bytes;
    resident_ -= bytes;
    left -= bytes;
    // The page in which the rest ends stays with the rest
    size_t start = (pool.resident + kPageBytes - 1) / kPageBytes * kPageBytes;
    if (start < pool.resident + bytes) {
      madvise(pool.memory + start, pool.resident + bytes - start, MADV_DONTNEED);
    }
  }
  return hasPages();
}

}  // namespace eventfs
