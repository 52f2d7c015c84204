#pragma once
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "drivers/devicemapper_options.hpp"
#include "drivers/devicemapper_records.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/thin_pool.hpp"

namespace drover {

/// The thin devices of a pool that is written to, kept as the engine keeps them (moby deviceset.go): each
/// change is a transaction, in which the record of what is about to be done is on disk before the pool is
/// told, and the pool's own transaction ID counts up last. So whoever opens it next, drover or the engine,
/// can tell what was not finished and takes it back. Several threads may use one at once.
class ThinDeviceSet {
 public:
  /// Takes back what was not finished. `metadata`: the home's folder of records. Throws Error, and has
  /// changed nothing, if the pool is not the one that the records are about: its devices may be somebody
  /// else's.
  ThinDeviceSet(Dir metadata, ThinPool pool);

  const ThinPool& pool() const { return pool_; }
  /// The pool, for release(): this must not be used any more.
  ThinPool take_pool() { return std::move(pool_); }

  /// Makes the device that all others start from, with its filesystem, unless it is there. Throws Error for a
  /// pool that is in use by somebody else.
  void ensure_base(const DevicemapperOptions&);
  /// A snapshot of `parent` (none: base) for a layer.
  DeviceRecord create(const LayerId&, const std::optional<LayerId>& parent);
  /// Removes the layer's device and record. Gone already is success.
  void remove(const LayerId&);
  /// Removes all devices that have a record, and leaves the pool as it was before the first.
  void remove_all();
  /// Writes down the last device ID, as the engine does when it stops.
  void save() { write_device_set(metadata_, set_); }
  const std::string& filesystem() const { return set_.base_filesystem; }

 private:
  void require_own_pool() const;
  void take_back_unfinished();
  std::uint32_t free_device_id();
  DeviceRecord add(const std::string& name, std::uint64_t size_bytes, const DeviceRecord* origin);
  void take_back(const std::string& name, std::uint32_t device_id) noexcept;
  void drop(const std::string& name, std::uint32_t device_id);
  void remove_base(const DeviceRecord&);
  void make_filesystem(const DeviceRecord&, const DevicemapperOptions&);

  Dir metadata_;
  ThinPool pool_;
  DeviceSetRecord set_;
  std::mutex mutex_;
  std::uint64_t transaction_id_ = 0;
  std::set<std::uint32_t> used_ids_;
  bool unusable_ = false;  ///< a device was made that no record tells of
};

/// Why the records in `metadata` cannot be about this pool, or do not tell that they are; nothing: they may
/// be, and are if the base device, once it has a filesystem, has the one that is recorded.
std::optional<std::string> why_not_of_records(const Dir& metadata, const ThinPoolStatus&);

/// The IDs of all devices that have a readable record, as "1-4,7", for an admin who has to remove them by
/// hand.
std::string recorded_device_ids(const Dir& metadata);

}  // namespace drover
