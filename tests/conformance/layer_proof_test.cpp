// The proof of layers that are deltas on both sides: each is looked at by itself, and nothing that is wrong
// in the copy may pass.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <algorithm>
#include <functional>

#include "drivers/marks.hpp"
#include "drivers/sys/error.hpp"
#include "migrate/left_behind.hpp"
#include "migrate/stage_layer.hpp"
#include "migrate/survey.hpp"
#include "tests/conformance/renames_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// The sample's layers, staged under another driver, and not proven yet.
class StagedLayers {
 public:
  explicit StagedLayers(DriverKind to)
      : host_(filesystem("ext4")),
        root_(Dir::open(host_.root())),
        source_(home_of(host_, DriverKind::overlay2)),
        inventory_(read_inventory(root_, DriverKind::overlay2, source_.get())) {
    FactsOfLayers facts = survey_layers(root_, inventory_, *source_, 1).facts;
    plan_ = make_plan(inventory_, source_->form(), facts, {.kind = to, .form = LayerForm::delta});
    root_.make_dir("staged", 0700);
    target_ = driver_entry(to).open(host_.path("staged"), {});
    target_->make_home();
    stager_.emplace(root_, inventory_, plan_, *source_, *target_);
    for (const PlannedLayer& layer : plan_.layers) stager_->stage(layer);
  }

  /// As a migration does. What it says; empty: nothing is wrong.
  std::string prove() {
    try {
      for (const PlannedLayer& layer : plan_.layers) stager_->prove(layer, false);
      for (const PlannedLayer& layer : plan_.layers)
        if (layer.head) stager_->prove_whole(layer);
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::proof_failed);
      return e.what();
    }
    return "";
  }

  /// An entry of a layer, where one of these is.
  struct Place {
    Dir dir;
    std::string name;
    std::vector<std::string> way;  ///< from the layer's root to `dir`
    const PlannedLayer* layer;
  };
  using Wanted = std::function<bool(const Place&, EntryRole, const struct stat&)>;
  Place find(const Wanted& wanted) {
    for (const PlannedLayer& layer : plan_.layers) {
      std::vector<Place> dirs;
      dirs.push_back({target_->open(layer.id).root.clone(), "", {}, &layer});
      while (!dirs.empty()) {
        Place at = std::move(dirs.back());
        dirs.pop_back();
        for (const DirEntry& entry : at.dir.list()) {
          EntryRole role = decode(target_->marks(), at.dir, entry, Opacity::transparent).role;
          struct stat st = at.dir.stat(entry.name);
          at.name = entry.name;
          if (wanted(at, role, st)) return at;
          if (!S_ISDIR(st.st_mode)) continue;
          std::vector<std::string> way = at.way;
          way.push_back(entry.name);
          dirs.push_back({at.dir.sub(entry.name), "", std::move(way), &layer});
        }
      }
    }
    FAIL("the sample has none of these");
    throw std::logic_error("not reached");
  }

  /// What shows from below in a directory of a layer and is not its own.
  std::vector<std::string> from_below(const Place& place) {
    std::vector<std::string> names;
    if (!place.layer->parent) return names;
    ViewDir dir = View(*target_, *place.layer->parent).root();
    std::vector<std::string> way = place.way;
    way.push_back(place.name);
    for (const std::string& name : way) {
      auto entry = dir.find(name);
      if (!entry || !S_ISDIR(dir.holder(*entry).stat(name).st_mode)) return names;
      dir = dir.sub(*entry);
    }
    Dir own = place.dir.sub(place.name);
    for (ViewEntry& entry : dir.entries())
      if (!own.exists(entry.name) && !has_named_whiteout(target_->marks(), own, entry.name))
        names.push_back(std::move(entry.name));
    return names;
  }
  Place directory_on_others() {
    return find([this](const Place& at, EntryRole role, const struct stat& st) {
      return role == EntryRole::content && S_ISDIR(st.st_mode) &&
             opacity(marks(), at.dir.sub(at.name)) == Opacity::transparent && !from_below(at).empty();
    });
  }
  Place file_in(LayerRole in) {
    return find([in](const Place& at, EntryRole role, const struct stat& st) {
      return role == EntryRole::content && S_ISREG(st.st_mode) && st.st_size > 0 && at.layer->role == in;
    });
  }
  Marks marks() const { return target_->marks(); }
  const std::vector<PlannedLayer>& layers() const { return plan_.layers; }
  std::string path_of(const LayerId& id) const { return host_.path("staged/" + id); }

 private:
  SampleHost host_;
  Dir root_;
  std::unique_ptr<Driver> source_;
  Inventory inventory_;
  Plan plan_;
  std::unique_ptr<Driver> target_;
  std::optional<LayerStager> stager_;
};

