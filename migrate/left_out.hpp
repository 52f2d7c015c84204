#pragma once
#include <set>
#include <string>

#include "drivers/sys/dir.hpp"
#include "migrate/store.hpp"

namespace drover {

/// Which of Docker's records are not copied, so that the engine finds nothing of what is left behind.

constexpr const char* kRepositories = "repositories.json";

/// Of `image/<driver>`: the paths of what belongs to parts in `inventory.left`, and of the registry's
/// metadata of layers that are left behind and in no other chain. repositories.json is drop_left_tags()'.
std::set<std::string> left_out_of_image(const Dir& records, const Inventory&);
/// Of `containers/`.
std::set<std::string> left_out_of_containers(const LeftBehind&);
/// Throws Error (proof_failed) if a copy has one of these.
void require_left_out(const Dir& copy, const std::set<std::string>& paths);

/// Whether tags or digests in `image/<driver>/repositories.json` name images that are left behind.
bool has_left_tags(const Dir& records, const LeftBehind&);
/// Takes them out of a copy; all others stay in their order. Does nothing where there are none.
void drop_left_tags(const Dir& records, const Dir& copy, const LeftBehind&);
/// Throws Error (proof_failed) unless that is what the copy is.
void require_left_tags_dropped(const Dir& records, const Dir& copy, const LeftBehind&);

/// The text of a repositories.json without what names these images; repositories that become empty go.
std::string repositories_without(const std::string& text, const LeftBehind&);

}  // namespace drover
