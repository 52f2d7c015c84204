#include <algorithm>
#include <charconv>
#include <filesystem>

#include "detect/data_root.hpp"
#include "detect/program_version.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

namespace {

using K = DriverKind;

bool is_deprecated(K kind) { return kind == K::aufs || kind == K::overlay || kind == K::devicemapper; }

bool has_entries(const Dir& root, K kind) {
  auto home = root.try_sub(driver_name(kind));
  return home && !home->list().empty();
}

bool lies_in(const std::string& path, const std::string& folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

/// A driver that is set by hand. Flags of an engine that uses another data root say nothing about this one.
std::optional<EngineConfig::Flag> configured_driver(const DataRoot& root, const EngineConfig& config) {
  auto elsewhere = [&](const std::string& where) {
    return std::any_of(config.flags.begin(), config.flags.end(), [&](const auto& f) {
      std::error_code error;
      return f.name == "data-root" && f.where == where && !lies_in(root.path, f.value) &&
             !std::filesystem::equivalent(f.value, root.path, error);
    });
  };
  for (const auto& flag : config.flags)
    if (flag.name == "storage-driver" && !flag.value.empty() && !elsewhere(flag.where)) return flag;
  if (config.driver && !config.driver->empty())
    return EngineConfig::Flag{"storage-driver", *config.driver, config.config_path};
  return std::nullopt;
}

std::string join_names(const std::vector<K>& kinds) {
  std::string text;
  for (K kind : kinds) text += (text.empty() ? "" : ", ") + std::string(driver_name(kind));
  return text;
}

/// The engine's choice for an empty root: the first of its list that works, deprecated ones last.
void choose_by_priority(CurrentDriver& current, const DataRoot& root, const std::vector<K>& list,
                        const std::vector<std::string>& storage_opts) {
  for (bool deprecated : {false, true})
    for (K kind : list)
      if (is_deprecated(kind) == deprecated &&
          driver_entry(kind).probe(root.path, storage_opts).usable != Probe::Usable::no) {
        current.kind = kind;
        current.name = driver_name(kind);
        current.source = "priority list: nothing is configured and no driver has data";
        return;
      }
  current.source = "no driver of the engine's priority list works here";
}

void look_for_homes(CurrentDriver& current, const DataRoot& root, const std::vector<K>& list) {
  auto dir = Dir::try_open(root.path);
  if (!dir) return;
  for (const auto& entry : driver_table())
    if (has_entries(*dir, entry.kind)) current.homes.push_back(entry.kind);
  for (K kind : list)
    if (kind != K::vfs && has_entries(*dir, kind)) current.priors.push_back(kind);
}

void use_containerd(CurrentDriver& current, const std::string& snapshotter, const std::string& source) {
  current.name = snapshotter;
  current.source = source;
  current.containerd = true;
}

}  // namespace

std::vector<DriverKind> priority_list(const std::optional<EngineVersion>& engine) {
  // moby daemon/graphdriver/driver_linux.go at each version.
  int version = engine ? engine->major * 100 + engine->minor : 9999;
  if (version >= 2500) return {K::overlay2, K::fuse_overlayfs, K::btrfs, K::zfs, K::vfs};
  if (version >= 2400) return {K::overlay2, K::fuse_overlayfs, K::btrfs, K::zfs, K::devicemapper, K::vfs};
  if (version >= 2200)
    return {K::overlay2, K::fuse_overlayfs, K::btrfs, K::zfs, K::aufs, K::overlay, K::devicemapper, K::vfs};
  if (version >= 2000)
    return {K::btrfs, K::zfs, K::overlay2, K::fuse_overlayfs, K::aufs, K::overlay, K::devicemapper, K::vfs};
  if (version >= 1709) return {K::btrfs, K::zfs, K::overlay2, K::aufs, K::overlay, K::devicemapper, K::vfs};
  return {K::aufs, K::btrfs, K::zfs, K::overlay2, K::overlay, K::devicemapper, K::vfs};
}

CurrentDriver find_current_driver(const DataRoot& root, const EngineConfig& config) {
  return find_current_driver(root, config, installed_engine());
}

CurrentDriver find_current_driver(const DataRoot& root, const EngineConfig& config,
                                  const std::optional<EngineVersion>& engine) {
  CurrentDriver current;
  std::vector<K> list = priority_list(engine);
  auto configured = configured_driver(root, config);
  try {
    look_for_homes(current, root, list);
  } catch (const SystemError&) {
    if (!configured) throw;  // what is configured counts whatever lies on the disk
  }
  int major = engine ? engine->major : 99;
  if (config.containerd_snapshotter == true && major >= 24) {
    use_containerd(current, configured ? configured->value : "overlayfs",
                   config.config_path + " (features.containerd-snapshotter)");
    return current;
  }
  // moby daemon/image_store_choice.go, 29
  bool containerd_by_itself = major >= 29 && config.containerd_snapshotter != false && current.priors.empty();
  if (configured) {
    const DriverEntry* known = find_driver(configured->value);
    if (!known && containerd_by_itself) {
      use_containerd(current, configured->value, configured->where);
      return current;
    }
    if (known) current.kind = known->kind;
    current.name = configured->value;
    current.source = configured->where;
    return current;
  }
  if (current.priors.size() > 1) {
    current.source = "several drivers have data (" + join_names(current.priors) +
                     ") and none is configured, so the engine does not start";
    return current;
  }
  if (current.priors.size() == 1) {
    current.kind = current.priors[0];
    current.name = driver_name(current.priors[0]);
    current.source = "prior state on disk";
    return current;
  }
  if (engine && containerd_by_itself)
    use_containerd(current, "overlayfs", "default of engine " + engine->text + ": containerd's image store");
  else
    choose_by_priority(current, root, list, storage_opts_in_force(config));
  return current;
}

std::optional<EngineVersion> parse_engine_version(const std::string& text) {
  // "Docker version 20.10.24+dfsg1, build 5d6db84"
  constexpr std::string_view kBefore = "version ";
  std::size_t at = text.find(kBefore);
  if (at == std::string::npos) return std::nullopt;
  EngineVersion version;
  version.text = text.substr(at + kBefore.size());
  version.text.resize(std::min(version.text.size(), version.text.find_first_of(", \r\n")));
  const char *from = version.text.data(), *end = from + version.text.size();
  auto [dot, wrong] = std::from_chars(from, end, version.major);
  if (wrong != std::errc() || dot == end || *dot != '.') return std::nullopt;
  if (std::from_chars(dot + 1, end, version.minor).ec != std::errc()) return std::nullopt;
  if (version.major < 0 || version.minor < 0) return std::nullopt;
  return version;
}

std::optional<EngineVersion> installed_engine() {
  try {
    return parse_engine_version(version_text_of("dockerd"));
  } catch (const Error& e) {
    log_detail(e.what());
    return std::nullopt;
  }
}

std::optional<int> last_engine_with(DriverKind kind) {
  if (kind == K::aufs || kind == K::overlay) return 23;
  if (kind == K::devicemapper) return 24;
  return std::nullopt;
}

}  // namespace drover
