// aufs (moby daemon/graphdriver/aufs; the marks are those of the aufs kernel module):
//
//     <home>/diff/<id>/      the layer's own entries and marks: a branch
//     <home>/layers/<id>     all it stands on, nearest first, one ID a line; empty for a base layer
//     <home>/mnt/<id>/       where the engine mounts it
//
// For the engine a layer exists once layers/<id> does. In a branch that was mounted writable the kernel keeps
//
//     .wh..wh.aufs           an empty file that whiteouts are hard links to
//     .wh..wh.orph/          files that were deleted while open
//     .wh..wh.plnk/          pseudo-links: where one name of a hard-linked lower file is copied up, the other
//                            names follow in memory, and a link here keeps the copy
//
// none of which a mount reads again (fs/aufs/whout.c only makes sure that they exist): the engine runs
// `auplink MOUNT flush` before it unmounts, which copies up all names and empties plnk. Where that did not
// happen, the next mount shows the lower file under the other names, and so does drover, with a remark.

#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/homes.hpp"
#include "drivers/remarks.hpp"
#include "drivers/sys/error.hpp"

#include <algorithm>

namespace drover {

namespace {

// The engine stops at 125 layers of an image, aufs itself at 127 branches in most builds.
constexpr std::size_t kMostParents = 1023;
constexpr std::size_t kLongestLayersFile = kMostParents * 70;

class Aufs : public Driver {
 public:
  Aufs(const HomeFolder& home, RootOwner owner) : home_(home), owner_(owner) {}

  DriverKind kind() const noexcept override { return DriverKind::aufs; }
  LayerForm form() const noexcept override { return LayerForm::delta; }
  Marks marks() const noexcept override { return Marks::aufs; }

  std::vector<std::string_view> furniture() const override {
    return {"mnt", "mnt/*", "diff", "diff/#", "layers", "layers/#"};
  }
  std::vector<LayerId> layers() const override { return layer_ids_in(home_.try_sub("layers")); }
  bool contains(const LayerId& id) const override;
  std::optional<Symlink> symlink_to(const LayerId& id) const override {
    return home_.find_symlink({"layers/" + id, "diff/" + id});
  }
  std::vector<LayerId> stack(const LayerId&) const override;
  OpenLayer open(const LayerId& id) const override {
    require_layer_id(id);
    return {folder_in(home_.sub("diff"), id), nullptr};
  }
  bool layers_can_be_renamed() const noexcept override { return true; }
  std::optional<LayerPlace> place_in_home(const LayerId&) const override;
  std::vector<std::string> remarks(const LayerId&) const override;

  void make_home() override;
  OpenLayer create(const LayerId&, const std::optional<LayerId>& parent, const CreateOptions&) override;
  void seal(const LayerId&) override {}
  void remove(const LayerId&) override;
  void remove_home() override { home_.remove(); }

 private:
  std::vector<LayerId> parents_of(const LayerId&) const;
  HomeFolder home_;
  RootOwner owner_;
};

bool Aufs::contains(const LayerId& id) const {
  auto home = home_.try_open();
  if (!home || !is_layer_id(id) || !home->try_walk("diff/" + id)) return false;
  auto layers = home->try_sub("layers");
  auto record = layers ? layers->try_stat(id) : std::nullopt;
  return record && S_ISREG(record->st_mode);
}

std::vector<LayerId> Aufs::parents_of(const LayerId& id) const {
  require_layer_id(id);
  Dir layers = home_.sub("layers");
  std::string text = layers.read(id, kLongestLayersFile);
  std::vector<LayerId> parents;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;  // as the engine does
    if (!is_layer_id(line)) throw Error("`" + layers.path_of(id) + "` is damaged: it names what is no layer");
    if (line == id || std::find(parents.begin(), parents.end(), line) != parents.end())
      throw Error("`" + layers.path_of(id) + "` is damaged: layer " + line + " stands on itself");
    parents.push_back(std::move(line));
  }
  return parents;
}

std::vector<LayerId> Aufs::stack(const LayerId& id) const {
  std::vector<LayerId> stack = parents_of(id);
  if (!stack.empty()) {
    // The engine mounts by this list alone; layers made by drover from such a stack would differ from it.
    std::vector<LayerId> below = parents_of(stack.front());
    if (!std::equal(below.begin(), below.end(), stack.begin() + 1, stack.end()))
      throw Error("`" + home_.path_of("layers/" + id) +
                  "` is damaged: it does not agree with that of layer " + stack.front());
  }
  stack.insert(stack.begin(), id);
  return stack;
}

std::optional<LayerPlace> Aufs::place_in_home(const LayerId& id) const {
  auto layers = home_.try_sub("layers"), diff = home_.try_sub("diff");
  if (!is_layer_id(id) || !layers || !layers->exists(id) || !diff) return std::nullopt;
  return LayerPlace{std::move(*diff), id};
}

std::vector<std::string> Aufs::remarks(const LayerId& id) const {
  Dir layer = open(id).root;
  std::vector<std::string> remarks = remarks_on_hidden(Marks::aufs, layer, "aufs");
  if (auto links = layer.try_sub(".wh..wh.plnk"))
    if (std::size_t count = links->list().size(); count > 0)
      remarks.push_back("its last mount ended without `auplink flush`, which left " + std::to_string(count) +
                        (count == 1 ? " pseudo-link" : " pseudo-links") +
                        ": other names of these hard-linked files show what the image has, as aufs itself "
                        "shows them from then on");
  return remarks;
}

void Aufs::make_home() {
  Dir home = home_.ensure(0710, 0, owner_.gid);
  for (const char* name : {"mnt", "diff", "layers"}) ensure_folder(home, name, 0710, 0, owner_.gid);
}

OpenLayer Aufs::create(const LayerId& id, const std::optional<LayerId>& parent, const CreateOptions&) {
  require_layer_id(id);
  std::string lines;
  if (parent)
    for (const LayerId& below : stack(*parent)) lines += below + "\n";
  Dir home = home_.open();
  // First of all, so that layers() lists what remove() has to remove whenever this is cut short.
  folder_in(home, "layers").write_new(id, lines, 0644);
  make_folder(folder_in(home, "mnt"), id, 0755, owner_.uid, owner_.gid);
  return {make_folder(folder_in(home, "diff"), id, 0755, owner_.uid, owner_.gid), nullptr};
}

void Aufs::remove(const LayerId& id) {
  auto home = home_.try_open();
  if (!home || !is_layer_id(id)) return;
  for (const char* name : {"diff", "mnt", "layers"})
    if (auto folder = home->try_sub(name)) folder->remove_tree(id);
}

}  // namespace

std::unique_ptr<Driver> open_aufs(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<Aufs>(home, settings.owner);
}

}  // namespace drover
