#include "drivers/devicemapper_options.hpp"

#include <algorithm>
#include <charconv>

#include "drivers/sys/error.hpp"
#include "drivers/sys/size_text.hpp"

namespace drover {

namespace {

// A pool that the engine has made with LVM has this name, and its home has this file (setupDirectLVM,
// writeLVMConfig).
constexpr const char *kEnginesPool = "docker-thinpool", *kSetupFile = "setup-config.json";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) { return lower(c); });
  return result;
}

[[noreturn]] void refuse(const std::string& option, const std::string& why) {
  throw Error(ExitCode::usage, "the storage-opt `" + option + "` " + why,
              "correct it: --storage-opt, or storage-opts in daemon.json");
}

std::uint64_t size_of(const std::string& option, std::string_view value) {
  auto size = parse_size(value);
  if (!size || *size == 0) refuse(option, "is no size");
  return *size;
}

std::string without_prefix(std::string_view text, std::string_view prefix) {
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  return std::string(text);
}

/// What the thin-pool target takes: 64 KiB to 1 GiB in steps of 64 KiB.
void require_block_size(const std::string& option, std::uint64_t bytes) {
  constexpr std::uint64_t kStep = 64 << 10, kLargest = 1 << 30;
  if (bytes % kStep != 0 || bytes > kLargest) refuse(option, "must be a multiple of 64K, and at most 1G");
}

unsigned percent_of(const std::string& option, std::string_view value) {
  if (value.ends_with('%')) value.remove_suffix(1);
  unsigned percent = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), percent);
  if (error != std::errc() || end != value.data() + value.size() || percent >= 100)
    refuse(option, "is no percentage");
  return percent;
}

}  // namespace

DevicemapperOptions parse_devicemapper_options(const std::vector<std::string>& storage_opts) {
  DevicemapperOptions options;
  for (const std::string& option : storage_opts) {
    std::size_t equals = option.find('=');
    if (equals == std::string::npos) continue;
    std::string key = lower(std::string_view(option).substr(0, equals));
    std::string_view value = std::string_view(option).substr(equals + 1);
    if (key == "dm.basesize") options.base_bytes = size_of(option, value);
    if (key == "dm.loopdatasize") options.loop_data_bytes = size_of(option, value);
    if (key == "dm.loopmetadatasize") options.loop_metadata_bytes = size_of(option, value);
    if (key == "dm.blocksize") require_block_size(option, options.block_bytes = size_of(option, value));
    if (key == "dm.mkfsarg") options.mkfs_arguments.emplace_back(value);
    if (key == "dm.thinpooldev") options.pool = without_prefix(value, "/dev/mapper/");
    if (key == "dm.datadev") options.data_device = value;
    if (key == "dm.metadatadev") options.metadata_device = value;
    if (key == "dm.min_free_space") options.min_free_percent = percent_of(option, value);
    if (key == "dm.directlvm_device" && options.pool.empty()) options.pool = kEnginesPool;
    if (key != "dm.fs") continue;
    if (value != "ext4" && value != "xfs") refuse(option, "names a filesystem that the engine does not take");
    options.filesystem = value;
  }
  return options;
}

DevicemapperOptions devicemapper_options_of(const HomeFolder& home,
                                            const std::vector<std::string>& storage_opts) {
  DevicemapperOptions options = parse_devicemapper_options(storage_opts);
  auto dir = home.try_open();
  if (options.pool.empty() && dir && dir->exists(kSetupFile)) options.pool = kEnginesPool;
  return options;
}

}  // namespace drover
