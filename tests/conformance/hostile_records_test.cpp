// Records that are no records: something else in a file's place, JSON without end, metadata that leads round
// in a circle or out of the data root. Every command ends soon, with little memory, and opens and changes
// nothing that it should not.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "drivers/sys/error.hpp"
#include "drivers/sys/sha256.hpp"
#include "tests/conformance/confined.hpp"
#include "tests/conformance/sample_host.hpp"

namespace fs = std::filesystem;
using namespace drover;
using namespace drover::test;

namespace {

const Means kQuick{.files = 64, .stack_bytes = 512 << 10, .memory_bytes = 1024 << 20, .seconds = 30};

std::vector<std::string> on_host(const SampleHost& host, std::vector<std::string> words) {
  std::string config = host.root().substr(0, host.root().rfind('/')) + "/daemon.json";
  for (const std::string& word : {std::string("--data-root"), host.root(), std::string("--config"), config})
    words.push_back(word);
  return words;
}

const std::vector<std::vector<std::string>> kLooks = {
    {"info"}, {"layers"}, {"verify"}, {"migrate", "--to", "vfs", "--dry-run"}};

/// Runs every command that only looks. Each must end by itself; what they said, one after another.
std::string look(const SampleHost& host) {
  std::string said;
  for (const auto& words : kLooks) {
    Confined done = drover_confined(on_host(host, words), kQuick);
    CAPTURE(words[0]);
    CHECK_MESSAGE(!has(done.text, "killed by"), done.text);
    CHECK_MESSAGE(!has(done.text, "threw:"), done.text);
    CHECK_MESSAGE(!has(done.text, "bad_alloc"), done.text);
    said += words[0] + ": " + done.text;
  }
  return said;
}

/// All files that Docker or the driver keeps beside the layers' own content.
std::vector<std::string> record_files(const SampleHost& host) {
  std::vector<std::string> files;
  for (auto at = fs::recursive_directory_iterator(host.root()); at != fs::recursive_directory_iterator();
       ++at) {
    if (at->path().filename() == "diff" && at->is_directory()) at.disable_recursion_pending();
    if (at->is_regular_file() && !at->is_symlink()) files.push_back(at->path().string());
  }
  return files;
}

void write_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string only_below(const std::string& folder) { return fs::directory_iterator(folder)->path().string(); }

/// A file that something else may take the place of, until this ends: then all is as it was, times too.
class Replaced {
 public:
  Replaced(const SampleHost& host, std::string path)
      : path_(std::move(path)), aside_(host.root() + "/../aside-" + sha256_hex(path_)) {
    folder_ = path_.substr(0, path_.rfind('/'));
    REQUIRE(::stat(folder_.c_str(), &times_) == 0);
    had_ = ::rename(path_.c_str(), aside_.c_str()) == 0;
  }
  ~Replaced() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    if (had_) CHECK(::rename(aside_.c_str(), path_.c_str()) == 0);
    timespec times[2] = {times_.st_atim, times_.st_mtim};
    CHECK(::utimensat(AT_FDCWD, folder_.c_str(), times, 0) == 0);
  }
  Replaced(const Replaced&) = delete;
  Replaced& operator=(const Replaced&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_, aside_, folder_;
  struct stat times_ {};
  bool had_ = false;
};

std::string container_config(const SampleHost& host) {
  return only_below(host.path("containers")) + "/config.v2.json";
}

std::string repeat(const std::string& part, std::size_t times) {
  std::string text;
  text.reserve(part.size() * times);
  while (times-- > 0) text += part;
  return text;
}

}  // namespace

TEST_CASE("what lies in a record's place is looked at, and opened only if it is a regular file") {
  SampleHost host(filesystem("ext4"));
  struct Kind {
    const char* name;
    mode_t mode;
    dev_t device;
  };
  std::vector<std::string> files = record_files(host);
  REQUIRE(files.size() > 40);
  for (const Kind& kind : {Kind{"fifo", S_IFIFO | 0644, 0}, Kind{"device", S_IFCHR | 0600, makedev(5, 1)}}) {
    for (const std::string& path : files) {
      CAPTURE(std::string(kind.name));
      CAPTURE(path);
      Replaced file(host, path);
      REQUIRE(::mknod(path.c_str(), kind.mode, kind.device) == 0);
      OpenWatch watch(path);
      Confined done = drover_confined(on_host(host, {"migrate", "--to", "vfs", "--dry-run"}), kQuick);
      CHECK_MESSAGE(!has(done.text, "killed by"), done.text);
      if (has(path, "config.v2.json") || has(path, "cache-id") || has(path, "tar-split"))
        CHECK_MESSAGE(!done.text.starts_with("0\n"), done.text);
      done = drover_confined(on_host(host, {"verify"}), kQuick);
      CHECK_MESSAGE(!has(done.text, "killed by"), done.text);
      CHECK_FALSE(watch.was_opened());
    }
  }
  CHECK(host.damage() == "");
}

