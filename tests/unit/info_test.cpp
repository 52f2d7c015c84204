#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cmd/app.hpp"
#include "cmd/info_report.hpp"
#include "cmd/render.hpp"
#include "drivers/sys/size_text.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
using K = DriverKind;
using Json = nlohmann::json;

namespace {

InfoReport sample_report() {
  InfoReport report;
  HostReport& host = report.host;
  host.host = {"6.1.0", {"ext4", "overlay"}, {"xfs"}};
  host.config.config_path = "/etc/docker/daemon.json";
  host.engine = EngineVersion{28, 5, "28.5.2"};
  host.engine_running = true;
  host.engine_holder = "dockerd (pid 7)";
  host.root = {"/var/lib/docker", "default", true, {}};
  host.backing = {.type = "extfs",
                  .kernel_type = "ext4",
                  .mount_point = "/",
                  .source = "/dev/vda",
                  .place = "/var/lib/docker",
                  .total_bytes = 20'000'000'000,
                  .free_bytes = 1'234'567'890,
                  .total_inodes = 1000000,
                  .free_inodes = 12345,
                  .d_type = true,
                  .reflink = false,
                  .xattr = std::nullopt};
  host.current.kind = K::overlay2;
  host.current.name = "overlay2";
  host.current.source = "prior state on disk";
  host.current.priors = host.current.homes = {K::overlay2};
  Probe good{
      Probe::Usable::yes, "", "mounted one", "", {{"Supports d_type", "true"}, {"Using metacopy", "false"}}};
  Probe bad{Probe::Usable::no, "no btrfs", "statfs", "make one", {}};
  host.drivers =
      rank_drivers({{K::overlay2, good}, {K::btrfs, bad}, {K::aufs, good}}, Workload::general, host.engine);
  StoreSummary active;
  active.driver = "overlay2";
  active.active = true;
  active.images = 3;
  active.containers = 1;
  active.layers = 12;
  active.build_cache = 0;
  active.orphans = 2;
  active.bytes = 48'200'000;
  StoreSummary old;
  old.driver = "au\x1b[31mfs";
  old.containers = 4;
  old.hidden_reason = "no engine has it";
  old.problems = {{"layer abc is missing", {"app:1"}, true}};
  report.stores = {active, old};
  OtherStore podman;
  podman.engine = "podman";
  podman.driver = "overlay";
  podman.root = "/var/lib/containers/storage";
  podman.configured = true;
  podman.images = podman.containers = podman.layers = 5;
  host.other_stores = {podman};
  return report;
}

constexpr const char* kText = R"(Host:
 Kernel Version: 6.1.0
 Filesystems: ext4 overlay
 Loadable Filesystems: xfs
Engine:
 Installed: 28.5.2
 Running: true, dockerd (pid 7)
 Configuration: /etc/docker/daemon.json (absent)
Data Root: /var/lib/docker
 Found By: default
Backing Filesystem: extfs (ext4)
 Mount Point: / (/dev/vda)
 Free Space: 1.235GB of 20GB
 Free Inodes: 12,345 of 1,000,000
 Supports d_type: true
 Supports Reflinks: false
 Supports xattrs: not tried
 Container Quota: none
Storage Driver: overlay2
 Chosen By: prior state on disk
 Supports d_type: true
 Using metacopy: false
Stores:
 DRIVER         ACTIVE   IMAGES   CONTAINERS   LAYERS   BUILD CACHE   ORPHANED   SIZE
 overlay2       *        3        1            12       0             2          48.2MB
 au\x1b[31mfs            ?        4            ?        ?             ?          -
 Hidden: au\x1b[31mfs: no engine has it
 Damaged: au\x1b[31mfs: layer abc is missing (needed by app:1)
Drivers:
 overlay2: usable, recommended
  Evidence: mounted one
 btrfs: not usable
  Reason: no btrfs
  Evidence: statfs
  Fix: make one
 aufs: not usable
  Reason: the installed engine (28.5.2) no longer has it; the last that had it is 23
  Evidence: mounted one
  Fix: choose a driver that the engine has: drover select
Other Stores:
 ENGINE   DRIVER    CONFIGURED   IMAGES   CONTAINERS   LAYERS   ROOT
 podman   overlay   *            5        5            5        /var/lib/containers/storage
)";

void collect_keys(const Json& value, std::vector<std::string>& keys) {
  if (!value.is_structured()) return;
  for (const auto& [key, below] : value.items()) {
    if (value.is_object()) keys.push_back(key);
    if (key != "driver_status") collect_keys(below, keys);
  }
}

}  // namespace

TEST_CASE("info as text") {
  std::ostringstream out;
  print_info_text(out, sample_report());
  CHECK(out.str() == kText);
}

TEST_CASE("info as JSON holds the promised keys, and the page on its schema names each") {
  std::ostringstream out;
  print_info_json(out, sample_report());
  CHECK(out.str().find('\x1b') == std::string::npos);
  Json json = Json::parse(out.str());
  CHECK(json["data_root"] == "/var/lib/docker");
  CHECK(json["driver"] == "overlay2");
  CHECK(json["driver_source"] == "prior state on disk");
  CHECK(json["backing_filesystem"]["type"] == "extfs");
  CHECK(json["backing_filesystem"]["xattr"].is_null());
  CHECK(json["engine"]["running"] == true);
  CHECK(json["driver_status"]["Supports d_type"] == "true");
  REQUIRE(json["stores"].size() == 2);
  CHECK(json["stores"][0]["bytes"] == 48'200'000);
  CHECK(json["stores"][1]["images"].is_null());
  CHECK(json["stores"][1]["driver"] == "au\x1b[31mfs");
  REQUIRE(json["drivers"].size() == 3);
  CHECK(json["drivers"][0]["recommended"] == true);
  CHECK(json["drivers"][2]["usable"] == false);
  CHECK(json["drivers"][2]["level"] == "no");
  std::ifstream page(std::string(TESTS_DIR) + "/../docs/info-schema.md");
  std::stringstream text;
  text << page.rdbuf();
  std::vector<std::string> keys;
  collect_keys(json, keys);
  CHECK(keys.size() > 50);
  for (const auto& key : keys) {
    CAPTURE(key);
    CHECK(text.str().find("`" + key + "`") != std::string::npos);
  }
}

TEST_CASE("what is not known is said so, not taken for nothing") {
  InfoReport report = sample_report();
  report.stores.reset();
  report.host.engine_running.reset();
  report.host.engine_holder.reset();
  report.host.current = {};
  std::ostringstream out;
  print_info_text(out, report);
  for (const char* line : {" Running: not known\n", "\nStorage Driver: not known\n", "\nStores: not known\n"})
    CHECK(out.str().find(line) != std::string::npos);
}

TEST_CASE("info on a data root that is not there tells of its nearest parent") {
  HostTree host;
  host.write("/daemon.json", "{}");
  std::string root = host.path("/no/docker"), config = host.path("/daemon.json");
  std::vector<std::string> words = {"drover",   "info", "--data-root", root,
                                    "--config", config, "--format",    "json"};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  std::ostringstream out, err;
  run_app(static_cast<int>(argv.size()), argv.data(), out, err);
  Json json = Json::parse(out.str());
  CHECK(json["data_root"] == root);
  CHECK(json["data_root_exists"] == false);
  CHECK(json["backing_filesystem"]["place"] == host.root());
  CHECK(json["drivers"].size() == 8);
  CHECK(json["stores"].empty());
  CHECK(json["engine"]["running"] == false);
  CHECK(host.names("") == std::vector<std::string>{"daemon.json"});  // nothing is left behind
}

TEST_CASE("sizes and counts are written as the engine writes them") {
  CHECK(human_size(0) == "0B");
  CHECK(human_size(999) == "999B");
  CHECK(human_size(1000) == "1kB");
  CHECK(human_size(1'982'464) == "1.982MB");
  CHECK(human_size(270'600'000'000) == "270.6GB");
  CHECK(human_count(999) == "999");
  CHECK(human_count(1000) == "1,000");
  CHECK(human_count(1'234'567) == "1,234,567");
}

TEST_CASE("table cells are aligned by characters, not bytes, and cannot steer a terminal") {
  Table table({"A", "B"});
  table.row({"\xc3\xa9", "1"});
  table.row({"a\nb", "2"});
  std::ostringstream out;
  table.print(out, 1);
  CHECK(out.str() == " A        B\n \xc3\xa9        1\n a\\x0ab   2\n");
}
