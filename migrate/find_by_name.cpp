#include "migrate/find_by_name.hpp"

#include <algorithm>
#include <vector>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr std::size_t kMostCandidates = 8;

bool takes(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool is_hex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<Subject> find_whole(const Inventory& inventory, std::string_view name, std::string_view id) {
  if (inventory.containers.contains(std::string(name))) return Subject{std::string(name), {}};
  std::string_view container_name = name;
  takes(container_name, "/");
  for (const auto& [container_id, container] : inventory.containers)
    if (!container_name.empty() && container.name == container_name) return Subject{container_id, {}};
  if (inventory.images.contains(std::string(id))) return Subject{{}, std::string(id)};
  std::string reference = familiar_reference(name);
  for (const auto& [image_id, image] : inventory.images)
    if (std::find(image.references.begin(), image.references.end(), reference) != image.references.end())
      return Subject{{}, image_id};
  return std::nullopt;
}

struct Candidates {
  std::vector<Subject> found;
  std::string names;

  void add(Subject subject, const std::string& kind, const std::string& id, const std::string& name) {
    found.push_back(std::move(subject));
    if (found.size() > kMostCandidates) return;
    std::string called = name == short_id(id) ? "" : " (" + name + ")";
    names += (names.empty() ? "" : ", ") + kind + " " + short_id(id) + called;
  }
};

Candidates find_beginnings(const Inventory& inventory, std::string_view name, std::string_view id) {
  Candidates candidates;
  if (is_hex(name))
    for (const auto& [container_id, container] : inventory.containers)
      if (container_id.starts_with(name))
        candidates.add({container_id, {}}, "container", container_id, display_name(container));
  if (is_hex(id))
    for (const auto& [image_id, image] : inventory.images)
      if (image_id.starts_with(id)) candidates.add({{}, image_id}, "image", image_id, display_name(image));
  if (candidates.found.size() > kMostCandidates)
    candidates.names += " and " + std::to_string(candidates.found.size() - kMostCandidates) + " more";
  return candidates;
}

[[noreturn]] void fail_to_find(const Inventory& inventory, std::string_view name) {
  std::string driver(driver_name(inventory.driver)), quoted = "`" + printable(name) + "`";
  std::string reference = familiar_reference(name);
  for (const StoreProblem& problem : inventory.problems)
    if (is_concerned(problem, name) || is_concerned(problem, printable(reference)))
      throw Error(quoted + " cannot be read: " + problem.what,
                  problem.fix.empty() ? "`drover verify` lists all damage" : problem.fix);
  for (const ContainerRecord& container : inventory.foreign_containers)
    if (container.name == name || container.id == name) {
      std::string other = printable(container.driver);
      throw Error("container " + quoted + " is of the driver " + other + ", not of " + driver,
                  "name its driver: --driver " + other);
    }
  throw Error("there is no image or container " + quoted + " in the store of " + driver,
              "`drover layers` without a name shows all of them; another store is named with --driver");
}

}  // namespace

std::string familiar_reference(std::string_view name) {
  bool of_hub = takes(name, "docker.io/") || takes(name, "index.docker.io/");
  std::string_view rest = name;
  if (takes(rest, "library/") && (of_hub || rest.find('/') == std::string_view::npos)) name = rest;
  std::size_t digest = name.find('@');
  std::string_view before = name.substr(0, digest);
  std::size_t colon = before.rfind(':'), slash = before.rfind('/');
  bool tagged = colon != std::string_view::npos && (slash == std::string_view::npos || slash < colon);
  if (digest == std::string_view::npos) return std::string(name) + (tagged ? "" : ":latest");
  // The engine passes over a tag that stands before a digest.
  return std::string(before.substr(0, tagged ? colon : before.size())).append(name.substr(digest));
}

Subject find_subject(const Inventory& inventory, std::string_view name) {
  std::string_view id = name;
  takes(id, "sha256:");
  if (!name.empty())
    if (auto whole = find_whole(inventory, name, id)) return *whole;
  Candidates candidates = find_beginnings(inventory, name, id);
  if (candidates.found.empty()) fail_to_find(inventory, name);
  if (candidates.found.size() > 1)
    throw Error("`" + printable(name) + "` is the beginning of several IDs: " + candidates.names,
                "write more of the ID");
  return candidates.found.front();
}

}  // namespace drover
