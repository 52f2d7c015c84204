#include "tests/conformance/tree_hand.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "drivers/sys/error.hpp"

namespace drover::test {

namespace {

void need(bool done, const std::string& what) {
  if (!done) throw_errno("the test cannot change `" + what + "`");
}

void write_at(const Fd& fd, std::string_view bytes, off_t offset, const std::string& path) {
  need(::pwrite(fd.get(), bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size()), path);
}

/// FNV-1a: the same on every machine.
std::uint64_t hash_of(const std::string& path) {
  std::uint64_t hash = 14695981039346656037U;
  for (unsigned char byte : path) hash = (hash ^ byte) * 1099511628211U;
  return hash;
}

}  // namespace

TreeHand::Place TreeHand::find(const std::string& path) const {
  std::size_t cut = path.rfind('/');
  if (cut == std::string::npos) return {root_.clone(), path.empty() ? "." : path};
  return {root_.walk(path.substr(0, cut)), path.substr(cut + 1)};
}

TreeHand::Place TreeHand::touch(const std::string& path) {
  touched_.insert(path);
  std::size_t cut = path.rfind('/');
  touched_.insert(cut == std::string::npos ? "" : path.substr(0, cut));
  return find(path);
}

void TreeHand::folder(const std::string& path, mode_t mode) {
  Place at = touch(path);
  at.in.make_dir(at.name, mode);
}

void TreeHand::file(const std::string& path, std::string_view content, mode_t mode) {
  Place at = touch(path);
  Fd fd(::openat(at.in.fd(), at.name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
  need(static_cast<bool>(fd), path);
  write_at(fd, content, 0, path);
  need(::fchmod(fd.get(), mode) == 0, path);
}

void TreeHand::sparse(const std::string& path, off_t size) {
  Place at = touch(path);
  Fd fd = at.in.open_file(at.name, O_WRONLY | O_CREAT | O_EXCL, 0644);
  write_at(fd, "middle", size / 2, path);
  write_at(fd, "end", size - 3, path);
}

void TreeHand::append(const std::string& path, std::string_view more) {
  Place at = touch(path);
  Fd fd = at.in.open_file(at.name, O_WRONLY | O_APPEND);
  need(::write(fd.get(), more.data(), more.size()) == static_cast<ssize_t>(more.size()), path);
}

void TreeHand::symlink(const std::string& path, const std::string& target) {
  Place at = touch(path);
  at.in.make_symlink(at.name, target);
}

void TreeHand::link(const std::string& from, const std::string& path) {
  Place old = touch(from), at = touch(path);
  need(::linkat(old.in.fd(), old.name.c_str(), at.in.fd(), at.name.c_str(), 0) == 0, path);
}

void TreeHand::node(const std::string& path, mode_t type_and_mode, dev_t device) {
  Place at = touch(path);
  at.in.make_node(at.name, type_and_mode, device);
}

void TreeHand::own(const std::string& path, uid_t uid, gid_t gid) {
  Place at = touch(path);
  need(::fchownat(at.in.fd(), at.name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) == 0, path);
}

void TreeHand::mode(const std::string& path, mode_t mode) {
  Place at = touch(path);
  need(::fchmodat(at.in.fd(), at.name.c_str(), mode, 0) == 0, path);
}

void TreeHand::attribute(const std::string& path, const std::string& name, std::string_view value) {
  Place at = touch(path);
  at.in.set_xattr(path.empty() ? "" : at.name, name, value);
}

void TreeHand::forget_attribute(const std::string& path, const char* name) {
  Place at = touch(path);
  at.in.remove_xattr(path.empty() ? "" : at.name, name);
}

void TreeHand::remove(const std::string& path) {
  Place at = touch(path);
  if (!at.in.exists(at.name)) throw Error("the test has no `" + path + "` to remove");
  at.in.remove_tree(at.name);
}

void TreeHand::rename(const std::string& from, const std::string& to) {
  Place old = touch(from), at = touch(to);
  old.in.rename(old.name, at.in, at.name);
}

void TreeHand::settle() {
  // What is inside comes before the folder around it.
  for (auto path = touched_.rbegin(); path != touched_.rend(); ++path) {
    std::uint64_t hash = hash_of(*path);
    auto seconds = static_cast<time_t>(hash % 2'500'000'000U) - 1'000'000'000;
    const timespec times[2] = {{1'700'000'000, 1}, {seconds, static_cast<long>(hash / 7 % 1'000'000'000U)}};
    Place at;
    try {
      at = find(*path);
    } catch (const SystemError&) {
      continue;  // of a folder that is gone
    }
    if (::utimensat(at.in.fd(), at.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
      throw_errno("the test cannot set the times of `" + *path + "`");
  }
}

}  // namespace drover::test
