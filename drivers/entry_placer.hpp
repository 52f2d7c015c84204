#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "drivers/marks.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// What was moved, and how.
struct TransferCount {
  std::uint64_t linked = 0, reflinked = 0, copied = 0;  ///< regular files
  std::uint64_t copied_bytes = 0;
  std::uint64_t directories = 0, others = 0, hidden = 0;
  TransferCount& operator+=(const TransferCount&);
};

/// Places entries of one layer into another layer's tree, each by the cheapest safe way: a hard link where
/// both layers are immutable, else a reflink, else a copy. Hard links among the layer's own entries are kept.
class EntryPlacer {
 public:
  /// `root` must outlive this. `may_link`: both layers are immutable, so that they may share inodes.
  EntryPlacer(const Dir& root, Marks from, Marks to, bool may_link)
      : root_(root), from_(from), to_(to), may_link_(may_link) {}

  /// Puts the non-directory `name` of `from` into `to` under the same name. `path` is where that is, from the
  /// root. It must not exist there: EEXIST (a SystemError) otherwise. Throws Error for what the target driver
  /// cannot hold.
  void place(const Dir& from, std::string_view name, const struct stat&, const Dir& to,
             const std::string& path);

  /// Whether `name` in `to` is already what place() would make of an entry that has other names too.
  bool is_placed(const struct stat&, const Dir& to, std::string_view name) const;

  /// Throws Error if the target driver cannot hold an entry of this name and kind.
  void check_holdable(const Dir& from, std::string_view name, const struct stat&) const;

  Marks from_marks() const { return from_; }
  Marks to_marks() const { return to_; }
  TransferCount& count() { return count_; }

 private:
  bool try_link(const Dir& from, std::string_view name, const struct stat&, const Dir& to);
  /// The first of an inode's names in the layer that is being made: the directory that holds it, and the
  /// name.
  std::optional<std::pair<Dir, std::string>> first_placed(const struct stat&) const;
  bool link_to_placed(const struct stat&, const Dir& to, std::string_view name);
  void create(const Dir& from, std::string_view name, const struct stat&, const Dir& to);

  const Dir& root_;
  Marks from_, to_;
  bool may_link_;
  std::map<std::pair<dev_t, ino_t>, std::string>
      placed_;  // members of hard-link groups: where the first one is
  TransferCount count_;
};

}  // namespace drover
