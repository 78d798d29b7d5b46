#include "fuse/hang_report.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "options.h"

namespace eventfs {

/** Text of a bounded length. snprintf(3) is not async-signal-safe. */
class Line {
 public:
  void add(const char* text, size_t length) {
    length = std::min(length, sizeof(bytes_) - length_);
    memcpy(bytes_ + length_, text, length);
    length_ += length;
  }
  void add(const char* text) { add(text, strlen(text)); }
  void add(const std::string& text) { add(text.data(), text.size()); }
  void add(uint32_t number) {
    char digits[10];
    size_t count = 0;
    do {
      digits[sizeof(digits) - ++count] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    add(digits + sizeof(digits) - count, count);
  }
  const char* data() const { return bytes_; }
  size_t size() const { return length_; }

 private:
  char bytes_[256];
  size_t length_ = 0;
};

HangReport::HangReport(Napi::Object options)
    : boundMs_(numberOption(options, "boundMs")),
      prefix_(options.Get("prefix").As<Napi::String>().Utf8Value()) {
  auto names = options.Get("names").As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    names_.push_back(names.Get(i).As<Napi::String>().Utf8Value());
  }
}

void HangReport::write(const fuse_in_header& request) const {
  if (prefix_.empty()) return;
  Line line;
  line.add(prefix_);
  if (request.opcode < names_.size()) {
    line.add(names_[request.opcode]);
  } else {
    line.add("opcode ");
    line.add(request.opcode);
  }
  line.add(" from pid ");
  line.add(request.pid);
  line.add(": the daemon has found no answer for ");
  line.add(boundMs_ / 1000);
  line.add(" s, and answers EIO (it hangs: see eventfs doctor)\n");
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  if (poll(&ready, 1, 0) <= 0 || (ready.revents & POLLOUT) == 0) return;
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace eventfs
