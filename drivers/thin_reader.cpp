#include "drivers/thin_reader.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/log.hpp"
#include "drivers/sys/volume_mount.hpp"

namespace drover {

namespace {

// More lines than that make device-mapper slow to set up; the copy is then as good.
constexpr std::size_t kLargestTable = 100'000;

constexpr const char* kPoolFiles = "devicemapper";

/// Where scratch files go: beside the home, where blocks can perhaps be shared with the pool's data.
std::string scratch_place(const HomeFolder& home) {
  std::string beside = home.above().path();
  Fd trial(disk::open(beside.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return trial ? beside : "/var/tmp";
}

/// The device as lines of a table: its extents, and zeros between them.
std::vector<DmTarget> linear_table(const std::vector<ThinExtent>& extents, std::uint64_t block_bytes,
                                   std::uint64_t size_bytes, const std::string& data) {
  std::vector<DmTarget> table;
  std::uint64_t sectors = size_bytes / kDmSector, per_block = block_bytes / kDmSector, at = 0;
  auto zeros_up_to = [&](std::uint64_t end) {
    if (end > at) table.push_back({at, end - at, "zero", ""});
    at = std::max(at, end);
  };
  for (const ThinExtent& extent : extents) {
    std::uint64_t begin = extent.begin * per_block;
    if (begin >= sectors) break;
    zeros_up_to(begin);
    std::uint64_t length = std::min(extent.length * per_block, sectors - begin);
    table.push_back({begin, length, "linear", data + " " + std::to_string(extent.data * per_block)});
    at = begin + length;
  }
  zeros_up_to(sectors);
  return table;
}

bool dm_has_targets(std::initializer_list<const char*> targets) {
  auto control = open_device_mapper();
  return control && std::all_of(targets.begin(), targets.end(),
                                [&](const char* target) { return dm_has_target(control->get(), target); });
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) { return (value + step - 1) / step * step; }

}  // namespace

ThinVolume::~ThinVolume() {
  root = Dir();
  loops.clear();
  if (copy && copy_from) copy_from->give_back(std::move(*copy));
}

std::string engine_device_name(const Dir& home, const LayerId& id) {
  struct stat st = home.stat();
  // The engine takes the device number apart by arithmetic of its own.
  std::uint64_t device = st.st_dev, major = (device >> 8) & 0xfff,
                minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  return "docker-" + std::to_string(major) + ":" + std::to_string(minor) + "-" + std::to_string(st.st_ino) +
         "-" + id;
}

std::string engine_pool_name(const Dir& home) { return engine_device_name(home, "pool"); }

ThinPool::Place open_pool_part(const HomeFolder& home, const std::string& device, const char* name,
                               int flags) {
  if (device.empty()) {
    auto files = home.try_sub(kPoolFiles);
    if (auto link = files ? std::nullopt : home.find_symlink({kPoolFiles})) throw link->refusal();
    if (!files || !files->exists(name))
      throw Error(ExitCode::not_usable,
                  "the layers of `" + home.path_of("") +
                      "` are in a thin pool that no storage-opt names, and its folder `" + kPoolFiles +
                      "` has no pool's `" + name + "`",
                  "name the pool as the engine that made it did, in daemon.json: \"storage-opts\": "
                  "[\"dm.thinpooldev=/dev/mapper/NAME\"] (dmsetup ls --target thin-pool)");
    return {files->open_regular(name, flags), files->path_of(name)};
  }
  Fd file(::open(device.c_str(), flags | O_CLOEXEC));
  if (!file) throw_errno("cannot open `" + device + "`");
  return {std::move(file), device};
}

namespace {

/// Mounts a device read-only. EROFS as a value: its journal wants replay, which a read-only device does not
/// allow.
std::optional<Dir> mount_read_only(const std::string& path, int device, const std::string& what) {
  std::string filesystem = filesystem_on(device, what);
  if (filesystem.empty())
    throw Error(what + " holds no filesystem that drover knows", "the engine's are ext4 and xfs");
  try {
    return mount_volume(path, filesystem, true, what);
  } catch (const SystemError& e) {
    if (e.number() == EROFS) return std::nullopt;
    throw;
  }
}

}  // namespace

std::unique_ptr<ThinVolume> ThinReader::open(const DeviceRecord& record, const ThinPool* pool,
                                             const std::string& what) {
  if (!pool) {
    std::lock_guard lock(mutex_);
    if (!pool_ && !offline_) choose();
  }
  auto volume = std::make_unique<ThinVolume>();
  if (const ThinPool* active = pool ? pool : pool_ ? &*pool_ : nullptr) {
    if (!on_pool(*volume, *active, record, what))
      throw Error(
          what +
              " was not unmounted, and its journal cannot be replayed on a copy: device-mapper has no "
              "snapshot target",
          "load it: modprobe dm-snapshot");
    return volume;
  }
  auto extents = offline_->metadata.extents(record.device_id);
  if (!on_table(*volume, extents, record, what)) {
    volume = std::make_unique<ThinVolume>();
    on_copy(*volume, std::move(extents), record, what);
  }
  return volume;
}

void ThinReader::close() {
  std::lock_guard lock(mutex_);
  pool_.reset();
  offline_.reset();
}

void ThinReader::choose() {
  bool has_dm = open_device_mapper().has_value();
  if (has_dm) {
    remove_stale_dm_devices();
    std::string name = options_.pool.empty() ? engine_pool_name(home_.open()) : options_.pool;
    if (dm_number(name)) {
      // Its metadata on the disk is behind what the kernel knows.
      if (copies_only_)
        throw Error(ExitCode::in_use,
                    "the thin pool `/dev/mapper/" + name + "` is active: it cannot be read offline",
                    "leave out --offline; or deactivate it: lvchange --activate n VG/POOL");
      pool_ = ThinPool::use(name);
      return;
    }
  }
  if (options_.on_pool_of_lvm() && (options_.data_device.empty() || options_.metadata_device.empty()))
    throw Error("the thin pool `/dev/mapper/" + options_.pool + "` is not there" +
                    (has_dm ? "" : ": this kernel has no device-mapper"),
                "activate it: lvchange --activate y VG/POOL; or, where its parts can be had as devices or "
                "files, name "
                "them in the engine's storage-opts: dm.datadev=DATA and dm.metadatadev=METADATA");
  offline_ = open_offline();
}

std::unique_ptr<ThinReader::Offline> ThinReader::open_offline() const {
  ThinPool::Place metadata_file = open_pool_part(home_, options_.metadata_device, "metadata", O_RDONLY);
  auto [data, data_path] = open_pool_part(home_, options_.data_device, "data", O_RDONLY);
  lock_pool_file(metadata_file.file, metadata_file.path, LOCK_SH);
  struct stat st;
  if (::fstat(data.get(), &st) != 0) throw_errno("cannot look at `" + data_path + "`");
  ThinMetadata metadata(std::move(metadata_file.file), metadata_file.path);
  std::uint64_t block_bytes = metadata.pool().block_bytes;
  std::optional<LoopDevice> loop;
  std::string number;
  if (!copies_only_ && dm_has_targets({"linear", "zero"})) {
    if (!S_ISBLK(st.st_mode)) loop = LoopDevice::attach(data.get(), true, data_path);
    number = device_number(loop ? loop->device() : st.st_rdev);
  }
  log_detail("reading thin devices from `" + metadata_file.path + "`" + (number.empty() ? " by copies" : ""));
  return std::unique_ptr<Offline>(new Offline{std::move(metadata),
                                              data_path,
                                              {scratch_place(home_), std::move(data), block_bytes},
                                              std::move(loop),
                                              std::move(number)});
}

bool ThinReader::on_pool(ThinVolume& volume, const ThinPool& pool, const DeviceRecord& record,
                         const std::string& what) const {
  volume.devices.push_back(pool.activate(record.device_id, record.size_bytes, true));
  return mount_or_replay(volume, record, what);
}

bool ThinReader::on_table(ThinVolume& volume, const std::vector<ThinExtent>& extents,
                          const DeviceRecord& record, const std::string& what) const {
  if (offline_->data_number.empty()) return false;
  auto table =
      linear_table(extents, offline_->metadata.pool().block_bytes, record.size_bytes, offline_->data_number);
  if (table.size() > kLargestTable) return false;
  volume.devices.push_back(DmDevice::make("table", table, true));
  return mount_or_replay(volume, record, what);
}

/// Mounts the volume's device; where the journal wants replay, a snapshot of it whose changes go to a scratch
/// file. False where that cannot be made.
bool ThinReader::mount_or_replay(ThinVolume& volume, const DeviceRecord& record,
                                 const std::string& what) const {
  const DmDevice& origin = volume.devices.front();
  if (auto root = mount_read_only(origin.path(), origin.fd(), what)) {
    volume.root = std::move(*root);
    return true;
  }
  if (!dm_has_targets({"snapshot"})) return false;
  log_detail(what + " was not unmounted: its journal is replayed on a copy");
  constexpr std::uint64_t kChunk = 16;  // sectors
  // The most that a replay can write, and the snapshot's own records; the file is sparse.
  std::uint64_t room = round_up(record.size_bytes + record.size_bytes / 64 + (1 << 20), kChunk * kDmSector);
  std::string place = scratch_place(home_);
  Fd changes = scratch_file(place, room);
  volume.loops.push_back(LoopDevice::attach(changes.get(), false, place + "/(scratch)"));
  std::string parameters =
      origin.number() + " " + device_number(volume.loops.back().device()) + " N " + std::to_string(kChunk);
  DmDevice copy =
      DmDevice::make("replay", {{0, record.size_bytes / kDmSector, "snapshot", parameters}}, false);
  auto root = mount_read_only(copy.path(), copy.fd(), what);
  if (!root) throw Error(what + " cannot be mounted: its journal cannot be replayed");
  volume.devices.push_back(std::move(copy));
  volume.root = std::move(*root);
  return true;
}

void ThinReader::on_copy(ThinVolume& volume, std::vector<ThinExtent> extents, const DeviceRecord& record,
                         const std::string& what) const {
  ThinScratch& scratch = offline_->scratch;
  auto attach = [&](bool read_only) -> const LoopDevice& {
    volume.loops.clear();
    volume.loops.push_back(
        LoopDevice::attach(volume.copy->file.get(), read_only, "(scratch of " + what + ")"));
    return volume.loops.back();
  };
  volume.copy = scratch.make(std::move(extents), record.size_bytes);
  if (auto root = mount_read_only(attach(true).path(), volume.copy->file.get(), what)) {
    volume.root = std::move(*root);
    volume.copy_from = &scratch;
    return;
  }
  log_detail(what + " was not unmounted: its journal is replayed on a copy");
  auto root = mount_read_only(attach(false).path(), volume.copy->file.get(), what);
  if (!root) throw Error(what + " cannot be mounted: its journal cannot be replayed");
  volume.root = std::move(*root);
}

}  // namespace drover
