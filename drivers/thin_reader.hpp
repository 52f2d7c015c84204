#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "drivers/devicemapper_options.hpp"
#include "drivers/devicemapper_records.hpp"
#include "drivers/home_folder.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/sys/dm_ioctl.hpp"
#include "drivers/sys/loop_device.hpp"
#include "drivers/thin_metadata.hpp"
#include "drivers/thin_pool.hpp"
#include "drivers/thin_scratch.hpp"

namespace drover {

/// A thin device's filesystem, mounted where nobody sees it, with the devices that it stands on.
struct ThinVolume {
  std::vector<LoopDevice> loops;
  std::vector<DmDevice> devices;
  std::optional<ThinScratch::Copy> copy;
  ThinScratch* copy_from = nullptr;  ///< takes the copy back
  Dir root;
  ThinVolume() = default;
  ThinVolume(const ThinVolume&) = delete;
  ThinVolume& operator=(const ThinVolume&) = delete;
  ~ThinVolume();
};

/// The names that the engine gives the pool of this home and a layer's device: from the home's device and
/// inode.
std::string engine_pool_name(const Dir& home);
std::string engine_device_name(const Dir& home, const LayerId&);

/// Opens a part of a home's pool: the device that the options name, else the home's own file called `name`.
ThinPool::Place open_pool_part(const HomeFolder& home, const std::string& device, const char* name,
                               int flags);

/// Reads thin devices without a write to them or to their pool. There are three ways, the first that works is
/// taken:
/// - the pool is active (LVM's; or a killed engine's): a thin device is activated on it, read-only;
/// - device-mapper is there: the mappings in the pool's metadata become a table of linear targets on the
/// pool's data.
///   The kernel does not open the pool at all, so nothing about it can change, and the thin target is not
///   needed;
/// - else the device is put together as a scratch file.
/// A filesystem whose journal wants replay gets it on a copy: a dm-snapshot with its changes in a scratch
/// file, or the scratch file itself. All of it goes away when it is let go of, or when drover is killed.
class ThinReader {
 public:
  /// `copies_only`: in the third way, though there may be others.
  ThinReader(const HomeFolder& home, DevicemapperOptions options, bool copies_only)
      : home_(home), options_(std::move(options)), copies_only_(copies_only) {}

  /// `pool`: an active pool, where the caller has one already. `what` names the layer in messages.
  std::unique_ptr<ThinVolume> open(const DeviceRecord&, const ThinPool* pool, const std::string& what);
  /// Lets go of the pool's files. What was opened must be closed.
  void close();

 private:
  struct Offline {
    ThinMetadata metadata;
    std::string data_path;
    ThinScratch scratch;
    std::optional<LoopDevice> loop;  ///< the data file's
    std::string data_number;         ///< its device; empty: no device-mapper
  };
  void choose();
  std::unique_ptr<Offline> open_offline() const;
  bool on_pool(ThinVolume&, const ThinPool&, const DeviceRecord&, const std::string& what) const;
  bool on_table(ThinVolume&, const std::vector<ThinExtent>&, const DeviceRecord&,
                const std::string& what) const;
  void on_copy(ThinVolume&, std::vector<ThinExtent>, const DeviceRecord&, const std::string& what) const;
  bool mount_or_replay(ThinVolume&, const DeviceRecord&, const std::string& what) const;

  HomeFolder home_;
  DevicemapperOptions options_;
  bool copies_only_;
  std::mutex mutex_;
  std::optional<ThinPool> pool_;
  std::unique_ptr<Offline> offline_;
};

}  // namespace drover
