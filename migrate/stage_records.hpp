#pragma once
#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"
#include "migrate/store.hpp"

namespace drover {

// What is staged, by its name in the migration's folder and in the data root.
constexpr const char* kImage = "image";
constexpr const char* kContainers = "containers";
/// BuildKit's records of the build cache, which name layers in the driver's home. An engine with BuildKit
/// makes them when it starts.
constexpr const char* kBuildRecords = "buildkit";

/// Makes, in the migration's folder, what is to be `image/<to>` and `containers/`: copies of the source's,
/// each container of its driver now one of `to`; without what the inventory leaves behind. What an earlier
/// try left there is made anew.
void stage_records(const Dir& data_root, const Inventory&, DriverKind to, const Dir& folder);

/// Compares them with the source's, byte by byte. Throws Error (proof_failed) that names what differs.
void prove_records(const Dir& data_root, const Inventory&, DriverKind to, const Dir& folder);

/// Makes, in the migration's folder, a copy of `buildkit/`; of none, or one that is left behind, an empty
/// one. What an earlier try left there is made anew.
void stage_build_records(const Dir& data_root, const Inventory&, const Dir& folder);

/// Compares them with the source's, byte by byte. Throws Error (proof_failed) that names what differs.
void prove_build_records(const Dir& data_root, const Inventory&, const Dir& folder);

/// A container's config.v2.json with this driver in it; all else stays, byte for byte.
std::string config_for_driver(const std::string& text, DriverKind);

}  // namespace drover
