#include "io_uring/fuse_ring.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fuse/transport.h"
#include "invariant.h"
#include "io_uring/fuse_ring_entry.h"

namespace eventfs {

static constexpr uint32_t kSetupFlags = (1u << 3)      // IORING_SETUP_CQSIZE
                                        | (1u << 10);  // IORING_SETUP_SQE128

static constexpr uint32_t kSqEntries = 512;
/** The kernel keeps further completions on a list of its own. */
static constexpr uint32_t kCqEntries = 8192;

static constexpr uint32_t kBucketBits = 12;

bool FuseRing::prepare(int fuseFd, uint32_t queues, size_t payloadBytes) {
  if (queues == 0 || queues > UINT16_MAX) {
    errno = EINVAL;
    return false;
  }
  if (!ring_.open(kSqEntries, kSetupFlags, kCqEntries)) return false;
  fuseFd_ = fuseFd;
  payloadBytes_ = payloadBytes;
  queues_.resize(queues);
  held_.assign(1u << kBucketBits, nullptr);
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

int FuseRing::start() {
  EVENTFS_INVARIANT(isPrepared());
  isStarted_ = true;
  keepAhead();
  return enter();
}

bool FuseRing::isServing() const {
  return isStarted_ && !isRejected_ &&
         std::all_of(queues_.begin(), queues_.end(),
                     [](const Queue& queue) { return queue.hasEntry; });
}

/**
 * The entries' memory goes last, and back to the kernel instead of malloc. The kernel may write a
 * request while the ring closes, and must not write it into memory with a new use.
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

bool FuseRing::isConsistent(const Queue& queue) const {
  return queue.entries == queue.idle + queue.held + queue.queued && queue.oldIdle <= queue.idle;
}

// ---- Replies

/** Queues a command about an entry. The entry is idle after the next `enter`. */
void FuseRing::command(Entry* entry, uint32_t operation, uint64_t commitId) {
  EVENTFS_INVARIANT(entry->queue < queueCount_ && !entry->isHeld);
  bool hasRoom = !ring_.isFull() || submit(0) == 0;
  Queue& queue = queues_[entry->queue];
  entry->generation = queue.generation;
  ++queue.queued;
  if (!hasRoom) return;  // the ring is broken, and the next `enter` reports it
  io_uring_sqe* sqe = ring_.next();
  sqe->opcode = kUringCmd;
  sqe->fd = fuseFd_;
  sqe->off = operation;  // cmd_op
  sqe->user_data = reinterpret_cast<uintptr_t>(entry);
  if (operation == kRegister) {
    sqe->addr = reinterpret_cast<uintptr_t>(entry->parts);
    sqe->len = 2;
  }
  auto* request =
      reinterpret_cast<CommandRequest*>(reinterpret_cast<uint8_t*>(sqe) + kCommandOffset);
  request->commitId = commitId;
  request->queue = static_cast<uint16_t>(entry->queue);
}

/** Returns the chain of `unique`. Fibonacci hashing, as the kernel's numbers have a common step. */
FuseRing::Entry** FuseRing::bucket(uint64_t unique) {
  return &held_[(unique * 0x9e3779b97f4a7c15) >> (64 - kBucketBits)];
}

FuseRing::Sent FuseRing::send(uint64_t unique, const iovec* parts, int count) {
  if (!isStarted_) return Sent::kNotHeld;
  Entry** link = bucket(unique);
  while (*link != nullptr && (*link)->request()->unique != unique) link = &(*link)->next;
  Entry* entry = *link;
  if (entry == nullptr) return Sent::kNotHeld;
  EVENTFS_INVARIANT(entry->isHeld);

  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  bool isHeaderWhole = parts[0].iov_len >= sizeof(fuse_out_header);
  if (!isHeaderWhole || bytes - sizeof(fuse_out_header) > payloadBytes_) return Sent::kTooLong;
  *link = entry->next;
  entry->isHeld = false;
  Queue& queue = queues_[entry->queue];
  --queue.held;

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
  noteLargePayload(entry, payload);
  entry->headers.entry.payloadBytes = static_cast<uint32_t>(payload);
  command(entry, kCommitAndFetch, entry->headers.entry.commitId);
  queue.probe = entry;
  EVENTFS_INVARIANT(isConsistent(queue));
  return Sent::kQueued;
}

// ---- Requests

bool FuseRing::isDue() const { return ring_.unsubmitted() > 0 || ring_.isDeferred(); }

int FuseRing::submit(uint32_t flags) {
  do {
    bool hasFailed = ring_.enter(flags) < 0;
    if (hasFailed && errno != EINTR && errno != EAGAIN && errno != EBUSY) return errno;
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
  ring_.setEventfdEnabled(false);
  eventfd_t count;
  eventfd_read(wakeFd(), &count);
}

void FuseRing::rest() {
  ring_.setEventfdEnabled(true);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);  // finds work that the kernel has not signalled
  if (ring_.unsubmitted() > 0 || ring_.hasWork()) eventfd_write(wakeFd(), 1);
}

bool FuseRing::beginBatch() {
  batchEnd_ = ring_.tail();
  if (batchEnd_ != ring_.head()) return true;
  clearSuspicions();
  discardLargePayloads();
  return false;
}

const fuse_in_header* FuseRing::peek() {
  for (uint32_t head = ring_.head(); head != batchEnd_; ring_.seen(++head)) {
    const io_uring_cqe& cqe = ring_.at(head);
    auto* entry = reinterpret_cast<Entry*>(static_cast<uintptr_t>(cqe.user_data));
    if (cqe.res == 0) return entry->request();
    // The connection is over (ENOTCONN), or the kernel has rejected this entry: it is lost
    Queue& queue = queues_[entry->queue];
    --queue.idle;
    --queue.entries;
    queue.oldIdle = std::min(queue.oldIdle, queue.idle);
    if (cqe.res != -ENOTCONN) isRejected_ = true;
  }
  return nullptr;
}

/** Takes the request that `peek` has returned out of the batch, and holds its entry. */
FuseRing::Entry* FuseRing::hold() {
  EVENTFS_INVARIANT(ring_.head() != batchEnd_);
  uint32_t head = ring_.head();
  auto* entry = reinterpret_cast<Entry*>(static_cast<uintptr_t>(ring_.at(head).user_data));
  ring_.seen(head + 1);

  EVENTFS_INVARIANT(!entry->isHeld);
  Queue& queue = queues_[entry->queue];
  EVENTFS_INVARIANT(queue.idle > 0 && isConsistent(queue));
  --queue.idle;
  ++queue.held;
  bool isOld = entry->generation != queue.generation && queue.oldIdle > 0;
  bool isLastOld = isOld && --queue.oldIdle == 0;
  if (isLastOld || queue.idle == 0) queue.suspect();
  if (queue.probe == entry) queue.probe = nullptr;
  Entry** link = bucket(entry->request()->unique);
  entry->next = *link;
  entry->isHeld = true;
  *link = entry;
  return entry;
}

void FuseRing::failFetched(int error) {
  batchEnd_ = ring_.tail();
  while (peek() != nullptr) {
    uint64_t unique = hold()->request()->unique;
    fuse_out_header header = errorReply(unique, error);
    iovec part{&header, sizeof(header)};
    send(unique, &part, 1);
  }
  submit(IORING_ENTER_GETEVENTS);
}

size_t FuseRing::take(uint8_t* to, size_t room) {
  Entry* entry = hold();
  size_t payload = std::min<size_t>(entry->headers.entry.payloadBytes, payloadBytes_);
  noteLargePayload(entry, payload);
  // The operation's fixed part lies apart from the payload; the request's length tells its size
  size_t length = std::min<size_t>(entry->request()->len, room);
  size_t fixed = length - std::min(length, sizeof(fuse_in_header) + payload);
  fixed = std::min(fixed, sizeof(EntryHeaders::operation));
  memcpy(to, entry->request(), sizeof(fuse_in_header));
  memcpy(to + sizeof(fuse_in_header), entry->headers.operation, fixed);
  size_t at = sizeof(fuse_in_header) + fixed;
  payload = std::min(payload, room - at);
  if (payload > 0) memcpy(to + at, entry->payload(), payload);
  return at + payload;
}

}  // namespace eventfs
