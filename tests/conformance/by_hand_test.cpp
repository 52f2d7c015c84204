// Where drover's own records are lost: nothing is done, and docs/safety.md tells the way back by hand.
#include <doctest/doctest.h>

#include <filesystem>

#include "tests/conformance/move_host.hpp"

using namespace drover;
using namespace drover::test;

namespace {
const std::vector<std::string> kChanges[] = {{"rollback", "--yes"},
                                             {"commit", "--yes"},
                                             {"migrate", "--resume", "--yes"},
                                             {"migrate", "--to", "vfs", "--yes", "--force"},
                                             {"export", "-o", "/dev/null"}};
}  // namespace

TEST_CASE("where drover's own records are lost the old setup can be put back by hand") {
  for (const char* lost : {"plan.json", "journal"}) {
    CAPTURE(std::string(lost));
    SampleHost host(filesystem("ext4"));
    check_done(host.run({"migrate", "--to", "vfs", "--yes", "--force"}));
    Dir root = Dir::open(host.root()), folder = Dir::open(host.migration()), kept = folder.sub("kept");
    folder.unlink(lost);
    for (const auto& words : kChanges) {
      Run refused = host.run(words);
      CHECK(refused.code == 1);
      CHECK_MESSAGE(has(message_of(refused), lost), refused.err);
    }
    // As docs/safety.md tells it.
    for (const char* twin : {"containers", "buildkit"}) {
      if (!kept.exists(twin)) continue;
      root.rename(twin, folder, std::string("new-") + twin);
      kept.rename(twin, root, twin);
    }
    root.rename("vfs", folder, "new-home");
    root.sub("image").rename("vfs", folder, "new-image");
    kept.rename("home", root, "overlay2");
    kept.rename("image", root.sub("image"), "overlay2");
    host.write_config(kept.read("config"));
    CHECK(host.damage() == "");
  }
}

TEST_CASE("where those of a move to a new root are lost the old root is put in force by hand") {
  for (const char* lost : {"plan.json", "journal"}) {
    CAPTURE(std::string(lost));
    MoveHost move("xfs");
    const std::string config = move.host.config();
    check_done(move.migrate());
    Dir own = Dir::open(move.root + "/drover"), folder = own.sub(own.list().at(0).name);
    folder.unlink(lost);
    for (const auto& words : kChanges) {
      Run refused = move.run_by_config(words);
      CHECK(refused.code == 1);
      CHECK_MESSAGE(has(message_of(refused), lost), refused.err);
    }
    move.check_untouched();
    // As docs/safety.md tells it.
    move.host.write_config(folder.sub("kept").read("config"));
    std::filesystem::remove_all(move.host.path("drover"));
    CHECK(move.host.config() == config);
    CHECK(move.host.damage() == "");
    move.check_untouched();
    check_done(move.host.run({"verify"}));
  }
}
