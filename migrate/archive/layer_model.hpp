#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "migrate/archive/tar_reader.hpp"

namespace drover {

/// What an unpacked layer's tar comes to, entry by entry, without unpacking it: what LayerUnpacker makes of
/// it. It holds a fingerprint for each entry, no content.
class LayerModel {
 public:
  /// Everything of an entry but its name and content.
  using Fingerprint = std::array<std::uint8_t, 16>;

  struct Entry {
    Fingerprint fingerprint{};
    bool is_regular = false, is_directory = false;
    bool linked = false;   ///< came as a hard link
    bool foreign = false;  ///< ... to what is not in this layer
    bool seen = false;     ///< of use to who compares
  };

  explicit LayerModel(TarReader& layer);
  /// Null: the layer has no content of this name.
  Entry* find(const std::string& path);
  /// Whether the layer hides the name and has nothing new in its place.
  bool is_gone(const std::string& path) const { return gone_.contains(path) && !entries_.contains(path); }
  /// Whether nothing of what is below shows in this directory.
  bool is_replaced(const std::string& path) const { return gone_.contains(path) || opaque_.contains(path); }
  /// Of all names that are linked to each other: the same word for each of them, and how many they are.
  const std::string& group_of(const std::string& path) const;
  std::size_t group_size(const std::string& path) const;
  /// The layer has something of this name: an entry, a whiteout, or a directory that only paths tell of.
  void note_seen(const std::string& path) { seen_.insert(path); }
  /// Paths that are in the tar, as entries or as whiteouts, and were not seen.
  std::set<std::string> unseen() const;

 private:
  void apply(const TarMember&);
  void drop(const std::string& path);
  std::map<std::string, Entry> entries_;
  std::set<std::string> gone_, seen_, opaque_;
  std::map<std::string, std::string> link_of_;  ///< of each hard link: the first name of its file
  std::map<std::string, std::size_t> links_;    ///< of each first name: how many links
};

LayerModel::Fingerprint fingerprint_of(const TarMember&);

/// A tar name as the image specification spells a mark ("dir/.wh.name"). Whoever reads a layer's tar goes by
/// this.
struct TarName {
  enum class Kind { content, whiteout, opaque, ignored };
  Kind kind = Kind::content;
  std::string path;  ///< what it is about: the name that is gone, the directory that is opaque
};
/// Throws Error for a name that leads out of the layer, and for a whiteout of none or of a directory itself.
TarName parse_tar_name(const std::string& name);

/// A name in a directory, which may be the root: "".
std::string joined_path(const std::string& parent, std::string_view name);
/// The path split before its last component; ("", path) for one at the root.
std::pair<std::string, std::string> split_path(const std::string& path);

}  // namespace drover
