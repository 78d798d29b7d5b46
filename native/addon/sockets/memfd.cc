#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "addon.h"
#include "descriptor.h"
#include "sockets/fan_out.h"
#include "system_error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace eventfs {

static int createSealable() {
  // Newer kernels log a warning without this flag; older kernels fail with EINVAL
  static unsigned int noExec = MFD_NOEXEC_SEAL;
  int fd = memfd_create("event", MFD_CLOEXEC | MFD_ALLOW_SEALING | noExec);
  if (fd >= 0 || errno != EINVAL || noExec == 0) return fd;
  noExec = 0;
  return memfd_create("event", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/** Returns a read-only descriptor of a file that no process can change. Sets errno if it fails. */
static Descriptor sealedFile(const iovec& bytes) {
  Descriptor writable(createSealable());
  if (!writable) return Descriptor();
  auto* start = static_cast<const char*>(bytes.iov_base);
  for (size_t at = 0; at < bytes.iov_len;) {
    ssize_t written = write(writable.get(), start + at, bytes.iov_len - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Descriptor();
    at += static_cast<size_t>(written);
  }
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(writable.get(), F_ADD_SEALS, kSeals) < 0) return Descriptor();
  char path[32];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", writable.get());
  return Descriptor(open(path, O_RDONLY | O_CLOEXEC));
}

static Napi::Value passToAll(const Napi::CallbackInfo& info) {
  FanOut fanOut(info);
  Descriptor files[FanOut::kMaxMessages];
  int descriptors[FanOut::kMaxMessages];
  uint32_t made = 0;
  while (made < fanOut.messages()) {
    files[made] = sealedFile(fanOut.slice(made));
    if (!files[made]) break;
    descriptors[made] = files[made].get();
    ++made;
  }
  if (made == 0 && fanOut.messages() > 0) throw systemError(info.Env(), errno, "memfd_create");
  fanOut.limitTo(made);
  return Napi::Number::New(info.Env(), fanOut.send(descriptors));
}

void exportMemfd(Napi::Env env, Napi::Object exports) {
  exports.Set("passToAll", Napi::Function::New<passToAll>(env, "passToAll"));
}

}  // namespace eventfs
