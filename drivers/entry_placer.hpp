#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drivers/marks.hpp"
#include "drivers/repeated_inodes.hpp"
#include "drivers/sys/trail.hpp"
#include "drivers/transfer_count.hpp"

namespace drover {

/// Places entries of one layer into another layer's tree, each by the cheapest safe way: a hard link where
/// both layers are immutable, else a reflink, else a copy. Hard links among the layer's own entries are kept.
class EntryPlacer {
 public:
  /// A directory of the tree that is being made, by number.
  using Folder = std::size_t;
  static constexpr Folder kRoot = 0;

  /// `root` must outlive this. `may_link`: both layers are immutable, so that they may share inodes.
  /// `look` as for LinkMemory, of all that entries may come from.
  EntryPlacer(const Dir& root, Marks from, Marks to, bool may_link, LinkMemory::Look look = {})
      : root_(root), from_(from), to_(to), may_link_(may_link), memory_(std::move(look)) {}

  /// Puts the non-directory `name` of `from` into `to`, which is `folder`, under the same name. It must not
  /// exist there: EEXIST (a SystemError) otherwise. Throws Error for what the target driver cannot hold.
  void place(const Dir& from, std::string_view name, const struct stat&, const Dir& to, Folder folder);

  /// One that places entries that are no member of a hard-link group in the same tree, from another thread.
  EntryPlacer for_other_thread() const;

  /// The number of the directory `name` in another one. Only the directories in which a member of a hard-link
  /// group lies, and those above them, are kept in memory behind leave().
  Folder enter(Folder above, std::string_view name);
  /// Of directories that were entered and not left the last one.
  void leave(Folder);
  /// By its path from the root: the same number whenever it is asked for. It need not be left.
  Folder folder_at(std::string_view path);

  /// To be called where something that was placed may be replaced, changed or removed: no later entry is
  /// linked to what is there then. The directories' numbers end with it.
  void forget_placed();

  /// Whether the entry may have other names in what is placed.
  bool may_have_more(const struct stat& st) const { return st.st_nlink > 1 && memory_.wants(st.st_ino); }

  /// Whether `name` in `to` is already what place() would make of an entry that has other names too.
  bool is_placed(const struct stat&, const Dir& to, std::string_view name) const;

  /// Throws Error if the target driver cannot hold an entry of this name and kind.
  void check_holdable(const Dir& from, std::string_view name, const struct stat&) const;

  Marks from_marks() const { return from_; }
  Marks to_marks() const { return to_; }
  TransferCount& count() { return count_; }

 private:
  bool try_link(const Dir& from, std::string_view name, const struct stat&, const Dir& to);
  struct Placed {
    Folder folder;
    std::string name;
  };
  /// The first of an inode's names in the layer that is being made.
  const Placed* first_placed(const struct stat&) const;
  TrailDir open(Folder) const;
  bool link_to_placed(const struct stat&, const Dir& to, Folder folder, std::string_view name);
  void create(const Dir& from, std::string_view name, const struct stat&, const Dir& to);

  const Dir& root_;
  Marks from_, to_;
  bool may_link_;
  bool may_clone_ = true;  ///< no file was refused yet
  // Where directories are, told by what is above: a path each would be as many bytes as the square of the
  // depth.
  struct FolderName {
    Folder above;
    std::string name;
  };
  std::vector<FolderName> folders_{{kRoot, ""}};
  std::map<std::pair<Folder, std::string>, Folder> by_path_;  ///< those that were asked for by their paths
  Folder kept_ = kRoot;  ///< the last of them that is needed behind leave()
  LinkMemory memory_;
  std::map<std::pair<dev_t, ino_t>, Placed> placed_;  ///< members of hard-link groups: where the first one is
  mutable std::pair<Folder, TrailDir> opened_{kRoot, {}};  ///< the last one that was
  TransferCount count_;
};

}  // namespace drover
