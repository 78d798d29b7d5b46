#include "netlink/uevent_socket.h"

#include <poll.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "addon.h"
#include "callback.h"
#include "options.h"
#include "shared_words.h"
#include "system_error.h"

namespace eventfs {

static constexpr uint32_t kNoUid = 0xffffffff;
/**
 * How many batches one wake-up reads. A storm of uevents always has one more batch, and readers
 * would wait until the log has overwritten their events. The socket's own buffer holds the rest. Of
 * 30,000 uevents to 16 subscribers, 1 batch lost none, 8 lost some, and reading to the end lost
 * 25,000.
 */
static constexpr uint32_t kBatchesPerWakeUp = 1;

UeventSocket::UeventSocket(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<UeventSocket>(info),
      receiveBufferBytes_(
          static_cast<int>(numberOption(optionsArgument(info), "receiveBufferBytes"))),
      data_(optionsArgument(info), "data"),
      slotBytes_(numberOption(optionsArgument(info), "slotBytes")),
      meta_(optionsArgument(info), "meta"),
      onBatch_(functionOption(optionsArgument(info), "onBatch")),
      headers_(optionsArgument(info), "headers"),
      count_(slotBytes_ == 0 ? 0 : data_.size() / slotBytes_) {
  Napi::Env env = info.Env();
  uint32_t group = numberOption(optionsArgument(info), "group");
  if (group < 1 || group > 32) throw Napi::RangeError::New(env, "group must be 1 to 32");
  if (count_ == 0) throw Napi::RangeError::New(env, "data is smaller than one slot");
  if (!meta_.holds(0, count_ * DatagramWord::count)) {
    throw Napi::RangeError::New(env, "meta has fewer than DatagramWord.count words for each slot");
  }

  placeSlots(env);
  Napi::Value kept = optionsArgument(info).Get("fd");
  if (kept.IsNumber()) adopt(env, kept.As<Napi::Number>().Int32Value());
  else open(env, group);
}

/** Takes the socket of an earlier daemon over, with its options and the datagrams that wait. */
void UeventSocket::adopt(Napi::Env env, int fd) {
  socklen_t length = sizeof(receiveBufferBytes_);
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receiveBufferBytes_, &length) < 0) {
    throw systemError(env, errno, "getsockopt");
  }
  socket_.reset(fd);
}

void UeventSocket::open(Napi::Env env, uint32_t group) {
  socket_.reset(
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!socket_) throw systemError(env, errno, "socket");
  int fd = socket_.get();

  // Before bind(2), so that the first datagram has credentials
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
    throw systemError(env, errno, "setsockopt");
  }

  // SO_RCVBUFFORCE exceeds net.core.rmem_max; it needs CAP_NET_ADMIN in the first user namespace
  int bytes = receiveBufferBytes_;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0) {
    throw systemError(env, errno, "setsockopt");
  }
  socklen_t length = sizeof(bytes);
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) < 0) {
    throw systemError(env, errno, "getsockopt");
  }
  receiveBufferBytes_ = bytes;

  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = uint32_t{1} << (group - 1);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
    throw systemError(env, errno, "bind");
  }
}

/** Finds slots and messages in the memory. It changes none: another daemon may have to go on. */
void UeventSocket::placeSlots(Napi::Env env) {
  size_t needed = sizeof(Head) + count_ * (sizeof(Slot) + sizeof(mmsghdr));
  if (!headers_.holds(0, needed)) throw Napi::RangeError::New(env, "headers is too small");
  head_ = reinterpret_cast<Head*>(headers_.data());
  slots_ = reinterpret_cast<Slot*>(head_->end);
  messages_ = reinterpret_cast<mmsghdr*>(slots_ + count_);
}

/**
 * Forgets the messages of the last batch. The order counts if the process is killed in between: a
 * message without a length is no message, whatever the number of the batch.
 */
