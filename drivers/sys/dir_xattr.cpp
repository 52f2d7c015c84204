// Extended attributes of the names in a Dir.
#include <sys/xattr.h>

#include <algorithm>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

[[noreturn]] void fail(const std::string& verb, const Dir& dir, std::string_view name) {
  throw_errno("cannot " + verb + " `" + dir.path_of(name) + "`");
}

constexpr int kXattrRetries = 8;  // a value that grows while it is read is asked for again

template <class Ask>
std::optional<std::string> ask_sized(Ask ask) {
  std::string value(256, '\0');
  for (int i = 0; i < kXattrRetries; ++i) {
    ssize_t n = ask(value.data(), value.size());
    if (n >= 0) {
      value.resize(static_cast<std::size_t>(n));
      return value;
    }
    if (errno != ERANGE) return std::nullopt;
    n = ask(nullptr, 0);
    if (n < 0) return std::nullopt;
    value.resize(static_cast<std::size_t>(n) + 64);
  }
  errno = ERANGE;
  return std::nullopt;
}

}  // namespace

std::vector<Xattr> Dir::xattrs(std::string_view name) const {
  std::string path = proc_path(name);
  auto names = ask_sized([&](char* p, std::size_t n) { return ::llistxattr(path.c_str(), p, n); });
  if (!names) {
    if (errno == ENOTSUP) return {};
    fail("read the attributes of", *this, name);
  }
  std::vector<Xattr> found;
  for (std::size_t at = 0; at < names->size();) {
    std::string attribute(names->c_str() + at);
    at += attribute.size() + 1;
    auto value =
        ask_sized([&](char* p, std::size_t n) { return ::lgetxattr(path.c_str(), attribute.c_str(), p, n); });
    if (value)
      found.emplace_back(std::move(attribute), std::move(*value));
    else if (errno != ENODATA)
      fail("read the attributes of", *this, name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<std::string> Dir::xattr(std::string_view name, const char* attribute) const {
  std::string path = proc_path(name);
  auto value = ask_sized([&](char* p, std::size_t n) { return ::lgetxattr(path.c_str(), attribute, p, n); });
  if (!value && errno != ENODATA && errno != ENOTSUP) fail("read the attributes of", *this, name);
  return value;
}

void Dir::set_xattr(std::string_view name, const std::string& attribute, std::string_view value) const {
  if (disk::lsetxattr(proc_path(name).c_str(), attribute.c_str(), value.data(), value.size(), 0) != 0)
    fail("set " + attribute + " on", *this, name);
}

void Dir::remove_xattr(std::string_view name, const char* attribute) const {
  if (disk::lremovexattr(proc_path(name).c_str(), attribute) != 0 && errno != ENODATA)
    fail("remove " + std::string(attribute) + " from", *this, name);
}

}  // namespace drover
