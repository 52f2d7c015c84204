#pragma once
#include <cstddef>
#include <string>

namespace drover {

/// Who wants to know how far a long task is. Calls may come from several threads, one at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  /// What begins now, in a few words.
  virtual void phase(const std::string&) {}
  /// One more piece of the phase is done: which, and how many of how many.
  virtual void step(const std::string& /*what*/, std::size_t /*done*/, std::size_t /*total*/) {}
  /// Something else is to be shown for now.
  virtual void pause() {}
};

}  // namespace drover
