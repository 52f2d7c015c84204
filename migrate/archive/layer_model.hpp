#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "migrate/archive/name_bytes.hpp"
#include "migrate/archive/tar_reader.hpp"

namespace drover {

/// What an unpacked layer's tar comes to, entry by entry, without unpacking it: what LayerUnpacker makes of
/// it. It holds a fingerprint and the name of each entry, no content.
class LayerModel {
 public:
  /// Everything of an entry but its name and content.
  using Fingerprint = std::array<std::uint8_t, 16>;
  /// The names that are linked to each other have one number; 0: it is linked to none.
  using Group = std::uint32_t;

  struct Entry {
    Fingerprint fingerprint{};
    Group group = 0;
    bool is_regular = false, is_directory = false;
    bool linked = false;   ///< came as a hard link
    bool foreign = false;  ///< ... to what is not in this layer
  };

  /// Throws Error for more names than NameBytes takes.
  explicit LayerModel(TarReader& layer);
  /// Null: the layer has no content of this name.
  const Entry* find(const std::string& path) const;
  /// Whether the layer hides the name and has nothing new in its place.
  bool is_gone(const std::string& path) const;
  /// Whether nothing of what is below shows in this directory.
  bool is_replaced(const std::string& path) const;
  Group group_of(const std::string& path) const;
  /// How many names are linked to each other, of which this is one.
  std::size_t group_size(const std::string& path) const;
  /// The layer has something of this name: an entry, a whiteout, or a directory that only paths tell of.
  /// Whether that was noted before, of a name that is in the tar.
  bool note_seen(const std::string& path);
  /// Paths that are in the tar, as entries or as whiteouts, and were not seen, in order. They are taken from
  /// the model.
  std::vector<std::string> unseen() &&;

 private:
  /// What the tar says of a name.
  struct Said {
    Entry entry;
    bool has_entry = false, seen = false;
    bool is_gone = false, is_opaque = false;
  };
  using Names = std::map<std::string, Said>;
  void apply(const TarMember&);
  const Said* find_said(const std::string& path) const;
  Said& said_of(const std::string& path);
  void drop_below(const std::string& path);
  void unlink(const Entry&);
  Entry linked_to(const std::string& target);
  Names names_;
  NameBytes name_bytes_;
  std::vector<std::size_t> links_{0};  ///< of each group: how many names it has
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
