#include "migrate/stage_layer.hpp"

#include <algorithm>
#include <memory>

#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "migrate/compare_views.hpp"
#include "migrate/layer_changes.hpp"
#include "migrate/layer_writer.hpp"
#include "migrate/proof.hpp"
#include "migrate/read_through.hpp"
#include "migrate/require_written.hpp"

namespace drover {

namespace {

std::string named(const ViewDifferences& differences) {
  std::string text;
  for (const std::string& one : differences.first) text += (text.empty() ? "" : "; ") + one;
  if (differences.count > differences.first.size())
    text += "; and " + std::to_string(differences.count - differences.first.size()) + " more";
  return text;
}

}  // namespace

LayerStager::LayerStager(const Dir& data_root, const Inventory& inventory, const Plan& plan,
                         const Driver& source, Driver& target)
    : data_root_(data_root), inventory_(inventory), plan_(plan), source_(source), target_(target) {
  for (const PlannedLayer& layer : plan.layers) by_id_.emplace(layer.id, &layer);
}

OpenLayer LayerStager::make(const PlannedLayer& layer, TransferCount& count) const {
  return with_context(describe(layer), [&] {
    bool on_immutable = !layer.parent || by_id_.at(*layer.parent)->immutable();
    return target_.create(layer.id, layer.parent,
                          {.share_inodes = layer.immutable() && on_immutable, .count = &count});
  });
}

TransferCount LayerStager::stage(const PlannedLayer& layer) const {
  TransferCount count;
  OpenLayer made = make(layer, count);
  count += fill(layer, std::move(made));
  return count;
}

TransferCount LayerStager::fill(const PlannedLayer& layer, OpenLayer made) const {
  return with_context(describe(layer), [&] {
    std::unique_ptr<LayerWriter> writer;
    bool may_link = layer.immutable() && plan_.links;
    auto look = [&] { return View(source_, layer.id).repeated_inodes(); };
    if (target_.form_of(layer.id) == LayerForm::delta)
      writer = std::make_unique<DeltaWriter>(made.root, source_.marks(), target_.marks(), may_link, look);
    else
      writer = std::make_unique<TreeWriter>(made.root, source_.marks(), may_link, target_.marks(), look);
    read_source(layer, *writer);
    writer->finish();
    target_.seal(layer.id);
    require_written(made.root);
    TransferCount count = writer->count();
    writer.reset();
    made = OpenLayer();  // unmounted by now, where it had to be mounted
    if (layer.size_limit)
      if (auto why = target_.limit_size(layer.id, *layer.size_limit))
        log_warning(describe(layer) + ": its size limit is not kept: " + *why);
    return count;
  });
}

/// The layer that what is written into the target tells the changes to.
std::optional<LayerId> LayerStager::base_of(const PlannedLayer& layer) const {
  if (target_.form_of(layer.id) == LayerForm::tree) return layer.parent;
  std::vector<LayerId> stack = target_.stack(layer.id);
  return stack.size() > 1 ? std::optional(stack[1]) : std::nullopt;
}

void LayerStager::read_source(const PlannedLayer& layer, ChangeSink& sink) const {
  std::optional<LayerId> base = base_of(layer);
  read_changes(
      {.driver = source_,
       .id = layer.id,
       .base = base,
       .base_is_parent = base == layer.parent,
       // An opaque root that the target's marks cannot express is told name by name.
       .root_may_hide = opaque_root_hides(target_.marks()) || target_.form_of(layer.id) == LayerForm::tree,
       .data_root = &data_root_,
       .records = plan_.from,
       .chain_id = layer.chain_id},
      sink);
}

LayerCheck LayerStager::prove(const PlannedLayer& layer, bool allow_damaged) {
  if (layer.renamed) return prove_renamed(layer, allow_damaged);
  LayerCheck check =
      layer.role == LayerRole::image ? prove_image_layer(layer, allow_damaged) : LayerCheck::compared;
  bool content = check != LayerCheck::proven, alike = compare_alone(layer, content);
  // Where that tells them apart, or trees hold what is below them as well, what is shown decides.
  if (content && !alike) compare(layer, true);
  std::lock_guard lock(mutex_);
  if (alike)
    alike_.insert(layer.id);
  else if (content)
    whole_.insert(layer.id);
  return check;
}

/// The rebuilt tar of an image layer says nothing of what it hides, nor of attributes.
void LayerStager::prove_whole(const PlannedLayer& layer) const {
  if (!layer.renamed && !is_alike(layer)) compare(layer, false);
}

bool LayerStager::is_alike(const PlannedLayer& layer) const {
  {
    std::lock_guard lock(mutex_);
    if (whole_.contains(layer.id)) return true;
    if (!alike_.contains(layer.id)) return false;
  }
  std::vector<LayerId> stack = target_.stack(layer.id);
  if (stack != source_.stack(layer.id)) return false;
  std::lock_guard lock(mutex_);
  return std::all_of(stack.begin(), stack.end(), [&](const LayerId& id) { return alike_.contains(id); });
}

Error damaged_source(const std::string& what, bool can_be_carried) {
  const char* ways_on = can_be_carried
                            ? ", leave it behind (drover migrate --keep-going), or carry it as it is "
                              "(drover migrate --force)"
                            : " or leave it behind (drover migrate --keep-going)";
  return Error(
      ExitCode::proof_failed, what,
      std::string("`drover verify` lists all damage; `drover rollback`, then remove what uses it") + ways_on);
}

namespace {
[[noreturn]] void refuse_damaged(const PlannedLayer& layer, const LayerProof& proof) {
  throw damaged_source(describe(layer) + " is damaged in the source already: " + proof.detail, true);
}
}  // namespace

LayerCheck LayerStager::prove_renamed(const PlannedLayer& layer, bool allow_damaged) const {
  using Verdict = LayerProof::Verdict;
  if (layer.role != LayerRole::image) return LayerCheck::renamed;
  LayerProof proof = prove_layer(data_root_, plan_.from, inventory_.layers.at(*layer.chain_id), source_);
  if (proof.verdict == Verdict::proven) return LayerCheck::proven;
  if (proof.verdict == Verdict::not_provable) return LayerCheck::renamed;
  if (!allow_damaged) refuse_damaged(layer, proof);
  return LayerCheck::damaged_before;
}

LayerCheck LayerStager::prove_image_layer(const PlannedLayer& layer, bool allow_damaged) const {
  using Verdict = LayerProof::Verdict;
  const LayerRecord& record = inventory_.layers.at(*layer.chain_id);
  LayerProof proof = prove_layer(data_root_, plan_.from, record, target_);
  if (proof.verdict == Verdict::proven) return LayerCheck::proven;
  if (proof.verdict == Verdict::not_provable) return LayerCheck::compared;
  LayerProof before = prove_layer(data_root_, plan_.from, record, source_);
  if (before.verdict != Verdict::damaged)
    throw Error(ExitCode::proof_failed, describe(layer) + " does not have its diff ID: " + proof.detail,
                "the source is untouched; `drover rollback` removes the copy");
  if (!allow_damaged) refuse_damaged(layer, before);
  return LayerCheck::damaged_before;
}

std::string LayerStager::source_damage(const PlannedLayer& layer, bool allow_damaged) const {
  try {
    read_through(View(source_, layer.id));
  } catch (const Error& e) {
    if (!is_damage(e)) throw;
    return describe(layer) + " cannot be read: " + e.what();
  }
  if (layer.role != LayerRole::image || allow_damaged) return {};
  LayerProof proof = prove_layer(data_root_, plan_.from, inventory_.layers.at(*layer.chain_id), source_);
  if (proof.verdict != LayerProof::Verdict::damaged) return {};
  return describe(layer) + " does not have its diff ID: " + proof.detail;
}

/// From which layer of the stack on everything is an image layer, whose content prove() looks at by itself.
unsigned LayerStager::first_proven(const Driver& driver, const PlannedLayer& layer) const {
  unsigned at = 0;
  for (const LayerId& id : driver.stack(layer.id)) {
    auto planned = by_id_.find(id);
    if (planned != by_id_.end() && planned->second->role == LayerRole::image && id != layer.id) return at;
    ++at;
  }
  return at;
}

/// False as well where one of the two is no delta.
bool LayerStager::compare_alone(const PlannedLayer& layer, bool content) const {
  if (source_.form_of(layer.id) != LayerForm::delta || target_.form_of(layer.id) != LayerForm::delta)
    return false;
  auto alone = [&](const Driver& driver) {
    std::vector<OpenLayer> layers;
    layers.push_back(driver.open(layer.id));
    return View(std::move(layers), driver.marks());
  };
  View before = alone(source_), after = alone(target_);
  return compare_deltas({before, source_.marks()}, {after, target_.marks()}, content).none();
}

void LayerStager::compare(const PlannedLayer& layer, bool content) const {
  View before(source_, layer.id), after(target_, layer.id);
  ViewDifferences differences =
      compare_views({before, source_.marks(), first_proven(source_, layer)},
                    {after, target_.marks(), first_proven(target_, layer)}, content);
  if (!differences.none())
    throw Error(ExitCode::proof_failed, describe(layer) + " is not what it was: " + named(differences),
                "the source is untouched; `drover rollback` removes the copy");
}

}  // namespace drover
