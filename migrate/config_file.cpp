#include "migrate/config_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dtl/dtl.hpp>
#include <filesystem>
#include <sstream>
#include <utility>
#include <vector>

#include "detect/small_file.hpp"
#include "drivers/attributes.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  if (!text.empty() && text.back() != '\n') lines.back() += "\n\\ No newline at end of file";
  return lines;
}

/// A name that nothing has yet: the first backup, the one from before drover, keeps the plain one. Or the
/// last one's, where that has this text: a run that was cut has left it.
std::string backup_name(const Dir& dir, const std::string& name, const std::string& text) {
  std::string last, next = name + ".drover-backup";
  for (int i = 2; dir.exists(next); ++i)
    last = std::exchange(next, name + ".drover-backup." + std::to_string(i));
  return !last.empty() && dir.try_read(last) == text ? last : next;
}

/// Gives the file this content, and all else that the one there has: an ACL, say, or a security label.
void write_like(const Dir& dir, const std::string& as, const std::string& text, const std::string& like) {
  struct stat st = dir.stat(like);
  std::vector<Xattr> xattrs = dir.xattrs(like);
  // These are of a file's content; the kernel makes them.
  std::erase_if(xattrs, [](const Xattr& x) {
    return x.first == "security.ima" || x.first == "security.evm" || is_filesystem_property(x.first);
  });
  dir.write_atomic(as, text, st.st_mode & 07777, st.st_uid, st.st_gid, xattrs);
}

}  // namespace

ConfigFile::ConfigFile(std::string path) : path_(fs::absolute(path).lexically_normal().string()) {
  target_ = resolved_path(path_);
  std::error_code error;
  if (fs::is_symlink(path_, error) && !fs::exists(path_, error))
    throw Error("`" + path_ + "` is a symlink to nothing", "make the file that it points to, or remove it");
  if (fs::exists(path_, error) && !fs::is_regular_file(path_, error))
    throw Error("`" + path_ + "` is not a regular file");
  if (auto text = read_small_file(path_)) {
    exists_ = true;
    text_ = std::move(*text);
  }
}

/// Where the file is, making what is missing of the way there.
Dir ConfigFile::folder() const {
  fs::path folder = fs::path(target_).parent_path(), existing = folder;
  while (!fs::exists(existing)) existing = existing.parent_path();
  Dir dir = Dir::open(existing.string());
  return existing == folder ? std::move(dir)
                            : dir.make_path(folder.lexically_relative(existing).string(), 0755);
}

void ConfigFile::require_replaceable() const {
  std::string why;
  struct statx facts {};
  if (exists_ && ::statx(AT_FDCWD, target_.c_str(), 0, STATX_BASIC_STATS, &facts) == 0) {
    std::uint64_t is = facts.stx_attributes & facts.stx_attributes_mask;
    if (is & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) why = "it is immutable (chattr -i takes that away)";
    if (is & STATX_ATTR_MOUNT_ROOT) why = "something is mounted on it";
  }
  fs::path existing = fs::path(target_).parent_path();
  while (!fs::exists(existing)) existing = existing.parent_path();
  if (why.empty() && ::access(existing.c_str(), W_OK) != 0)
    why = errno_text(errno) + ": `" + existing.string() + "`";
  if (!why.empty())
    throw Error("cannot replace the engine's configuration `" + path_ + "`: " + why,
                "nothing was changed; make it writable first, or name another one with --config");
}

std::string ConfigFile::diff(const std::string& new_text) const {
  return unified_diff(exists_ ? path_ : "/dev/null", text_, path_, new_text);
}

std::optional<std::string> ConfigFile::replace(const std::string& new_text) const {
  std::string name = fs::path(target_).filename().string();
  Dir dir = folder();
  if (exists_ ? dir.try_read(name) != text_ : dir.exists(name))
    throw Error("`" + path_ + "` has changed in the meantime", "run the command again");
  if (!exists_) {
    dir.write_atomic(name, new_text, 0644, ::geteuid(), ::getegid());
    return std::nullopt;
  }
  std::string backup = backup_name(dir, name, text_);
  write_like(dir, backup, text_, name);
  write_like(dir, name, new_text, name);
  return dir.path_of(backup);
}

struct stat ConfigFile::stat() const {
  return folder().stat(fs::path(target_).filename().string());
}

void ConfigFile::write(const std::string& new_text, const struct stat* made_like) {
  std::string name = fs::path(target_).filename().string();
  Dir dir = folder();
  if (exists_) {
    write_like(dir, name, new_text, name);
  } else if (made_like) {
    dir.write_atomic(name, new_text, made_like->st_mode & 0777, made_like->st_uid, made_like->st_gid);
  } else {
    dir.write_atomic(name, new_text, 0644, ::geteuid(), ::getegid());
  }
  exists_ = true;
  text_ = new_text;
}

void ConfigFile::discard_unfinished() const {
  fs::path target(target_);
  if (auto dir = Dir::try_open(target.parent_path().string()))
    dir->discard_unfinished(target.filename().string());
}

void ConfigFile::remove() {
  if (!exists_) return;
  Dir dir = folder();
  dir.unlink(fs::path(target_).filename().string());
  dir.sync();
  exists_ = false;
  text_.clear();
}

std::string unified_diff(const std::string& old_name, const std::string& old_text,
                         const std::string& new_name, const std::string& new_text) {
  if (old_text == new_text) return {};
  dtl::Diff<std::string> diff(lines_of(old_text), lines_of(new_text));
  diff.onHuge();
  diff.compose();
  diff.composeUnifiedHunks();
  std::ostringstream out;
  out << "--- " << old_name << "\n+++ " << new_name << "\n";
  diff.printUnifiedFormat(out);
  std::string text = out.str();
  // Of an empty text there is no first line; dtl counts one.
  if (std::size_t at = text.find("@@ -1,0 "); old_text.empty() && at != std::string::npos) text[at + 4] = '0';
  return text;
}

}  // namespace drover
