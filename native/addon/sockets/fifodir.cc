#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "addon.h"
#include "descriptor.h"
#include "shared_words.h"

namespace eventfs {

/** Opens a FIFO for writing, without waiting, through no symlink and on the same filesystem. */
static Descriptor openFifo(int directory, const char* name) {
  open_how how{};
  how.flags = O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  long fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));
  // Before Linux 5.6
  if (fd < 0 && errno == ENOSYS) fd = openat(directory, name, static_cast<int>(how.flags));
  return Descriptor(static_cast<int>(fd));
}

/** The most names that one call reads. */
static constexpr uint32_t kMaxListed = 65536;

/**
 * Adds 1 to the word of FifoCount for this outcome. The main thread may read the words at the same
 * time.
 */
static void count(uint32_t* counts, uint32_t outcome) {
  __atomic_add_fetch(&counts[outcome], 1, __ATOMIC_RELAXED);
}

static void notify(int directory, const char* name, const std::string& bytes, uint32_t* counts) {
  Descriptor fifo = openFifo(directory, name);
  if (!fifo) {
    bool isStale = errno == ENXIO && strncmp(name, "ftrig1", 6) == 0;
    // Counted first: a process that finds the file gone finds it counted
    count(counts, isStale ? FifoCount::stale : FifoCount::skipped);
    if (isStale) unlinkat(directory, name, 0);  // its reader was killed
    return;
  }
  // The file may have been replaced since getdents(2)
  struct stat found;
  if (fstat(fifo.get(), &found) < 0 || !S_ISFIFO(found.st_mode)) {
    return count(counts, FifoCount::skipped);
  }
  ssize_t written = write(fifo.get(), bytes.data(), bytes.size());
  bool isWhole = written == static_cast<ssize_t>(bytes.size());
  count(counts, isWhole ? FifoCount::notified : FifoCount::full);
}

/** Writes the bytes into at most `max` FIFOs of a directory. Returns 0 or an errno. */
static int notifyAll(int directory, const std::string& bytes, uint32_t max, uint32_t* counts) {
  // A new open file: closedir(3) closes it, and a listing continues at the position of its file
  Descriptor again(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return errno;
  DIR* listing = fdopendir(again.get());
  if (listing == nullptr) return errno;
  again.release();
  // The limit includes other files: a directory may have any number of them
  uint32_t listed = 0;
  uint32_t seen = 0;
  for (const dirent* entry; listed < kMaxListed && (entry = readdir(listing)) != nullptr;
       ++listed) {
    // A dot marks an unfinished FIFO: s6 renames the FIFO after a reader has opened it
    if (entry->d_name[0] == '.') continue;
    if (entry->d_type != DT_FIFO && entry->d_type != DT_UNKNOWN) continue;
    if (seen++ < max) notify(directory, entry->d_name, bytes, counts);
    else count(counts, FifoCount::skipped);
  }
  closedir(listing);
  return 0;
}

/** One call of `notifyFifos`, in a thread of libuv's pool. Keeps `counts` alive; deletes itself. */
class FifodirWork : public Napi::AsyncWorker {
 public:
  FifodirWork(const Napi::Function& done, int directory, std::string bytes, uint32_t max,
              Napi::Uint32Array counts)
      : Napi::AsyncWorker(done, "eventfs.notifyFifos"),
        directory_(directory),
        bytes_(std::move(bytes)),
        max_(max),
        counts_(counts.Data()),
        keptCounts_(Napi::Persistent(counts.As<Napi::Object>())) {}

 protected:
  void Execute() override { errno_ = notifyAll(directory_, bytes_, max_, counts_); }
  void OnOK() override { Callback().Call({Napi::Number::New(Env(), errno_)}); }

 private:
  int directory_;
  std::string bytes_;
  uint32_t max_;
  uint32_t* counts_;
  Napi::ObjectReference keptCounts_;
  int errno_ = 0;
};

static void notifyFifos(const Napi::CallbackInfo& info) {
  int directory = info[0].As<Napi::Number>().Int32Value();
  auto bytes = info[1].As<Napi::Uint8Array>();
  size_t length = info[2].As<Napi::Number>().Uint32Value();
  uint32_t max = info[3].As<Napi::Number>().Uint32Value();
  auto counts = info[4].As<Napi::Uint32Array>();
  auto done = info[5].As<Napi::Function>();
  if (length > bytes.ElementLength()) {
    throw Napi::RangeError::New(info.Env(), "length exceeds bytes");
  }
  if (counts.ElementLength() < FifoCount::count) {
    throw Napi::RangeError::New(info.Env(), "counts has fewer than FifoCount.count words");
  }
  std::string copy(reinterpret_cast<const char*>(bytes.Data()), length);
  (new FifodirWork(done, directory, std::move(copy), max, counts))->Queue();
}

void exportFifodir(Napi::Env env, Napi::Object exports) {
  exports.Set("notifyFifos", Napi::Function::New<notifyFifos>(env, "notifyFifos"));
}

}  // namespace eventfs
