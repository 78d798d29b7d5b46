#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "addon.h"
#include "netlink/namespace_sender.h"
#include "shared_words.h"
#include "system_error.h"

namespace eventfs {

static Napi::Value openNamespaceSender(const Napi::CallbackInfo& info) {
  auto found = info[1].As<Napi::Uint32Array>();
  if (found.ElementLength() < NamespaceWord::count) {
    throw Napi::RangeError::New(info.Env(), "found has fewer than NamespaceWord.count words");
  }
  NamespaceSender sender;
  FailedCall failed = openInNamespace(info[0].As<Napi::Number>().Int32Value(), &sender);
  if (failed.error != 0) throw systemError(info.Env(), failed.error, failed.name);
  found[NamespaceWord::uid] = sender.uid;
  found[NamespaceWord::gid] = sender.gid;
  found[NamespaceWord::isInitial] = sender.isInitial ? 1 : 0;
  return Napi::Number::New(info.Env(), sender.socket.release());
}

/** The messages of one call, each behind the header that the kernel asks for. */
class Injection {
 public:
  static constexpr uint32_t kMaxMessages = 64;

  explicit Injection(const Napi::CallbackInfo& info);

  /** Sends all messages, and counts the outcomes. */
  void send(uint32_t* outcome);

 private:
  void attachCredentials(uint32_t message, const ucred& sender);
  void hear(uint32_t* outcome);

  int socket_;
  uint32_t messages_;
  nlmsghdr headers_[kMaxMessages];
  iovec parts_[kMaxMessages][2];
  alignas(cmsghdr) char controls_[kMaxMessages][CMSG_SPACE(sizeof(ucred))];
  mmsghdr vector_[kMaxMessages];
};

Injection::Injection(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  socket_ = info[0].As<Napi::Number>().Int32Value();
  auto found = info[1].As<Napi::Uint32Array>();
  auto memory = info[2].As<Napi::Uint8Array>();
  auto slices = info[3].As<Napi::Uint32Array>();
  messages_ = info[4].As<Napi::Number>().Uint32Value();
  if (messages_ > kMaxMessages || slices.ElementLength() < SliceWord::count * size_t{messages_}) {
    throw Napi::RangeError::New(env, "messages exceeds the slices, or 64");
  }
  if (found.ElementLength() < NamespaceWord::count) {
    throw Napi::RangeError::New(env, "found has fewer than NamespaceWord.count words");
  }
  ucred sender{getpid(), found[NamespaceWord::uid], found[NamespaceWord::gid]};
  // A process may always send under its own ids; under others it needs CAP_SETUID and CAP_SETGID
  bool isOther = sender.uid != geteuid() || sender.gid != getegid();
  for (uint32_t i = 0; i < messages_; ++i) {
    size_t start = slices[SliceWord::count * i + SliceWord::start];
    size_t length = slices[SliceWord::count * i + SliceWord::length];
    if (start > memory.ElementLength() || length > memory.ElementLength() - start) {
      throw Napi::RangeError::New(env, "a slice exceeds the memory");
    }
    headers_[i] = {};
    headers_[i].nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + length);
    headers_[i].nlmsg_type = NLMSG_MIN_TYPE;
    headers_[i].nlmsg_flags = NLM_F_REQUEST;
    parts_[i][0] = {&headers_[i], NLMSG_HDRLEN};
    parts_[i][1] = {memory.Data() + start, length};
    vector_[i].msg_hdr = {};
    vector_[i].msg_hdr.msg_iov = parts_[i];
    vector_[i].msg_hdr.msg_iovlen = 2;
    if (isOther) attachCredentials(i, sender);
  }
}

/** Makes the message's receivers see these ids (SCM_CREDENTIALS, unix(7)). */
void Injection::attachCredentials(uint32_t message, const ucred& sender) {
  msghdr& to = vector_[message].msg_hdr;
  to.msg_control = controls_[message];
  to.msg_controllen = sizeof(controls_[message]);
  cmsghdr* header = CMSG_FIRSTHDR(&to);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_CREDENTIALS;
  header->cmsg_len = CMSG_LEN(sizeof(ucred));
  memcpy(CMSG_DATA(header), &sender, sizeof(sender));
}

void Injection::send(uint32_t* outcome) {
  outcome[InjectionWord::sent] = outcome[InjectionWord::refused] = 0;
  outcome[InjectionWord::error] = 0;
  uint32_t done = 0;
  while (done < messages_) {
    int sent = sendmmsg(socket_, vector_ + done, messages_ - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<uint32_t>(sent);
      outcome[InjectionWord::sent] += static_cast<uint32_t>(sent);
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    ++done;
    ++outcome[InjectionWord::refused];
    outcome[InjectionWord::error] = static_cast<uint32_t>(errno);
  }
  hear(outcome);
}

/**
 * Counts the messages that the kernel has taken and then rejected. It handles each message inside
 * sendmmsg(2), so its answers wait already. It answers only rejected messages
 * (net/netlink/af_netlink.c, netlink_rcv_skb). A process inside the namespace may send here too:
 * the number of reads is bounded, and only answers from port 0 count.
 */
void Injection::hear(uint32_t* outcome) {
  constexpr uint32_t kMaxReads = 2 * kMaxMessages;
  for (uint32_t i = 0; i < kMaxReads; ++i) {
    alignas(nlmsghdr) char answer[512];
    sockaddr_nl from{};
    socklen_t length = sizeof(from);
    ssize_t got = recvfrom(socket_, answer, sizeof(answer), MSG_DONTWAIT,
                           reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (got < 0) return;
    if (from.nl_pid != 0 || got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(int)))) continue;
    nlmsghdr header;
    int error;
    memcpy(&header, answer, sizeof(header));
    memcpy(&error, answer + NLMSG_HDRLEN, sizeof(error));
    if (header.nlmsg_type != NLMSG_ERROR || error == 0) continue;
    if (outcome[InjectionWord::sent] > 0) --outcome[InjectionWord::sent];
    ++outcome[InjectionWord::refused];
    outcome[InjectionWord::error] = static_cast<uint32_t>(-error);
  }
}

static void injectUevents(const Napi::CallbackInfo& info) {
  auto outcome = info[5].As<Napi::Uint32Array>();
  if (outcome.ElementLength() < InjectionWord::count) {
    throw Napi::RangeError::New(info.Env(), "outcome has fewer than InjectionWord.count words");
  }
  Injection injection(info);
  injection.send(outcome.Data());
}

void exportInjection(Napi::Env env, Napi::Object exports) {
  exports.Set("openNamespaceSender",
              Napi::Function::New<openNamespaceSender>(env, "openNamespaceSender"));
  exports.Set("injectUevents", Napi::Function::New<injectUevents>(env, "injectUevents"));
}

}  // namespace eventfs
