#pragma once
#include <string>
#include <utility>
#include <vector>

#include "migrate/archive/archive_head.hpp"

namespace drover {

/// One image as the files of an OCI layout and of `docker save` tell of it.
struct LayoutImage {
  Digest id;
  std::uint64_t config_bytes = 0;
  std::vector<std::string> references;
  std::vector<std::pair<Digest, std::uint64_t>> layers;  ///< diff IDs and sizes of the tars, bottom first
};

/// Name and content of the files that describe images whose configurations and layers lie below
/// blobs/sha256/ as they are, uncompressed: oci-layout, index.json and the manifests that it names, and
/// manifest.json for `docker load`.
std::vector<std::pair<std::string, std::string>> layout_files(const std::vector<LayoutImage>&);

std::string blob_name(const Digest&);

}  // namespace drover
