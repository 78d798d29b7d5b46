#include "device/openers.h"

#include <algorithm>
#include <cstring>

namespace eventfs {

void Openers::note(const fuse_in_header& request, const iovec& reply) {
  size_t start = sizeof(fuse_out_header);
  if (request.opcode == FUSE_CREATE) start += sizeof(fuse_entry_out);
  else if (request.opcode != FUSE_OPEN && request.opcode != FUSE_OPENDIR) return;
  if (reply.iov_len < start + sizeof(fuse_open_out)) return;  // an error
  fuse_open_out opened;
  memcpy(&opened, static_cast<const uint8_t*>(reply.iov_base) + start, sizeof(opened));
  if (opened.fh >= kMostFiles) return;
  if (opened.fh >= uids_.size()) {
    uids_.resize(std::max<size_t>(opened.fh + 1, 2 * uids_.size()), kUnknown);
  }
  uids_[opened.fh] = request.uid;
}

}  // namespace eventfs
