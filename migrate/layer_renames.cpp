#include "migrate/layer_renames.hpp"

#include <linux/fs.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "migrate/mark_list.hpp"
#include "migrate/mark_scan.hpp"
#include "migrate/respell_layer.hpp"

namespace drover {

namespace {

constexpr const char* kRenames = "renames";
constexpr const char* kImages = "images";
constexpr const char* kOthers = "others";
constexpr const char* kBack = "back";
constexpr const char* kBackUnfinished = "back.new";
constexpr const char* kBackBegun = "back-begun";

/// What is at a layer's place; nothing where there is no such layer, or it lacks its directory.
std::optional<Dir> layer_at(const std::optional<LayerPlace>& place) {
  return place ? place->holder.try_sub(place->name) : std::nullopt;
}

std::string way_back_for(const LayerId& id, const MarkScan& scan) {
  std::string what = is_build_id(id)           ? "`docker builder prune`"
                     : !scan.way_out().empty() ? scan.way_out()
                                               : "remove or rename that in the container";
  return "start the engine, then " + what +
         "; stop the engine, and try again. The new setup is in place and whole: `drover commit` keeps it";
}

/// The marks of a layer as they are now, into a list.
void write_marks(const Dir& lists, const LayerId& id, const Dir& layer, Marks from, Marks to,
                 bool going_back) {
  MarkListWriter list(lists, id);
  MarkScan scan(from, to, &list, going_back);
  measure_tree(layer, &scan);
  if (!scan.obstacle().empty())
    throw Error("layer " + short_id(id) + " cannot be renamed as it is: " + scan.obstacle(),
                going_back
                    ? way_back_for(id, scan)
                    : "it has changed since the plan was made: is something at work in this data root?");
  list.finish();
}

}  // namespace

std::optional<Dir> LayerRenames::lists(const char* name) const {
  auto renames = folder_.try_sub(kRenames);
  return renames ? renames->try_sub(name) : std::nullopt;
}

std::vector<LayerRenames::Renamed> LayerRenames::all() const {
  std::vector<Renamed> all;
  for (bool image : {true, false})
    if (auto names = lists(image ? kImages : kOthers))
      for (const DirEntry& entry : names->list()) {
        if (!is_layer_id(entry.name))
          throw Error("`" + names->path_of(entry.name) + "` is the name of no layer",
                      "it is not drover's: move it elsewhere");
        all.push_back({entry.name, image});
      }
  return all;
}

void LayerRenames::stage(const PlannedLayer& layer, const Driver& source, const Driver& target) const {
  // A list says that the place is free, or taken by the layer itself.
  if (auto place = target.place_in_home(layer.id); layer_at(place)) place->holder.remove_dir(place->name);
  Dir lists = folder_.make_path(std::string(kRenames) + "/" + (layer.immutable() ? kImages : kOthers), 0700);
  if (layer.respelled)
    write_marks(lists, layer.id, source.open(layer.id).root, source.marks(), target.marks(), false);
  else
    MarkListWriter(lists, layer.id).finish();
}

bool LayerRenames::is_awaited(const LayerId& id, const Driver& target) const {
  auto place = target.place_in_home(id);
  return place && !place->holder.exists(place->name);
}

std::size_t LayerRenames::count() const { return all().size(); }

bool LayerRenames::is_staged(const LayerId& id) const {
  for (const char* name : {kImages, kOthers})
    if (auto there = lists(name); there && there->exists(id)) return true;
  return false;
}

void LayerRenames::drop(const LayerId& id) const {
  for (const char* name : {kImages, kOthers})
    if (auto there = lists(name); there && there->exists(id)) there->unlink(id);
}

bool LayerRenames::begun(const Driver& source, const Driver& target) const {
  std::vector<Renamed> layers = all();
  return std::any_of(layers.begin(), layers.end(), [&](const Renamed& layer) {
    auto there = layer_at(target.place_in_home(layer.id));
    return there && (!layer_at(source.place_in_home(layer.id)) || !there->list().empty());
  });
}

void LayerRenames::forward(const Driver& source, const Driver& target) const {
  std::vector<Renamed> layers = all();
  for (const Renamed& layer : layers) {
    auto old = source.place_in_home(layer.id), place = target.place_in_home(layer.id);
    if (!place) throw Error("the new place of layer " + layer.id + " is missing", "go back: drover rollback");
    if (layer_at(old))
      old->holder.rename(old->name, place->holder, place->name, RENAME_NOREPLACE);
    else if (!layer_at(place))
      throw Error("layer " + layer.id + " is neither in the old home nor in the new one",
                  "was something removed, or put into lost+found by a repair? Restore it, then try again; "
                  "`drover rollback` goes back without it");
  }
  folder_.sync_fs();
  Marks from = source.marks(), to = target.marks();
  auto each = [&](void (*what)(const LayerMarks&)) {
    for (const Renamed& layer : layers) {
      Dir root = target.open(layer.id).root, names = *lists(layer.image ? kImages : kOthers);
      what({names, layer.id, root, from, to, folder_});
    }
  };
  each(respell);
  folder_.sync_fs();
  each(require_respelled);
}

void LayerRenames::require_way_back(const Driver& source, const Driver& target) const {
  for (const Renamed& layer : all()) {
    auto old = source.place_in_home(layer.id), now = target.place_in_home(layer.id);
    if (!layer_at(now)) continue;
    if (layer_at(old))
      throw Error("layer " + short_id(layer.id) + " is in both homes: `" + old->holder.path_of(old->name) +
                      "` was not put there by drover",
                  "was a backup restored, or a directory made by hand? Move that elsewhere, then try again");
    for (const auto* place : {&old, &now})
      if (*place && is_guarded((*place)->holder, ""))
        throw Error(
            "nothing can be renamed in `" + (*place)->holder.path() + "`: it is immutable or append-only",
            "take that away (chattr -i -a), then try again");
    MarkListReader list(*lists(layer.image ? kImages : kOthers), layer.id);
    for (MarkRecord record; list.next(record);) continue;
  }
}

void LayerRenames::look_back(const Driver& source, const Driver& target) const {
  std::vector<Renamed> layers = all();
  for (const Renamed& layer : layers) {
    auto old = source.place_in_home(layer.id), now = target.place_in_home(layer.id);
    if (!old || !now || on_one_mount(old->holder, now->holder)) continue;
    throw Error("cannot rename the layers back: `" + now->holder.path() + "` and `" + old->holder.path() +
                    "` are on two filesystems, or mounted apart",
                "was one of the homes moved? Move it back, then try again");
  }
  Dir renames = folder_.make_path(kRenames, 0700);
  if (renames.exists(kBackBegun)) return;
  for (const char* before : {kBackUnfinished, kBack}) renames.remove_tree(before);
  Dir made = renames.make_path(kBackUnfinished, 0700);
  for (const Renamed& layer : layers)
    if (auto now = layer.image ? std::nullopt : layer_at(target.place_in_home(layer.id)))
      write_marks(made, layer.id, *now, target.marks(), source.marks(), true);
  folder_.sync_fs();
  renames.rename(kBackUnfinished, renames, kBack, RENAME_NOREPLACE);
  renames.sync();
}

bool LayerRenames::looked_back() const { return lists(kBack).has_value(); }

std::set<LayerId> LayerRenames::gone(const Driver& source, const Driver& target) const {
  std::set<LayerId> gone;
  for (const Renamed& layer : all())
    if (!layer_at(source.place_in_home(layer.id)) && !layer_at(target.place_in_home(layer.id)))
      gone.insert(layer.id);
  return gone;
}

std::set<LayerId> LayerRenames::without_place(const Driver& source, const Driver& target) const {
  std::set<LayerId> layers;
  for (const Renamed& layer : all())
    if (!source.place_in_home(layer.id) && layer_at(target.place_in_home(layer.id))) layers.insert(layer.id);
  return layers;
}

void LayerRenames::spell_back(const Renamed& layer, const Dir& root, Marks from, Marks to) const {
  Dir staged = *lists(layer.image ? kImages : kOthers);
  LayerMarks marks{staged, layer.id, root, from, to, folder_};
  auto found = layer.image ? std::nullopt : lists(kBack);
  if (!found || !found->exists(layer.id)) {
    respell_back(marks);
    return require_respelled_back(marks);
  }
  restore_bookkeeping(marks);
  LayerMarks now{*found, layer.id, root, to, from, folder_};
  respell(now);
  require_respelled(now);
}

void LayerRenames::back(const Driver& source, const Driver& target) const {
  // From here on the marks are of both spellings.
  if (Dir renames = folder_.make_path(kRenames, 0700); !renames.exists(kBackBegun)) {
    renames.make_dir(kBackBegun, 0700);
    renames.sync();
    folder_.sync();
  }
  std::vector<LayerId> spelled;
  for (const Renamed& layer : all()) {
    auto old = source.place_in_home(layer.id), place = target.place_in_home(layer.id);
    // One that is in the old home was not renamed, or is back. Of others its container was removed.
    if (!old || layer_at(old)) continue;
    auto root = layer_at(place);
    if (!root) continue;
    spell_back(layer, *root, source.marks(), target.marks());
    spelled.push_back(layer.id);
  }
  folder_.sync_fs();
  for (const LayerId& id : spelled) {
    auto old = source.place_in_home(id), place = target.place_in_home(id);
    place->holder.rename(place->name, old->holder, old->name, RENAME_NOREPLACE);
  }
  folder_.sync_fs();
}

}  // namespace drover
