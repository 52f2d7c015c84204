#include "drivers/zfs_parent.hpp"

#include <strings.h>
#include <sys/stat.h>

#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/process.hpp"
#include "drivers/zfs_command.hpp"

namespace drover {

namespace {

std::string pool_health(const std::string& pool) {
  auto program = find_program("zpool");
  if (!program) return "not available";
  ProcessResult result = run_process({*program, "list", "-H", "-o", "health", pool});
  if (result.exit_code != 0) return "not available";
  return printable(std::string_view(result.out).substr(0, result.out.find('\n')));
}

}  // namespace

std::optional<std::string> zfs_fsname(const std::vector<std::string>& storage_opts) {
  constexpr std::string_view kKey = "zfs.fsname=";
  std::optional<std::string> name;
  for (const std::string& option : storage_opts)
    if (::strncasecmp(option.c_str(), kKey.data(), kKey.size()) == 0 && option.size() > kKey.size())
      name = option.substr(kKey.size());
  return name;
}

std::optional<std::string> find_zfs_parent(const std::string& data_root,
                                           const std::vector<std::string>& storage_opts) {
  std::optional<std::string> name = zfs_fsname(storage_opts);
  if (name && !is_dataset_name(*name))
    throw Error("`zfs.fsname=" + printable(*name) + "` names no zfs filesystem",
                "write POOL/NAME, as `zfs list` does");
  if (name) return name;
  struct stat st;
  if (::stat(data_root.c_str(), &st) != 0) throw_errno("cannot look at `" + data_root + "`");
  for (const MountEntry& mount : read_mounts())
    if (mount.fstype == "zfs" && mount.device == st.st_dev) {
      if (!is_dataset_name(mount.source))
        throw Error("`" + data_root + "` is on `" + printable(mount.source) +
                    "`, which is no zfs filesystem");
      return mount.source;
    }
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> zfs_status(const std::string& parent) {
  auto properties = zfs_properties(parent, {"used", "available", "quota", "compression"});
  std::string pool = parent.substr(0, parent.find('/'));
  return {{"Zpool", pool},
          {"Zpool Health", pool_health(pool)},
          {"Parent Dataset", parent},
          {"Space Used By Parent", properties[0]},
          {"Space Available", properties[1]},
          {"Parent Quota", properties[2] == "0" || properties[2] == "-" ? "no" : properties[2]},
          {"Compression", properties[3]}};
}

}  // namespace drover
