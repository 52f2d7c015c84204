// devicemapper (moby daemon/graphdriver/devmapper; up to engine 24):
//
//     <home>/metadata/<id>                 a layer's thin device: its ID in the pool, its size
//     <home>/metadata/base                 the device that all others start from as snapshots
//     <home>/metadata/{deviceset,transaction}-metadata
//     <home>/devicemapper/{data,metadata}  the pool's two files, unless dm.thinpooldev names a pool of LVM's
//     <home>/mnt/<id>/                     where the engine mounts
//
// A layer's tree is `rootfs/` on its device's filesystem; beside it lies `id`, the name of the oldest layer
// that the device was copied from. drover mounts a device nowhere: what it opens is seen by nobody and gone
// when it is closed.

#include <map>
#include <memory>
#include <mutex>

#include "drivers/devicemapper_options.hpp"
#include "drivers/devicemapper_records.hpp"
#include "drivers/devicemapper_space.hpp"
#include "drivers/driver.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/homes.hpp"
#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/size_text.hpp"
#include "drivers/sys/volume_grow.hpp"
#include "drivers/sys/volume_mount.hpp"
#include "drivers/thin_device_set.hpp"
#include "drivers/thin_pool.hpp"
#include "drivers/thin_reader.hpp"

namespace drover {

namespace {

constexpr const char *kRecords = "metadata", *kLoopFiles = "devicemapper", *kTree = "rootfs", *kIdFile = "id";

std::string describe_device(const LayerId& id) { return "the thin device of layer " + id; }

class Devicemapper : public Driver {
 public:
  Devicemapper(const HomeFolder& home, const HomeSettings& settings)
      : home_(home),
        owner_(settings.owner),
        options_(devicemapper_options_of(home_, settings.storage_opts)),
        reader_(home_, options_, settings.offline) {}
  ~Devicemapper() override {
    try {
      close();
    } catch (const std::exception& e) {
      log_warning(e.what());
    }
  }
  Devicemapper(const Devicemapper&) = delete;
  Devicemapper& operator=(const Devicemapper&) = delete;

  DriverKind kind() const noexcept override { return DriverKind::devicemapper; }
  LayerForm form() const noexcept override { return LayerForm::tree; }
  Marks marks() const noexcept override { return Marks::none; }
  bool layers_are_volumes() const noexcept override { return true; }
  bool limits_size() const noexcept override { return true; }
  std::string reluctance() const override {
    return options_.on_loop_files()
               ? "its pool would lie on loop files, which is slow, and which the engine's makers "
                 "advise against (name a pool: --storage-opt dm.thinpooldev=/dev/mapper/NAME)"
               : "";
  }
  std::optional<Space> space() const override;

  std::vector<std::string_view> furniture() const override {
    return {"devicemapper",
            "devicemapper/data",
            "devicemapper/json.migrated",
            "devicemapper/metadata",
            "metadata",
            "metadata/#",
            "metadata/.tmp*",  // a record that was cut as it was written (moby deviceset.go, writeMetaFile)
            "metadata/base",
            "metadata/deviceset-metadata",
            "metadata/transaction-metadata",
            "mnt",
            "mnt/*",
            "setup-config.json"};
  }
  std::vector<LayerId> layers() const override {
    auto records = home_.try_sub(kRecords);
    return records ? recorded_layers(*records) : std::vector<LayerId>{};
  }
  bool contains(const LayerId& id) const override {
    auto records = home_.try_sub(kRecords);
    if (!records || !is_layer_id(id)) return false;
    if (auto there = records->try_stat(id); there && S_ISLNK(there->st_mode)) return false;
    auto record = read_device_record(*records, id);
    return record && !record->deleted;
  }
  std::optional<Symlink> symlink_to(const LayerId& id) const override {
    return home_.find_symlink({kRecords + ("/" + id)});
  }
  std::vector<LayerId> stack(const LayerId& id) const override { return {id}; }
  OpenLayer open(const LayerId&) const override;
  std::string place_of(const LayerId& id) const override {
    return "thin device " + std::to_string(record_of(id).device_id) + " of the pool";
  }

  void make_home() override;
  OpenLayer create(const LayerId&, const std::optional<LayerId>& parent, const CreateOptions&) override;
  void seal(const LayerId&) override;
  std::optional<std::string> limit_size(const LayerId&, std::uint64_t bytes) override;
  void remove(const LayerId& id) override {
    require_layer_id(id);
    {
      std::lock_guard lock(mutex_);
      unsealed_.erase(id);  // its mount would keep the device
    }
    if (home_.try_sub(kRecords)) set().remove(id);
  }
  void remove_home() override;
  std::string outside() const override {
    return options_.on_loop_files()
               ? ""
               : std::to_string(layers().size()) +
                     " layers' devices and their base device in the thin pool `" +
                     (options_.pool.empty() ? options_.data_device : options_.pool) + "`";
  }
  void close() override;

