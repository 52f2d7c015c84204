#pragma once
#include <sys/types.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/symlink.hpp"

namespace drover {

/// What the homes of all drivers are made of: folders with the mode and owner that the engine gives them.

void set_owner_and_mode(const Dir&, mode_t, uid_t, gid_t);

/// Makes a folder that must not exist.
Dir make_folder(const Dir& in, std::string_view name, mode_t, uid_t, gid_t);

/// Makes a folder, or takes the one that is there, and gives it this mode and owner.
Dir ensure_folder(const Dir& in, std::string_view name, mode_t, uid_t, gid_t);

/// As `in.sub(name)`, with an error that says so where a symlink is in its place.
Dir folder_in(const Dir& in, std::string_view name);

/// Throws Error unless `id` is a layer ID.
void require_layer_id(const LayerId& id);

/// The entries of a folder (nothing if it is absent) whose names are layer IDs.
std::vector<LayerId> layer_ids_in(const std::optional<Dir>& folder);

/// Where a driver's home is, or will be. The folder above it is the user's or our own, and may be reached
/// over symlinks. The home's own name lies in the data root, like all that is below it: no symlink in its
/// place is followed. It gives away no path to open, so that what is in a home is reached by a handle of it.
class HomeFolder {
 public:
  HomeFolder(const std::string& path);  ///< not explicit: homes are opened by path

  /// Throws Error if there is none; where a symlink is in its place, one that says so.
  Dir open() const;
  /// Nothing if there is none, or what is in its place is no directory.
  std::optional<Dir> try_open() const;
  /// A folder of the home: as folder_in and as Dir::try_sub, of the same.
  Dir sub(std::string_view name) const { return folder_in(open(), name); }
  std::optional<Dir> try_sub(std::string_view name) const;
  Dir above() const { return Dir::open(above_); }
  /// For messages, never for opening; "" is the home itself.
  std::string path_of(std::string_view name) const;
  /// The first symlink on any of these paths in the home, or the one in the home's own place.
  std::optional<Symlink> find_symlink(std::initializer_list<std::string> paths) const;

  /// ensure_folder of the home itself.
  Dir ensure(mode_t, uid_t, gid_t) const;
  /// With all that is in it; a symlink in its place alone. Gone already is success.
  void remove() const;

 private:
  std::string above_, name_;
};

}  // namespace drover
