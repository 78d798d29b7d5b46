#include "fuse_ring.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace eventfs {

// What the headers of older systems lack: include/uapi/linux/fuse.h 7.42, include/uapi/linux/io_uring.h.

static constexpr uint32_t kRegister = 1;        // FUSE_IO_URING_CMD_REGISTER
static constexpr uint32_t kCommitAndFetch = 2;  // FUSE_IO_URING_CMD_COMMIT_AND_FETCH
static constexpr uint8_t kUringCmd = 46;        // IORING_OP_URING_CMD

static constexpr uint32_t kSetupFlags = (1u << 3)      // IORING_SETUP_CQSIZE
                                        | (1u << 10);  // IORING_SETUP_SQE128

/** fuse_uring_ent_in_out */
struct EntryInOut {
  uint64_t flags;
  uint64_t commitId;
  uint32_t payloadBytes;
  uint32_t padding;
  uint64_t reserved;
};

/** fuse_uring_req_header */
struct Headers {
  uint8_t inOut[128];
  uint8_t operation[128];
  EntryInOut entry;
};
static_assert(sizeof(Headers) == 288);

/** fuse_uring_cmd_req, in the second half of an io_uring_sqe. */
struct CommandRequest {
  uint64_t flags;
  uint64_t commitId;
  uint16_t queue;
  uint8_t padding[6];
};
static constexpr size_t kCommandAt = 48;

struct FuseRing::Entry {
  Headers headers;
  iovec parts[2];  // what the kernel is told of when it is registered
  uint32_t queue;
  uint32_t generation;
  /** The next with the same hash, while it is held. */
  Entry* next;
  /** How much of the payload may have memory behind it, where that is much. */
  size_t largeBytes;
  bool isHeld;

  const fuse_in_header* request() const { return reinterpret_cast<const fuse_in_header*>(headers.inOut); }
  uint8_t* payload() const { return static_cast<uint8_t*>(parts[1].iov_base); }
};

static constexpr uint32_t kSqEntries = 512;
/** More completions than that the kernel keeps on a list of its own. */
static constexpr uint32_t kCqEntries = 8192;
static constexpr uint32_t kBuckets = 4096;

/** So many more entries than are expected to be held are idle on every queue; more are added when fewer than half are. */
static constexpr uint32_t kSpare = 64;

/** Of a payload's memory so much is kept in any case; of what is above, so much of all together. */
static constexpr size_t kSmallBytes = 64 * 1024;
static constexpr size_t kMostLargeBytes = 32 * 1024 * 1024;

bool FuseRing::prepare(int fuseFd, uint32_t queues, size_t payloadBytes) {
  if (queues == 0 || queues > UINT16_MAX) {
    errno = EINVAL;
    return false;
  }
  if (!ring_.open(kSqEntries, kSetupFlags, kCqEntries)) return false;
  fuseFd_ = fuseFd;
  payloadBytes_ = payloadBytes;
  queues_.resize(queues);
  held_.assign(kBuckets, nullptr);
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_ || !ring_.registerEventfd(wakeFd())) {
    int error = errno;
    close();
    errno = error;
    return false;
  }
  queueCount_ = queues;
  return true;
}

/** Memory of our own, only touched pages of which cost anything; nullptr when there is none. */
uint8_t* FuseRing::map(size_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  maps_.push_back({at, bytes});
  return static_cast<uint8_t*>(at);
}

int FuseRing::start() {
  isStarted_ = true;
  keepAhead();
  return enter();
}

bool FuseRing::isServing() const {
  return isStarted_ && !isRefused_ && std::all_of(queues_.begin(), queues_.end(), [](const Queue& queue) { return queue.hasEntry; });
}

/**
 * The entries' memory goes last, and goes back to the kernel, not to malloc: a request that is being handed over to us while the
 * ring closes must not be written where something else is by then.
 */
void FuseRing::close() {
  ring_.close();
  wake_.reset();
  for (const Map& each : maps_) munmap(each.at, each.bytes);
  maps_.clear();
  queues_.clear();
  held_.clear();
  large_.clear();
  largeBytes_ = 0;
  queueCount_ = 0;
  isStarted_ = false;
}

