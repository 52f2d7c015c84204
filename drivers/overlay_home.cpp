#include "drivers/overlay_home.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/homes.hpp"
#include "drivers/remarks.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

constexpr std::size_t kLinkLength = 26;
// overlay2 itself stops at 128 lower layers; what is above that is no store of an engine.
constexpr std::size_t kMostLowers = 500;
constexpr std::size_t kLongestLower = kMostLowers * (kLinkLength + 3);

bool is_link(std::string_view text) {
  return text.size() == kLinkLength && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '2' && c <= '7');
         });
}

/// RFC 4648 base32 of random bytes, as the engine makes them.
std::string random_link() {
  unsigned char bytes[kLinkLength];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
    throw_errno("cannot get random bytes");
  std::string link;
  for (unsigned char b : bytes) link += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[b & 31];
  return link;
}

}  // namespace

std::vector<LayerId> OverlayHome::layers() const { return layer_ids_in(home_.try_open()); }

bool OverlayHome::contains(const LayerId& id) const {
  auto home = home_.try_open();
  if (!home || !is_layer_id(id) || !home->try_walk(id + "/diff")) return false;
  auto links = home->try_stat("l");
  return !links || !S_ISLNK(links->st_mode);
}

std::optional<Symlink> OverlayHome::symlink_to(const LayerId& id) const {
  return home_.find_symlink({id + "/diff", "l"});
}

Dir OverlayHome::layer_dir(const LayerId& id) const {
  require_layer_id(id);
  return home_.sub(id);
}

std::vector<LayerId> OverlayHome::stack(const LayerId& id) const {
  std::vector<LayerId> stack{id};
  Dir layer = layer_dir(id);
  auto lower = layer.try_read("lower", kLongestLower);
  if (!lower) return stack;
  Dir links = home_.sub("l");
  for (std::size_t at = 0; at < lower->size();) {
    std::size_t cut = std::min(lower->find(':', at), lower->size());
    std::string item = lower->substr(at, cut - at);
    at = cut + 1;
    if (!item.starts_with("l/") || !is_link(item.substr(2)))
      throw Error("`" + layer.path_of("lower") + "` is damaged: `" + printable(item.substr(0, 80)) +
                  "` is no link of a layer");
    std::string target = links.read_link(item.substr(2));
    constexpr std::string_view kBefore = "../", kAfter = "/diff";
    std::string below = target.size() > kBefore.size() + kAfter.size() && target.starts_with(kBefore) &&
                                target.ends_with(kAfter)
                            ? target.substr(kBefore.size(), target.size() - kBefore.size() - kAfter.size())
                            : "";
    if (!is_layer_id(below))
      throw Error("`" + links.path_of(item.substr(2)) + "` is damaged: it leads to `" +
                  printable(shortened_path(target)) + "`");
    if (std::find(stack.begin(), stack.end(), below) != stack.end())
      throw Error("`" + layer.path_of("lower") + "` is damaged: layer " + below + " stands on itself");
    stack.push_back(below);
  }
  return stack;
}

OpenLayer OverlayHome::open(const LayerId& id) const { return {folder_in(layer_dir(id), "diff"), nullptr}; }

std::optional<LayerPlace> OverlayHome::place_in_home(const LayerId& id) const {
  auto home = home_.try_open();
  auto layer = home && is_layer_id(id) ? home->try_sub(id) : std::nullopt;
  if (!layer) return std::nullopt;
  return LayerPlace{std::move(*layer), "diff"};
}

std::vector<std::string> OverlayHome::remarks(const LayerId& id) const {
  if (kind_ != DriverKind::fuse_overlayfs) return {};
  return remarks_on_hidden(marks(), open(id).root, driver_name(kind_));
}

void OverlayHome::make_home() {
  Dir home = home_.ensure(0710, 0, owner_.gid);
  ensure_folder(home, "l", 0700, 0, 0);
}

std::string OverlayHome::lower_of(const LayerId& parent) const {
  Dir layer = layer_dir(parent);
  std::string link = layer.read("link", kLinkLength);
  if (!is_link(link)) throw Error("`" + layer.path_of("link") + "` is damaged");
  std::string lower = "l/" + link;
  if (auto below = layer.try_read("lower", kLongestLower)) lower += ":" + *below;
  return lower;
}

OpenLayer OverlayHome::create(const LayerId& id, const std::optional<LayerId>& parent, const CreateOptions&) {
  require_layer_id(id);
  Dir home = home_.open();
  // fuse-overlayfs runs as the mapped root, so its folders belong to it.
  bool fuse = kind_ == DriverKind::fuse_overlayfs;
  Dir layer = make_folder(home, id, 0710, fuse ? owner_.uid : 0, owner_.gid);
  // The link's name is on disk before the link is, so that remove() finds it whenever this is cut short.
  std::string link = random_link();
  layer.write_new("link", link, 0644);
  folder_in(home, "l").make_symlink(link, "../" + id + "/diff");
  if (parent) {
    make_folder(layer, "work", fuse ? 0710 : 0700, owner_.uid, owner_.gid);
    layer.write_new("lower", lower_of(*parent), 0644);
    Dir below = layer_dir(*parent);
    below.open_file("committed", O_WRONLY | O_CREAT, 0600);
  }
  return {make_folder(layer, "diff", 0755, owner_.uid, owner_.gid), nullptr};
}

void OverlayHome::seal(const LayerId&) {}

void OverlayHome::remove(const LayerId& id) {
  auto home = home_.try_open();
  if (!home || !is_layer_id(id)) return;
  if (auto layer = home->try_sub(id)) {
    auto link = layer->try_read("link", kLinkLength);
    auto links = home->try_sub("l");
    if (link && links && is_link(*link) && links->exists(*link)) links->unlink(*link);
  }
  home->remove_tree(id);
}

void OverlayHome::remove_home() { home_.remove(); }

std::unique_ptr<Driver> open_overlay2(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<OverlayHome>(DriverKind::overlay2, home, settings.owner);
}

std::unique_ptr<Driver> open_fuse_overlayfs(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<OverlayHome>(DriverKind::fuse_overlayfs, home, settings.owner);
}

}  // namespace drover
