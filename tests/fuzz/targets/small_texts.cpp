// Short texts, a line each: sizes, versions, option strings, references, names of zfs filesystems, paths in a
// tar.
#include <algorithm>

#include "detect/data_root.hpp"
#include "drivers/devicemapper_options.hpp"
#include "drivers/driver.hpp"
#include "drivers/sys/size_text.hpp"
#include "drivers/zfs_command.hpp"
#include "drivers/zfs_parent.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/find_by_name.hpp"
#include "migrate/store_parts.hpp"
#include "migrate/tar_split.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

void check_tar_name(const std::string& text) {
  auto clean = clean_tar_name(text);
  const bool taken = !refused([&] { parse_tar_name(text); });
  promise(clean || !taken, "a name that leads out is refused as both");
  if (!clean) return;
  const std::string last = split_path(*clean).second;
  const bool hides_none = last == ".wh." || last == ".wh.." || last == ".wh...";
  promise(taken != hides_none, "of the others those are refused that hide no name");
  std::string padded = "/" + *clean + "/";
  promise(padded == "//" || padded.find("//") == std::string::npos, "a clean name has no empty component");
  promise(padded.find("/../") == std::string::npos && padded.find("/./") == std::string::npos,
          "a clean name leads nowhere else");
  promise(clean->find('\0') == std::string::npos, "a clean name ends where it seems to");
  promise_same(clean_tar_name(*clean).value_or("none"), *clean, "a clean name stays as it is");
  auto [parent, base] = split_path(*clean);
  promise_same(parent.empty() ? base : parent + "/" + base, *clean, "a path is its parent and its name");
}

void check_options(const std::vector<std::string>& options) {
  DevicemapperOptions mapper = parse_devicemapper_options(options);
  promise(mapper.base_bytes > 0 && mapper.loop_data_bytes > 0 && mapper.loop_metadata_bytes > 0,
          "sizes are more than nothing");
  promise(mapper.block_bytes > 0 && mapper.block_bytes % 65536 == 0 && mapper.block_bytes <= 1U << 30,
          "a block is of a size that the kernel takes");
  promise(mapper.min_free_percent < 100, "a percentage is one");
  promise(mapper.filesystem.empty() || mapper.filesystem == "ext4" || mapper.filesystem == "xfs",
          "a filesystem is one that is known");
}

}  // namespace

FUZZ_TARGET(small_texts) {
  auto lines = lines_of(input);
  if (lines.size() > 40) lines.resize(40);
  for (const std::string& line : lines) {
    if (auto size = parse_size(line)) promise(*size <= INT64_MAX, "a size fits");
    if (auto version = parse_engine_version(line))
      promise(version->major >= 0 && version->minor >= 0, "a version is no negative number");
    if (is_dataset_name(line))
      promise(!line.starts_with('/') && !line.starts_with('-'), "a name is no option");
    if (is_layer_id(line)) promise_one_name(line, "a layer ID is one name");
    if (auto digest = store::parse_digest(line)) promise(is_digest(*digest), "a digest is one");
    std::string familiar = familiar_reference(line);
    promise(familiar.size() <= line.size() + std::string_view(":latest").size(),
            "a reference gets no longer");
    check_tar_name(line);
    if (zfs_fsname({line}))
      refused([&] {
        promise(is_dataset_name(find_zfs_parent("/nonexistent-root", {line}).value_or("")),
                "a parent is a name");
      });
  }
  refused([&] { check_options(lines); });
}
