#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "descriptor.h"
#include "system_error.h"

namespace eventfs {

/** Opens for writing without waiting for a reader, through no symlink and into no other filesystem. */
static Descriptor openFifo(int directory, const char* name) {
  open_how how{};
  how.flags = O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  long fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));
  if (fd < 0 && errno == ENOSYS) fd = openat(directory, name, static_cast<int>(how.flags));  // before Linux 5.6
  return Descriptor(static_cast<int>(fd));
}

/** The most names that are looked at. */
static constexpr uint32_t kMostListed = 65536;

/** What becomes of one FIFO: words of `counts`. */
enum Outcome : size_t { kNotified, kFull, kStale, kSkipped };

static Outcome notify(int directory, const dirent* entry, const uint8_t* bytes, size_t length) {
  Descriptor fifo = openFifo(directory, entry->d_name);
  if (!fifo) {
    if (errno != ENXIO || strncmp(entry->d_name, "ftrig1", 6) != 0) return kSkipped;
    unlinkat(directory, entry->d_name, 0);  // its reader was killed
    return kStale;
  }
  // What getdents(2) called a FIFO may be something else by now
  struct stat found;
  if (fstat(fifo.get(), &found) < 0 || !S_ISFIFO(found.st_mode)) return kSkipped;
  ssize_t written = write(fifo.get(), bytes, length);
  return written == static_cast<ssize_t>(length) ? kNotified : kFull;
}

static void notifyFifos(const Napi::CallbackInfo& info) {
  int directory = info[0].As<Napi::Number>().Int32Value();
  auto bytes = info[1].As<Napi::Uint8Array>();
  size_t length = info[2].As<Napi::Number>().Uint32Value();
  uint32_t most = info[3].As<Napi::Number>().Uint32Value();
  auto counts = info[4].As<Napi::Uint32Array>();
  if (length > bytes.ElementLength()) throw Napi::RangeError::New(info.Env(), "length is over bytes");
  if (counts.ElementLength() < 4) throw Napi::RangeError::New(info.Env(), "counts are under four words");

  // Opened anew: closedir(3) closes it, and a listing begins where its description stands
  Descriptor again(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) throw systemError(info.Env(), errno, "openat");
  DIR* listing = fdopendir(again.get());
  if (listing == nullptr) throw systemError(info.Env(), errno, "fdopendir");
  again.release();
  // Other files cost no more than being listed, but there may be any number of them too
  uint32_t listed = 0;
  uint32_t seen = 0;
  for (const dirent* entry; listed < kMostListed && (entry = readdir(listing)) != nullptr; ++listed) {
    // One whose name begins with a dot is being made: s6 renames it when its reader is there
    if (entry->d_name[0] == '.' || (entry->d_type != DT_FIFO && entry->d_type != DT_UNKNOWN)) continue;
    ++counts[seen++ < most ? notify(directory, entry, bytes.Data(), length) : kSkipped];
  }
  closedir(listing);
}

void exportFifodir(Napi::Env env, Napi::Object exports) {
  exports.Set("notifyFifos", Napi::Function::New<notifyFifos>(env, "notifyFifos"));
}

}  // namespace eventfs
