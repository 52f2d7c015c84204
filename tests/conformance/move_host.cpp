#include "tests/conformance/move_host.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>

namespace drover::test {

namespace fs = std::filesystem;

namespace {

constexpr off_t kSparse = 256 << 20;
constexpr const char* kLabel = "system_u:object_r:container_file_t:s0";
// user::rw-, user:1234:r--, group::r--, mask::rw-, other::r--
const std::string kAcl(
    "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xd2\x04\0\0\x04\0\x04\0\xff\xff\xff\xff"
    "\x10\0\x06\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff",
    44);

/// What a data root holds besides layers, with all that a plain copy loses.
void fill_rest(const SampleHost& host) {
  Dir root = Dir::open(host.root());
  Dir data = root.make_path("volumes", 0701).make_path("data/_data", 0755);
  root.sub("volumes").write_new("metadata.db", "names", 0600);
  data.write_new("file", "a volume's", 0640);
  REQUIRE(::fchownat(data.fd(), "file", 12, 345, 0) == 0);
  data.set_xattr("file", "user.kept", std::string("\0\xff", 2));
  data.set_xattr("file", "trusted.overlay.opaque", "y");
  data.set_xattr("file", "security.selinux", kLabel);
  data.set_xattr("file", "system.posix_acl_access", kAcl);
  data.write_new("sparse", "", 0600);
  Fd sparse = data.open_file("sparse", O_WRONLY);
  REQUIRE(::ftruncate(sparse.get(), kSparse) == 0);
  REQUIRE(::pwrite(sparse.get(), "middle", 6, kSparse / 2) == 6);
  data.make_node("fifo", S_IFIFO | 0620, 0);
  data.make_node("socket", S_IFSOCK | 0755, 0);
  data.make_node("null", S_IFCHR | 0666, ::makedev(1, 3));
  data.make_node("whiteout-like", S_IFCHR, ::makedev(0, 0));
  data.make_symlink("caf\xe9", "/nowhere");
  data.write_new("setuid", "x", 0755);
  REQUIRE(::fchmodat(data.fd(), "setuid", 04751, 0) == 0);
  Dir odd = root.make_path("not-an-engines/deep/er", 0750);
  odd.write_new("own", "kept as well", 0600);
  REQUIRE(::linkat(data.fd(), "file", odd.fd(), "linked-from-afar", 0) == 0);
  root.make_path("network/files", 0750).write_new("local-kv.db", "networks", 0644);
  root.make_path("swarm", 0700).write_new("state.json", "[]", 0600);
  root.make_path("tmp", 0700).write_new("scratch", "not carried", 0600);
  root.make_path("lost+found", 0700);
  root.write_new("engine-id", "an ID", 0600);
  Dir plugin = root.make_path("plugins/" + std::string(64, 'a'), 0700);
  plugin.write_new("config.json",
                   "{\"plugin\":{\"Name\":\"p:1\"},\"Rootfs\":\"" + host.root() + "/plugins/x/rootfs\"}",
                   0600);
  const timespec times[2] = {{7, 8}, {1'234'567'890, 123'456'789}};
  REQUIRE(::utimensat(data.fd(), "file", times, 0) == 0);
  REQUIRE(::utimensat(root.fd(), "volumes/data/_data", times, 0) == 0);
}

/// Everything that stat tells of each file but drover's own, change times included.
std::map<std::string, std::string> fingerprint(const std::string& root) {
  std::map<std::string, std::string> facts;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    if (it->path() == root + "/drover") {
      it.disable_recursion_pending();
      continue;
    }
    struct stat st;
    REQUIRE(::lstat(it->path().c_str(), &st) == 0);
    std::string text;
    for (auto number :
         {std::uint64_t{st.st_ino}, std::uint64_t{st.st_mode}, std::uint64_t{st.st_uid},
          std::uint64_t{st.st_gid}, std::uint64_t{st.st_nlink}, static_cast<std::uint64_t>(st.st_size),
          static_cast<std::uint64_t>(st.st_mtim.tv_sec), static_cast<std::uint64_t>(st.st_mtim.tv_nsec),
          static_cast<std::uint64_t>(st.st_ctim.tv_sec), static_cast<std::uint64_t>(st.st_ctim.tv_nsec)})
      text += std::to_string(number) + " ";
    facts.emplace(it->path(), text);
  }
  return facts;
}

}  // namespace

MoveHost::MoveHost(const std::string& target, const std::string& source)
    : host(filesystem(source)), place(filesystem(target)), root(place.path() + "/moved") {
  fill_rest(host);
  before = fingerprint(host.root());
}

Run MoveHost::migrate(const std::string& to) const {
  std::vector<std::string> words = {"migrate", "--to-root", root, "--yes"};
  if (!to.empty()) words.insert(words.end(), {"--to", to});
  return host.run(words);
}

Run MoveHost::run_by_config(std::vector<std::string> words) const {
  words.insert(words.end(), {"--config", fs::path(host.root()).parent_path().string() + "/daemon.json"});
  return run_drover(words);
}

void MoveHost::check_untouched() const {
  auto now = fingerprint(host.root());
  for (const auto& item : before)
    CHECK_MESSAGE((now.contains(item.first) && now.at(item.first) == item.second), item.first);
  CHECK(now.size() == before.size());
}

void MoveHost::check_carried() const {
  Dir data = Dir::open(root + "/volumes/data/_data"), was = Dir::open(host.path("volumes/data/_data"));
  struct stat st = data.stat("file");
  CHECK((st.st_mode & 07777) == (was.stat("file").st_mode & 07777));
  CHECK(st.st_uid == 12);
  CHECK(st.st_gid == 345);
  CHECK(st.st_mtim.tv_sec == 1'234'567'890);
  CHECK(st.st_mtim.tv_nsec == 123'456'789);
  CHECK(data.read("file") == "a volume's");
  CHECK(data.xattr("file", "user.kept") == std::string("\0\xff", 2));
  CHECK(data.xattr("file", "trusted.overlay.opaque") == "y");
  CHECK(data.xattr("file", "security.selinux") == kLabel);
  CHECK(data.xattr("file", "system.posix_acl_access") == kAcl);
  CHECK(data.stat().st_mtim.tv_nsec == was.stat().st_mtim.tv_nsec);
  struct stat sparse = data.stat("sparse");
  CHECK(sparse.st_size == kSparse);
  CHECK(sparse.st_blocks * 512 < kSparse / 8);
  CHECK(S_ISFIFO(data.stat("fifo").st_mode));
  CHECK(S_ISSOCK(data.stat("socket").st_mode));
  CHECK(data.stat("null").st_rdev == ::makedev(1, 3));
  CHECK(S_ISCHR(data.stat("whiteout-like").st_mode));
  CHECK(data.read_link("caf\xe9") == "/nowhere");
  CHECK((data.stat("setuid").st_mode & 07777) == 04751);
  Dir odd = Dir::open(root + "/not-an-engines/deep/er");
  CHECK(odd.stat("linked-from-afar").st_ino == st.st_ino);
  CHECK(Dir::open(root + "/network/files").read("local-kv.db") == "networks");
  CHECK(Dir::open(root).read("engine-id") == "an ID");
  CHECK_FALSE(fs::exists(root + "/tmp"));
  CHECK_FALSE(fs::exists(root + "/lost+found"));
  CHECK((Dir::open(root).stat().st_mode & 07777) == 0710);
  CHECK(has(Dir::open(root + "/plugins/" + std::string(64, 'a')).read("config.json"),
            "\"Rootfs\":\"" + root + "/plugins/x/rootfs\""));
}

}  // namespace drover::test
