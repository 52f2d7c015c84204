#include "migrate/proof.hpp"

#include "drivers/sys/error.hpp"
#include "drivers/view.hpp"
#include "migrate/tar_split.hpp"

namespace drover {

LayerProof prove_layer(const Dir& data_root, DriverKind records, const LayerRecord& layer,
                       const Driver& driver) {
  using Verdict = LayerProof::Verdict;
  auto open_recipe = [&] { return open_tar_split(data_root, records, layer.chain_id); };
  auto gz = open_recipe();
  if (!gz) return {Verdict::not_provable, "it has no tar-split.json.gz", 0};
  try {
    View view(driver, layer.cache_id);
    auto open_file = [&](const std::string& name) -> std::optional<Fd> {
      auto path = clean_tar_name(name);
      return path ? view.open(*path) : std::nullopt;
    };
    TarSplitReader recipe(std::move(*gz));
    Rebuilt rebuilt = rebuild_tar(recipe, open_file);
    if (!rebuilt.problem.empty()) return {Verdict::damaged, rebuilt.problem, rebuilt.bytes};
    if (rebuilt.digest == layer.diff_id) return {Verdict::proven, "", rebuilt.bytes};
    TarSplitReader again(std::move(*open_recipe()));
    std::string changed = find_changed_file(again, open_file);
    if (!changed.empty()) return {Verdict::damaged, changed, rebuilt.bytes};
    // Every file has its recorded checksum: the recipe itself does not lead back to the tar, as for the
    // sparse members that the engine records expanded and cannot export either.
    return {Verdict::not_provable, "its tar-split does not lead back to its diff ID", rebuilt.bytes};
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return {Verdict::damaged, e.what(), 0};
  }
}

}  // namespace drover
