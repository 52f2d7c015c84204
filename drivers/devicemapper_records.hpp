#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/sys/dir.hpp"
#include "drivers/thin_metadata.hpp"

namespace drover {

/// The engine's own records of thin devices: small JSON files in `<home>/metadata` (moby
/// daemon/graphdriver/devmapper/deviceset.go: devInfo, transaction, DeviceSet). All are hostile when read.

/// `metadata/<layer>`, or `metadata/base` for the device that all others start as snapshots of.
struct DeviceRecord {
  std::uint32_t device_id = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t transaction_id = 0;
  bool initialized = false;  ///< true of base only, once it has a filesystem
  bool deleted = false;      ///< its deletion is pending: no layer any more
};

constexpr const char* kBaseDevice = "base";

/// Nothing if there is none; throws Error for one that the engine could not use.
std::optional<DeviceRecord> read_device_record(const Dir& metadata, const std::string& name);
void write_device_record(const Dir& metadata, const std::string& name, const DeviceRecord&);
/// The layers that have a record, those to be deleted left out.
std::vector<LayerId> recorded_layers(const Dir& metadata);

/// `metadata/deviceset-metadata`
struct DeviceSetRecord {
  std::uint32_t last_device_id = 0;  ///< "next_device_id", which the engine counts up before each use
  std::string base_uuid, base_filesystem;
};
DeviceSetRecord read_device_set(const Dir& metadata);
void write_device_set(const Dir& metadata, const DeviceSetRecord&);

/// `metadata/transaction-metadata`: what is about to be done to the pool. It is done once the pool's own
/// transaction ID is this one; else the engine takes it back when it starts: it deletes the device and its
/// record.
struct TransactionRecord {
  std::uint64_t open_id = 0;
  std::string layer;  ///< empty: base
  std::uint32_t device_id = 0;
};
std::optional<TransactionRecord> read_transaction(const Dir& metadata);
void write_transaction(const Dir& metadata, const TransactionRecord&);

}  // namespace drover
