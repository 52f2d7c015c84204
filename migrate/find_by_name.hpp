#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "migrate/store.hpp"

namespace drover {

/// What a name of the user's means: one of both.
struct Subject {
  std::optional<std::string> container;  ///< ID
  std::optional<Digest> image;           ///< ID
};

/// As `docker inspect` takes a name: a container's whole ID or name; an image's reference, without ":latest"
/// and with "docker.io/library/" too, or its whole ID; else the beginning of an ID. Throws Error for what
/// nothing is called (with the reason, where damage or another driver is one), and for a beginning that
/// several share, naming them.
Subject find_subject(const Inventory&, std::string_view name);

/// A reference as repositories.json has it ("docker.io/library/app" -> "app:latest").
std::string familiar_reference(std::string_view name);

}  // namespace drover
