#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "descriptor.h"
#include "system_error.h"

namespace eventfs {

/** The length of a handle: the 64-bit inode number of a pidfd (fs/pidfs.c, pidfs_encode_fh). */
static constexpr size_t kHandleBytes = 8;
/** FILEID_KERNFS of include/linux/exportfs.h, the type of handles in pidfs. */
static constexpr int kHandleType = 0xfe;

/** A struct file_handle with room for the bytes behind it. */
union Handle {
  file_handle head;
  char room[sizeof(file_handle) + kHandleBytes];
};

static bool readHandle(int pidfd, unsigned char* bytes) {
  Handle handle{};
  handle.head.handle_bytes = kHandleBytes;
  int mountId;
  if (name_to_handle_at(pidfd, "", &handle.head, &mountId, AT_EMPTY_PATH) < 0) return false;
  if (handle.head.handle_bytes != kHandleBytes || handle.head.handle_type != kHandleType) {
    return false;
  }
  memcpy(bytes, handle.head.f_handle, kHandleBytes);
  return true;
}

static int openHandle(int anyPidfd, const unsigned char* bytes) {
  Handle handle{};
  handle.head.handle_bytes = kHandleBytes;
  handle.head.handle_type = kHandleType;
  memcpy(handle.head.f_handle, bytes, kHandleBytes);
  return open_by_handle_at(anyPidfd, &handle.head, O_CLOEXEC);
}

/** Returns a pidfd of this process, which names pidfs as the filesystem. Stays open. */
static int ownPidfd() {
  static Descriptor own(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  return own.get();
}

/**
 * Returns whether this process can open handles: seccomp filters of containers refuse it with
 * EPERM.
 */
static bool canOpenHandles() {
  unsigned char bytes[kHandleBytes];
  if (!readHandle(ownPidfd(), bytes)) return false;
  return static_cast<bool>(Descriptor(openHandle(ownPidfd(), bytes)));
}

static unsigned char* handleBytes(const Napi::Value& value) {
  auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() < kHandleBytes) {
    throw Napi::RangeError::New(value.Env(), "a handle has 8 bytes");
  }
  return bytes.Data();
}

static Napi::Value readPidfdHandle(const Napi::CallbackInfo& info) {
  static const bool isOffered = canOpenHandles();
  int pidfd = info[0].As<Napi::Number>().Int32Value();
  unsigned char* bytes = handleBytes(info[1]);
  return Napi::Boolean::New(info.Env(), isOffered && readHandle(pidfd, bytes));
}

static Napi::Value openPidfdByHandle(const Napi::CallbackInfo& info) {
  int fd = openHandle(ownPidfd(), handleBytes(info[0]));
  if (fd < 0 && errno != ESTALE) throw systemError(info.Env(), errno, "open_by_handle_at");
  return Napi::Number::New(info.Env(), fd);
}

void exportPidfdHandles(Napi::Env env, Napi::Object exports) {
  exports.Set("readPidfdHandle", Napi::Function::New<readPidfdHandle>(env, "readPidfdHandle"));
  exports.Set("openPidfdByHandle",
              Napi::Function::New<openPidfdByHandle>(env, "openPidfdByHandle"));
}

}  // namespace eventfs