void UeventSocket::beginBatch() {
  for (size_t slot = 0; slot < count_; ++slot) {
    messages_[slot].msg_len = 0;
    arm(slot);
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
  ++head_->batch;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

/**
 * Prepares a slot for recvmmsg(2), which overwrites the lengths. The addresses are those of this
 * process: another one that has mapped the memory may have written its own.
 */
void UeventSocket::arm(size_t slot) {
  Slot& place = slots_[slot];
  place.bytes = {data_.data() + slot * slotBytes_, slotBytes_};
  msghdr& header = messages_[slot].msg_hdr;
  header.msg_name = &place.sender;
  header.msg_namelen = sizeof(place.sender);
  header.msg_iov = &place.bytes;
  header.msg_iovlen = 1;
  header.msg_control = place.control;
  header.msg_controllen = sizeof(place.control);
  header.msg_flags = 0;
}

/** Fills in the words of a received datagram, which another process may have received. */
void UeventSocket::describe(size_t slot) {
  msghdr received = messages_[slot].msg_hdr;
  received.msg_control = slots_[slot].control;
  msghdr* header = &received;
  uint32_t* words = meta_.data() + slot * DatagramWord::count;
  words[DatagramWord::length] = messages_[slot].msg_len;
  words[DatagramWord::truncated] = (header->msg_flags & MSG_TRUNC) ? 1 : 0;
  words[DatagramWord::senderPort] = slots_[slot].sender.nl_pid;
  words[DatagramWord::groups] = slots_[slot].sender.nl_groups;
  words[DatagramWord::uid] = kNoUid;
  words[DatagramWord::pid] = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(header); part != nullptr; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    ucred sender;
    memcpy(&sender, CMSG_DATA(part), sizeof(sender));
    words[DatagramWord::uid] = sender.uid;
    words[DatagramWord::pid] = static_cast<uint32_t>(sender.pid);
  }
}

Napi::Value UeventSocket::receiveBufferBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), receiveBufferBytes_);
}

Napi::Value UeventSocket::batch(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), head_->batch);
}

Napi::Value UeventSocket::recover(const Napi::CallbackInfo& info) {
  size_t slot = 0;
  while (slot < count_ && messages_[slot].msg_len > 0) describe(slot++);
  return Napi::Number::New(info.Env(), static_cast<double>(slot));
}

Napi::Value UeventSocket::descriptor(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), socket_.get());
}

void UeventSocket::start(const Napi::CallbackInfo& info) {
  if (poll_.isActive()) return;
  if (!socket_) throw systemError(info.Env(), EBADF, "epoll_ctl");
  if (info[0].IsBoolean() && info[0].As<Napi::Boolean>().Value()) head_->isOverrun = 0;
  poll_.start(info.Env(), socket_.get(), onPoll, this);
  Ref();  // keeps this alive while the event loop refers to it
}

void UeventSocket::stop(const Napi::CallbackInfo&) {
  if (!poll_.isActive()) return;
  poll_.close();
  Unref();
}

void UeventSocket::onPoll(void* owner) {
  auto* uevents = static_cast<UeventSocket*>(owner);
  Napi::HandleScope scope(uevents->Env());
  // Keeps the object alive during the call, even if a callback closes it
  [[maybe_unused]] Napi::Object self = uevents->Value();
  uevents->readUpTo(kBatchesPerWakeUp);
}

Napi::Value UeventSocket::readBatch(const Napi::CallbackInfo& info) {
  // Within onBatch this reads nothing: the loop reads on after onBatch
  if (!isReading_ && socket_) readUpTo(kBatchesPerWakeUp);
  return Napi::Boolean::New(info.Env(), !isReading_ && (!socket_ || !hasMore()));
}

/**
 * Reads up to `max` batches, and reports an overrun in its place among the datagrams.
 *
 * Once the kernel drops a message, recvmmsg(2) fails with ENOBUFS at once, ahead of queued
 * messages. The kernel queues no more until the queue is empty (net/netlink/af_netlink.c,
 * netlink_overrun and netlink_rcv_wake). So all queued messages are older than the loss, and the
 * batch that empties the queue reports it. That batch may include a message that came after the
 * queue was empty and before recvmmsg(2) found it empty: only its SEQNUM shows that the loss came
 * first.
 */
