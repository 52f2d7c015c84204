#include "migrate/own_config.hpp"

#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/config_file.hpp"
#include "migrate/nested_paths.hpp"

namespace drover {

namespace {

/// Whether it is the data root, or with userns-remap, as "<uid>.<gid>" below it, the folder above that.
bool is_root_of(const Dir& named, const Dir& data_root) {
  return leads_to(data_root.path(), named) ||
         leads_to(data_root.path().substr(0, data_root.path().rfind('/') + 1) + ".", named);
}

/// What can be read of a configuration; who has broken it is told so where it is written.
EngineConfig readable_config(const std::string& path) {
  try {
    return read_engine_config(path);
  } catch (const Error&) {
    return {};
  }
}

/// Another data root that has this very migration: one of the two is a copy, and the configuration is that
/// one's.
std::optional<Dir> other_root_of(const Dir& data_root, const MigrationFolder& folder) {
  EngineConfig config = readable_config(folder.record().config_path);
  auto root = Dir::try_open(find_data_root(std::nullopt, config).path);
  if (!root || is_root_of(*root, data_root)) return std::nullopt;
  auto above = root->try_sub(kDroverFolder);
  return above && above->exists(folder.id()) ? std::move(root) : std::nullopt;
}

/// Whether an engine that is given this configuration works in the data root; of a move, in either. The plan
/// alone is no proof: it lies in a data root that may have been made by anybody.
bool is_about(const std::string& path, const Dir& data_root, const MigrationFolder& folder) {
  auto named = Dir::try_open(find_data_root(std::nullopt, readable_config(path)).path);
  if (!named) return false;
  if (is_root_of(*named, data_root)) return true;
  if (!folder.record().move) return false;
  auto new_root = Dir::try_open(folder.record().move->to_root);
  if (new_root && is_root_of(*named, *new_root)) return true;
  auto old_root = folder.has_pointer() ? open_old_root(*folder.record().move) : std::nullopt;
  return old_root && is_root_of(*named, *old_root);
}

}  // namespace

void settle_config(const Dir& data_root, MigrationFolder& folder, const std::optional<std::string>& named) {
  const std::string planned = folder.record().config_path;
  const std::string wanted = named ? ConfigFile(*named).path() : planned;
  // A migration into another root has two, and the configuration names either.
  auto other = folder.record().move ? std::nullopt : other_root_of(data_root, folder);
  if (wanted == planned) {
    if (!other && !named && !is_about(planned, data_root, folder))
      throw Error(ExitCode::usage,
                  "the plan of this migration has `" + planned +
                      "` for the engine's configuration, which does "
                      "not name `" +
                      data_root.path() + "`",
                  "if that is the one with which the engine of this data root is started, say so: --config " +
                      planned);
    if (!other) return;
    throw Error("`" + planned + "` is the configuration of `" + other->path() + "`, and `" +
                    data_root.path() + "`, a copy of that or its original, is none of its",
                "name the configuration of this one: --config FILE");
  }
  auto names = readable_config(wanted).data_root;
  auto root = names ? Dir::try_open(*names) : std::nullopt;
  if (other || (root && is_root_of(*root, data_root))) return folder.use_config(wanted);
  throw Error(ExitCode::usage,
              "this migration is about the configuration `" + planned + "`, and not `" + wanted + "`",
              "leave --config out; in a copy of the data root, name one that names the copy");
}

}  // namespace drover
