#pragma once

#include <algorithm>
#include <cstddef>

namespace eventfs {

/**
 * Memory for requests that were read ahead, in slots of three sizes.
 *
 * A page that the daemon has not used yet takes the kernel up to 5 us, so that a write of 64 KiB
 * costs ten times as much to keep in fresh memory as in memory that was used before. malloc(3)
 * returns the end of its heap with each burst. This memory keeps its pages until `giveBackSome`.
 */
class RequestMemory {
 public:
  /** @param mostBytes the most that the requests need together */
  explicit RequestMemory(size_t mostBytes) : mostBytes_(mostBytes) {}
  RequestMemory(const RequestMemory&) = delete;
  RequestMemory& operator=(const RequestMemory&) = delete;
  ~RequestMemory();

  /** Returns what `bytes` take in memory: the slot, or the bytes alone if no slot is as large. */
  static size_t memoryOf(size_t bytes);
  /** Returns memory for `bytes`, aligned for any type; throws std::bad_alloc. */
  void* allocate(size_t bytes);
  /** @param bytes as in `allocate` */
  void release(void* memory, size_t bytes);

  /**
   * Returns whether the next request finds a slot with pages, or may have new ones: the pages of
   * one large slot take as long as three requests. So one is made for every eight requests that
   * were served.
   */
  bool isReady() const {
    const Pool& largest = pools_[kPools - 1];
    return largest.free != nullptr || largest.made < largest.resident || credit_ >= kCreditASlot;
  }
  /** Notes that a request is served. */
  void noteServed() { credit_ = std::min(credit_ + 1, kMostCredit); }

  /** Returns whether there are pages to give back: no request is in memory. */
  bool hasPages() const { return used_ == 0 && resident_ > 0; }
  /**
   * Gives some pages back to the machine if no request is in memory.
   * @returns whether there are more
   */
  bool giveBackSome();

 private:
  struct FreeSlot {
    FreeSlot* next;
  };
  /** Slots of one size. */
  struct Pool {
    size_t slotBytes;
    char* memory = nullptr;
    FreeSlot* free = nullptr;
    /** Bytes from the start of `memory` that slots have been made of. */
    size_t made = 0;
    /** Bytes from the start of `memory` that may have pages. */
    size_t resident = 0;
  };

  static constexpr size_t kPools = 3;
  /** A request without data: a longer name than NAME_MAX makes none; the largest event. */
  static constexpr size_t kSlotBytes[kPools] = {512, size_t{8} << 10, size_t{68} << 10};
  /** The most that `giveBackSome` gives back. It is whole pages, and takes 0.1 ms. */
  static constexpr size_t kGivenBackBytes = size_t{1} << 20;
  static constexpr size_t kPageBytes = 4096;
  static constexpr size_t kCreditASlot = 8;
  /** Sixteen slots may be new at once: 1 ms. */
  static constexpr size_t kMostCredit = 16 * kCreditASlot;

  bool isLargest(const Pool& pool) const { return &pool == &pools_[kPools - 1]; }
  Pool* poolOf(size_t bytes);
  bool owns(const Pool& pool, const void* memory) const;
  bool map(Pool& pool) const;
  bool makeRoom(Pool& pool);

  const size_t mostBytes_;
  /** The number of slots in use. */
  size_t used_ = 0;
  /** The bytes of all pools that may have pages. */
  size_t resident_ = 0;
  /** The credit for new large slots: see `isReady`. */
  size_t credit_ = kMostCredit;
  Pool pools_[kPools] = {{kSlotBytes[0]}, {kSlotBytes[1]}, {kSlotBytes[2]}};
};

}  // namespace eventfs
