// The fields of /proc/<pid>/status that the daemon needs, without that file: the kernel makes the
// whole of it for each reader, and 65,536 supplementary groups of a process take it 17 ms.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "addon.h"
#include "descriptor.h"
#include "process/pidfd_info.h"
#include "system_error.h"

namespace eventfs {

/** PIDFD_THREAD of linux/pidfd.h, as of Linux 6.9: the pidfd may be that of any thread. */
static constexpr unsigned kPidfdThread = O_EXCL;

static Descriptor openThread(int id) {
  return Descriptor(static_cast<int>(syscall(SYS_pidfd_open, id, kPidfdThread)));
}

/**
 * Reads the PIDs of a pidfd's process in each PID namespace, from our own inwards, each with a tab
 * before it.
 *
 * @return an empty text if the process has been reaped, or the kernel has no PID namespaces
 */
static std::string namespacePids(int pidfd) {
  char path[64], text[1024];
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
  Descriptor file(open(path, O_RDONLY | O_CLOEXEC));
  ssize_t length = file ? read(file.get(), text, sizeof(text)) : -1;
  if (length <= 0) return "";
  std::string all(text, static_cast<size_t>(length));
  static const std::string kName = "\nNSpid:";
  size_t from = all.find(kName);
  if (from == std::string::npos) return "";
  from += kName.size();
  std::string pids = all.substr(from, all.find('\n', from) - from);
  return pids.find('-') == std::string::npos ? pids : "";  // -1: reaped
}

/** Sets the effective capabilities of a thread as one number. @return false if it has ended */
static bool capabilitiesOf(int id, unsigned long long& effective) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, id};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  effective = static_cast<unsigned long long>(data[1].effective) << 32 | data[0].effective;
  return true;
}

static Napi::Value processStatus(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int id = info[0].As<Napi::Number>().Int32Value();
  Descriptor thread = openThread(id);
  if (!thread && errno == EINVAL) return env.Null();
  if (!thread) throw systemError(env, errno, "pidfd_open");
  PidfdInfo ids{};
  constexpr uint64_t kNeeded = kPidfdInfoPid | kPidfdInfoCreds;
  ids.mask = kNeeded;
  if (!askPidfd(thread.get(), ids) || (ids.mask & kNeeded) != kNeeded) return env.Null();
  Descriptor leader;
  if (ids.tgid != ids.pid) {
    leader = openThread(static_cast<int>(ids.tgid));
    if (!leader) throw systemError(env, errno, "pidfd_open");
  }
  std::string pids = namespacePids(leader ? leader.get() : thread.get());
  unsigned long long effective;
  if (pids.empty() || !capabilitiesOf(id, effective)) return env.Null();
  char text[256];
  int length = snprintf(
      text, sizeof(text),
      "\nTgid:\t%u\nPPid:\t%u\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nCapEff:\t%016llx\n",
      ids.tgid, ids.ppid, ids.ruid, ids.euid, ids.suid, ids.fsuid, ids.rgid, ids.egid, ids.sgid,
      ids.fsgid, effective);
  std::string status(text, static_cast<size_t>(length));
  return Napi::String::New(env, status + "NStgid:" + pids + "\n");
}

void exportProcessStatus(Napi::Env env, Napi::Object exports) {
  exports.Set("processStatus", Napi::Function::New<processStatus>(env, "processStatus"));
}

}  // namespace eventfs
