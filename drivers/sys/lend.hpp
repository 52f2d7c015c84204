#pragma once
#include <functional>

namespace drover {

/// Who runs the calling thread's work together with other threads, some of which may have nothing to do.
class Lender {
 public:
  virtual ~Lender() = default;
  /// Hands work to a thread that has nothing to do; it must not throw. False: there is none, and nothing was
  /// done.
  virtual bool lend(std::function<void()> work) = 0;

  /// Of the calling thread; null: it works alone.
  static Lender*& of_this_thread();
};

}  // namespace drover
