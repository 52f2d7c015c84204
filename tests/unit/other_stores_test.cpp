#include "detect/other_stores.hpp"

#include <doctest/doctest.h>

#include "tests/support/host_tree.hpp"

using namespace drover;

TEST_CASE("Podman's records are counted, damaged ones are not guessed") {
  HostTree host({{"/overlay-images/images.json", R"([{"id":"a","names":["x",{"y":1}]},{"id":"b"}])"},
                 {"/overlay-layers/layers.json", R"([{"id":"1","flags":{"a":[{}]}}])"},
                 {"/overlay-containers/containers.json", R"([{"id":)"}});
  OtherStore store = count_podman_store(host.root(), "overlay");
  CHECK(store.engine == "podman");
  CHECK(store.images == 2);
  CHECK(store.layers == 1);
  CHECK_FALSE(store.containers);
  CHECK(count_podman_store(host.root(), "vfs").images == 0);
  CHECK_FALSE(count_podman_store(host.root(), "").images);
}

TEST_CASE("containerd's snapshots are counted in the folders of each snapshotter") {
  HostTree host({{"/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/x", ""},
                 {"/io.containerd.snapshotter.v1.overlayfs/snapshots/2/fs/x", ""},
                 {"/io.containerd.snapshotter.v1.btrfs/active/3/x", ""},
                 {"/io.containerd.snapshotter.v1.btrfs/snapshots/4/x", ""}});
  CHECK(count_containerd_store(host.root(), "overlayfs").layers == 2);
  CHECK(count_containerd_store(host.root(), "btrfs").layers == 2);
  CHECK_FALSE(count_containerd_store(host.root(), "zfs").layers);
}