 private:
  DeviceRecord record_of(const LayerId& id) const {
    require_layer_id(id);
    auto record = read_device_record(home_.sub(kRecords), id);
    if (!record || record->deleted) throw Error("layer " + id + " has no thin device");
    return *record;
  }
  void require_engine_gone() const;
  ThinPool activate_pool() const;
  ThinDeviceSet& set();
  void remove_from_outside_pool();
  std::unique_ptr<ThinVolume> mount_for_writing(const DeviceRecord&, const LayerId&);
  OpenLayer tree_of(std::shared_ptr<ThinVolume>, const LayerId&) const;

  HomeFolder home_;
  RootOwner owner_;
  DevicemapperOptions options_;
  mutable ThinReader reader_;
  mutable std::mutex mutex_;
  std::unique_ptr<ThinDeviceSet> set_;  ///< while the home is written to
  // Several readers of one layer share a mount; a writer's is known until it is sealed.
  mutable std::map<LayerId, std::weak_ptr<ThinVolume>> open_;
  std::map<LayerId, Dir> unsealed_;
};

OpenLayer Devicemapper::tree_of(std::shared_ptr<ThinVolume> volume, const LayerId& id) const {
  auto tree = volume->root.try_sub(kTree);
  if (!tree) throw Error(describe_device(id) + " has no folder `" + kTree + "`");
  return {std::move(*tree), std::move(volume)};
}

OpenLayer Devicemapper::open(const LayerId& id) const {
  DeviceRecord record = record_of(id);
  // A running engine writes to it, and what is read beside it is neither its old state nor its new one.
  if (std::string device = engine_device_name(home_.open(), id); open_device_mapper() && dm_number(device))
    throw Error(
        ExitCode::in_use, "the engine has " + describe_device(id) + " in use (`/dev/mapper/" + device + "`)",
        "stop its container, and the engine; if a killed engine has left the device: dmsetup remove " +
            device);
  const ThinPool* pool = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (auto volume = open_[id].lock()) return tree_of(std::move(volume), id);
    if (set_) pool = &set_->pool();
  }
  // Two threads may do this for one layer at once; each then has its own.
  std::shared_ptr<ThinVolume> volume = reader_.open(record, pool, describe_device(id));
  {
    std::lock_guard lock(mutex_);
    open_[id] = volume;
  }
  return tree_of(std::move(volume), id);
}

void Devicemapper::make_home() {
  Dir home = home_.ensure(0700, owner_.uid, owner_.gid);
  ensure_folder(home, kRecords, 0700, 0, 0);
  if (options_.on_loop_files()) {
    Dir files = ensure_folder(home, kLoopFiles, 0700, owner_.uid, owner_.gid);
    auto ensure_file = [&](const char* name, std::uint64_t bytes) {
      Fd file = files.open_file(name, O_RDWR | O_CREAT, 0600);
      struct stat st;
      if (::fstat(file.get(), &st) != 0 || (static_cast<std::uint64_t>(st.st_size) < bytes &&
                                            disk::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0))
        throw_errno("cannot make the pool's file `" + files.path_of(name) + "`");
    };
    if (options_.data_device.empty()) ensure_file("data", options_.loop_data_bytes);
    if (options_.metadata_device.empty()) ensure_file("metadata", options_.loop_metadata_bytes);
    files.sync();
  }
  home.sync();
  set().ensure_base(options_);
}

/// The pool's files can be opened by one pool at a time.
void Devicemapper::require_engine_gone() const {
  if (std::string name = engine_pool_name(home_.open()); open_device_mapper() && dm_number(name))
    throw Error(ExitCode::in_use, "the engine's pool `/dev/mapper/" + name + "` is still active",
                "a killed engine has left it: unmount its containers and run `dmsetup remove " + name + "`");
}

ThinPool Devicemapper::activate_pool() const {
  remove_stale_dm_devices();
  if (!options_.pool.empty()) return ThinPool::use(options_.pool);
  require_engine_gone();
  bool is_new = !home_.sub(kRecords).exists(kBaseDevice);
  auto part = [&](const std::string& device, const char* name) {
    ThinPool::Place place = open_pool_part(home_, device, name, O_RDWR);
    // A mistyped name costs whatever is there.
    if (std::string found = is_new && !device.empty() ? signature_on(place.file.get(), device) : "";
        !found.empty())
      throw Error("`" + device + "` is not empty: it holds " + found,
                  "if a thin pool shall take its place: wipefs --all " + device);
    return place;
  };
  return ThinPool::make(part(options_.data_device, "data"), part(options_.metadata_device, "metadata"),
                        options_.block_bytes);
}

ThinDeviceSet& Devicemapper::set() {
  std::lock_guard lock(mutex_);
  if (!set_) set_ = std::make_unique<ThinDeviceSet>(home_.sub(kRecords), activate_pool());
  return *set_;
}

std::unique_ptr<ThinVolume> Devicemapper::mount_for_writing(const DeviceRecord& record, const LayerId& id) {
  auto volume = std::make_unique<ThinVolume>();
  volume->devices.push_back(set().pool().activate(record.device_id, record.size_bytes, false));
  const DmDevice& device = volume->devices.back();
  std::string filesystem = filesystem_on(device.fd(), describe_device(id));
  // A filesystem writes to its journal as it is mounted: what is full then is the pool.
  try {
    volume->root = mount_volume(device.path(), filesystem, false, describe_device(id));
  } catch (const SystemError&) {
    set().pool().require_room();
    throw;
  }
  return volume;
}

OpenLayer Devicemapper::create(const LayerId& id, const std::optional<LayerId>& parent,
                               const CreateOptions&) {
  require_layer_id(id);
  DeviceRecord record = set().create(id, parent);
  std::shared_ptr<ThinVolume> volume = mount_for_writing(record, id);
  if (!volume->root.exists(kTree)) make_folder(volume->root, kTree, 0755, owner_.uid, owner_.gid);
  if (!volume->root.exists(kIdFile)) volume->root.write_new(kIdFile, id, 0600);
  {
    std::lock_guard lock(mutex_);
    unsealed_[id] = volume->root.clone();
  }
  return tree_of(std::move(volume), id);
}

void Devicemapper::seal(const LayerId& id) {
  Dir root;
  {
    std::lock_guard lock(mutex_);
    auto found = unsealed_.find(id);
    if (found == unsealed_.end()) throw Error("layer " + id + " is not being made");
    root = std::move(found->second);
    unsealed_.erase(found);
  }
  // What the pool could not take shows here at the latest: a write is put off until then.
  try {
    root.sync_fs();
  } catch (const SystemError&) {
    set().pool().require_room();
    throw;
  }
  set().pool().require_room();
}

std::optional<std::string> Devicemapper::limit_size(const LayerId& id, std::uint64_t bytes) {
  DeviceRecord record = record_of(id);
  bytes = bytes / kDmSector * kDmSector;
  if (bytes < record.size_bytes)
    return "a thin device cannot be smaller than the base device (dm.basesize), " +
           human_size(record.size_bytes);
  if (bytes == record.size_bytes) return std::nullopt;
  record.size_bytes = bytes;
  write_device_record(home_.sub(kRecords), id, record);
  auto volume = mount_for_writing(record, id);
  grow_filesystem(volume->root, set().filesystem(), bytes);
  volume->root.sync_fs();
  set().pool().require_room();
  return std::nullopt;
}

void Devicemapper::remove_home() {
  auto home = home_.try_open();
  if (!home) return home_.remove();
  // A pool in files goes with the files; from one of LVM's only the devices that are ours go.
  if (!options_.on_loop_files() && home->try_sub(kRecords)) remove_from_outside_pool();
  close();
  remove_stale_dm_devices();
  require_engine_gone();
  home_.remove();
}

/// Where a pool is gone, or takes no changes any more, or is another by now, that is said: it is no reason to
/// keep the home for ever.
void Devicemapper::remove_from_outside_pool() {
  Dir records = home_.sub(kRecords);
  std::string ids = recorded_device_ids(records);
  // The first device may have been made, and killed before its record.
  if (ids.empty() && !read_transaction(records)) return;
  std::string why;
  try {
    ThinDeviceSet& devices = set();
    if (devices.pool().status().mode == "rw" || devices.pool().status().mode == "out_of_data_space")
      return devices.remove_all();
    why = "it takes no changes (" + devices.pool().status().mode + ")";
  } catch (const Error& e) {
    auto system = dynamic_cast<const SystemError*>(&e);
    if (e.code() == ExitCode::in_use || (system && system->number() == EBUSY)) throw;
    why = e.what();
  }
  if (ids.empty()) return;
  log_warning("devices stay in the thin pool `" +
              (options_.pool.empty() ? options_.data_device : options_.pool) + "`: " + why +
              ". They have the IDs " + ids + " (dmsetup message POOL 0 \"delete ID\")");
}

void Devicemapper::close() {
  std::unique_ptr<ThinDeviceSet> set;
  {
    std::lock_guard lock(mutex_);
    set = std::move(set_);
    unsealed_.clear();
    open_.clear();
  }
  reader_.close();
  if (!set) return;
  set->save();
  ThinPool::release(set->take_pool());
}

std::optional<Space> Devicemapper::space() const {
  return devicemapper_space(home_.above().path(), options_);
}

}  // namespace

std::unique_ptr<Driver> open_devicemapper(const std::string& home, const HomeSettings& settings) {
  return std::make_unique<Devicemapper>(home, settings);
}

}  // namespace drover
