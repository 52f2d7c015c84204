#include "drivers/devicemapper_status.hpp"

#include <sys/statvfs.h>

#include <algorithm>

#include "drivers/devicemapper_records.hpp"
#include "drivers/sys/dm_ioctl.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/size_text.hpp"
#include "drivers/thin_metadata.hpp"
#include "drivers/thin_pool.hpp"
#include "drivers/thin_reader.hpp"

namespace drover {

namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

/// What can be told of a pool either way.
struct PoolSpace {
  std::uint64_t block_bytes = 0;
  std::uint64_t data_used = 0, data_total = 0, metadata_used = 0, metadata_total = 0;
};

std::optional<PoolSpace> space_of_active_pool(const std::string& name) {
  if (!open_device_mapper()) return std::nullopt;
  auto status = thin_pool_status(name);
  if (!status) return std::nullopt;
  return PoolSpace{status->block_bytes, status->used_data_blocks * status->block_bytes,
                   status->data_blocks * status->block_bytes,
                   status->used_metadata_blocks * kThinMetadataBlock,
                   status->metadata_blocks * kThinMetadataBlock};
}

std::optional<PoolSpace> space_in_metadata(const Dir& home) {
  auto files = home.try_sub("devicemapper");
  auto file = files ? files->try_open_regular("metadata") : std::nullopt;
  if (!file) return std::nullopt;
  ThinMetadata metadata(std::move(*file), files->path_of("metadata"));
  const ThinPoolFacts& pool = metadata.pool();
  return PoolSpace{pool.block_bytes, pool.used_data_blocks * pool.block_bytes,
                   pool.data_blocks * pool.block_bytes, pool.used_metadata_blocks * kThinMetadataBlock,
                   pool.metadata_blocks * kThinMetadataBlock};
}

/// A sparse data file cannot get more than its filesystem has.
std::uint64_t available(const Dir& home, const PoolSpace& space, bool on_file) {
  std::uint64_t left = space.data_total - std::min(space.data_used, space.data_total);
  struct statvfs fs;
  if (!on_file || ::fstatvfs(home.fd(), &fs) != 0) return left;
  return std::min(left, static_cast<std::uint64_t>(fs.f_bavail) * fs.f_frsize);
}

Lines lines_of(const Dir& home, const DevicemapperOptions& options) {
  auto records = home.try_sub("metadata");
  if (!records) return {};
  std::string pool = options.pool.empty() ? engine_pool_name(home) : options.pool;
  auto space = space_of_active_pool(pool);
  if (!space && options.on_loop_files()) space = space_in_metadata(home);
  if (!space) return {};
  Lines lines{{"Pool Name", pool}, {"Pool Blocksize", human_size(space->block_bytes)}};
  if (auto base = read_device_record(*records, kBaseDevice))
    lines.emplace_back("Base Device Size", human_size(base->size_bytes));
  lines.emplace_back("Backing Filesystem", read_device_set(*records).base_filesystem);
  bool on_file = options.pool.empty() && options.data_device.empty();
  if (on_file) lines.emplace_back("Data loop file", home.path() + "/devicemapper/data");
  if (options.pool.empty() && options.metadata_device.empty())
    lines.emplace_back("Metadata loop file", home.path() + "/devicemapper/metadata");
  lines.emplace_back("Data Space Used", human_size(space->data_used));
  lines.emplace_back("Data Space Total", human_size(space->data_total));
  lines.emplace_back("Data Space Available", human_size(available(home, *space, on_file)));
  lines.emplace_back("Metadata Space Used", human_size(space->metadata_used));
  lines.emplace_back("Metadata Space Total", human_size(space->metadata_total));
  lines.emplace_back("Metadata Space Available", human_size(space->metadata_total - space->metadata_used));
  lines.emplace_back("Thin Pool Minimum Free Space",
                     human_size(space->data_total / space->block_bytes * options.min_free_percent / 100 *
                                space->block_bytes));
  return lines;
}

}  // namespace

Lines devicemapper_status(const HomeFolder& folder, const DevicemapperOptions& options) {
  try {
    auto home = folder.try_open();
    return home ? lines_of(*home, options) : Lines{};
  } catch (const Error& e) {
    // An engine may be writing to the metadata just now.
    log_detail(e.what());
    return {};
  }
}

}  // namespace drover
