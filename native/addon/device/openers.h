#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <cstdint>
#include <vector>

namespace eventfs {

/** The users that have opened the open files: the kernel names no user in a RELEASE. */
class Openers {
 public:
  /** The user of a file that was opened before this daemon began. No user has this uid. */
  static constexpr uint32_t kUnknown = UINT32_MAX;

  /**
   * Notes the user of a file that a reply opens. Does nothing for other replies.
   * @param request the header of the request @param reply its first bytes
   */
  void note(const fuse_in_header& request, const iovec& reply);

  /** Returns the user by the file's number (fuse_open_out.fh). */
  uint32_t of(uint64_t fh) const { return fh < uids_.size() ? uids_[fh] : kUnknown; }

 private:
  /** More files are not noted. The daemon gives the lowest free numbers. */
  static constexpr uint64_t kMostFiles = uint64_t{1} << 24;

  std::vector<uint32_t> uids_;
};

}  // namespace eventfs
