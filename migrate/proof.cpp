#include "migrate/proof.hpp"

#include <algorithm>
#include <functional>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "drivers/view.hpp"
#include "migrate/tar_split.hpp"
#include "migrate/tar_split_sparse.hpp"

namespace drover {

namespace {

/// Engines before 1.13 recorded a block of zeros that is not there behind a tar that has fewer than two of
/// them at its end (mended in tar-split 0.10.1). No engine saves such a layer, but all of its tar is right.
bool is_right_but_for_a_last_block(TarSplitReader& recipe, const OpenFile& open_file, std::uint64_t bytes,
                                   const Digest& diff_id) {
  constexpr std::uint64_t kBlock = 512;
  if (bytes < kBlock) return false;
  Sha256 sha256;
  std::uint64_t rest = bytes - kBlock;
  bool zeros = true;
  Rebuilt rebuilt = rebuild_tar(recipe, open_file, [&](std::string_view part) {
    auto before = static_cast<std::size_t>(std::min<std::uint64_t>(rest, part.size()));
    sha256.update(part.substr(0, before));
    rest -= before;
    zeros = zeros && part.find_first_not_of('\0', before) == std::string_view::npos;
  });
  return rebuilt.problem.empty() && rebuilt.bytes == bytes && zeros && sha256.hex() == diff_id;
}

/// Why a recipe makes another tar than the layer's. `read_recipe` begins it anew.
LayerProof explain(const std::function<TarSplitReader()>& read_recipe, const OpenFile& open_file,
                   std::uint64_t bytes, const Digest& diff_id) {
  using Verdict = LayerProof::Verdict;
  TarSplitReader recipe = read_recipe();
  std::string changed = find_changed_file(recipe, open_file);
  if (!changed.empty()) return {Verdict::damaged, changed, bytes};
  // Every file has its recorded checksum: it is the recipe that does not lead back to the tar.
  TarSplitReader headers = read_recipe();
  if (auto sparse = find_sparse_member(headers))
    return {Verdict::not_provable,
            "`" + printable(*sparse) + "` is a sparse member of its tar, to which no tar-split leads back",
            bytes};
  TarSplitReader again = read_recipe();
  if (is_right_but_for_a_last_block(again, open_file, bytes, diff_id))
    return {Verdict::not_provable, "its tar-split.json.gz has a block of zeros too many at its end", bytes};
  return {Verdict::damaged, "its tar-split.json.gz makes another tar than the layer's", bytes};
}

}  // namespace

LayerProof prove_layer(const Dir& data_root, DriverKind records, const LayerRecord& layer,
                       const Driver& driver) {
  using Verdict = LayerProof::Verdict;
  auto gz = open_tar_split(data_root, records, layer.chain_id);
  if (!gz) return {Verdict::not_provable, "it has no tar-split.json.gz", 0};
  try {
    View view(driver, layer.cache_id);
    auto open_file = [&](const std::string& name) -> std::optional<Fd> {
      auto path = clean_tar_name(name);
      return path ? view.open(*path) : std::nullopt;
    };
    auto read_again = [&] {
      auto again = open_tar_split(data_root, records, layer.chain_id);
      if (!again) throw Error("its tar-split.json.gz has gone");
      return TarSplitReader(std::move(*again));
    };
    TarSplitReader recipe(std::move(*gz));
    Rebuilt rebuilt = rebuild_tar(recipe, open_file);
    if (!rebuilt.problem.empty()) return {Verdict::damaged, rebuilt.problem, rebuilt.bytes};
    if (rebuilt.digest == layer.diff_id) return {Verdict::proven, "", rebuilt.bytes};
    return explain(read_again, open_file, rebuilt.bytes, layer.diff_id);
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return {Verdict::damaged, e.what(), 0};
  }
}

}  // namespace drover
