#pragma once
#include <string>
#include <vector>

#include "drivers/driver.hpp"

namespace drover {

/// The file in a container's folder that says what it is.
constexpr const char* kContainerConfig = "config.v2.json";

/// Where a container's configuration is to be at home.
struct ContainerHome {
  std::string id;
  std::string name;  ///< without the slash; empty: as it is
  std::string data_root;
  DriverKind driver = DriverKind::overlay2;
};

/// A container's config.v2.json for another home: its driver, ID and name, and the paths of its own files
/// (those that lead to `containers/<ID>/` of whatever data root). All else stays, byte for byte.
std::string config_for_home(const std::string& text, const std::string& old_id, const ContainerHome&);

/// What a container needs and no archive carries.
struct Attachments {
  std::vector<std::string> volumes;
  std::vector<std::string> networks;  ///< but those that every engine has: bridge, host, none
};
Attachments attachments_of(const std::string& config);

}  // namespace drover