// ---- Replies

void FuseRing::command(Entry* entry, uint32_t operation, uint64_t commitId) {
  if (ring_.isFull() && submit(0) != 0) return;  // the ring is broken, which `enter` will say
  io_uring_sqe* sqe = ring_.next();
  sqe->opcode = kUringCmd;
  sqe->fd = fuseFd_;
  sqe->off = operation;  // cmd_op
  sqe->user_data = reinterpret_cast<uintptr_t>(entry);
  if (operation == kRegister) {
    sqe->addr = reinterpret_cast<uintptr_t>(entry->parts);
    sqe->len = 2;
  }
  auto* request = reinterpret_cast<CommandRequest*>(reinterpret_cast<uint8_t*>(sqe) + kCommandAt);
  request->commitId = commitId;
  request->queue = static_cast<uint16_t>(entry->queue);
  Queue& queue = queues_[entry->queue];
  entry->generation = queue.generation;
  ++queue.queued;
}

FuseRing::Entry** FuseRing::bucket(uint64_t unique) {
  // Fibonacci hashing: `unique` counts in steps that are even, and in some kernels per CPU
  return &held_[(unique * 0x9e3779b97f4a7c15) >> 52];
}
static_assert(kBuckets == 1u << (64 - 52));

FuseRing::Sent FuseRing::send(uint64_t unique, const iovec* parts, int count) {
  if (!isStarted_) return Sent::kNotHeld;
  Entry** link = bucket(unique);
  while (*link != nullptr && (*link)->request()->unique != unique) link = &(*link)->next;
  Entry* entry = *link;
  if (entry == nullptr) return Sent::kNotHeld;

  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  if (parts[0].iov_len < sizeof(fuse_out_header) || bytes - sizeof(fuse_out_header) > payloadBytes_) return Sent::kTooLong;
  *link = entry->next;
  entry->isHeld = false;

  memcpy(entry->headers.inOut, parts[0].iov_base, sizeof(fuse_out_header));
  uint8_t* to = entry->payload();
  size_t skip = sizeof(fuse_out_header);
  for (int i = 0; i < count; ++i) {
    size_t length = parts[i].iov_len - skip;
    if (length > 0) memcpy(to, static_cast<const uint8_t*>(parts[i].iov_base) + skip, length);
    to += length;
    skip = 0;
  }
  size_t payload = bytes - sizeof(fuse_out_header);
  touched(entry, payload);
  entry->headers.entry.payloadBytes = static_cast<uint32_t>(payload);
  command(entry, kCommitAndFetch, entry->headers.entry.commitId);
  queues_[entry->queue].probe = entry;
  return Sent::kQueued;
}

// ---- Requests

bool FuseRing::isDue() const { return ring_.unsubmitted() > 0 || ring_.isDeferred(); }

int FuseRing::submit(uint32_t flags) {
  do {
    if (ring_.enter(flags) < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY) return errno;
  } while (ring_.unsubmitted() > 0);
  for (Queue& queue : queues_) {
    queue.idle += queue.queued;
    queue.queued = 0;
  }
  return 0;
}

int FuseRing::enter() {
  keepAhead();
  return submit(IORING_ENTER_GETEVENTS);
}

void FuseRing::wake() {
  ring_.raiseEvents(false);
  eventfd_t count;
  eventfd_read(wakeFd(), &count);
}

void FuseRing::rest() {
  ring_.raiseEvents(true);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);  // what the kernel has not raised it for is seen here
  if (ring_.unsubmitted() > 0 || ring_.hasWork()) eventfd_write(wakeFd(), 1);
}

bool FuseRing::beginBatch() {
  batchEnd_ = ring_.tail();
  if (batchEnd_ != ring_.head()) return true;
  lookAtProbes();
  giveBack();
  return false;
}

const fuse_in_header* FuseRing::peek() {
  for (uint32_t head = ring_.head(); head != batchEnd_; ring_.seen(++head)) {
    const io_uring_cqe& cqe = ring_.at(head);
    auto* entry = reinterpret_cast<Entry*>(static_cast<uintptr_t>(cqe.user_data));
    if (cqe.res == 0) return entry->request();
    // The connection is over (ENOTCONN), or the kernel would not have this entry: it is no more
    --queues_[entry->queue].idle;
    if (cqe.res != -ENOTCONN) isRefused_ = true;
  }
  return nullptr;
}