void UeventSocket::readUpTo(uint32_t max) {
  isReading_ = true;
  Batch batch = Batch::kFull;
  bool reportedDry = true;
  for (uint32_t done = 0; socket_ && batch != Batch::kDry && batch != Batch::kFailed; ++done) {
    // Stop before the queue is empty only if the event loop calls again
    if (done >= max && hasMore()) break;
    uint32_t count = 0;
    batch = receive(&count);
    int error = errno;
    bool dry = batch == Batch::kDry;
    // A second overrun shows that the queue was empty in between, so the first overrun is over
    bool overrun = batch == Batch::kOverrun || (dry && head_->isOverrun);
    // An empty batch is reported only if the last report has not said that the queue is empty
    if (count > 0 || overrun || (dry && !reportedDry)) report(count, overrun, dry);
    if (dry && socket_) head_->isOverrun = 0;  // late: the process may be killed in the report
    reportedDry = dry;
    if (batch == Batch::kFailed && socket_) {
      Napi::HandleScope scope(Env());
      napi_fatal_exception(Env(), systemError(Env(), error, "recvmmsg").Value());
    }
  }
  isReading_ = false;
}

bool UeventSocket::hasMore() const {
  pollfd polled{socket_.get(), POLLIN, 0};
  return poll(&polled, 1, 0) > 0;
}

/** Receives until the slots are full or the queue is empty. Sets errno for kFailed. */
UeventSocket::Batch UeventSocket::receive(uint32_t* count) {
  auto slots = static_cast<uint32_t>(count_);
  beginBatch();
  while (*count < slots) {
    // MSG_TRUNC: msg_len is the datagram's full length, even if its slot is shorter
    int received = recvmmsg(socket_.get(), &messages_[*count], slots - *count,
                            MSG_DONTWAIT | MSG_TRUNC, nullptr);
    if (received >= 0) {
      uint32_t room = slots - *count;
      for (int i = 0; i < received; ++i) describe(*count + i);
      *count += received;
      // The queue is empty, or has an error that poll(2) reports: no need for another call
      if (static_cast<uint32_t>(received) < room) return Batch::kDry;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Batch::kDry;
    if (errno != ENOBUFS) return Batch::kFailed;
    if (head_->isOverrun) return Batch::kOverrun;
    head_->isOverrun = 1;
  }
  return Batch::kFull;
}

void UeventSocket::report(uint32_t count, bool overrun, bool dry) {
  napi_env env = Env();
  Napi::HandleScope scope(env);
  makeCallback(env, onBatch_.Value(),
               {Napi::Number::New(env, count), Napi::Boolean::New(env, overrun),
                Napi::Boolean::New(env, dry)});
}

void UeventSocket::close(const Napi::CallbackInfo&) {
  if (!socket_) return;
  bool isStarted = poll_.isActive();
  poll_.close();
  socket_.reset();
  data_.release();
  meta_.release();
  headers_.release();
  onBatch_.Reset();
  if (isStarted) Unref();
}

void exportUeventSocket(Napi::Env env, Napi::Object exports) {
  using Socket = UeventSocket;
  exports.Set("UeventSocket",
              Socket::DefineClass(
                  env, "UeventSocket",
                  {
                      Socket::InstanceAccessor<&Socket::receiveBufferBytes>("receiveBufferBytes"),
                      Socket::InstanceAccessor<&Socket::descriptor>("fd"),
                      Socket::InstanceAccessor<&Socket::batch>("batch"),
                      Socket::InstanceMethod<&Socket::recover>("recover"),
                      Socket::InstanceMethod<&Socket::start>("start"),
                      Socket::InstanceMethod<&Socket::stop>("stop"),
                      Socket::InstanceMethod<&Socket::readBatch>("readBatch"),
                      Socket::InstanceMethod<&Socket::close>("close"),
                  }));
}

}  // namespace eventfs
