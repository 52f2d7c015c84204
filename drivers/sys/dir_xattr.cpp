// Extended attributes of the names in a Dir.
#include <sys/xattr.h>

#include <algorithm>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/xattr_calls.hpp"

namespace drover {

namespace {

[[noreturn]] void fail(const std::string& verb, const Dir& dir, std::string_view name) {
  throw_errno("cannot " + verb + " `" + dir.path_of(name) + "`");
}

constexpr int kXattrRetries = 8;  // a value that grows while it is read is asked for again

template <class Ask>
std::optional<std::string> ask_sized(Ask ask) {
  // Most have none.
  char few[256];
  ssize_t size = ask(few, sizeof few);
  if (size >= 0) return std::string(few, static_cast<std::size_t>(size));
  if (errno != ERANGE) return std::nullopt;
  std::string value(4096, '\0');
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
  std::string n = name_here(name);
  auto names = ask_sized([&](char* p, std::size_t size) { return list_xattrs(fd(), n.c_str(), p, size); });
  if (!names) {
    if (errno == ENOTSUP) return {};
    fail("read the attributes of", *this, name);
  }
  std::vector<Xattr> found;
  for (std::size_t at = 0; at < names->size();) {
    std::string attribute(names->c_str() + at);
    at += attribute.size() + 1;
    auto value = ask_sized(
        [&](char* p, std::size_t size) { return get_xattr(fd(), n.c_str(), attribute.c_str(), p, size); });
    if (value)
      found.emplace_back(std::move(attribute), std::move(*value));
    else if (errno != ENODATA)
      fail("read the attributes of", *this, name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<std::string> Dir::xattr(std::string_view name, const char* attribute) const {
  std::string n = name_here(name);
  auto value =
      ask_sized([&](char* p, std::size_t size) { return get_xattr(fd(), n.c_str(), attribute, p, size); });
  if (!value && errno != ENODATA && errno != ENOTSUP) fail("read the attributes of", *this, name);
  return value;
}

void Dir::set_xattr(std::string_view name, const std::string& attribute, std::string_view value) const {
  // The kernel would take what is before a zero byte for the name.
  if (attribute.find('\0') != std::string::npos) {
    errno = EINVAL;
    fail("set an attribute with a zero byte in its name on", *this, name);
  }
  if (disk::lsetxattr(proc_path(name).c_str(), attribute.c_str(), value.data(), value.size(), 0) != 0)
    fail("set " + attribute + " on", *this, name);
}

void Dir::remove_xattr(std::string_view name, const char* attribute) const {
  if (disk::lremovexattr(proc_path(name).c_str(), attribute) != 0 && errno != ENODATA)
    fail("remove " + std::string(attribute) + " from", *this, name);
}

}  // namespace drover