/// Does something in a directory, whose times stay: nothing but what was done is to be found.
void in(const Dir& dir, const std::function<void()>& act) {
  struct stat st = dir.stat();
  act();
  const timespec times[2] = {st.st_atim, st.st_mtim};
  REQUIRE(::futimens(dir.fd(), times) == 0);
}

/// Another file in the place of one, with everything but `change` as it was: the source's may be the same
/// inode.
void replace(const Dir& dir, const std::string& name,
             const std::function<void(std::string&, struct stat&)>& change) {
  struct stat st = dir.stat(name);
  std::string text = dir.read(name);
  change(text, st);
  in(dir, [&] {
    dir.unlink(name);
    dir.write_new(name, text, 0600);
  });
  REQUIRE(::fchownat(dir.fd(), name.c_str(), st.st_uid, st.st_gid, 0) == 0);
  REQUIRE(::fchmodat(dir.fd(), name.c_str(), st.st_mode & 07777, 0) == 0);
  const timespec times[2] = {st.st_atim, st.st_mtim};
  REQUIRE(::utimensat(dir.fd(), name.c_str(), times, 0) == 0);
}

struct Damage {
  const char* name;
  std::function<void(StagedLayers&)> make;
};

const std::vector<Damage>& damages() {
  static const std::vector<Damage> all = {
      {"a name more is hidden",
       [](StagedLayers& staged) {
         auto place = staged.directory_on_others();
         Dir dir = place.dir.sub(place.name);
         in(dir, [&] { hide(staged.marks(), dir, staged.from_below(place).front()); });
       }},
      {"a name less is hidden",
       [](StagedLayers& staged) {
         auto place = staged.find(
             [](const auto&, EntryRole role, const struct stat&) { return role == EntryRole::whiteout; });
         in(place.dir, [&] { place.dir.unlink(place.name); });
       }},
      {"a directory is opaque",
       [](StagedLayers& staged) {
         auto place = staged.directory_on_others();
         Dir dir = place.dir.sub(place.name);
         in(dir, [&] { make_opaque(staged.marks(), dir); });
       }},
      {"a file more",
       [](StagedLayers& staged) {
         auto place = staged.file_in(LayerRole::image);
         in(place.dir, [&] { place.dir.write_new("more", "", 0644); });
       }},
      {"a file less",
       [](StagedLayers& staged) {
         auto place = staged.file_in(LayerRole::writable);
         in(place.dir, [&] { place.dir.unlink(place.name); });
       }},
      {"another mode of an image's file",
       [](StagedLayers& staged) {
         auto place = staged.file_in(LayerRole::image);
         replace(place.dir, place.name, [](std::string&, struct stat& st) { st.st_mode ^= S_IXOTH; });
       }},
      {"another time of an image's file",
       [](StagedLayers& staged) {
         auto place = staged.file_in(LayerRole::image);
         replace(place.dir, place.name, [](std::string&, struct stat& st) { ++st.st_mtim.tv_sec; });
       }},
      {"an attribute of a directory",
       [](StagedLayers& staged) {
         auto place = staged.directory_on_others();
         place.dir.set_xattr(place.name, "trusted.more", "x");
       }},
      {"another byte in a container's file",
       [](StagedLayers& staged) {
         auto place = staged.file_in(LayerRole::writable);
         replace(place.dir, place.name, [](std::string& text, struct stat&) { text.at(0) ^= 1; });
       }},
      {"another byte in an image's file",
       [](StagedLayers& staged) {
         auto place = staged.file_in(LayerRole::image);
         replace(place.dir, place.name, [](std::string& text, struct stat&) { text.at(0) ^= 1; });
       }},
      {"a layer does not stand on all that it stood on",
       [](StagedLayers& staged) {
         for (const PlannedLayer& layer : staged.layers()) {
           Dir dir = Dir::open(staged.path_of(layer.id));
           if (layer.role != LayerRole::writable || !dir.exists("lower")) continue;
           std::string lower = dir.read("lower");
           dir.write_atomic("lower", lower.substr(0, lower.rfind(':')), 0644, 0, 0);
         }
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("whatever is wrong in a layer's copy is found, and a copy as it should be passes") {
  for (DriverKind to : {DriverKind::fuse_overlayfs, DriverKind::aufs}) {
    CAPTURE(std::string(driver_name(to)));
    CHECK(StagedLayers(to).prove() == "");
    for (const Damage& damage : damages()) {
      CAPTURE(std::string(damage.name));
      if (to == DriverKind::aufs && std::string_view(damage.name).starts_with("a layer does not")) continue;
      StagedLayers staged(to);
      damage.make(staged);
      CHECK(staged.prove() != "");
    }
  }
}
