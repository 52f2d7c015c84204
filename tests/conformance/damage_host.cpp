#include "tests/conformance/damage_host.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "drivers/clone_tree.hpp"
#include "tests/support/tar_split_writer.hpp"

namespace drover::test {

namespace {

namespace fs = std::filesystem;

std::string name_of(DriverKind kind) { return std::string(driver_name(kind)); }

void cut_in_half(const std::string& file) { fs::resize_file(file, fs::file_size(file) / 2); }

void overwrite(const Fd& file, off_t at) { REQUIRE(::pwrite(file.get(), "damage", 6, at) == 6); }

const ImageRecord& image_in(const Inventory& inventory, const std::string& reference) {
  for (const auto& [id, image] : inventory.images)
    if (std::count(image.references.begin(), image.references.end(), reference)) return image;
  throw std::runtime_error("no image " + reference);
}

}  // namespace

/// All of it behind drover's back.
struct Damages {
  static Fd open_for_writing(const DamageHost& at, const std::string& image, const std::string& folder,
                             const char* file) {
    auto home = driver_entry(at.source).open(at.host.path(name_of(at.source)), {});
    return home->open(at.top_files(image)).root.walk(folder).open_file(file, O_WRONLY);
  }
  static void flip_byte(DamageHost& at) {
    overwrite(open_for_writing(at, "sample-app:1", "opt/app", "data"), 1000);
  }
  static void flip_byte_of_top(DamageHost& at) {
    overwrite(open_for_writing(at, "sample-app:slim", "opt/cache", "third"), 3);
  }
  static void lose_layer(DamageHost& at) {
    driver_entry(at.source)
        .open(at.host.path(name_of(at.source)), {})
        ->remove(at.top_files("sample-app:slim"));
  }
  static void lose_tar_split(DamageHost& at) {
    fs::remove(at.layer_record("sample-app:1", "tar-split.json.gz"));
  }
  static void cut_tar_split(DamageHost& at) {
    cut_in_half(at.layer_record("sample-app:slim", "tar-split.json.gz"));
  }
  /// Whole as a stream and as JSON, and not this layer's.
  static void replace_tar_split(DamageHost& at, const std::string& image,
                                const std::function<std::string(const std::string& lines)>& change) {
    std::string file = at.layer_record(image, "tar-split.json.gz");
    Dir folder = Dir::open(fs::path(file).parent_path());
    std::string packed = gzip(change(gunzip(folder.read("tar-split.json.gz"))));
    folder.write_atomic("tar-split.json.gz", packed, 0644, 0, 0);
  }
  static void change_tar_split(DamageHost& at) { replace_tar_split(at, "sample-app:slim", with_other_mode); }
  static void empty_tar_split(DamageHost& at) {
    replace_tar_split(at, "sample-app:1", [](const std::string&) { return std::string(); });
  }
  static void lose_layer_record(DamageHost& at) { fs::remove_all(at.layer_record("sample-app:1", "")); }
  static void break_layer_record(DamageHost& at) {
    fs::resize_file(at.layer_record("sample-app:slim", "cache-id"), 0);
  }
  static void cut_container_config(DamageHost& at) { cut_in_half(at.container_file("config.v2.json")); }
  static void lose_container_config(DamageHost& at) { fs::remove(at.container_file("config.v2.json")); }
  static void cut_host_config(DamageHost& at) { cut_in_half(at.container_file("hostconfig.json")); }
  static std::string image_config(const DamageHost& at) {
    return at.host.path("image/" + name_of(at.source) + "/imagedb/content/sha256/" +
                        image_in(at.sound_, "sample-app:1").id);
  }
  static void cut_image_config(DamageHost& at) { cut_in_half(image_config(at)); }
  static void lose_image_config(DamageHost& at) { fs::remove(image_config(at)); }
  static void lose_writable_layer(DamageHost& at) {
    const MountRecord& mount = at.sound_.mounts.begin()->second;
    driver_entry(at.source).open(at.host.path(name_of(at.source)), {})->remove(mount.mount_id);
  }
};

const std::vector<DamageHost::Kind>& DamageHost::kinds() {
  const std::vector<std::string> all_of_app = {"sample-app:1", "sample-app:slim", "worker"},
                                 slim = {"sample-app:slim"}, worker = {"worker"};
  static const std::vector<Kind> kKinds = {
      {"a flipped byte", Damages::flip_byte, all_of_app, true},
      {"a flipped byte in a top layer", Damages::flip_byte_of_top, slim, true},
      {"a layer's files are gone", Damages::lose_layer, slim},
      {"a tar-split is gone", Damages::lose_tar_split, all_of_app},
      {"a tar-split is cut off", Damages::cut_tar_split, slim},
      {"a tar-split is whole but wrong", Damages::change_tar_split, slim, true},
      {"a tar-split is whole but empty", Damages::empty_tar_split, all_of_app, true},
      {"a layer's record is gone", Damages::lose_layer_record, all_of_app},
      {"a layer's record is broken", Damages::break_layer_record, slim},
      {"a container's configuration is cut off", Damages::cut_container_config, worker},
      {"a container's configuration is gone", Damages::lose_container_config, worker},
      {"a container's host configuration is cut off", Damages::cut_host_config, worker},
      {"an image's configuration is cut off", Damages::cut_image_config, {"sample-app:1"}},
      {"an image's configuration is gone", Damages::lose_image_config, {"sample-app:1"}},
      {"a container's files are gone", Damages::lose_writable_layer, worker},
  };
  return kKinds;
}

DamageHost::DamageHost(DriverKind driver, const TestFilesystem& filesystem)
    : host(filesystem), source(driver), folder_(filesystem) {
  if (source == DriverKind::overlay2) return;
  check_done(host.run({"migrate", "--to", name_of(source), "--yes"}));
  check_done(host.run({"commit", "--yes"}));
}

Inventory DamageHost::records() const { return read_inventory(Dir::open(host.root()), source, nullptr); }

std::string DamageHost::layer_record(const std::string& image, const std::string& file) const {
  return host.path("image/" + name_of(source) + "/layerdb/sha256/" + *image_in(sound_, image).top + "/" +
                   file);
}

LayerId DamageHost::top_files(const std::string& image) const {
  return sound_.layers.at(*image_in(sound_, image).top).cache_id;
}

std::string DamageHost::container_file(const std::string& file) const {
  return host.path("containers/" + sound_.containers.begin()->first + "/" + file);
}

void DamageHost::damage(const Kind& kind) {
  sound_ = records();
  REQUIRE(sound_.images.size() == 3);
  REQUIRE(sound_.containers.size() == 1);
  kind.make(*this);
  Dir above = Dir::open(folder_.path());
  above.make_dir("before", 0710);
  clone_tree(Dir::open(host.root()), above.sub("before"), false);
  above.write_new("daemon.json", host.config(), 0600);
}

std::string DamageHost::changes() const {
  Dir before = Dir::open(folder_.path()).sub("before"), now = Dir::open(host.root());
  std::string found;
  for (const std::string& part :
       {name_of(source), "image/" + name_of(source), std::string("containers"), std::string("buildkit")}) {
    auto was = before.try_walk(part), is = now.try_walk(part);
    if (!was != !is) found += part + (was ? " is gone\n" : " is new\n");
    if (was && is) found += differences(plain_view(*was), Marks::none, plain_view(*is), Marks::none);
  }
  if (Dir::open(folder_.path()).read("daemon.json") != host.config()) found += "the configuration differs\n";
  return found;
}

Run DamageHost::migrate(DriverKind target, std::vector<std::string> more) const {
  std::vector<std::string> words = {"migrate", "--to", name_of(target), "--yes"};
  words.insert(words.end(), more.begin(), more.end());
  return host.run(words);
}

void DamageHost::check_rest(DriverKind target, const Kind& kind) const {
  std::set<std::string> left(kind.left.begin(), kind.left.end());
  Dir root = Dir::open(host.root());
  auto home = driver_entry(target).open(host.path(name_of(target)), {});
  Inventory now = read_inventory(root, target, home.get());
  std::string problems;
  for (const StoreProblem& problem : now.problems) problems += problem.what + "\n";
  CHECK(problems == "");
  for (const auto& [id, image] : sound_.images) {
    CHECK(now.images.contains(id) == !left.contains(display_name(image)));
    if (now.images.contains(id)) CHECK(now.images.at(id).references == image.references);
  }
  for (const auto& [id, container] : sound_.containers) {
    CHECK(now.containers.contains(id) == !left.contains(container.name));
    CHECK(root.sub("containers").exists(id) == !left.contains(container.name));
  }
  // No file of the records is there that the inventory does not know.
  Dir records = root.sub("image").sub(name_of(target));
  CHECK(records.walk("layerdb/sha256").list().size() == now.layers.size());
  CHECK(records.walk("layerdb/mounts").list().size() == now.mounts.size());
  CHECK(records.walk("imagedb/content/sha256").list().size() == now.images.size());
  CHECK(records.walk("imagedb/metadata/sha256").list().size() == now.images.size());
  CHECK(home->layers().size() == now.layers.size() + 2 * now.mounts.size());
  // Each layer that is there shows what the source's shows, which is still there.
  auto before = driver_entry(source).open(host.migration() + "/kept/home", {});
  for (const LayerId& id : home->layers())
    CHECK(differences(View(*before, id), before->marks(), View(*home, id), home->marks()) == "");
  check_done(host.run({"verify"}));
}

}  // namespace drover::test
