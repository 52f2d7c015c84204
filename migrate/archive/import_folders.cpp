#include "migrate/archive/import_folders.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/stage_records.hpp"

namespace drover {

bool is_there(const Dir& root, const std::string& path) {
  auto [parent, name] = split_path(path);
  try {
    return parent.empty() ? root.exists(name) : root.walk(parent).exists(name);
  } catch (const SystemError& e) {
    if (e.number() != ENOENT) throw;
    return false;
  }
}

std::vector<std::string> missing_record_folders(
    const Dir& root, DriverKind kind, const std::vector<std::pair<std::string, std::string>>& moves) {
  std::string image = "image/" + std::string(driver_name(kind));
  std::vector<std::string> wanted{kImage, image, kContainers}, missing;
  for (const char* part :
       {"imagedb", "imagedb/content", "imagedb/content/sha256", "imagedb/metadata", "imagedb/metadata/sha256",
        "layerdb", "layerdb/sha256", "layerdb/mounts", "layerdb/tmp", "distribution"})
    wanted.push_back(image + "/" + part);
  for (const auto& [from, to] : moves)
    if (to.find("/distribution/") != std::string::npos) {
      std::string parent = split_path(to).first;
      wanted.push_back(split_path(parent).first);
      wanted.push_back(parent);
    }
  for (const std::string& path : wanted)
    if (!is_there(root, path) && std::find(missing.begin(), missing.end(), path) == missing.end())
      missing.push_back(path);
  return missing;
}

void make_record_folders(const Dir& root, const std::vector<std::string>& paths, const RootOwner& owner) {
  for (const std::string& path : paths) {
    bool open = path.ends_with("/mounts") || path.ends_with("/tmp") ||
                path.find("/distribution/") != std::string::npos;
    Dir made = root.make_path(path, path == kContainers ? 0710 : open ? 0755 : 0700);
    if (path == kContainers || path == kImage)
      if (disk::fchownat(made.fd(), "", 0, owner.gid, AT_EMPTY_PATH) != 0)
        throw_errno("cannot change the owner of `" + made.path() + "`");
  }
}

void remove_record_folders(const Dir& root, const std::vector<std::string>& paths) {
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    auto [parent, name] = split_path(*path);
    try {
      Dir in = parent.empty() ? root.clone() : root.walk(parent);
      if (in.exists(name)) in.remove_dir(name);
    } catch (const SystemError& e) {
      // An engine that ran in between has put something in it.
      if (e.number() != ENOENT && e.number() != ENOTEMPTY) throw;
    }
  }
}

}  // namespace drover
