#include "uevent_socket.h"

#include <poll.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "callback.h"
#include "options.h"
#include "system_error.h"

namespace eventfs {

/** Words of `meta` a datagram. */
static constexpr size_t kMetaWords = 6;
static constexpr uint32_t kNoUid = 0xffffffff;
/**
 * How many batches are read before others have their turn: while a storm lasts there is always one more, and who reads
 * what has come would be kept from it until the log has moved on. The socket's own buffer holds the rest. Of 30,000 uevents to 16
 * subscribers none was lost with 1, some with 8, and 25,000 without an end.
 */
static constexpr uint32_t kBatchesPerWakeUp = 1;

UeventSocket::UeventSocket(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<UeventSocket>(info),
      receiveBufferBytes_(optionsArgument(info).Get("receiveBufferBytes").As<Napi::Number>().Int32Value()),
      data_(optionsArgument(info), "data"),
      slotBytes_(optionsArgument(info).Get("slotBytes").As<Napi::Number>().Uint32Value()),
      meta_(optionsArgument(info), "meta"),
      onBatch_(functionOption(optionsArgument(info), "onBatch")) {
  Napi::Env env = info.Env();
  uint32_t group = optionsArgument(info).Get("group").As<Napi::Number>().Uint32Value();
  if (group < 1 || group > 32) throw Napi::RangeError::New(env, "group is not within 1 to 32");
  size_t count = slotBytes_ == 0 ? 0 : data_.size() / slotBytes_;
  if (count == 0) throw Napi::RangeError::New(env, "data is under one slot");
  if (!meta_.holds(0, count * kMetaWords)) throw Napi::RangeError::New(env, "meta is under six words a slot");

  slots_.resize(count);
  messages_.resize(count);
  for (size_t slot = 0; slot < count; ++slot) arm(slot);
  open(env, group);
}

void UeventSocket::open(Napi::Env env, uint32_t group) {
  socket_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!socket_) throw systemError(env, errno, "socket");
  int fd = socket_.get();

  // Before bind(2), so that the first datagram has credentials already
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) throw systemError(env, errno, "setsockopt");

  // FORCE goes beyond net.core.rmem_max, and needs CAP_NET_ADMIN in the initial user namespace
  int bytes = receiveBufferBytes_;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0) {
    throw systemError(env, errno, "setsockopt");
  }
  socklen_t length = sizeof(bytes);
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) < 0) throw systemError(env, errno, "getsockopt");
  receiveBufferBytes_ = bytes;

  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = uint32_t{1} << (group - 1);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) throw systemError(env, errno, "bind");
}

/** Makes a slot ready to be received into: recvmmsg(2) has overwritten the lengths. */
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

/** Fills in the six words of a received datagram, and arms its slot again. */
void UeventSocket::describe(size_t slot) {
  msghdr* header = &messages_[slot].msg_hdr;
  uint32_t* meta = meta_.data() + slot * kMetaWords;
  meta[0] = messages_[slot].msg_len;
  meta[1] = (header->msg_flags & MSG_TRUNC) ? 1 : 0;
  meta[2] = slots_[slot].sender.nl_pid;
  meta[3] = slots_[slot].sender.nl_groups;
  meta[4] = kNoUid;
  meta[5] = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(header); part != nullptr; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    ucred sender;
    memcpy(&sender, CMSG_DATA(part), sizeof(sender));
    meta[4] = sender.uid;
    meta[5] = static_cast<uint32_t>(sender.pid);
  }
  arm(slot);
}

Napi::Value UeventSocket::receiveBufferBytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), receiveBufferBytes_);
}

void UeventSocket::start(const Napi::CallbackInfo& info) {
  if (poll_.isActive()) return;
  if (!socket_) throw systemError(info.Env(), EBADF, "epoll_ctl");
  poll_.start(info.Env(), socket_.get(), onPoll, this);
  Ref();  // the event loop holds it now, whoever else does
}

void UeventSocket::onPoll(void* owner) {
  auto* uevents = static_cast<UeventSocket*>(owner);
  Napi::HandleScope scope(uevents->Env());
  [[maybe_unused]] Napi::Object self = uevents->Value();  // alive until here is done, even if a callback closes it
  uevents->readUpTo(kBatchesPerWakeUp);
}

