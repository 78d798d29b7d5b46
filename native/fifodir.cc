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

/** The serving thread reads the counts meanwhile. */
static void count(uint32_t* counts, Outcome outcome) { __atomic_add_fetch(&counts[outcome], 1, __ATOMIC_RELAXED); }

static void notify(int directory, const char* name, const std::string& bytes, uint32_t* counts) {
  Descriptor fifo = openFifo(directory, name);
  if (!fifo) {
    bool isStale = errno == ENXIO && strncmp(name, "ftrig1", 6) == 0;
    count(counts, isStale ? kStale : kSkipped);  // first: who finds it gone finds it counted
    if (isStale) unlinkat(directory, name, 0);  // its reader was killed
    return;
  }
  // What getdents(2) called a FIFO may be something else by now
  struct stat found;
  if (fstat(fifo.get(), &found) < 0 || !S_ISFIFO(found.st_mode)) return count(counts, kSkipped);
  ssize_t written = write(fifo.get(), bytes.data(), bytes.size());
  count(counts, written == static_cast<ssize_t>(bytes.size()) ? kNotified : kFull);
}

/** Writes the bytes into every FIFO of a directory. Gives 0 or an errno. */
static int notifyAll(int directory, const std::string& bytes, uint32_t most, uint32_t* counts) {
  // Opened anew: closedir(3) closes it, and a listing begins where its description stands
  Descriptor again(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return errno;
  DIR* listing = fdopendir(again.get());
  if (listing == nullptr) return errno;
  again.release();
  // Other files cost no more than being listed, but there may be any number of them too
  uint32_t listed = 0;
  uint32_t seen = 0;
  for (const dirent* entry; listed < kMostListed && (entry = readdir(listing)) != nullptr; ++listed) {
    // One whose name begins with a dot is being made: s6 renames it when its reader is there
    if (entry->d_name[0] == '.' || (entry->d_type != DT_FIFO && entry->d_type != DT_UNKNOWN)) continue;
    if (seen++ < most) notify(directory, entry->d_name, bytes, counts);
    else count(counts, kSkipped);
  }
  closedir(listing);
  return 0;
}

/** One call of `notifyFifos`, in a thread of libuv's pool. Keeps the memory of `counts`, and deletes itself. */
class FifodirWork : public Napi::AsyncWorker {
 public:
  FifodirWork(const Napi::Function& done, int directory, std::string bytes, uint32_t most, Napi::Uint32Array counts)
      : Napi::AsyncWorker(done, "eventfs.notifyFifos"),
        directory_(directory),
        bytes_(std::move(bytes)),
        most_(most),
        counts_(counts.Data()),
        keptCounts_(Napi::Persistent(counts.As<Napi::Object>())) {}

 protected:
  void Execute() override { errno_ = notifyAll(directory_, bytes_, most_, counts_); }
  void OnOK() override { Callback().Call({Napi::Number::New(Env(), errno_)}); }

 private:
  int directory_;
  std::string bytes_;
  uint32_t most_;
  uint32_t* counts_;
  Napi::ObjectReference keptCounts_;
  int errno_ = 0;
};

static void notifyFifos(const Napi::CallbackInfo& info) {
  int directory = info[0].As<Napi::Number>().Int32Value();
  auto bytes = info[1].As<Napi::Uint8Array>();
  size_t length = info[2].As<Napi::Number>().Uint32Value();
  uint32_t most = info[3].As<Napi::Number>().Uint32Value();
  auto counts = info[4].As<Napi::Uint32Array>();
  auto done = info[5].As<Napi::Function>();
  if (length > bytes.ElementLength()) throw Napi::RangeError::New(info.Env(), "length is over bytes");
  if (counts.ElementLength() < 4) throw Napi::RangeError::New(info.Env(), "counts are under four words");
  std::string copy(reinterpret_cast<const char*>(bytes.Data()), length);
  (new FifodirWork(done, directory, std::move(copy), most, counts))->Queue();
}

void exportFifodir(Napi::Env env, Napi::Object exports) {
  exports.Set("notifyFifos", Napi::Function::New<notifyFifos>(env, "notifyFifos"));
}

}  // namespace eventfs
