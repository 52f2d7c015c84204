#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "migrate/store.hpp"

/// The three record keepers of a data root, each read for itself; read_inventory puts them together. What is
/// damaged is kept apart by its ID, with the reason, until it is known who stands on it.
namespace drover::store {

constexpr std::size_t kJsonLimit = 16 << 20;  ///< of one record, in bytes

/// Why a record cannot be used, as in StoreProblem.
struct Reason {
  std::string why, fix = {};
};
using Reasons = std::map<std::string, Reason>;

struct LayerDb {
  std::map<Digest, LayerRecord> layers;
  Reasons damaged_layers;
  std::map<std::string, MountRecord> mounts;
  Reasons damaged_mounts;
  /// What damaged records name in the driver's home, as far as that can be read.
  std::map<std::string, std::vector<LayerId>> files_of_damaged_layers, files_of_damaged_mounts;
  std::vector<std::string> leftovers;  ///< what the engine passes over, one line each
};
LayerDb read_layerdb(const Dir& store);
/// The layers in the driver's home that these records name, those of damaged records included.
std::set<LayerId> layers_named_by(const LayerDb&);

struct ImageDb {
  std::map<Digest, ImageRecord> images;
  std::map<Digest, std::vector<Digest>> chains;  ///< of each image: its layers' chain IDs, bottom first
  Reasons damaged_images;
  std::map<Digest, std::vector<std::string>> references;  ///< by image ID, whether the image is there or not
  std::optional<Reason> bad_repositories;
};
ImageDb read_imagedb(const Dir& store);

struct ContainerDb {
  struct Entry {
    ContainerRecord record;
    bool dying = false;              ///< the engine was removing it
    bool lacks_host_config = false;  ///< it has no hostconfig.json, which every engine writes
  };
  std::map<std::string, Entry> containers;
  Reasons damaged;
};
ContainerDb read_containers(const Dir& data_root);

/// Puts the parts together: takes out what the engine does not load either, and finds who stands on the
/// damage. `home` may be null.
Inventory assemble(DriverKind driver, LayerDb, ImageDb, ContainerDb, const Driver* home);

/// A directory of records: nothing if it is absent, Error if something else is in its place, a symlink to one
/// say.
std::optional<Dir> records_dir(const Dir& parent, std::string_view name);

/// One file of a record. `wrong` says why there is no text: "is missing", "is larger than 16777216 bytes" ...
struct RecordFile {
  std::optional<std::string> text;
  bool absent = false;
  std::string wrong;
  std::string fix = {};  ///< as in StoreProblem
};
RecordFile read_record_file(const Dir& dir, const std::string& name, std::size_t limit);

/// As read_record_file for one of the small files that hold one word; white space around it is cut off.
RecordFile read_word(const Dir& dir, const std::string& name);

/// "sha256:<64 digits>" as a digest; nothing for anything else.
std::optional<Digest> parse_digest(std::string_view text);

/// As drover::parse_json; bytes that are no UTF-8 are let pass, as the engine does.
nlohmann::json parse_json(const std::string& text);

/// Throws Error if a container's configuration has a key that an engine would take for another one: it reads
/// them without regard to case (Go's encoding/json), and the last one counts.
void require_one_spelling(const nlohmann::json& config);

}  // namespace drover::store
