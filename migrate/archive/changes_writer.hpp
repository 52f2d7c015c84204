#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/name_bytes.hpp"
#include "migrate/archive/tar_member.hpp"
#include "migrate/changes.hpp"

namespace drover {

// The records that make a tar one of changes (docs/archive-format.md).
constexpr const char* kMarkRecord = "mark";
constexpr const char* kMarkGone = "gone";      ///< the parent's entry of this name does not show
constexpr const char* kMarkAbsent = "absent";  ///< the layer has no entry of this name, nor hides one
constexpr const char* kMarkReplaced =
    "replaced";  ///< a directory: nothing of what the parent has there shows
constexpr const char* kContentRecord = "content";
constexpr const char* kContentKept = "kept";  ///< a file whose content is there already
/// Of a file with holes: its size, and where the data that follows goes: "SIZE OFFSET+LENGTH OFFSET+LENGTH".
constexpr const char* kExtentsRecord = "extents";

/// Writes single entries of a layer as members of a tar of changes.
class EntryWriter {
 public:
  EntryWriter(Marks marks, ByteSink to) : marks_(marks), to_(std::move(to)) {}
  /// All that there is of an entry besides its content, for its place in the layer.
  TarMember describe(const Node&, const std::string& path) const;
  /// The member, and for a regular file its content.
  void write(const TarMember&, const Dir& at, std::string_view name);
  void write(const TarMember& without_content) { to_(tar_headers(without_content)); }
  void write(const TarMember&, std::string_view content);
  void write_mark(const std::string& path, const char* mark);
  void write_link(const TarMember& like, const std::string& path, const std::string& to_path);
  void finish() { to_(tar_end()); }

 private:
  Marks marks_;
  ByteSink to_;
};

/// Where a sink is below the layer's root.
class SinkPath {
 public:
  void enter(std::string_view name);
  void leave();
  std::string of(std::string_view name) const;
  const std::string& here() const { return path_; }

 private:
  std::string path_;
  std::vector<std::size_t> lengths_;  ///< of what each level has of it
};

/// Writes a whole layer as a tar of changes.
class ChangesWriter : public ChangeSink {
 public:
  ChangesWriter(Marks marks, ByteSink to) : out_(marks, std::move(to)) {}
  void enter(const Node&, bool hides_past) override;
  void leave() override { path_.leave(); }
  void put(const Node&) override;
  void remove(std::string_view name) override { out_.write_mark(path_.of(name), kMarkGone); }
  /// As put, of a file with this content in place of its own.
  void put_text(const Node&, std::string_view content);
  void finish() { out_.finish(); }

 private:
  struct Group {
    std::string first;
    std::set<std::string> others;
  };
  EntryWriter out_;
  SinkPath path_;
  std::map<std::pair<dev_t, ino_t>, Group> groups_;
  NameBytes name_bytes_;                     ///< of those in them
  std::set<std::pair<dev_t, ino_t>> again_;  ///< directories that may be told twice
};

}  // namespace drover
