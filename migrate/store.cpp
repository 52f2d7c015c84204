#include "migrate/store.hpp"

#include <fcntl.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr std::size_t kDigestLength = 64;

/// `image/<driver>`, where there is one.
std::optional<Dir> store_dir(const Dir& data_root, DriverKind driver) {
  auto image = store::records_dir(data_root, "image");
  return image ? store::records_dir(*image, driver_name(driver)) : std::nullopt;
}

}  // namespace

bool is_digest(std::string_view text) {
  return text.size() == kDigestLength && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Digest chain_id_of(const std::optional<Digest>& parent, const Digest& diff_id) {
  return parent ? sha256_hex("sha256:" + *parent + " sha256:" + diff_id) : diff_id;
}

void add_count_of_rest(std::vector<std::string>& names, std::size_t all) {
  if (all > names.size()) names.push_back("and " + std::to_string(all - names.size()) + " more");
}

bool is_concerned(const StoreProblem& problem, std::string_view name) {
  return std::find(problem.concerns.begin(), problem.concerns.end(), name) != problem.concerns.end() ||
         std::any_of(problem.parts.begin(), problem.parts.end(), [&](const auto& part) {
           return part.first.kind != Part::Kind::layer && part.second == name;
         });
}

std::vector<LayerId> files_of(const MountRecord& mount) {
  std::vector<LayerId> files{mount.mount_id};
  if (mount.init_id) files.push_back(*mount.init_id);
  return files;
}

Part part_of_mount(const std::string& name) {
  return is_digest(name) ? Part{Part::Kind::container, name} : Part{Part::Kind::build_cache, ""};
}

std::string short_id(std::string_view id) { return std::string(id.substr(0, 12)); }

std::string display_name(const ImageRecord& image) {
  bool tagged = !image.references.empty() && image.references[0].find('@') == std::string::npos;
  return tagged ? printable(image.references[0]) : short_id(image.id);
}

std::string display_name(const ContainerRecord& container) {
  return container.name.empty() ? short_id(container.id) : printable(container.name);
}

Inventory read_inventory(const Dir& data_root, DriverKind driver, const Driver* home) {
  store::LayerDb layers;
  store::ImageDb images;
  if (auto dir = store_dir(data_root, driver)) {
    layers = store::read_layerdb(*dir);
    images = store::read_imagedb(*dir);
  }
  return store::assemble(driver, std::move(layers), std::move(images), store::read_containers(data_root),
                         home);
}

std::vector<std::string> stores_on_disk(const Dir& data_root) {
  std::vector<std::string> names;
  auto image = store::records_dir(data_root, "image");
  if (!image) return names;
  for (const DirEntry& entry : image->list()) {
    auto dir = image->try_sub(entry.name);
    if (dir && (dir->exists("layerdb") || dir->exists("imagedb"))) names.push_back(entry.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<Fd> open_tar_split(const Dir& data_root, DriverKind driver, const Digest& chain_id) {
  if (!is_digest(chain_id)) return std::nullopt;
  auto dir = store_dir(data_root, driver);
  if (dir) dir = store::records_dir(*dir, "layerdb");
  if (dir) dir = store::records_dir(*dir, "sha256");
  if (dir) dir = dir->try_sub(chain_id);
  // A fifo in its place must not block; that it holds no gzip data shows when it is read.
  return dir ? dir->try_open_regular("tar-split.json.gz") : std::nullopt;
}

}  // namespace drover
