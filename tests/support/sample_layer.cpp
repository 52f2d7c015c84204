#include "tests/support/sample_layer.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>

#include "drivers/sys/error.hpp"

namespace drover::test {

using Kind = SampleEntry::Kind;

SampleEntry directory(std::string path, mode_t mode) { return {Kind::directory, std::move(path), "", mode}; }
SampleEntry opaque_directory(std::string path, mode_t mode) {
  return {Kind::opaque_directory, std::move(path), "", mode};
}
SampleEntry file(std::string path, std::string content, mode_t mode) {
  return {Kind::file, std::move(path), std::move(content), mode};
}
SampleEntry symlink_to(std::string path, std::string target) {
  return {Kind::symlink, std::move(path), std::move(target), 0777};
}
SampleEntry hard_link_to(std::string path, std::string target) {
  return {Kind::hard_link, std::move(path), std::move(target), 0644};
}
SampleEntry fifo(std::string path) { return {Kind::fifo, std::move(path), "", 0600}; }
SampleEntry whiteout(std::string path) { return {Kind::whiteout, std::move(path), "", 0}; }

namespace {

std::pair<std::string, std::string> split_path(const std::string& path) {
  std::size_t cut = path.rfind('/');
  return cut == std::string::npos ? std::pair{std::string(), path}
                                  : std::pair{path.substr(0, cut), path.substr(cut + 1)};
}

std::string in_directory(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "/" + name;
}

void need(int result, archive* tar) {
  if (result != ARCHIVE_OK) throw std::runtime_error(archive_error_string(tar));
}

class Tar {
 public:
  Tar() : tar_(archive_write_new(), archive_write_free) {
    need(archive_write_set_format_pax_restricted(tar_.get()), tar_.get());
    // Names are bytes; without this only those that are ASCII are accepted in the C locale.
    need(archive_write_set_options(tar_.get(), "hdrcharset=BINARY"), tar_.get());
    need(archive_write_set_bytes_per_block(tar_.get(), 0), tar_.get());
    need(archive_write_open2(tar_.get(), &bytes_, nullptr, append, nullptr, nullptr), tar_.get());
  }

  void put(const SampleEntry& from, const std::string& path, mode_t type_and_mode,
           const std::string& content = {}) {
    std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                        archive_entry_free);
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_mode(entry.get(), type_and_mode);
    archive_entry_set_uid(entry.get(), from.uid);
    archive_entry_set_gid(entry.get(), from.gid);
    archive_entry_set_mtime(entry.get(), from.mtime_s, 0);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    if (from.kind == Kind::symlink) archive_entry_set_symlink(entry.get(), from.data.c_str());
    if (from.kind == Kind::hard_link) archive_entry_set_hardlink(entry.get(), from.data.c_str());
    need(archive_write_header(tar_.get(), entry.get()), tar_.get());
    if (!content.empty() && archive_write_data(tar_.get(), content.data(), content.size()) < 0)
      throw std::runtime_error(archive_error_string(tar_.get()));
  }

  std::string finish() {
    need(archive_write_close(tar_.get()), tar_.get());
    return std::move(bytes_);
  }

 private:
  static la_ssize_t append(archive*, void* bytes, const void* data, std::size_t size) {
    static_cast<std::string*>(bytes)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  }

  std::string bytes_;
  std::unique_ptr<archive, decltype(&archive_write_free)> tar_;
};

mode_t file_type(Kind kind) {
  switch (kind) {
    case Kind::directory:
    case Kind::opaque_directory:
      return S_IFDIR;
    case Kind::symlink:
      return S_IFLNK;
    case Kind::fifo:
      return S_IFIFO;
    case Kind::whiteout:
      return S_IFCHR;
    default:
      return S_IFREG;
  }
}

void put_owner_and_times(const Dir& parent, const std::string& name, const SampleEntry& entry) {
  timespec times[2] = {{entry.mtime_s, 0}, {entry.mtime_s, 0}};
  if (::fchownat(parent.fd(), name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("cannot change the owner of `" + parent.path_of(name) + "`");
  // After the owner, since a change of owner takes the setuid bit away.
  if (!S_ISLNK(file_type(entry.kind)) && ::fchmodat(parent.fd(), name.c_str(), entry.mode, 0) != 0)
    throw_errno("cannot change the mode of `" + parent.path_of(name) + "`");
  if (::utimensat(parent.fd(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("cannot set the times of `" + parent.path_of(name) + "`");
}

void put_entry(const Dir& root, const SampleEntry& entry) {
  auto [parent_path, name] = split_path(entry.path);
  Dir parent = root.make_path(parent_path, 0755);
  switch (entry.kind) {
    case Kind::directory:
    case Kind::opaque_directory:
      if (!parent.exists(name)) parent.make_dir(name, entry.mode);
      if (entry.kind == Kind::opaque_directory) parent.set_xattr(name, "trusted.overlay.opaque", "y");
      return;
    case Kind::file:
      parent.write_new(name, entry.data, entry.mode);
      break;
    case Kind::symlink:
      parent.make_symlink(name, entry.data);
      break;
    case Kind::hard_link:
      if (::linkat(root.fd(), entry.data.c_str(), parent.fd(), name.c_str(), 0) != 0)
        throw_errno("cannot link `" + parent.path_of(name) + "`");
      return;
    case Kind::fifo:
      parent.make_node(name, S_IFIFO | entry.mode, 0);
      break;
    case Kind::whiteout:
      parent.make_node(name, S_IFCHR, 0);
      break;
  }
  put_owner_and_times(parent, name, entry);
}

}  // namespace

std::string make_tar(const std::vector<SampleEntry>& entries) {
  Tar tar;
  for (const SampleEntry& entry : entries) {
    auto [parent, name] = split_path(entry.path);
    switch (entry.kind) {
      case Kind::directory:
        tar.put(entry, entry.path + "/", S_IFDIR | entry.mode);
        break;
      case Kind::opaque_directory:
        tar.put(entry, entry.path + "/", S_IFDIR | entry.mode);
        tar.put(entry, entry.path + "/.wh..wh..opq", S_IFREG);
        break;
      case Kind::whiteout:
        tar.put(entry, in_directory(parent, ".wh." + name), S_IFREG);
        break;
      default:
        tar.put(entry, entry.path, file_type(entry.kind) | entry.mode,
                entry.kind == Kind::file ? entry.data : "");
    }
  }
  return tar.finish();
}

void put_files(const Dir& root, const std::vector<SampleEntry>& entries) {
  for (const SampleEntry& entry : entries) put_entry(root, entry);
  // Directories last and backwards: what is put into them changes their times.
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (!S_ISDIR(file_type(entry->kind))) continue;
    auto [parent, name] = split_path(entry->path);
    put_owner_and_times(root.walk(parent), name, *entry);
  }
}

}  // namespace drover::test
