#include "migrate/archive/import_conflicts.hpp"

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/incoming_store.hpp"

namespace drover {

namespace {

constexpr std::size_t kMostListed = 20;

/// The first of "web-imported", "web-imported-2", ... that is free.
std::string free_name(const std::string& name, const std::function<bool(const std::string&)>& is_taken) {
  std::string first = name + "-imported", tried = first;
  for (unsigned number = 2; is_taken(tried); ++number) tried = first + "-" + std::to_string(number);
  return tried;
}

class Settlement {
 public:
  Settlement(const Inventory& incoming, const Inventory& there, OnConflict how,
             const std::function<bool(const std::string&)>& taken)
      : incoming_(incoming), how_(how), taken_(taken) {
    for (const auto& [id, image] : there.images)
      for (const std::string& reference : image.references) tags_there_.emplace(reference, id);
    for (const auto& [id, container] : there.containers) names_there_.emplace(container.name, id);
    for (const auto& [id, image] : incoming.images)
      for (const std::string& reference : image.references) new_tags_.insert(reference);
    for (const auto& [id, container] : incoming.containers) new_names_.insert(container.name);
  }

  Settled run() {
    for (const auto& [id, image] : incoming_.images)
      for (const std::string& reference : image.references) settle_tag(reference, id);
    for (const auto& [id, container] : incoming_.containers) settle_container(container);
    if (how_ == OnConflict::skip) skip_images();
    if (how_ == OnConflict::refuse && !conflicts_.empty()) refuse();
    return std::move(settled_);
  }

 private:
  void settle_tag(const std::string& reference, const Digest& image) {
    auto there = tags_there_.find(reference);
    if (there == tags_there_.end()) {
      settled_.tags.emplace(reference, image);
      return;
    }
    if (there->second == image) return;
    std::string name = "`" + printable(reference) + "`";
    conflicts_.push_back(name + " is another image there (" + short_id(there->second) + ", here " +
                         short_id(image) + ")");
    switch (how_) {
      case OnConflict::refuse:
        break;
      case OnConflict::skip:
        note(name + " stays what it was");
        break;
      case OnConflict::replace:
        settled_.tags.emplace(reference, image);
        settled_.old_tags.emplace(reference, there->second);
        note(name + " is the imported image now, not " + short_id(there->second));
        break;
      case OnConflict::rename: {
        if (reference.find('@') != std::string::npos) {
          note(name + " stays what it was: a digest is no name to choose");
          break;
        }
        std::string renamed = free_name(reference, [&](const std::string& tag) {
          return tags_there_.contains(tag) || new_tags_.contains(tag);
        });
        new_tags_.insert(renamed);
        settled_.tags.emplace(renamed, image);
        note(name + " is imported as `" + printable(renamed) + "`");
        break;
      }
    }
  }

  void settle_container(const ContainerRecord& container) {
    auto there = names_there_.find(container.name);
    bool id_taken = taken_(container.id), name_taken = there != names_there_.end();
    if (!id_taken && !name_taken) return;
    std::string name = "container " + display_name(container);
    if (name_taken)
      conflicts_.push_back(
          name + ": there is one of this name" +
          (there->second == container.id ? " and ID" : " (" + short_id(there->second) + ")"));
    else
      conflicts_.push_back(name + ": there is one of this ID (" + short_id(container.id) + ")");
    switch (how_) {
      case OnConflict::refuse:
        break;
      case OnConflict::skip:
        settled_.skipped.insert(container.id);
        note(name + " stays what it was");
        break;
      case OnConflict::replace:
        if (name_taken) settled_.replaced.insert(there->second);
        if (id_taken) settled_.replaced.insert(container.id);
        note(name + " is replaced by the imported one");
        break;
      case OnConflict::rename:
        if (id_taken) settled_.ids.emplace(container.id, random_id());
        if (name_taken) {
          std::string renamed = free_name(container.name, [&](const std::string& tried) {
            return names_there_.contains(tried) || new_names_.contains(tried);
          });
          new_names_.insert(renamed);
          settled_.names.emplace(container.id, renamed);
          note(name + " is imported as " + printable(renamed));
        } else {
          note(name + " is imported under a new ID");
        }
        break;
    }
  }

  /// Images that came by names which all stay what they were, unless a container that comes in is made of
  /// them.
  void skip_images() {
    std::set<Digest> needed;
    for (const auto& [id, container] : incoming_.containers)
      if (container.image && !settled_.skipped.contains(id)) needed.insert(*container.image);
    for (const auto& [id, image] : incoming_.images) {
      bool named = std::any_of(image.references.begin(), image.references.end(),
                               [&, &own = id](const std::string& name) {
                                 auto there = tags_there_.find(name);
                                 return there == tags_there_.end() || there->second == own;
                               });
      if (!image.references.empty() && !named && !needed.contains(id)) settled_.skipped_images.insert(id);
    }
  }

  void note(const std::string& line) { settled_.notes.push_back(line); }

  [[noreturn]] void refuse() const {
    std::string list;
    for (std::size_t i = 0; i < conflicts_.size() && i < kMostListed; ++i)
      list += (i ? "; " : "") + conflicts_[i];
    if (conflicts_.size() > kMostListed)
      list += "; and " + std::to_string(conflicts_.size() - kMostListed) + " more";
    throw Error("what is imported and what is there are in conflict: " + list,
                "nothing was changed; choose with --on-conflict skip, rename or replace");
  }

  const Inventory& incoming_;
  OnConflict how_;
  const std::function<bool(const std::string&)>& taken_;
  std::map<std::string, Digest> tags_there_;
  std::map<std::string, std::string> names_there_;
  std::set<std::string> new_tags_, new_names_;
  std::vector<std::string> conflicts_;
  Settled settled_;
};

}  // namespace

Settled settle_conflicts(const Inventory& incoming, const Inventory& there, OnConflict how,
                         const std::function<bool(const std::string& id)>& taken) {
  return Settlement(incoming, there, how, taken).run();
}

}  // namespace drover
