#include "detect/small_file.hpp"

#include <filesystem>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {
constexpr std::size_t kLimit = 4 << 20;

/// Where `path` leads; nothing if nothing is there.
std::optional<std::filesystem::path> canonical(const std::string& path) {
  std::error_code error;
  auto found = std::filesystem::canonical(path, error);
  if (!error) return found;
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory)
    return std::nullopt;
  throw_errno("cannot open `" + path + "`", error.value());
}
}  // namespace

std::optional<std::string> read_small_file(const std::string& path) {
  auto real = canonical(path);
  if (!real || !std::filesystem::is_regular_file(*real)) return std::nullopt;
  return Dir::open(real->parent_path().string()).try_read(real->filename().string(), kLimit);
}

std::string resolved_path(const std::string& path) {
  auto real = canonical(path);
  return real ? real->string() : path;
}

}  // namespace drover
