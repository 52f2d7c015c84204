#include "tests/conformance/sample_host.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "drivers/clone_tree.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "migrate/root_paths.hpp"
#include "migrate/stage_records.hpp"
#include "migrate/store.hpp"
#include "tests/support/sample_root.hpp"

namespace drover::test {

namespace {

constexpr const char* kConfig = "{\n  \"log-level\": \"warn\"\n}\n";

std::string compared(const std::string& a, const std::string& b) {
  Dir one = Dir::open(a), two = Dir::open(b);
  return differences(plain_view(one), Marks::none, plain_view(two), Marks::none);
}

std::unique_ptr<Driver> home_in(const std::string& root, DriverKind kind) {
  return driver_entry(kind).open(root + "/" + std::string(driver_name(kind)), {});
}

}  // namespace

SampleHost::SampleHost(const TestFilesystem& filesystem)
    : folder_(filesystem), root_(folder_.path() + "/docker"), before_(folder_.path() + "/before") {
  Dir above = Dir::open(folder_.path());
  above.make_dir("docker", 0710);
  SampleRoot sample(root_, SampleRoot::Files::overlay2);
  fill_sample_root(sample);
  write_config(kConfig);
  above.make_dir("before", 0710);
  clone_tree(above.sub("docker"), above.sub("before"), false);
}

Run run_on(const std::string& root, const std::string& config, std::vector<std::string> words,
           const std::function<void(const std::string& line)>& on_line) {
  for (const std::string& word : {std::string("--data-root"), root, std::string("--config"), config,
                                  std::string("--progress"), std::string("json")})
    words.push_back(word);
  return run_drover(std::move(words), on_line);
}

std::string run_apart_on(const std::string& root, const std::string& config,
                         const std::vector<std::string>& words,
                         const std::function<void(const std::string& line)>& on_line) {
  try {
    return in_private_mount_namespace([&] {
      Run result = run_on(root, config, words, on_line);
      return std::to_string(result.code) + "\n" + result.err;
    });
  } catch (const Error&) {
    return "killed";
  }
}

Run SampleHost::run(std::vector<std::string> words,
                    const std::function<void(const std::string& line)>& on_line) const {
  return run_on(root_, folder_.path() + "/daemon.json", std::move(words), on_line);
}

std::string SampleHost::run_apart(const std::vector<std::string>& words,
                                  const std::function<void(const std::string& line)>& on_line) const {
  return run_apart_on(root_, folder_.path() + "/daemon.json", words, on_line);
}

Inventory SampleHost::inventory() const {
  return read_inventory(Dir::open(root_), DriverKind::overlay2, nullptr);
}

bool SampleHost::exists(const std::string& below) const {
  struct stat st;
  return ::lstat(path(below).c_str(), &st) == 0;
}

std::string SampleHost::config() const {
  std::ostringstream text;
  text << std::ifstream(folder_.path() + "/daemon.json").rdbuf();
  return text.str();
}

void SampleHost::write_config(const std::string& text) const {
  std::ofstream(folder_.path() + "/daemon.json") << text;
}

std::string SampleHost::migration() const {
  auto above = Dir::try_open(path("drover"));
  if (!above) return "";
  auto entries = above->list();
  return entries.empty() ? "" : path("drover/" + entries.front().name);
}

MigrationState SampleHost::state() const {
  return Journal::read(Dir::open(migration())).state.value_or(MigrationState::ended);
}

std::string SampleHost::damage() const {
  std::string found;
  for (const char* part : {"overlay2", "image/overlay2", "containers"}) {
    if (!exists(part))
      found += std::string(part) + " is gone\n";
    else
      found += compared(before_ + "/" + part, path(part));
  }
  if (Dir::open(path("image")).list().size() != 1) found += "there are other records\n";
  if (config() != kConfig) found += "the configuration is " + config();
  return found;
}

std::string SampleHost::losses(DriverKind kind, const std::string& root) const {
  auto before = home_in(before_, DriverKind::overlay2), after = home_in(root, kind);
  std::string found;
  for (const LayerId& id : before->layers())
    found += differences(View(*before, id), before->marks(), View(*after, id), after->marks());
  if (after->layers().size() != before->layers().size()) found += "there are other layers\n";
  found += compared(before_ + "/image/overlay2", root + "/image/" + std::string(driver_name(kind)));
  Dir containers = Dir::open(root + "/containers");
  for (const DirEntry& entry : Dir::open(before_ + "/containers").list()) {
    std::string old = Dir::open(before_ + "/containers").sub(entry.name).read("config.v2.json");
    if (containers.sub(entry.name).read("config.v2.json") !=
        moved_container_config(config_for_driver(old, kind), root_, root))
      found += "the configuration of container " + entry.name + " is another\n";
  }
  return found;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string message_of(const Run& run) {
  std::size_t at = run.err.find("drover: ");
  return at == std::string::npos ? run.err : run.err.substr(at);
}

void check_done(const Run& run) { CHECK_MESSAGE(run.code == 0, run.err); }

}  // namespace drover::test
