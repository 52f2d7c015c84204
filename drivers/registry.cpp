#include <algorithm>

#include "drivers/driver.hpp"
#include "drivers/homes.hpp"
#include "drivers/probes.hpp"

namespace drover {

const std::vector<DriverEntry>& driver_table() {
  static const std::vector<DriverEntry> table = {
      {DriverKind::overlay2, "overlay2", LayerForm::delta, probe_overlay2, open_overlay2},
      {DriverKind::fuse_overlayfs, "fuse-overlayfs", LayerForm::delta, probe_fuse_overlayfs,
       open_fuse_overlayfs},
      {DriverKind::btrfs, "btrfs", LayerForm::tree, probe_btrfs, open_btrfs},
      {DriverKind::zfs, "zfs", LayerForm::tree, probe_zfs, open_zfs},
      {DriverKind::vfs, "vfs", LayerForm::tree, probe_vfs, open_vfs},
      {DriverKind::aufs, "aufs", LayerForm::delta, probe_aufs, open_aufs},
      {DriverKind::devicemapper, "devicemapper", LayerForm::tree, probe_devicemapper, open_devicemapper},
      {DriverKind::overlay, "overlay", LayerForm::tree, probe_overlay, open_overlay},
  };
  return table;
}

const DriverEntry& driver_entry(DriverKind kind) {
  const auto& table = driver_table();
  return *std::find_if(table.begin(), table.end(), [&](const auto& e) { return e.kind == kind; });
}

const DriverEntry* find_driver(std::string_view name) {
  for (const auto& entry : driver_table())
    if (entry.name == name) return &entry;
  return nullptr;
}

std::string_view driver_name(DriverKind kind) { return driver_entry(kind).name; }

bool is_build_id(std::string_view text) {
  constexpr std::string_view kBase36 = "0123456789abcdefghijklmnopqrstuvwxyz";
  return text.size() == 25 && text.find_first_not_of(kBase36) == std::string_view::npos;
}

bool is_layer_id(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef", kInit = "-init";
  if (is_build_id(text)) return true;
  if (text.ends_with(kInit)) text.remove_suffix(kInit.size());
  return text.size() == 64 && text.find_first_not_of(kHex) == std::string_view::npos;
}

}  // namespace drover
