#include "migrate/archive/import_root.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "drivers/driver.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/preflight.hpp"

namespace drover {

namespace {

// What an engine makes in its data root (20.10 to 28), and what a filesystem of its own has.
constexpr std::string_view kEngines[] = {
    "buildkit",  "builder",  "containerd", "containers", "drover",
    "engine-id", "image",    "lost+found", "network",    "nuke-graph-directory.sh",
    "plugins",   "runtimes", "swarm",      "tmp",        "trust",
    "volumes"};

bool is_engines(const std::string& name) {
  return find_driver(name) || std::find(std::begin(kEngines), std::end(kEngines), name) != std::end(kEngines);
}

}  // namespace

Dir open_import_root(const DataRoot& root) {
  auto dir = Dir::try_open(root.path);
  if (!dir || dir->stat().st_uid != 0 || dir->exists("image")) return open_data_root_for_change(root);
  for (const DirEntry& entry : dir->list())
    if (!is_engines(entry.name))
      throw Error("`" + root.path + "` is no engine's data root: it holds `" + printable(entry.name) + "`",
                  "name the engine's, or an empty folder, with --data-root");
  return std::move(*dir);
}

NewRoot::NewRoot(const DataRoot& root) : path_(root.path) {
  if (!root.exists) {
    // Above it nothing is made: a mistyped path is likelier than a missing parent.
    if (disk::mkdir(path_.c_str(), 0710) != 0) throw_errno("cannot make the data root `" + path_ + "`");
    made_root_ = true;
    if (disk::fchownat(AT_FDCWD, path_.c_str(), 0, root.owner.gid, 0) != 0)
      throw_errno("cannot change the owner of `" + path_ + "`");
  }
  try {
    open_import_root(root);
    lock_ = EngineLock::take(path_);
  } catch (...) {
    if (made_root_) disk::rmdir(path_.c_str());
    throw;
  }
}

NewRoot::~NewRoot() {
  if (kept_ || !made_root_)
    return;  // an empty lock file is left where a data root was: an engine may wait for it
  try {
    // Only what is as empty as it was made; under the lock, which goes last.
    Dir root = Dir::open(path_);
    for (const DirEntry& entry : root.list())
      if (entry.name != "volumes") return;
    if (auto volumes = root.try_sub("volumes"); volumes && volumes->exists("metadata.db"))
      volumes->unlink("metadata.db");
    disk::rmdir((path_ + "/volumes").c_str());
    disk::rmdir(path_.c_str());
  } catch (const std::exception& e) {
    log_warning(e.what());
  }
}

}  // namespace drover
