#pragma once
#include "tests/support/store_fixture.hpp"

namespace drover::test {

/// The fixture's store with the layers' files as an overlay2 home has them, made without root: nothing here
/// needs a mark.
struct LayersFixture : StoreFixture {
  LayersFixture() {
    add(id(base), {}, "base", "1");
    add(id(app), {id(base)}, "app", "22");
    add(id(top), {id(app), id(base)}, "top/inside", "333");
    add(id(other), {}, "other", "3");
    for (const auto& [container, below] :
         {std::pair{worker, std::vector{id(app), id(base)}}, std::pair{idle, std::vector{id(other)}}}) {
      const MountRecord& mount = root.mount(container);
      add(*mount.init_id, below, "etc/hosts", "");
      std::vector<LayerId> all = below;
      all.insert(all.begin(), *mount.init_id);
      add(mount.mount_id, all, "etc/hosts", "127.0.0.1");
      tree.write(diff(mount.mount_id) + "/app", "changed");
    }
  }

  LayerId id(const Digest& chain) const { return root.layer(chain).cache_id; }
  static std::string diff(const LayerId& layer) { return "/overlay2/" + layer + "/diff"; }

 private:
  /// Links are named by their number: 26 letters of base32.
  std::string link_of(const LayerId& layer) {
    auto [at, is_new] =
        links_.try_emplace(layer, std::string(25, 'A') + static_cast<char>('B' + links_.size()));
    if (is_new) tree.link("/overlay2/l/" + at->second, "../" + layer + "/diff");
    return "l/" + at->second;
  }
  void add(const LayerId& layer, const std::vector<LayerId>& below, const std::string& file,
           const std::string& content) {
    std::string lower;
    for (const LayerId& one : below) lower += (lower.empty() ? "" : ":") + link_of(one);
    if (!below.empty()) tree.write("/overlay2/" + layer + "/lower", lower);
    tree.write(diff(layer) + "/" + file, content);
    link_of(layer);
  }
  std::map<LayerId, std::string> links_;
};

}  // namespace drover::test
