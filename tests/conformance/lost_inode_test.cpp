// An inode that the filesystem has lost: nothing of it can be read, its attributes neither. A migration that
// keeps going leaves behind what it belongs to, and looks at it no more.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "drivers/sys/mount.hpp"
#include "drivers/sys/process.hpp"
#include "tests/conformance/place.hpp"
#include "tests/conformance/sample_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// A sample on an ext4 of its own, whose image has a name.
class DiskHost {
 public:
  DiskHost() : filesystem_{"ext4", place_.path + "/mounted", ""} {
    Dir::open(place_.path).make_dir("mounted", 0755);
    run_or_fail({"truncate", "-s", "200M", image()});
    run_or_fail({"mkfs.ext4", "-q", "-F", image()});
    mount();
    host_.emplace(filesystem_);
  }
  ~DiskHost() {
    host_.reset();
    unmount(filesystem_.path);
  }

  const SampleHost& host() const { return *host_; }

  /// Of a path below the data root.
  void lose_inode(const std::string& path) {
    std::string inside = host_->path(path).substr(filesystem_.path.size());
    unmount(filesystem_.path);
    run_or_fail({"debugfs", "-w", "-R", "clri " + inside, image()});
    mount();
    struct stat st;
    REQUIRE(::lstat(host_->path(path).c_str(), &st) != 0);
    REQUIRE(errno != ENOENT);
  }

 private:
  std::string image() const { return place_.path + "/image"; }
  void mount() const { run_or_fail({"mount", "-o", "loop", image(), filesystem_.path}); }
  static void run_or_fail(const std::vector<std::string>& argv) {
    ProcessResult result = run_process(argv);
    REQUIRE_MESSAGE(result.exit_code == 0, (argv[0] + ": " + result.err));
  }

  TestPlace place_;
  TestFilesystem filesystem_;
  std::optional<SampleHost> host_;
};

}  // namespace

TEST_CASE("keep_going: what the filesystem has lost of a record is left behind with it") {
  for (bool move : {false, true})
    for (const char* of : {"container", "layer", "image"}) {
      CAPTURE(move);
      CAPTURE(std::string(of));
      DiskHost disk;
      const SampleHost& host = disk.host();
      Inventory before = host.inventory();
      auto image = std::find_if(before.images.begin(), before.images.end(),
                                [](const auto& one) { return has(display_name(one.second), "slim"); });
      REQUIRE(image != before.images.end());
      std::string records = "image/overlay2/";
      std::string path = of == std::string("container") ? "containers/" + before.containers.begin()->first
                         : of == std::string("layer")   ? records + "layerdb/sha256/" + *image->second.top
                                                        : records + "imagedb/content/sha256/" + image->first;
      disk.lose_inode(path);
      CHECK(host.run({"migrate", "--to", "vfs", "--yes"}).code == 1);
      CHECK_FALSE(host.exists("drover"));

      TestFolder elsewhere(filesystem("xfs"));
      std::string root = move ? elsewhere.path() + "/new" : host.root();
      std::vector<std::string> words = {"migrate", "--to", "vfs", "--yes", "--keep-going"};
      if (move) words.insert(words.end(), {"--to-root", root});
      Run moved = host.run(words);
      CHECK_MESSAGE(moved.code == 3, moved.err);
      Inventory now = read_inventory(Dir::open(root), DriverKind::vfs, nullptr);
      CHECK(now.problems.empty());
      bool lost_container = of == std::string("container");
      CHECK(now.containers.size() == (lost_container ? 0 : 1));
      CHECK(now.images.size() == (lost_container ? 3 : 2));
      CHECK_FALSE(now.images.contains(lost_container ? "" : image->first));
      check_done(host.run({"rollback", "--yes"}));
      CHECK_FALSE(host.exists("drover"));
    }
}
