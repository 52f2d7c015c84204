#include "migrate/archive/changes_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/attributes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

struct Extent {
  off_t at, size;
};
constexpr std::size_t kMostExtents = 10'000;  // a file in more pieces is told as one without holes

/// The parts of a file that are no holes.
std::vector<Extent> extents_of(int file, off_t size) {
  std::vector<Extent> extents;
  for (off_t at = 0; at < size;) {
    off_t data = ::lseek(file, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // a hole up to the end
    if (data < 0) return {{0, size}};       // a filesystem that does not say
    off_t hole = std::min(::lseek(file, data, SEEK_HOLE), size);
    if (hole <= data || extents.size() == kMostExtents) return {{0, size}};
    extents.push_back({data, hole - data});
    at = hole;
  }
  return extents;
}

/// A file of a layer, open and looked at.
class SourceFile {
 public:
  SourceFile(const Dir& at, std::string_view name, std::uint64_t size)
      : path_("`" + at.path_of(name) + "`"), fd_(at.open_regular(name, O_RDONLY | O_NOATIME)) {
    struct stat st;
    if (::fstat(fd_.get(), &st) != 0 || !S_ISREG(st.st_mode) ||
        static_cast<std::uint64_t>(st.st_size) != size)
      throw changed();
    // Only with fewer blocks than its size needs can it have a hole.
    constexpr off_t kBlock = 512;
    if (st.st_blocks * kBlock >= st.st_size)
      extents_ = {{0, st.st_size}};
    else
      extents_ = extents_of(fd_.get(), st.st_size);
  }
  const std::vector<Extent>& extents() const { return extents_; }
  bool has_holes(std::uint64_t size) const {
    return size > 0 && (extents_.size() != 1 || static_cast<std::uint64_t>(extents_[0].size) != size);
  }
  void copy(const ByteSink& to) const {
    FdSource source(fd_.get(), path_);
    std::string block;
    for (const Extent& extent : extents_) {
      // No larger than it must be: most files are small, and it is filled with zeros.
      block.resize(std::max<std::size_t>(
          block.size(), std::min<std::size_t>(static_cast<std::size_t>(extent.size), 256 << 10)));
      if (::lseek(fd_.get(), extent.at, SEEK_SET) < 0) throw_errno("cannot read " + path_);
      for (off_t rest = extent.size; rest > 0;) {
        check_interrupted();
        std::size_t n = source.read(block.data(), std::min(static_cast<std::size_t>(rest), block.size()));
        if (n == 0) throw changed();
        to({block.data(), n});
        rest -= static_cast<off_t>(n);
      }
    }
  }

 private:
  Error changed() const {
    return Error(path_ + " changed while it was read", "is something still using this data root?");
  }
  std::string path_;
  Fd fd_;
  std::vector<Extent> extents_;
};

}  // namespace

TarMember EntryWriter::describe(const Node& node, const std::string& path) const {
  if (path.size() > kLongestTarPath)
    throw Error("`" + printable(shortened_path(path)) + "` is too deep for an archive: its path has " +
                    std::to_string(path.size()) + " bytes, and no more than " +
                    std::to_string(kLongestTarPath) + " are read back",
                "remove what is nested so deep, or carry the whole data root: drover migrate --to-root");
  // The root, and only it, is called so.
  TarMember member = member_of(path.empty() ? "./" : path, node.st);
  member.xattrs = content_xattrs(node.at, node.name, marks_, Marks::none);
  if (member.type == TarMember::Type::symlink) member.target = node.at.read_link(node.name);
  return member;
}

void EntryWriter::write(const TarMember& member, const Dir& at, std::string_view name) {
  if (member.type != TarMember::Type::regular) return to_(tar_headers(member));
  SourceFile file(at, name, member.size);
  TarMember told = member;
  if (file.has_holes(member.size)) {
    std::string& record = told.drover[kExtentsRecord] = std::to_string(member.size);
    told.size = 0;
    for (const Extent& extent : file.extents()) {
      record += " " + std::to_string(extent.at) + "+" + std::to_string(extent.size);
      told.size += static_cast<std::uint64_t>(extent.size);
    }
  }
  to_(tar_headers(told));
  file.copy(to_);
  to_(std::string(tar_padding(told.size), '\0'));
}

void EntryWriter::write(const TarMember& member, std::string_view content) {
  to_(tar_headers(member));
  to_(content);
  to_(std::string(tar_padding(content.size()), '\0'));
}

void EntryWriter::write_mark(const std::string& path, const char* mark) {
  TarMember member;
  member.name = path;
  member.drover[kMarkRecord] = mark;
  to_(tar_headers(member));
}

void EntryWriter::write_link(const TarMember& like, const std::string& path, const std::string& to_path) {
  TarMember link = like;
  link.name = path;
  link.type = TarMember::Type::hard_link;
  link.target = to_path;
  link.size = 0;
  link.device = 0;
  link.xattrs.clear();
  to_(tar_headers(link));
}

void SinkPath::enter(std::string_view name) {
  if (!path_.empty() && !name.empty()) path_ += '/';
  path_ += name;
  lengths_.push_back(path_.size());
}

void SinkPath::leave() {
  lengths_.pop_back();
  path_.resize(lengths_.empty() ? 0 : lengths_.back());
}

std::string SinkPath::of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "/" + std::string(name);
}

void ChangesWriter::enter(const Node& node, bool hides_past) {
  path_.enter(node.name);
  TarMember member = out_.describe(node, path_.here());
  if (hides_past) member.drover[kMarkRecord] = kMarkReplaced;
  // What is told again must not take away what was told before.
  if (!again_.insert({node.st.st_dev, node.st.st_ino}).second) return;
  out_.write(member);
}

void ChangesWriter::put_text(const Node& node, std::string_view content) {
  TarMember member = out_.describe(node, path_.of(node.name));
  member.size = content.size();
  out_.write(member, content);
}

void ChangesWriter::put(const Node& node) {
  std::string path = path_.of(node.name);
  TarMember member = out_.describe(node, path);
  if (node.st.st_nlink < 2) return out_.write(member, node.at, node.name);
  auto [group, is_first] = groups_.try_emplace({node.st.st_dev, node.st.st_ino}, Group{path, {}});
  if (is_first) {
    name_bytes_.add(path);
    return out_.write(member, node.at, node.name);
  }
  if (path == group->second.first || !group->second.others.insert(path).second) return;
  name_bytes_.add(path);
  out_.write_link(member, path, group->second.first);
}

}  // namespace drover
