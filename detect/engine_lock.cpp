#include <fcntl.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <sstream>

#include "detect/data_root.hpp"
#include "detect/dockerd_commands.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/symlink.hpp"

namespace drover {

namespace {

constexpr const char* kFolder = "volumes";
constexpr const char* kFile = "metadata.db";

/// The lock file, opened without making anything; nothing if the root has none. flock needs no right to
/// write.
std::optional<Fd> open_lock_file(const std::string& data_root) {
  auto root = Dir::try_open(data_root);
  auto volumes = root ? root->try_sub(kFolder) : std::nullopt;
  return volumes ? volumes->try_open_regular(kFile) : std::nullopt;
}

/// As the engine makes them; it takes an empty file for a new database.
Fd make_lock_file(const std::string& data_root) {
  Dir volumes = Dir::open(data_root).make_path(kFolder, 0701);
  return volumes.open_file(kFile, O_RDWR | O_CREAT | O_EXCL, 0600);
}

bool lock(const Fd& file, int kind, const std::string& data_root) {
  while (::flock(file.get(), kind | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw_errno("cannot lock `" + data_root + "/" + kFolder + "/" + kFile + "`");
  }
  return true;
}

}  // namespace

std::optional<EngineLock> EngineLock::try_take(const std::string& data_root) {
  if (auto root = Dir::try_open(data_root))
    if (auto link = find_symlink(*root, std::string(kFolder) + "/" + kFile))
      throw Error("`" + link->path + "` is a symlink, behind which an engine could be at work unseen",
                  link->fix());
  auto file = open_lock_file(data_root);
  if (!file) file = make_lock_file(data_root);
  if (!lock(*file, LOCK_EX, data_root)) return std::nullopt;
  return EngineLock(std::move(*file));
}

EngineLock EngineLock::take(const std::string& data_root) {
  if (auto taken = try_take(data_root)) return std::move(*taken);
  std::string who = holder(data_root).value_or("an engine");
  if (who.starts_with("drover"))
    throw Error(ExitCode::in_use, "the data root `" + data_root + "` is in use by " + who,
                "let it end first");
  throw Error(ExitCode::in_use, "the data root `" + data_root + "` is in use by " + who,
              "stop the engine, and the socket that would start it again: systemctl stop docker.socket "
              "docker.service");
}

bool EngineLock::held(const std::string& data_root) {
  auto file = open_lock_file(data_root);
  return file && !lock(*file, LOCK_SH, data_root);
}

std::optional<std::string> EngineLock::holder(const std::string& data_root) {
  auto file = open_lock_file(data_root);
  struct stat stat;
  if (!file || ::fstat(file->get(), &stat) != 0) return std::nullopt;
  std::ifstream table("/proc/locks");
  for (std::string line; std::getline(table, line);) {
    // "1: FLOCK  ADVISORY  WRITE 1234 fe:00:567 0 EOF"
    std::istringstream words(line);
    std::string number, kind, advisory, mode, where;
    int pid = 0;
    words >> number >> kind >> advisory >> mode >> pid >> where;
    if (kind != "FLOCK" || pid <= 0 || !where.ends_with(":" + std::to_string(stat.st_ino))) continue;
    std::string folder = "/proc/" + std::to_string(pid), name;
    std::getline(std::ifstream(folder + "/comm") >> std::ws, name);
    if (auto process = Dir::try_open(folder); process && is_engine_process(*process)) name = "dockerd";
    // Inode numbers repeat across filesystems, and the device in the table is not st_dev on all of them.
    if (name == "dockerd" || name == "drover") return name + " (pid " + std::to_string(pid) + ")";
  }
  return std::nullopt;
}

}  // namespace drover
