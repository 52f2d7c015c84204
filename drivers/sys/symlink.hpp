#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

/// A symlink where a file or folder of the engine's should be. The engine follows it, drover follows none in
/// a data root: nothing is damaged, but what it leads to would be left behind.
struct Symlink {
  std::string path;
  std::string fix() const;  ///< what to do about it, as a hint
  Error refusal() const;    ///< that it is one, with that hint
};

/// The first symlink on this relative path below `in`; nothing if there is none.
std::optional<Symlink> find_symlink(const Dir& in, std::string_view relative);

}  // namespace drover