TEST_CASE("a configuration, a lock and a journal that are no files are not opened") {
  SampleHost host(filesystem("ext4"));
  std::string config = host.root().substr(0, host.root().rfind('/')) + "/daemon.json";
  auto refused = [&](const std::string& path, std::vector<std::string> words) {
    CAPTURE(path);
    OpenWatch watch(path);
    Confined done = drover_confined(on_host(host, std::move(words)), kQuick);
    CHECK_MESSAGE(has(done.text, "regular file"), done.text);
    CHECK_FALSE(done.text.starts_with("0\n"));
    CHECK_FALSE(watch.was_opened());
  };
  fs::remove(config);
  REQUIRE(::mkfifo(config.c_str(), 0644) == 0);
  refused(config, {"migrate", "--to", "vfs", "-y"});
  fs::remove(config);
  host.write_config("{\n  \"log-level\": \"warn\"\n}\n");
  fs::remove_all(host.path("volumes"));
  fs::create_directory(host.path("volumes"));
  REQUIRE(::mknod(host.path("volumes/metadata.db").c_str(), S_IFCHR | 0600, makedev(5, 1)) == 0);
  refused(host.path("volumes/metadata.db"), {"migrate", "--to", "vfs", "-y"});
  fs::remove_all(host.path("volumes"));
  CHECK(host.run_apart({"migrate", "--to", "vfs", "-y"}, [](const std::string& line) {
    if (has(line, "\"switching")) ::_exit(9);
  }) == "killed");
  REQUIRE(host.migration() != "");
  for (const char* name : {"journal", "plan.json"}) {
    std::string path = host.migration() + "/" + name;
    fs::rename(path, path + ".aside");
    REQUIRE(::mkfifo(path.c_str(), 0644) == 0);
    refused(path, {"migrate", "--resume", "-y"});
    refused(path, {"rollback", "-y"});
    fs::remove(path);
    fs::rename(path + ".aside", path);
  }
  check_done(host.run({"rollback", "-y"}));
  CHECK(host.damage() == "");
}

TEST_CASE("JSON without end is refused soon, and with little memory") {
  SampleHost host(filesystem("ext4"));
  Snapshot before = snapshot(host.root());
  const std::size_t kMega = at_full_size("JSON of 3 MB in place of 15") ? 5 << 20 : 1 << 20;
  std::vector<std::pair<const char*, std::string>> texts = {
      {"100 MB", "{\"a\":\"" + std::string(100 << 20, 'x') + "\"}"},
      {"deep lists", repeat("[", 3 * kMega)},
      {"deep objects", repeat("{\"a\":", kMega / 2)},
      {"objects in a list", "[{}" + repeat(",{}", kMega) + "]"},
      {"lists in a list", "[[]" + repeat(",[]", kMega) + "]"},
      {"numbers", "[0" + repeat(",0", kMega * 3 / 2) + "]"},
      {"a long number", std::string(3 * kMega, '9')},
      {"an exponent", "{\"a\":1e99999999999999999999}"},
      {"a text that does not end", "\"" + std::string(3 * kMega, '\\')},
  };
  std::vector<std::string> targets = {container_config(host), host.path("image/overlay2/repositories.json")};
  for (const auto& [what, text] : texts) {
    const std::string name = what;
    for (const std::string& path : targets) {
      CAPTURE(name);
      CAPTURE(path);
      Replaced file(host, path);
      write_text(path, text);
      Confined done = drover_confined(on_host(host, {"migrate", "--to", "vfs", "--dry-run"}), kQuick);
      CHECK_MESSAGE(!has(done.text, "killed by"), done.text);
      CHECK_MESSAGE(!has(done.text, "bad_alloc"), done.text);
      CHECK_MESSAGE(!done.text.starts_with("0\n"), done.text);
      CHECK(done.text.size() < 8000);
      CHECK(done.peak_bytes < (512L << 20));
    }
    // An image's configuration must have its ID as its digest: then it is read, too.
    std::string image = host.path("image/overlay2/imagedb/content/sha256/" + sha256_hex(text));
    Replaced file(host, image);
    write_text(image, text);
    Confined done = drover_confined(on_host(host, {"verify"}), kQuick);
    CHECK_MESSAGE(!has(done.text, "killed by"), done.text);
  }
  CHECK(host.damage() == "");
}

