#pragma once

#include <linux/fuse.h>
#include <napi.h>

#include <string>
#include <vector>

namespace eventfs {

/** The line about a handler that hangs, on standard error: JavaScript can't write it meanwhile. */
class HangReport {
 public:
  HangReport() = default;
  /** Takes FuseChannelOptions.hang. */
  explicit HangReport(Napi::Object options);

  /**
   * Writes the line, if standard error has room for it. Calls only async-signal-safe functions.
   * @param request the request that has no answer
   */
  void write(const fuse_in_header& request) const;

 private:
  uint32_t boundMs_ = 0;
  /** The beginning of the line; empty for no line. */
  std::string prefix_;
  /** The name of each opcode. */
  std::vector<std::string> names_;
};

}  // namespace eventfs
