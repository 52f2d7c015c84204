#include "drivers/sys/lend.hpp"

namespace drover {

Lender*& Lender::of_this_thread() {
  thread_local Lender* lender = nullptr;
  return lender;
}

}  // namespace drover
