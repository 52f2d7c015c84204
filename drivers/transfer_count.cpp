#include "drivers/transfer_count.hpp"

namespace drover {

TransferCount& TransferCount::operator+=(const TransferCount& o) {
  linked += o.linked;
  reflinked += o.reflinked;
  copied += o.copied;
  copied_bytes += o.copied_bytes;
  directories += o.directories;
  others += o.others;
  hidden += o.hidden;
  return *this;
}

}  // namespace drover
