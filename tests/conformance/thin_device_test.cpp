// Reading a devicemapper home whose pool is not active, as a rescue must: from a pool that is put together
// here, block by block, of real filesystems. Where the kernel has no device-mapper this goes by scratch
// copies, else by tables.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "drivers/devicemapper_records.hpp"
#include "drivers/homes.hpp"
#include "drivers/sys/beneath.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/process.hpp"
#include "drivers/sys/sha256.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/support/thin_pool_writer.hpp"

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBlock = 64 << 10;
const LayerId kParent(64, 'a'), kChild(64, 'b'), kDirty(64, 'c');

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  std::string content(static_cast<std::size_t>(in.tellg()), '\0');
  in.seekg(0);
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  return content;
}

void must_run(const std::vector<std::string>& argv) {
  ProcessResult result = run_process(argv);
  REQUIRE_MESSAGE(result.exit_code == 0, argv[0] << ": " << result.err);
}

/// A home with a pool in it, whose devices are given as whole images. Equal blocks are stored once, out of
/// order.
class PoolInFiles {
 public:
  explicit PoolInFiles(const std::string& folder) : home_(folder + "/devicemapper") {
    for (const char* name : {"", "/metadata", "/devicemapper"}) fs::create_directory(home_ + name);
  }

  void add(const LayerId& id, std::uint32_t device, const std::string& image) {
    auto& blocks = devices_[device];
    for (std::size_t at = 0; at < image.size(); at += kBlock) {
      std::string block = image.substr(at, kBlock);
      block.resize(kBlock);
      if (std::memcmp(block.data(), block.data() + 1, kBlock - 1) == 0 && block[0] == '\0') continue;
      auto [found, fresh] = stored_.try_emplace(block, kSlots - 1 - stored_.size());
      blocks[at / kBlock] = {found->second, 0};
    }
    write_device_record(Dir::open(home_ + "/metadata"), id, {device, image.size(), 1, false, false});
  }

  void write() const {
    std::string files = home_ + "/devicemapper";
    std::ofstream(files + "/metadata", std::ios::binary) << thin_metadata(devices_, {.data_blocks = kSlots});
    must_run({"truncate", "-s", std::to_string(kSlots * kBlock), files + "/data"});
    std::fstream data(files + "/data", std::ios::in | std::ios::out | std::ios::binary);
    for (const auto& [block, slot] : stored_) {
      data.seekp(static_cast<std::streamoff>(slot * kBlock));
      data.write(block.data(), static_cast<std::streamsize>(block.size()));
    }
  }

  std::string digest() const {
    return sha256_hex(read_file(home_ + "/devicemapper/data") + read_file(home_ + "/devicemapper/metadata"));
  }
  const std::string& home() const { return home_; }

 private:
  static constexpr std::uint64_t kSlots = 1024;
  std::string home_;
  ThinDevices devices_;
  std::map<std::string, std::uint64_t> stored_;
};

/// What loop devices stand on, as far as it is on this filesystem.
std::string loops_on(const TestFilesystem& filesystem) {
  std::string used;
  for (const auto& entry : fs::directory_iterator("/sys/block")) {
    std::ifstream backing(entry.path() / "loop/backing_file");
    std::string path;
    if (std::getline(backing, path) && path.starts_with(filesystem.path + "/")) used += path + "\n";
  }
  return used;
}

std::string text_of(const OpenLayer& layer, const std::string& path) {
  Fd file(open_beneath(layer.root.fd(), path.c_str(), O_RDONLY));
  REQUIRE(file);
  std::string text(100, '\0');
  ssize_t n = ::read(file.get(), text.data(), text.size());
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return text;
}

void write_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

const TestFilesystem* filesystem_named(const std::string& name) {
  for (const TestFilesystem& filesystem : test_filesystems())
    if (filesystem.name == name && filesystem.missing.empty()) return &filesystem;
  return nullptr;
}

/// `inner` is the filesystem in the devices, `outer` the one that the home is on.
void read_pool(const std::string& inner, const std::string& outer) {
  const TestFilesystem* filesystem = filesystem_named(outer);
  if (!filesystem || !filesystem_named(inner)) {
    MESSAGE("SKIP: this host has no " << (filesystem ? inner : outer));
    return;
  }
  INFO(inner << " on " << outer);
  {
    TestFolder folder(*filesystem);
    std::string image = folder.path() + "/image", mount_point = folder.path() + "/mnt";
    fs::create_directory(mount_point);
    must_run({"truncate", "-s", inner == "xfs" ? "320M" : "64M", image});
    must_run({"mkfs." + inner, "-q", image});
    PoolInFiles pool(folder.path());
    auto change = [&](auto&& f, bool unclean = false) {
      must_run({"mount", "-o", inner == "xfs" ? "loop,nouuid" : "loop", image, mount_point});
      f(mount_point + "/rootfs");
      Dir::open(mount_point).sync_fs();
      std::string content = unclean ? read_file(image) : "";
      unmount(mount_point);
      return unclean ? content : read_file(image);
    };
    std::string large(3 << 20, 'x');
    pool.add(kParent, 3, change([&](const std::string& root) {
               fs::create_directory(root);
               write_text(root + "/file", "of the parent");
               write_text(root + "/large", large);
             }));
    pool.add(kChild, 16777215, change([&](const std::string& root) {
               write_text(root + "/file", "of the child");
               fs::remove(root + "/large");
             }));
    pool.add(kDirty, 5,
             change([&](const std::string& root) { write_text(root + "/unclean", "in the journal"); }, true));
    fs::remove(image);
    pool.write();
    std::string digest = pool.digest();

    auto driver = open_devicemapper(pool.home(), {});
    auto ids = driver->layers();
    std::sort(ids.begin(), ids.end());
    CHECK(ids == std::vector<LayerId>{kParent, kChild, kDirty});
    CHECK(driver->layers_are_volumes());
    {
      OpenLayer parent = driver->open(kParent), child = driver->open(kChild), again = driver->open(kParent);
      CHECK(text_of(parent, "file") == "of the parent");
      CHECK(parent.root.stat("large").st_size == static_cast<off_t>(large.size()));
      CHECK(text_of(child, "file") == "of the child");
      CHECK_FALSE(child.root.exists("large"));
      CHECK(again.root.stat().st_dev == parent.root.stat().st_dev);
      CHECK_THROWS_AS(parent.root.make_dir("new", 0700), SystemError);
    }
    {
      OpenLayer dirty = driver->open(kDirty);
      CHECK(loops_on(*filesystem) != "");
      CHECK(text_of(dirty, "unclean") == "in the journal");
      CHECK(text_of(dirty, "file") == "of the child");
    }
    CHECK(text_of(driver->open(kParent), "file") == "of the parent");
    CHECK(pool.digest() == digest);
    driver->close();

    // A block of the metadata that is damaged is named, not used.
    {
      std::fstream metadata(pool.home() + "/devicemapper/metadata",
                            std::ios::in | std::ios::out | std::ios::binary);
      metadata.seekp(4096 + 100);
      metadata.put('\x55');
    }
    auto damaged = open_devicemapper(pool.home(), {});
    auto open_all = [&] {
      for (const LayerId& id : damaged->layers()) damaged->open(id);
    };
    CHECK_THROWS_WITH_AS(open_all(), doctest::Contains("block 1 has a wrong checksum"), Error);
  }
  CHECK(loops_on(*filesystem) == "");
}

}  // namespace

TEST_CASE("thin devices are read from a pool that is not active") {
  for (const char* inner : {"ext4", "xfs"})
    for (const char* outer : {"ext4", "xfs"}) read_pool(inner, outer);
}
