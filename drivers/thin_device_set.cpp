#include "drivers/thin_device_set.hpp"

#include <map>

#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/process.hpp"
#include "drivers/sys/volume_mount.hpp"

namespace drover {

namespace {

/// In the records of a transaction base has no name.
std::string transaction_name(const std::string& name) { return name == kBaseDevice ? "" : name; }

void run(std::vector<std::string> argv) {
  ProcessResult result = run_process(argv);
  if (result.exit_code == 0) return;
  std::string said = printable(std::string_view(result.err).substr(0, result.err.find('\n')));
  throw Error("`" + argv[0] + "` fails on `" + argv.back() + "` (exit code " +
              std::to_string(result.exit_code) + "): " + said);
}

std::string require_program(const char* name, const char* package) {
  auto path = find_program(name);
  if (!path)
    throw Error(ExitCode::not_usable, std::string("the program ") + name + " is not installed",
                std::string("install it (apt-get install ") + package +
                    "), or choose the other filesystem: --storage-opt dm.fs=xfs or dm.fs=ext4");
  return *path;
}

/// Base's and the layers' records. A damaged one is told of: it costs a device, not all that could be done.
std::map<std::string, DeviceRecord> readable_records(const Dir& metadata) {
  std::map<std::string, DeviceRecord> records;
  for (const DirEntry& entry : metadata.list()) {
    if (entry.name != kBaseDevice && !is_layer_id(entry.name)) continue;
    try {
      if (auto record = read_device_record(metadata, entry.name)) records.emplace(entry.name, *record);
    } catch (const Error& e) {
      log_warning(e.what());
    }
  }
  return records;
}

/// The engine's choice where nothing is asked for: xfs, if it can be made and mounted.
std::string default_filesystem() {
  if (!find_program("mkfs.xfs")) return "ext4";
  return kernel_can_mount("xfs") ? "xfs" : "ext4";
}

}  // namespace

ThinDeviceSet::ThinDeviceSet(Dir metadata, ThinPool pool)
    : metadata_(std::move(metadata)), pool_(std::move(pool)) {
  transaction_id_ = pool_.status().transaction_id;
  set_ = read_device_set(metadata_);
  for (const auto& [name, record] : readable_records(metadata_)) used_ids_.insert(record.device_id);
  require_own_pool();
  take_back_unfinished();
}

/// A pool may have been made anew under the name of the one that the records are about.
void ThinDeviceSet::require_own_pool() const {
  auto not_ours = [&](const std::string& why) {
    return Error("the thin pool `" + pool_.name() + "` is not the one that `" + metadata_.path() +
                     "` is about: " + why,
                 "nothing of it was changed; its devices are somebody else's");
  };
  if (auto why = why_not_of_records(metadata_, pool_.status())) throw not_ours(*why);
  auto base = read_device_record(metadata_, kBaseDevice);
  if (!base || !base->initialized) return;
  // The engine asks the same (verifyBaseDeviceUUIDFS).
  std::string filesystem;
  try {
    DmDevice device = pool_.activate(base->device_id, base->size_bytes, true);
    if (!filesystem_on(device.fd(), "the base device").empty())
      filesystem = filesystem_uuid(device.fd(), "the base device");
  } catch (const SystemError& e) {
    if (e.number() != ENODATA) throw;
    if (used_ids_.size() == 1) return;  // base is gone, and its record was about to go: remove_all was cut
    throw not_ours("it has no base device");
  }
  if (filesystem != set_.base_uuid) throw not_ours("its base device has another filesystem");
}

void ThinDeviceSet::take_back_unfinished() {
  auto open = read_transaction(metadata_);
  if (!open || open->open_id <= transaction_id_) return;
  log_detail("taking back an unfinished change to the thin pool");
  pool_.remove(open->device_id);
  std::string name = open->layer.empty() ? kBaseDevice : open->layer;
  if (metadata_.exists(name)) metadata_.unlink(name);
  metadata_.unlink("transaction-metadata");
  metadata_.sync();
  used_ids_.erase(open->device_id);
}

void ThinDeviceSet::ensure_base(const DevicemapperOptions& options) {
  std::lock_guard lock(mutex_);
  auto base = read_device_record(metadata_, kBaseDevice);
  if (base && base->initialized && !base->deleted) return;
  if (base && used_ids_.size() > 1)
    throw Error("the records of `" + metadata_.path() + "` tell of layers, but of no base device in use");
  if (base) remove_base(*base);
  ThinPoolStatus status = pool_.status();
  // The engine takes a pool only if it was never used (checkThinPool).
  if (status.used_data_blocks != 0 || status.transaction_id != 0)
    throw Error("the thin pool `" + pool_.name() + "` is or was in use: it has " +
                    std::to_string(status.used_data_blocks) + " used blocks and the transaction ID " +
                    std::to_string(status.transaction_id),
                "no engine takes such a pool; name a new one: --storage-opt dm.thinpooldev=/dev/mapper/NAME");
  set_.base_filesystem = options.filesystem.empty() ? default_filesystem() : options.filesystem;
  write_device_set(metadata_, set_);
  DeviceRecord made = add(kBaseDevice, options.base_bytes / kDmSector * kDmSector, nullptr);
  make_filesystem(made, options);
  write_device_set(metadata_, set_);  // its UUID, by which the pool is known for ours from here on
  made.initialized = true;
  write_device_record(metadata_, kBaseDevice, made);
}

/// With the engine's arguments (createFilesystem).
void ThinDeviceSet::make_filesystem(const DeviceRecord& record, const DevicemapperOptions& options) {
  DmDevice device = pool_.activate(record.device_id, record.size_bytes, false);
  std::vector<std::string> more = options.mkfs_arguments;
  more.push_back(device.path());
  std::vector<std::string> argv;
  if (set_.base_filesystem == "xfs")
    argv = {require_program("mkfs.xfs", "xfsprogs")};
  else
    argv = {require_program("mkfs.ext4", "e2fsprogs"), "-E",
            "nodiscard,lazy_itable_init=0,lazy_journal_init=0"};
  argv.insert(argv.end(), more.begin(), more.end());
  run(argv);
  if (set_.base_filesystem == "ext4")
    run({require_program("tune2fs", "e2fsprogs"), "-c", "-1", "-i", "0", device.path()});
  set_.base_uuid = filesystem_uuid(device.fd(), "the base device");
  pool_.require_room();
}

std::uint32_t ThinDeviceSet::free_device_id() {
  for (std::uint32_t tried = 0; tried <= kLargestThinDevice; ++tried) {
    set_.last_device_id = (set_.last_device_id + 1) & kLargestThinDevice;
    if (!used_ids_.contains(set_.last_device_id)) return set_.last_device_id;
  }
  throw Error("the thin pool `" + pool_.name() + "` has no free device ID");
}

DeviceRecord ThinDeviceSet::add(const std::string& name, std::uint64_t size_bytes,
                                const DeviceRecord* origin) {
  if (unusable_)
    throw Error("the thin pool `" + pool_.name() + "` has a device that drover could neither use nor remove");
  pool_.require_room();
  DeviceRecord record{.size_bytes = size_bytes, .transaction_id = transaction_id_ + 1};
  record.device_id = free_device_id();
  write_transaction(metadata_, {record.transaction_id, transaction_name(name), record.device_id});
  try {
    if (origin)
      pool_.snapshot(record.device_id, origin->device_id);
    else
      pool_.create(record.device_id);
  } catch (const SystemError& e) {
    if (e.number() != EEXIST) throw;
    metadata_.unlink("transaction-metadata");  // or whoever comes next would remove it
    throw Error("the thin pool `" + pool_.name() + "` has a device " + std::to_string(record.device_id) +
                    " that no record of `" + metadata_.path() + "` tells of",
                "somebody else uses the pool, too; name one that is the engine's alone");
  }
  try {
    write_device_record(metadata_, name, record);
    pool_.set_transaction_id(transaction_id_, record.transaction_id);
  } catch (...) {
    take_back(name, record.device_id);
    throw;
  }
  transaction_id_ = record.transaction_id;
  used_ids_.insert(record.device_id);
  return record;
}

/// The next change to the pool overwrites what tells that this one was not finished.
void ThinDeviceSet::take_back(const std::string& name, std::uint32_t device_id) noexcept {
  unusable_ = true;
  try {
    pool_.remove(device_id);
    if (metadata_.exists(name)) metadata_.unlink(name);
    unusable_ = false;
  } catch (const std::exception& e) {
    log_warning(e.what());
  }
}

void ThinDeviceSet::drop(const std::string& name, std::uint32_t device_id) {
  write_transaction(metadata_, {transaction_id_ + 1, transaction_name(name), device_id});
  pool_.remove(device_id);
  metadata_.unlink(name);
  metadata_.sync();
  pool_.set_transaction_id(transaction_id_, transaction_id_ + 1);
  ++transaction_id_;
  used_ids_.erase(device_id);
}

DeviceRecord ThinDeviceSet::create(const LayerId& id, const std::optional<LayerId>& parent) {
  std::lock_guard lock(mutex_);
  auto origin = read_device_record(metadata_, parent ? *parent : kBaseDevice);
  if (!origin || origin->deleted)
    throw Error("there is no thin device of layer " + parent.value_or("(base)"));
  if (metadata_.exists(id)) throw Error("there is a thin device of layer " + id + " already");
  return add(id, origin->size_bytes, &*origin);
}

void ThinDeviceSet::remove(const LayerId& id) {
  std::lock_guard lock(mutex_);
  if (auto record = read_device_record(metadata_, id)) drop(id, record->device_id);
}

void ThinDeviceSet::remove_all() {
  std::lock_guard lock(mutex_);
  for (const auto& [name, record] : readable_records(metadata_))
    if (name != kBaseDevice) drop(name, record.device_id);
  if (auto base = read_device_record(metadata_, kBaseDevice)) remove_base(*base);
}

/// Leaves the pool as it was before base was made: the engine takes only one whose transaction ID is 0. The
/// record goes last, for without one the pool is not known for ours; again is no error.
void ThinDeviceSet::remove_base(const DeviceRecord& base) {
  pool_.remove(base.device_id);
  if (transaction_id_ != 0) pool_.set_transaction_id(transaction_id_, 0);
  transaction_id_ = 0;
  used_ids_.erase(base.device_id);
  metadata_.unlink(kBaseDevice);
  metadata_.sync();
}

std::optional<std::string> why_not_of_records(const Dir& metadata, const ThinPoolStatus& pool) {
  std::map<std::string, DeviceRecord> records = readable_records(metadata);
  std::string its_id = "its transaction ID is " + std::to_string(pool.transaction_id);
  for (const auto& [name, record] : records)
    if (record.transaction_id > pool.transaction_id + 1)
      return its_id + ", that of " + name + " is " + std::to_string(record.transaction_id);
  auto base = read_device_record(metadata, kBaseDevice);
  if (!base) {
    // Base is made first and removed last: a record that is left without it was left by damage.
    if (!records.empty()) return "no base device is recorded, by which it could be told";
    if (pool.used_data_blocks != 0 && read_transaction(metadata))
      return "it has " + std::to_string(pool.used_data_blocks) +
             " used blocks, and no base device is recorded";
  } else if (!base->initialized) {
    // Without a filesystem that can be told apart nothing else was made.
    if (pool.transaction_id > base->transaction_id || records.size() > 1)
      return its_id + ", and base was not finished";
  } else if (read_device_set(metadata).base_uuid.empty()) {
    return "no filesystem of its base device is recorded, by which it could be told";
  }
  return std::nullopt;
}

std::string recorded_device_ids(const Dir& metadata) {
  std::set<std::uint32_t> ids;
  for (const auto& [name, record] : readable_records(metadata)) ids.insert(record.device_id);
  std::string text;
  for (auto id = ids.begin(); id != ids.end();) {
    std::uint32_t first = *id, last = first;
    while (++id != ids.end() && *id == last + 1) last = *id;
    text +=
        (text.empty() ? "" : ",") + std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
  }
  return text;
}

}  // namespace drover