TEST_CASE("metadata that leads round in a circle, out of the root or nowhere ends") {
  SampleHost host(filesystem("ext4"));
  std::string layers = host.path("image/overlay2/layerdb/sha256"),
              mounts = host.path("image/overlay2/layerdb/mounts");
  std::vector<std::string> chains;
  for (const auto& entry : fs::directory_iterator(layers)) chains.push_back(entry.path().string());
  REQUIRE(chains.size() >= 3);
  std::string mount = only_below(mounts), config = container_config(host);
  std::string repositories = host.path("image/overlay2/repositories.json");
  auto id_of_chain = [&](std::size_t i) { return "sha256:" + chains[i].substr(chains[i].rfind('/') + 1); };
  auto with = [&](const std::string& path, const std::string& text) {
    CAPTURE(path);
    CAPTURE(text.substr(0, 100));
    Replaced file(host, path);
    write_text(path, text);
    std::string said = look(host);
    CHECK_MESSAGE(!has(said, "migrate: 0\n"), said);
  };
  // Each layer the parent of the next one, the last one of the first; and one its own.
  {
    std::vector<std::unique_ptr<Replaced>> parents;
    for (std::size_t i = 0; i < chains.size(); ++i) {
      parents.push_back(std::make_unique<Replaced>(host, chains[i] + "/parent"));
      write_text(chains[i] + "/parent", id_of_chain((i + 1) % chains.size()));
    }
    CHECK(!has(look(host), "migrate: 0\n"));
  }
  with(chains[0] + "/parent", id_of_chain(0));
  for (const char* id : {"../../../etc", "a/b", "/etc", "..", ".", "", "\n", "%2e%2e", "x y"}) {
    with(chains[0] + "/cache-id", id);
    with(mount + "/mount-id", id);
    with(mount + "/init-id", id);
    with(mount + "/parent", id);
  }
  for (const char* size : {"-1", "99999999999999999999999999", "1e9", "0x10", "1 2", "9223372036854775808"})
    with(chains[0] + "/size", size);
  for (const char* digest : {"sha256:../../etc", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e"})
    with(chains[0] + "/diff", digest);
  std::string record = read_text(config);
  for (const char* twice : {"\"Driver\":\"vfs\",", "\"ID\":\"../../x\",", "\"Image\":\"sha256:00\","})
    with(config, "{" + std::string(twice) + record.substr(1));
  with(repositories, "{\"Repositories\":{\"a\":{},\"a\":{}}}");
  with(repositories, "{\"Repositories\":{\"a\":{\"a:1\":\"sha256:../../../../etc/passwd\"}}}");
  CHECK(host.damage() == "");
}

TEST_CASE("containers that share a layer each with the next one are left behind with little of a stack") {
  SampleHost host(filesystem("ext4"));
  constexpr int kContainers = 6000;
  const std::string known = fs::directory_iterator(host.path("containers"))->path().filename();
  const std::string config = read_text(container_config(host)),
                    parent = host.inventory().mounts.at(known).parent.value();
  auto layer = [](int i) { return sha256_hex("layer " + std::to_string(i)); };
  for (int i = 0; i < kContainers; ++i) {
    std::string id = sha256_hex("container " + std::to_string(i)), own = config;
    for (std::size_t at = 0; (at = own.find(known, at)) != std::string::npos;) own.replace(at, id.size(), id);
    std::string folder = host.path("containers/" + id),
                mount = host.path("image/overlay2/layerdb/mounts/" + id);
    fs::create_directory(folder);
    write_text(folder + "/config.v2.json", own);
    fs::create_directory(mount);
    write_text(mount + "/mount-id", layer(i));
    write_text(mount + "/init-id", layer(i + 1));
    write_text(mount + "/parent", "sha256:" + parent);
  }
  Means little = kQuick;
  little.seconds = 120;
  Confined done =
      drover_confined(on_host(host, {"migrate", "--to", "vfs", "--keep-going", "--dry-run"}), little);
  CHECK_MESSAGE(done.text.starts_with("0\n"), done.text.substr(0, 2000));
}

TEST_CASE("links and lower lists of overlay2 that lead elsewhere are refused or passed over") {
  SampleHost host(filesystem("ext4"));
  Dir home = Dir::open(host.path("overlay2"));
  std::string outside = host.root() + "/../outside";
  fs::create_directories(outside + "/diff");
  write_text(outside + "/diff/file", "outside");
  Snapshot before = snapshot(outside);
  std::string layer;
  for (const DirEntry& entry : home.list())
    if (entry.name != "l" && home.sub(entry.name).exists("lower")) layer = entry.name;
  REQUIRE(layer != "");
  std::string path = host.path("overlay2/" + layer + "/lower"), old = read_text(path);
  std::string round;
  for (int i = 0; i < 100'000; ++i) round += (i ? ":" : "") + old.substr(0, old.find(':'));
  for (const std::string& lower :
       {std::string("../../outside"), std::string("l/../../outside"), std::string("/etc"), std::string(":::"),
        std::string("l/NOTHING"), round, std::string(1 << 20, ':')}) {
    CAPTURE(lower.substr(0, 60));
    Replaced file(host, path);
    write_text(path, lower);
    std::string said = look(host);
    CHECK_MESSAGE(!has(said, "migrate: 0\n"), said);
    CHECK_MESSAGE(said.size() < 20'000, said.substr(0, 2000));
  }
  // A short name that is a symlink out of the home.
  Dir links = home.sub("l");
  {
    std::string name = links.list().front().name;
    Replaced link(host, links.path_of(name));
    links.make_symlink(name, "../../../outside/diff");
    CHECK(!has(look(host), "killed by"));
  }
  CHECK(changes(before, snapshot(outside)) == "");
  CHECK(host.damage() == "");
}
