#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "drivers/driver.hpp"
#include "migrate/largest.hpp"
#include "migrate/store.hpp"

namespace drover {

/// A file of a layer. Paths are relative to its root, bytes as they are on disk; sizes are the files'
/// lengths.
struct LayerFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_below = 0;  ///< of the file of this name in the layers below, where there is one
};

/// What of the layers below does not show any more because of a layer.
struct HiddenEntry {
  enum class How {
    whiteout,  ///< the name is gone
    opaque,    ///< a directory is there again, without what it held
    replaced,  ///< something of another type has taken its place
  };
  std::string path;
  std::uint64_t bytes = 0;  ///< of all files that are hidden so, each once
  std::uint64_t files = 0;  ///< how many names that is, directories left out
  How how = How::whiteout;
};

/// A large file that a container has of its own though little of it differs from its image's.
struct SmallWrite {
  std::string path;
  std::uint64_t bytes = 0;          ///< of the whole file
  std::uint64_t changed_bytes = 0;  ///< of its blocks that differ; 0: mode, owner or times alone
};

/// What one layer adds to those below, whatever the form in which its driver keeps it.
struct LayerContent {
  std::uint64_t files = 0;        ///< names, directories left out
  std::uint64_t directories = 0;  ///< the root left out
  std::uint64_t bytes = 0;        ///< each inode once, as the engine counts for `docker ps -s`
  Largest<LayerFile> added;       ///< nothing of the name shows in the layers below
  Largest<LayerFile> copied_up;   ///< a file of the name shows there: it was changed, or made anew
  Largest<HiddenEntry> hidden;    ///< only what hides something
  Largest<SmallWrite> small_writes;
  /// Of files below that show no more: hidden, or another one in their place.
  std::uint64_t hidden_bytes() const { return hidden.bytes() + bytes_below_copies; }
  std::uint64_t bytes_below_copies = 0;
};

/// Which layer, and how closely to look.
struct ContentQuestion {
  LayerId id;
  std::optional<LayerId> parent;
  std::optional<Digest> chain_id;  ///< of an image layer
  /// Look at what the layers below have under the same names; without it only the three numbers are told.
  bool against_below = true;
  bool small_writes = false;  ///< compare the content of large files that were copied up
  std::size_t listed = 0;     ///< how many to name of each kind
};

/// Files from this size on are looked at for small writes, in bytes.
constexpr std::uint64_t kLargeFile = 1 << 20;

/// Reads a layer of `home`; `data_root` has the records of `home`'s driver. Bounded memory, but for the names
/// of hard links, of directories, and of what a tree's record names. Throws Error if the layer cannot be
/// read.
LayerContent read_layer_content(const Dir& data_root, const Driver& home, const ContentQuestion&);

}  // namespace drover
