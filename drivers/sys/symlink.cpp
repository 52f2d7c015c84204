#include "drivers/sys/symlink.hpp"

#include <algorithm>

#include "drivers/sys/beneath.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

std::string Symlink::fix() const {
  return "drover follows no symlink in a data root: put what `" + printable(path) +
         "` leads to in its place, and try again";
}

Error Symlink::refusal() const { return Error("`" + path + "` is a symlink", fix()); }

std::optional<Symlink> find_symlink(const Dir& in, std::string_view relative) {
  // One call tells that there is none; which it is, where there is one, takes several.
  const std::string path(relative);
  if (Fd(open_beneath(in.fd(), path.c_str(), O_PATH))) return std::nullopt;
  Dir at = in.clone();
  while (!relative.empty()) {
    std::size_t cut = std::min(relative.find('/'), relative.size());
    std::string_view name = relative.substr(0, cut);
    relative.remove_prefix(std::min(cut + 1, relative.size()));
    auto st = at.try_stat(name);
    if (!st) return std::nullopt;
    if (S_ISLNK(st->st_mode)) return Symlink{at.path_of(name)};
    auto below = at.try_sub(name);
    if (!below) return std::nullopt;
    at = std::move(*below);
  }
  return std::nullopt;
}

}  // namespace drover
