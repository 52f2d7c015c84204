#include "migrate/own_config.hpp"

#include "detect/data_root.hpp"
#include "detect/engine_config.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/config_file.hpp"

namespace drover {

namespace {

/// Whether it is the data root, or with userns-remap, as "<uid>.<gid>" below it, the folder above that.
bool is_root_of(const Dir& named, const Dir& data_root) {
  auto same = [&](const Dir& dir) {
    struct stat one = named.stat(), other = dir.stat();
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
  };
  if (same(data_root)) return true;
  auto above = Dir::try_open(data_root.path().substr(0, data_root.path().rfind('/') + 1) + ".");
  return above && same(*above);
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

}  // namespace

void settle_config(const Dir& data_root, MigrationFolder& folder, const std::optional<std::string>& named) {
  const std::string planned = folder.record().config_path;
  const std::string wanted = named ? ConfigFile(*named).path() : planned;
  // A migration into another root has two, and the configuration names either.
  auto other = folder.record().move ? std::nullopt : other_root_of(data_root, folder);
  if (wanted == planned) {
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
