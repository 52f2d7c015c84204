#include "drivers/sys/volume_mount.hpp"

#include <blkid.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>

#include "drivers/sys/error.hpp"
#include "drivers/sys/mount.hpp"

namespace drover {

namespace {

// Where the superblocks are: ext4 at 1024, its magic at 56 and its UUID at 104 in it; xfs at 0, its UUID
// at 32.
constexpr std::size_t kLooked = 2048, kExt = 1024, kExtMagic = kExt + 56, kExtUuid = kExt + 104,
                      kXfsUuid = 32;

std::array<char, kLooked> read_start(int device, const std::string& what) {
  std::array<char, kLooked> start{};
  std::size_t have = 0;
  while (have < start.size()) {
    ssize_t n = ::pread(device, start.data() + have, start.size() - have, static_cast<off_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("cannot read `" + what + "`");
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return start;
}

std::string kind_of(const std::array<char, kLooked>& start) {
  if (std::memcmp(start.data(), "XFSB", 4) == 0) return "xfs";
  if (std::memcmp(start.data() + kExtMagic, "\x53\xef", 2) == 0) return "ext4";
  return "";
}

}  // namespace

Dir mount_volume(const std::string& device, const std::string& fstype, bool read_only,
                 const std::string& what) {
  // All devices of a pool have the same UUID.
  std::vector<std::string> options{fstype == "xfs" ? "nouuid" : "errors=remount-ro"};
  if (read_only) options.emplace_back("ro");
  return {mount_detached(fstype, device, options, read_only, what), what};
}

std::string filesystem_on(int device, const std::string& what) { return kind_of(read_start(device, what)); }

std::string signature_on(int device, const std::string& what) {
  std::unique_ptr<blkid_struct_probe, decltype(&blkid_free_probe)> probe(blkid_new_probe(), blkid_free_probe);
  if (!probe || blkid_probe_set_device(probe.get(), device, 0, 0) != 0)
    throw Error("cannot look at what is on `" + what + "`");
  blkid_probe_enable_partitions(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE);
  int found = blkid_do_safeprobe(probe.get());
  if (found == 1) return "";
  if (found == -2) return "several things at once";
  if (found != 0) throw Error("cannot look at what is on `" + what + "`");
  const char* type = nullptr;
  if (blkid_probe_lookup_value(probe.get(), "TYPE", &type, nullptr) == 0) return type;
  if (blkid_probe_lookup_value(probe.get(), "PTTYPE", &type, nullptr) == 0)
    return std::string("a partition table (") + type + ")";
  return "something";
}

std::string filesystem_uuid(int device, const std::string& what) {
  auto start = read_start(device, what);
  std::string kind = kind_of(start);
  if (kind.empty()) throw Error(what + " holds no filesystem that drover knows");
  const char* uuid = start.data() + (kind == "xfs" ? kXfsUuid : kExtUuid);
  std::string text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    constexpr const char* kHex = "0123456789abcdef";
    auto byte = static_cast<unsigned char>(uuid[i]);
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace drover
