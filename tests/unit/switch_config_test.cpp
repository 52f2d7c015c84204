#include "migrate/switch_config.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>

#include "detect/json_edit.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

constexpr const char* kOld =
    "{\n\t\"log-level\": \"warn\",\n\t\"storage-driver\": \"overlay2\",\n"
    "\t\"storage-opts\": [\"overlay2.size=10G\"]\n}";
constexpr const char* kNew = "{\n\t\"log-level\": \"warn\",\n\t\"storage-driver\": \"vfs\"\n}";

struct Host {
  HostTree tree;
  Dir kept;
  SwitchConfig config;

  static HostTree& with_kept(HostTree& tree) {
    std::filesystem::create_directory(tree.path("/kept"));
    return tree;
  }
  explicit Host(const std::optional<std::string>& text, std::vector<std::string> options = {})
      : kept(Dir::open(with_kept(tree).path("/kept"))),
        config(kept, tree.path("/etc/daemon.json"), DriverKind::overlay2, DriverKind::vfs,
               std::move(options)) {
    set_log_level(LogLevel::quiet);
    if (text) tree.write("/etc/daemon.json", *text);
    config.keep();
  }
  ~Host() { set_log_level(LogLevel::normal); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  bool exists() const { return std::filesystem::exists(tree.path("/etc/daemon.json")); }
  std::string text() const { return tree.read("/etc/daemon.json"); }
};

}  // namespace

TEST_CASE("old, on hold, new, on hold, and old again to the byte") {
  for (const std::string old :
       {kOld, "{}", "{\"a\":1}", "", " \n", "{\n  \"storage-driver\": \"overlay2\"\n}\n"}) {
    CAPTURE(old);
    Host host(old);
    CHECK_FALSE(is_on_hold(host.text()));
    host.config.hold();
    CHECK(is_on_hold(host.text()));
    std::string held = host.text();
    CHECK(held.find("run `drover migrate --resume` or `drover rollback`") != std::string::npos);
    host.config.hold();
    CHECK(host.text() == held);
    host.config.set_new();
    CHECK_FALSE(is_on_hold(host.text()));
    CHECK(json_value_text(host.text(), "storage-driver") == "\"vfs\"");
    std::string changed = host.text();
    host.config.set_new();
    CHECK(host.text() == changed);
    host.config.hold();
    CHECK(is_on_hold(host.text()));
    host.config.set_old();
    CHECK(host.text() == old);
    host.config.set_old();
    CHECK(host.text() == old);
  }
}

TEST_CASE("a file that was removed while on hold comes back with all that it said") {
  Host back(kOld), forward(kOld);
  for (Host* host : {&back, &forward}) {
    host->config.hold();
    std::filesystem::remove(host->tree.path("/etc/daemon.json"));
  }
  back.config.hold();  // as a rollback does
  CHECK(is_on_hold(back.text()));
  back.config.set_old();
  CHECK(back.text() == kOld);
  forward.config.set_new();
  CHECK(forward.text() == kNew);
  std::filesystem::remove(forward.tree.path("/etc/daemon.json"));
  forward.config.set_old();
  CHECK(forward.text() == kOld);
}

TEST_CASE("a file that was removed comes back as readable as it was, and no more") {
  HostTree tree;
  tree.write("/etc/daemon.json", kOld);
  const std::string path = tree.path("/etc/daemon.json");
  Dir kept = Dir::open(Host::with_kept(tree).path("/kept"));
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  SwitchConfig config(kept, path, DriverKind::overlay2, DriverKind::vfs, {});
  config.keep();
  auto mode_after = [&](void (SwitchConfig::*step)()) {
    std::filesystem::remove(path);
    (config.*step)();
    struct stat st;
    REQUIRE(::stat(path.c_str(), &st) == 0);
    return st.st_mode & 07777;
  };
  CHECK(mode_after(&SwitchConfig::hold) == 0600);
  CHECK(mode_after(&SwitchConfig::set_new) == 0600);
  CHECK(mode_after(&SwitchConfig::set_old) == 0600);
}

TEST_CASE("the new text names the driver, and drops what is another driver's") {
  Host host(kOld);
  host.config.hold();
  host.config.set_new();
  CHECK(host.text() == kNew);
}

TEST_CASE("options for the new driver are written") {
  Host host("{}", {"size=5G"});
  host.config.set_new();
  CHECK(host.text().find("\"size=5G\"") != std::string::npos);
  host.config.set_old();
  CHECK(host.text() == "{}");
}

