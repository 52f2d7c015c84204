#include "drivers/thin_pool.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <sstream>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

namespace {

/// "41/4096"
bool read_pair(std::istream& in, std::uint64_t& used, std::uint64_t& total) {
  char slash = 0;
  return static_cast<bool>(in >> used >> slash >> total) && slash == '/';
}

ThinPoolStatus parse_status(const std::string& name, const DmTarget& line) {
  ThinPoolStatus status;
  if (line.type != "thin-pool")
    throw Error(
        "the device `" + name + "` is no thin pool, but of type " + printable(line.type),
        "dm.thinpooldev must name a pool that has no volumes of LVM's yet: dmsetup ls --target thin-pool");
  std::istringstream in(line.parameters);
  std::string held_root, word;
  if (line.parameters.starts_with("Fail")) {
    status.mode = "Fail";
    return status;
  }
  if (!(in >> status.transaction_id) || !read_pair(in, status.used_metadata_blocks, status.metadata_blocks) ||
      !read_pair(in, status.used_data_blocks, status.data_blocks) || !(in >> held_root >> status.mode))
    throw Error("the pool `" + name +
                "` has a status that drover does not understand: " + printable(line.parameters));
  while (in >> word) status.needs_check |= word == "needs_check";
  if (status.data_blocks > 0) status.block_bytes = line.sectors / status.data_blocks * kDmSector;
  return status;
}

std::uint64_t device_bytes(int device, const std::string& path) {
  std::uint64_t bytes = 0;
  if (::ioctl(device, BLKGETSIZE64, &bytes) != 0) throw_errno("cannot ask for the size of `" + path + "`");
  return bytes;
}

std::string counts(std::uint64_t used, std::uint64_t total) {
  return std::to_string(used) + " of " + std::to_string(total);
}

}  // namespace

void lock_pool_file(const Fd& file, const std::string& path, int how) {
  // A killed drover's devices go when what it has started ends, mkfs for one; no event tells when that is.
  constexpr int kTries = 1000;
  constexpr timespec kPause{0, 10'000'000};
  for (int i = 0; ::flock(file.get(), how | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK) throw_errno("cannot lock `" + path + "`");
    if (i == kTries)
      throw Error(ExitCode::in_use, "`" + path + "` is in use by a pool that another drover has made",
                  "`dmsetup ls --tree` and `losetup --list` tell of it; try again once it is gone");
    ::nanosleep(&kPause, nullptr);
  }
}

std::optional<ThinPoolStatus> thin_pool_status(const std::string& name) {
  auto lines = dm_status(name);
  if (!lines) return std::nullopt;
  if (lines->empty())
    throw Error("the device `" + name + "` has no table", "remove it: dmsetup remove " + name);
  ThinPoolStatus status = parse_status(name, lines->front());
  // The last block of a pool may be a part of one: the table says how large blocks are.
  if (auto table = dm_table(name); table && !table->empty()) {
    std::istringstream in(table->front().parameters);
    std::string metadata, data;
    std::uint64_t sectors = 0;
    if (in >> metadata >> data >> sectors) status.block_bytes = sectors * kDmSector;
  }
  return status;
}

ThinPool ThinPool::use(const std::string& name) {
  ThinPool pool;
  pool.name_ = name;
  auto number = dm_number(name);
  if (!number)
    throw Error("there is no thin pool `/dev/mapper/" + name + "`",
                "is it active? For one of LVM's: lvchange --activate y VG/POOL");
  pool.number_ = *number;
  pool.status();
  return pool;
}