void UeventSocket::read(const Napi::CallbackInfo&) {
  if (isReading_) return;  // from onBatch: the reading goes on when that returns
  readUpTo(UINT32_MAX);
}

/**
 * Where an overrun belongs (net/netlink/af_netlink.c, netlink_overrun and netlink_rcv_wake): once the kernel has
 * dropped a message it tells us so at once, ahead of what is queued (ENOBUFS), and queues nothing more until the
 * queue has run empty. So all that was queued then is older than the loss, which is reported with the batch that
 * empties the queue. A message that is queued between the moment the queue runs empty and our seeing it is in that
 * batch too: only SEQNUMs can tell that the loss was before it.
 */
void UeventSocket::readUpTo(uint32_t most) {
  isReading_ = true;
  Batch batch = Batch::kFull;
  bool toldDry = true;
  // It stops before the queue is dry only where the event loop will call again
  for (uint32_t done = 0; socket_ && batch != Batch::kDry && batch != Batch::kFailed && (done < most || !hasMore()); ++done) {
    uint32_t count = 0;
    batch = receive(&count);
    int error = errno;
    bool dry = batch == Batch::kDry;
    // A second overrun before the queue was seen dry means that it was, in between: the first is over
    bool overrun = batch == Batch::kOverrun || (dry && isOverrun_);
    if (dry) isOverrun_ = false;
    // Nothing is worth a call, unless the last call has left it open whether more was waiting
    if (count > 0 || overrun || (dry && !toldDry)) report(count, overrun, dry);
    toldDry = dry;
    if (batch == Batch::kFailed && socket_) {
      Napi::HandleScope scope(Env());
      napi_fatal_exception(Env(), systemError(Env(), error, "recvmmsg").Value());
    }
  }
  isReading_ = false;
}

bool UeventSocket::hasMore() const {
  pollfd asked{socket_.get(), POLLIN, 0};
  return poll(&asked, 1, 0) > 0;
}

/** Receives until the slots are full or nothing is left; for kFailed errno says why. */
UeventSocket::Batch UeventSocket::receive(uint32_t* count) {
  auto slots = static_cast<uint32_t>(messages_.size());
  while (*count < slots) {
    // MSG_TRUNC: msg_len is the length that the datagram had, not the one that was stored
    int received = recvmmsg(socket_.get(), &messages_[*count], slots - *count, MSG_DONTWAIT | MSG_TRUNC, nullptr);
    if (received >= 0) {
      uint32_t room = slots - *count;
      for (int i = 0; i < received; ++i) describe(*count + i);
      *count += received;
      // It stopped because the queue was empty, or at an error that poll(2) tells of: no need to ask again
      if (static_cast<uint32_t>(received) < room) return Batch::kDry;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Batch::kDry;
    if (errno != ENOBUFS) return Batch::kFailed;
    if (isOverrun_) return Batch::kOverrun;
    isOverrun_ = true;
  }
  return Batch::kFull;
}

void UeventSocket::report(uint32_t count, bool overrun, bool dry) {
  napi_env env = Env();
  Napi::HandleScope scope(env);
  makeCallback(env, onBatch_.Value(),
               {Napi::Number::New(env, count), Napi::Boolean::New(env, overrun), Napi::Boolean::New(env, dry)});
}

void UeventSocket::close(const Napi::CallbackInfo&) {
  if (!socket_) return;
  bool isStarted = poll_.isActive();
  poll_.close();
  socket_.reset();
  data_.release();
  meta_.release();
  onBatch_.Reset();
  if (isStarted) Unref();
}

void exportUeventSocket(Napi::Env env, Napi::Object exports) {
  using Socket = UeventSocket;
  exports.Set("UeventSocket",
              Socket::DefineClass(env, "UeventSocket",
                                  {
                                      Socket::InstanceAccessor<&Socket::receiveBufferBytes>("receiveBufferBytes"),
                                      Socket::InstanceMethod<&Socket::start>("start"),
                                      Socket::InstanceMethod<&Socket::read>("read"),
                                      Socket::InstanceMethod<&Socket::close>("close"),
                                  }));
}

}  // namespace eventfs