TEST_CASE("a file that was absent is absent again") {
  Host host(std::nullopt);
  SUBCASE("from the new text") {
    host.config.hold();
    CHECK(is_on_hold(host.text()));
    host.config.set_new();
  }
  SUBCASE("from hold") { host.config.hold(); }
  SUBCASE("from nothing") {}
  SUBCASE("removed by the user") {
    host.config.set_new();
    std::filesystem::remove(host.tree.path("/etc/daemon.json"));
  }
  host.config.set_old();
  CHECK_FALSE(host.exists());
}

TEST_CASE("a step that was cut is taken again from wherever it was") {
  for (bool held_first : {false, true}) {
    Host host(kOld);
    if (held_first) host.config.hold();
    host.config.set_new();
    CHECK(host.text() == kNew);
  }
  Host host(kOld);
  host.config.hold();
  host.config.set_old();
  CHECK(host.text() == kOld);
}

TEST_CASE("what the user edits in between stays, the driver goes to and fro") {
  Host host(kOld);
  host.config.hold();
  SUBCASE("while it is on hold") {
    std::string text = host.text();
    text.replace(text.find("warn"), 4, "info");
    host.tree.write("/etc/daemon.json", text);
    host.config.set_new();
    CHECK(host.text() == "{\n\t\"log-level\": \"info\",\n\t\"storage-driver\": \"vfs\"\n}");
    host.config.set_old();
    CHECK(host.text().find("\"log-level\": \"info\"") != std::string::npos);
  }
  SUBCASE("under the new driver") {
    host.config.set_new();
    host.tree.write(
        "/etc/daemon.json",
        "{\n\t\"debug\": true,\n\t\"storage-driver\": \"vfs\",\n\t\"storage-opts\": [\"size=1G\"]\n}");
    host.config.hold();
    CHECK(is_on_hold(host.text()));
    host.config.set_old();
    CHECK(host.text() ==
          "{\n\t\"debug\": true,\n\t\"storage-driver\": \"overlay2\",\n"
          "\t\"storage-opts\": [\"overlay2.size=10G\"]\n}");
  }
  SUBCASE("under the new driver, another key only") {
    host.config.set_new();
    std::string text = host.text();
    text.replace(text.find("warn"), 4, "info");
    host.tree.write("/etc/daemon.json", text);
    host.config.set_old();
    CHECK(host.text() ==
          "{\n\t\"log-level\": \"info\",\n\t\"storage-driver\": \"overlay2\",\n"
          "\t\"storage-opts\": [\"overlay2.size=10G\"]\n}");
  }
  CHECK_FALSE(is_on_hold(host.text()));
  CHECK(host.text().find("\"storage-driver\": \"overlay2\"") != std::string::npos);
}

TEST_CASE("a file that was absent and was edited since stays, without the driver") {
  Host host(std::nullopt);
  host.config.set_new();
  host.tree.write("/etc/daemon.json", "{\n  \"debug\": true,\n  \"storage-driver\": \"vfs\"\n}\n");
  host.config.set_old();
  CHECK(host.text() == "{\n  \"debug\": true\n}\n");
}

TEST_CASE("the old text is kept anew by the next migration, whether there was a file or none") {
  Host host(kOld);
  std::filesystem::remove(host.tree.path("/etc/daemon.json"));
  host.config.keep();
  host.config.set_new();
  host.config.set_old();
  CHECK_FALSE(host.exists());
  host.tree.write("/etc/daemon.json", kOld);
  host.config.keep();
  host.config.set_new();
  host.config.set_old();
  CHECK(host.text() == kOld);
}

TEST_CASE("mode and place of the file are kept") {
  Host host(kOld);
  std::filesystem::rename(host.tree.path("/etc/daemon.json"), host.tree.path("/etc/real.json"));
  host.tree.link("/etc/daemon.json", "real.json");
  REQUIRE(::chmod(host.tree.path("/etc/real.json").c_str(), 0600) == 0);
  host.config.hold();
  host.config.set_new();
  CHECK(std::filesystem::is_symlink(host.tree.path("/etc/daemon.json")));
  CHECK(host.tree.read("/etc/real.json") == kNew);
  struct stat st {};
  REQUIRE(::stat(host.tree.path("/etc/real.json").c_str(), &st) == 0);
  CHECK((st.st_mode & 07777) == 0600);
  CHECK(host.tree.names("/etc") == std::vector<std::string>{"daemon.json", "real.json"});
}

TEST_CASE("a text that is no JSON object is never written over") {
  Host host(kOld);
  host.tree.write("/etc/daemon.json", "garbage");
  CHECK_THROWS_AS(host.config.hold(), Error);
  CHECK_THROWS_AS(host.config.set_new(), Error);
  CHECK_THROWS_AS(host.config.set_old(), Error);
  CHECK(host.text() == "garbage");
}