ThinPool ThinPool::make(Place data, Place metadata, std::uint64_t block_bytes) {
  ThinPool pool;
  std::string numbers[2];
  std::uint64_t data_bytes = 0;
  for (Place* place : {&data, &metadata}) {
    struct stat st;
    if (::fstat(place->file.get(), &st) != 0) throw_errno("cannot look at `" + place->path + "`");
    dev_t device = st.st_rdev;
    std::uint64_t bytes = S_ISBLK(st.st_mode) ? device_bytes(place->file.get(), place->path)
                                              : static_cast<std::uint64_t>(st.st_size);
    if (!S_ISBLK(st.st_mode)) {
      lock_pool_file(place->file, place->path, LOCK_EX);
      pool.loops_.push_back(LoopDevice::attach(place->file.get(), false, place->path));
      device = pool.loops_.back().device();
    }
    if (place == &data) data_bytes = bytes;
    numbers[place == &data ? 0 : 1] = device_number(device);
  }
  constexpr std::uint64_t kLowWater = 32768;  // as the engine's; nobody waits for the event
  std::string parameters = numbers[1] + " " + numbers[0] + " " + std::to_string(block_bytes / kDmSector) +
                           " " + std::to_string(kLowWater) + " 2 skip_block_zeroing error_if_no_space";
  pool.own_ = DmDevice::make("pool", {{0, data_bytes / kDmSector, "thin-pool", parameters}}, false);
  pool.name_ = pool.own_->name();
  pool.number_ = pool.own_->number();
  return pool;
}

void ThinPool::release(ThinPool pool) {
  if (!pool.own_) return;
  std::string name = pool.name_;
  pool.own_.reset();
  await_dm_removal({name});
}

ThinPoolStatus ThinPool::status() const {
  auto status = thin_pool_status(name_);
  if (!status) throw Error("the thin pool `" + name_ + "` is gone");
  return *status;
}

void ThinPool::create(std::uint32_t device) const {
  dm_message(name_, "create_thin " + std::to_string(device));
}

void ThinPool::snapshot(std::uint32_t device, std::uint32_t origin) const {
  dm_message(name_, "create_snap " + std::to_string(device) + " " + std::to_string(origin));
}

void ThinPool::remove(std::uint32_t device) const {
  try {
    dm_message(name_, "delete " + std::to_string(device));
  } catch (const SystemError& e) {
    if (e.number() != ENODATA) throw;
  }
}

void ThinPool::set_transaction_id(std::uint64_t from, std::uint64_t to) const {
  dm_message(name_, "set_transaction_id " + std::to_string(from) + " " + std::to_string(to));
}

DmDevice ThinPool::activate(std::uint32_t device, std::uint64_t size_bytes, bool read_only) const {
  return DmDevice::make("thin", {{0, size_bytes / kDmSector, "thin", number_ + " " + std::to_string(device)}},
                        read_only);
}

void ThinPool::require_room() const {
  ThinPoolStatus now = status();
  std::string pool = "the thin pool `" + name_ + "` ";
  if (now.mode == "out_of_data_space" || now.used_data_blocks >= now.data_blocks)
    throw Error(
        pool + "is full: " + counts(now.used_data_blocks, now.data_blocks) + " data blocks are used",
        "the source is untouched; `drover rollback` removes the copy. Then give it more: --storage-opt "
        "dm.loopdatasize=SIZE, or lvextend for a pool of LVM's");
  if (now.mode == "ro" && now.used_metadata_blocks + 1 >= now.metadata_blocks)
    throw Error(
        pool + "has no room for metadata: " + counts(now.used_metadata_blocks, now.metadata_blocks) +
            " blocks are used",
        "the source is untouched; `drover rollback` gives the copy up. Then give it more: --storage-opt "
        "dm.loopmetadatasize=SIZE; a pool of LVM's needs lvconvert --repair and lvextend --poolmetadatasize");
  if (now.mode != "rw")
    throw Error(pool + "takes no more writes (" + now.mode + (now.needs_check ? ", needs_check" : "") +
                    "): " + counts(now.used_data_blocks, now.data_blocks) + " data blocks and " +
                    counts(now.used_metadata_blocks, now.metadata_blocks) + " metadata blocks are used",
                "the source is untouched; the kernel's log tells what the pool met");
}

}  // namespace drover
