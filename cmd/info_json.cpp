#include <nlohmann/json.hpp>

#include "cmd/info_report.hpp"
#include "cmd/migrate_report.hpp"
#include "cmd/render.hpp"
#include "migrate/next_step.hpp"

namespace drover {

namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json nullable(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

const char* level_name(Probe::Usable level) {
  switch (level) {
    case Probe::Usable::yes:
      return "yes";
    case Probe::Usable::with_limits:
      return "with_limits";
    case Probe::Usable::no:
      break;
  }
  return "no";
}

Json names(const std::vector<DriverKind>& kinds) {
  Json list = Json::array();
  for (DriverKind kind : kinds) list.push_back(driver_name(kind));
  return list;
}

Json engine_json(const HostReport& host) {
  return {{"installed", host.engine ? Json(host.engine->text) : Json(nullptr)},
          {"running", nullable(host.engine_running)},
          {"holder", nullable(host.engine_holder)},
          {"config", host.config.config_path},
          {"config_exists", host.config.config_exists}};
}

Json backing_json(const BackingFilesystem& fs) {
  return {{"type", fs.type},
          {"kernel_type", fs.kernel_type},
          {"mount_point", fs.mount_point},
          {"source", fs.source},
          {"place", fs.place},
          {"total_bytes", fs.total_bytes},
          {"free_bytes", fs.free_bytes},
          {"total_inodes", fs.total_inodes},
          {"free_inodes", fs.free_inodes},
          {"read_only", fs.read_only},
          {"d_type", nullable(fs.d_type)},
          {"reflink", nullable(fs.reflink)},
          {"xattr", nullable(fs.xattr)},
          {"quota", fs.quota}};
}

Json status_json(const HostReport& host) {
  Json status = Json::object();
  for (const auto& ranked : host.drivers)
    if (ranked.kind == host.current.kind)
      for (const auto& [key, value] : status_lines(ranked.probe, host.engine)) status[key] = value;
  return status;
}

Json store_json(const StoreSummary& store) {
  Json problems = Json::array();
  for (const auto& problem : store.problems)
    problems.push_back({{"what", problem.what},
                        {"concerns", problem.concerns},
                        {"fatal", problem.fatal},
                        {"fix", problem.fix}});
  return {{"driver", store.driver},
          {"active", store.active},
          {"images", nullable(store.images)},
          {"containers", nullable(store.containers)},
          {"layers", nullable(store.layers)},
          {"build_cache_layers", nullable(store.build_cache)},
          {"orphaned_layers", nullable(store.orphans)},
          {"bytes", nullable(store.bytes)},
          {"bytes_shared", store.bytes_shared},
          {"hidden_reason", store.hidden_reason},
          {"problems", problems}};
}

Json driver_json(const RankedDriver& ranked, bool recommended) {
  DriverAnswer answer = driver_answer(ranked);
  return {{"driver", driver_name(ranked.kind)},
          {"usable", answer.level != Probe::Usable::no},
          {"level", level_name(answer.level)},
          {"in_engine", ranked.in_engine},
          {"reason", answer.reason},
          {"evidence", answer.evidence},
          {"fix", answer.fix},
          {"recommended", recommended}};
}

Json migration_json(const std::optional<OpenMigration>& open) {
  if (!open) return nullptr;
  return {{"id", open->id},
          {"kind", open->record.import ? "import" : "migration"},
          {"from", driver_name(open->record.from)},
          {"to", driver_name(open->record.to)},
          {"state", state_name(open->state)},
          {"from_root", open->record.move ? Json(open->record.move->from_root) : Json(nullptr)},
          {"to_root", open->record.move ? Json(open->record.move->to_root) : Json(nullptr)},
          {"left_behind", open->left ? left_behind_json(*open->left) : Json(nullptr)},
          {"next", next_step(open->record, open->state)}};
}

Json other_json(const OtherStore& store) {
  return {{"engine", store.engine},
          {"driver", store.driver},
          {"configured", store.configured},
          {"root", store.root},
          {"config", store.config},
          {"images", nullable(store.images)},
          {"containers", nullable(store.containers)},
          {"layers", nullable(store.layers)},
          {"note", store.note}};
}

}  // namespace

void print_info_json(std::ostream& out, const InfoReport& report) {
  const HostReport& host = report.host;
  Json stores = Json::array(), drivers = Json::array(), others = Json::array();
  if (report.stores)
    for (const auto& store : *report.stores) stores.push_back(store_json(store));
  auto recommended = recommended_driver(host.drivers);
  for (const auto& ranked : host.drivers) drivers.push_back(driver_json(ranked, ranked.kind == recommended));
  for (const auto& store : host.other_stores) others.push_back(other_json(store));
  print_json(out, {{"schema", 1},
                   {"host",
                    {{"kernel", host.host.kernel},
                     {"filesystems", host.host.filesystems},
                     {"loadable_filesystems", host.host.loadable}}},
                   {"engine", engine_json(host)},
                   {"data_root", host.root.path},
                   {"data_root_source", host.root.source},
                   {"data_root_exists", host.root.exists},
                   {"data_root_owner", {{"uid", host.root.owner.uid}, {"gid", host.root.owner.gid}}},
                   {"driver", host.current.name},
                   {"driver_source", host.current.source},
                   {"driver_priors", names(host.current.priors)},
                   {"driver_status", status_json(host)},
                   {"containerd_image_store", host.current.containerd},
                   {"backing_filesystem", backing_json(host.backing)},
                   {"migration", migration_json(report.migration)},
                   {"stores", stores},
                   {"drivers", drivers},
                   {"other_stores", others},
                   {"troubles", host.troubles}});
}

}  // namespace drover