size_t FuseRing::take(uint8_t* to, size_t room) {
  uint32_t head = ring_.head();
  auto* entry = reinterpret_cast<Entry*>(static_cast<uintptr_t>(ring_.at(head).user_data));
  ring_.seen(head + 1);

  Queue& queue = queues_[entry->queue];
  --queue.idle;
  bool isLastOld = entry->generation != queue.generation && queue.oldIdle > 0 && --queue.oldIdle == 0;
  if (isLastOld || queue.idle == 0) queue.suspect();
  if (queue.probe == entry) queue.probe = nullptr;
  Entry** link = bucket(entry->request()->unique);
  entry->next = *link;
  entry->isHeld = true;
  *link = entry;

  size_t payload = std::min<size_t>(entry->headers.entry.payloadBytes, payloadBytes_);
  touched(entry, payload);
  // What an operation has of its own lies apart from what follows it, and the request's length tells how much it is
  size_t length = std::min<size_t>(entry->request()->len, room);
  size_t fixed = length - std::min(length, sizeof(fuse_in_header) + payload);
  fixed = std::min(fixed, sizeof(Headers::operation));
  memcpy(to, entry->request(), sizeof(fuse_in_header));
  memcpy(to + sizeof(fuse_in_header), entry->headers.operation, fixed);
  size_t at = sizeof(fuse_in_header) + fixed;
  payload = std::min(payload, room - at);
  if (payload > 0) memcpy(to + at, entry->payload(), payload);
  return at + payload;
}

// ---- Entries

void FuseRing::expectBlocked(uint32_t most) {
  expected_ = std::max(expected_, most);
  if (isStarted_) keepAhead();
}

/** Has enough idle entries on every queue, those included that will be with the next `enter`. */
void FuseRing::keepAhead() {
  for (uint32_t i = 0; i < queueCount_; ++i) {
    uint32_t idle = queues_[i].idle + queues_[i].queued;
    if (idle >= expected_ + kSpare / 2) continue;
    // Where there is no memory for them, a starved queue is the worst that comes of it
    addEntries(i, expected_ + kSpare + kSpare / 2 - idle);
  }
}

/** Memory is only behind what is touched, so the payloads' size costs nothing until then. */
bool FuseRing::addEntries(uint32_t index, uint32_t count) {
  uint8_t* payloads = map(count * payloadBytes_);
  if (payloads == nullptr) return false;
  madvise(payloads, count * payloadBytes_, MADV_NOHUGEPAGE);  // else the first byte of one would take two megabytes
  uint8_t* entries = map(count * sizeof(Entry));
  if (entries == nullptr) return false;

  Queue& queue = queues_[index];
  // Those that are idle now tell whether the kernel had any left: it takes the newest first
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
    command(entry, kRegister, 0);
  }
  return true;
}

/** A reply that brought no other request at once: nobody waits in that queue. Called when all that came is in hand. */
void FuseRing::lookAtProbes() {
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

void FuseRing::touched(Entry* entry, size_t bytes) {
  if (bytes <= std::max(kSmallBytes, entry->largeBytes)) return;
  if (entry->largeBytes == 0) large_.push_back(entry);
  largeBytes_ += bytes - entry->largeBytes;
  entry->largeBytes = bytes;
}

/** Lets go of what large reads have left. Called where the kernel has taken all replies, and writes nothing before `enter`. */
void FuseRing::giveBack() {
  if (largeBytes_ <= kMostLargeBytes || isDue()) return;
  std::vector<Entry*> still;
  for (Entry* entry : large_) {
    if (entry->isHeld) {
      still.push_back(entry);
      continue;
    }
    madvise(entry->payload() + kSmallBytes, payloadBytes_ - kSmallBytes, MADV_DONTNEED);
    largeBytes_ -= entry->largeBytes;
    entry->largeBytes = 0;
  }
  large_ = std::move(still);
}

}  // namespace eventfs
