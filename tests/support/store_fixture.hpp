#pragma once
#include <filesystem>
#include <set>
#include <stdexcept>

#include "drivers/driver.hpp"
#include "migrate/store.hpp"
#include "tests/support/host_tree.hpp"
#include "tests/support/sample_root.hpp"

namespace drover::test {

/// A driver's home that is but a list of names.
class ListedHome : public Driver {
 public:
  std::set<LayerId> ids;
  DriverKind kind() const noexcept override { return DriverKind::overlay2; }
  LayerForm form() const noexcept override { return LayerForm::delta; }
  Marks marks() const noexcept override { return Marks::overlay; }
  std::vector<std::string_view> furniture() const override { return {}; }
  std::vector<LayerId> layers() const override { return {ids.begin(), ids.end()}; }
  bool contains(const LayerId& id) const override { return ids.contains(id); }
  std::vector<LayerId> stack(const LayerId&) const override { return {}; }
  OpenLayer open(const LayerId&) const override { return {}; }
  void make_home() override {}
  OpenLayer create(const LayerId&, const std::optional<LayerId>&, const CreateOptions&) override {
    return {};
  }
  void seal(const LayerId&) override {}
  void remove(const LayerId&) override {}
  void remove_home() override {}
};

/// A small store and ways to damage it: base:1, app:1 on it (with a second tag and a digest), an image
/// without a tag on that, other:1 by itself; a container of app:1 and one of other:1.
struct StoreFixture {
  HostTree tree;
  SampleRoot root{tree.root(), SampleRoot::Files::none};
  Digest base = root.add_layer(std::nullopt, {file("base", "1")});
  Digest app = root.add_layer(base, {file("app", "2"), whiteout("base")});
  Digest top = root.add_layer(app, {directory("top")});
  Digest other = root.add_layer(std::nullopt, {file("other", "3")});
  Digest base_image = root.add_image("base:1", base, "/base");
  Digest app_image = root.add_image("reg:5000/app:1", app, "/app");
  Digest untagged_image = root.add_image("", top, "/top");
  Digest other_image = root.add_image("other:1", other, "/other");
  std::string worker = root.add_container("worker", app_image, {}, "");
  std::string idle = root.add_container("idle", other_image, {}, "");
  ListedHome home;

  StoreFixture() {
    root.tag("app:latest", app_image);
    root.tag("app@sha256:" + base, app_image);
    for (const Digest& chain_id : {base, app, top, other}) home.ids.insert(root.layer(chain_id).cache_id);
    for (const std::string& id : {worker, idle}) {
      home.ids.insert(root.mount(id).mount_id);
      home.ids.insert(*root.mount(id).init_id);
    }
  }

  Inventory read() const { return read_inventory(Dir::open(tree.root()), DriverKind::overlay2, &home); }
  std::string layer(const Digest& chain_id, const std::string& file) const {
    return "/image/overlay2/layerdb/sha256/" + chain_id + "/" + file;
  }
  std::string mount(const std::string& name, const std::string& file) const {
    return "/image/overlay2/layerdb/mounts/" + name + "/" + file;
  }
  std::string image(const Digest& id) const { return "/image/overlay2/imagedb/content/sha256/" + id; }
  std::string container(const std::string& id, const std::string& file) const {
    return "/containers/" + id + "/" + file;
  }
  void remove(const std::string& below) const {
    if (std::filesystem::remove_all(tree.path(below)) == 0) throw std::runtime_error("nothing at " + below);
  }
  void replace(const std::string& below, const std::string& from, const std::string& to) const {
    std::string text = tree.read(below);
    if (text.find(from) == std::string::npos) throw std::runtime_error("no " + from + " in " + below);
    tree.write(below, text.replace(text.find(from), from.size(), to));
  }
};

/// A problem as one line: "what | concerns | fatal".
inline std::string line_of(const StoreProblem& problem) {
  std::string line = problem.what + " |";
  for (const std::string& name : problem.concerns) line += " " + name;
  return line + (problem.fatal ? " | fatal" : " | ignored");
}

/// All problems, one a line; empty if there is none.
inline std::string problem_of(const StoreFixture& fixture) {
  Inventory inventory = fixture.read();
  std::string lines;
  for (const StoreProblem& problem : inventory.problems)
    lines += (lines.empty() ? "" : "\n") + line_of(problem);
  return lines;
}

/// Who stands on the layer `app`.
inline std::string on_app(const StoreFixture& fixture) {
  return " | app:latest " + short_id(fixture.untagged_image) + " worker | fatal";
}

}  // namespace drover::test
