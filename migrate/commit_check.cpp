#include "migrate/commit_check.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

#include "drivers/sys/copy_content.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/view.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr std::string_view kSplitFile = "tar-split.json.gz";

bool has_folders(const Driver& home) {
  return home.kind() != DriverKind::zfs && home.kind() != DriverKind::devicemapper;
}

/// Of a store that stays, by one that is to go: `now` and `old`, where a migration is accepted; where it is
/// given up, it is the old one that stays.
class StoreCheck {
 public:
  StoreCheck(const CarriedStore& old, const CarriedStore& now, const std::string& hint)
      : old_(old), now_(now), hint_(hint) {}

  void run_for_commit() const {
    require_tags();
    store::LayerDb before = store::read_layerdb(old_.records), there = store::read_layerdb(now_.records);
    for (const auto& [chain, layer] : there.layers) {
      auto was = before.layers.find(chain);
      if (was == before.layers.end()) continue;
      std::string what = "layer " + short_id(layer.cache_id);
      require_tar_split(chain, what);
      auto old_names = names_before(layer.cache_id);
      // A layer of size 0 may be one that shows nothing.
      require_shows(layer.cache_id, what, old_names ? !old_names->empty() : was->second.size_bytes > 0,
                    old_names ? &*old_names : nullptr);
    }
    for (const auto& [name, mount] : there.mounts) {
      if (!before.mounts.contains(name)) continue;
      auto old_names = names_before(mount.mount_id);
      // What a container shows changes as it runs.
      require_shows(mount.mount_id, "the writable layer of " + short_id(name),
                    old_names ? !old_names->empty() : shows_image(there, mount), nullptr);
    }
  }

  /// What the store that goes does not have was left behind, since it was damaged, or removed since.
  void run_for_rollback() const {
    if (!has_folders(now_.home)) return;
    store::LayerDb before = store::read_layerdb(old_.records), there = store::read_layerdb(now_.records);
    for (const auto& [chain, layer] : there.layers) {
      if (!before.layers.contains(chain) || !now_.home.contains(layer.cache_id)) continue;
      std::string what = "layer " + short_id(layer.cache_id);
      if (has_tar_split(record_of(old_.records, chain)) && !has_tar_split(record_of(now_.records, chain)))
        refuse("the tar-split of " + what + " is missing in `" + now_.records.path() + "`");
      require_names(layer.cache_id, what, names_before(layer.cache_id).value_or(Names{}));
    }
    for (const auto& [name, mount] : there.mounts)
      if (before.mounts.contains(name) && now_.home.contains(mount.mount_id))
        require_shows(mount.mount_id, "the writable layer of " + short_id(name), shows_image(there, mount),
                      nullptr);
  }

 private:
  using Names = std::vector<std::string>;

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ExitCode::proof_failed, what, hint_);
  }

  static Names names_in(const Driver& home, const LayerId& id) {
    Names names;
    for (ViewEntry& entry : View(home, id).root().entries()) names.push_back(std::move(entry.name));
    return names;
  }

  /// Nothing where that cannot be told, or not in a short time: the old store's pool or kernel module may be
  /// gone, and a commit is possible all the same.
  std::optional<Names> names_before(const LayerId& id) const {
    if (!has_folders(old_.home)) return std::nullopt;
    try {
      if (old_.home.contains(id)) return names_in(old_.home, id);
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
    }
    return Names{};  // it was left behind, or renamed into the new home: there is nothing to be deleted
  }

  /// Nothing where the engine is at work on it.
  std::optional<Names> names_now(const LayerId& id) const {
    try {
      return names_in(now_.home, id);
    } catch (const Error& e) {
      if (e.code() != ExitCode::in_use) throw;
      return std::nullopt;
    }
  }

  bool shows_image(const store::LayerDb& there, const MountRecord& mount) const {
    auto image = mount.parent ? there.layers.find(*mount.parent) : there.layers.end();
    if (image == there.layers.end()) return false;
    auto names = names_now(image->second.cache_id);
    return names && !names->empty();
  }

  void require_shows(const LayerId& id, const std::string& what, bool something, const Names* same) const {
    if (!something) return;
    auto there = names_now(id);
    if (!there) return;
    if (there->empty()) refuse(what + " is empty in `" + now_.home.place_of(id) + "`");
    if (same && *there != *same)
      refuse(what + " shows other names in `" + now_.home.place_of(id) + "` than in the old store");
  }

  void require_names(const LayerId& id, const std::string& what, Names wanted) const {
    auto there = wanted.empty() ? std::nullopt : names_now(id);
    if (!there) return;
    for (Names* names : {&wanted, &*there}) std::sort(names->begin(), names->end());
    Names lost;
    std::set_difference(wanted.begin(), wanted.end(), there->begin(), there->end(), std::back_inserter(lost));
    if (!lost.empty())
      refuse(what + " lacks `" + printable(lost.front()) + "` in `" + now_.home.place_of(id) + "`");
  }

  static std::optional<Dir> record_of(const Dir& records, const Digest& chain) {
    auto folder = records.try_sub("layerdb");
    if (folder) folder = folder->try_sub("sha256");
    if (folder) folder = folder->try_sub(chain);
    return folder;
  }

  static bool has_tar_split(const std::optional<Dir>& record) { return record && record->exists(kSplitFile); }

  void require_tar_split(const Digest& chain, const std::string& what) const {
    auto before = record_of(old_.records, chain), there = record_of(now_.records, chain);
    if (!has_tar_split(before)) return;
    if (!has_tar_split(there) ||
        !same_content(open_content(*before, kSplitFile), open_content(*there, kSplitFile)))
      refuse("the tar-split of " + what + " in `" + now_.records.path() +
             "` is not the one that was carried");
  }

  void require_tags() const {
    store::ImageDb before = store::read_imagedb(old_.records), there = store::read_imagedb(now_.records);
    if (there.bad_repositories)
      refuse("`" + now_.records.path_of("repositories.json") + "` " + there.bad_repositories->why);
    if (!there.references.empty()) return;
    for (const auto& [image, references] : before.references)
      if (there.images.contains(image) && !references.empty())
        refuse("no image has a tag any more in `" + now_.records.path_of("repositories.json") +
               "`, though image " + short_id(image) + " was `" + references.front() + "`");
  }

  const CarriedStore& old_;
  const CarriedStore& now_;
  const std::string& hint_;
};

}  // namespace

void require_still_whole(const CarriedStore& old, const CarriedStore& now, const std::string& hint) {
  StoreCheck(old, now, hint).run_for_commit();
}

void require_shown_still(const CarriedStore& old, const CarriedStore& now, const std::string& hint) {
  StoreCheck(now, old, hint).run_for_rollback();
}

}  // namespace drover
