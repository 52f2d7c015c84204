// devicemapper's own records: a device, the device set, a transaction.
#include "drivers/devicemapper_records.hpp"
#include "drivers/sys/error.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(device_records) {
  auto part = parts_of(input, 3);
  Dir folder = empty_folder();
  const std::string id(64, 'd');
  put_file(folder, id.c_str(), part[0]);
  put_file(folder, "deviceset-metadata", part[1]);
  put_file(folder, "transaction-metadata", part[2]);
  for (const LayerId& layer : recorded_layers(folder)) promise_one_name(layer, "a layer is one name");
  refused([&] {
    auto record = read_device_record(folder, id);
    promise(record && record->device_id <= kLargestThinDevice, "a device's number is one");
    promise(record->size_bytes > 0 && record->size_bytes % 512 == 0 && record->size_bytes <= INT64_MAX,
            "a device's size is one");
    write_device_record(folder, id, *record);
    auto again = read_device_record(folder, id);
    promise(again && again->device_id == record->device_id && again->size_bytes == record->size_bytes &&
                again->transaction_id == record->transaction_id && again->deleted == record->deleted &&
                again->initialized == record->initialized,
            "a device's record that is written is read again");
  });
  refused([&] {
    DeviceSetRecord record = read_device_set(folder);
    write_device_set(folder, record);
    DeviceSetRecord again = read_device_set(folder);
    promise(again.last_device_id == record.last_device_id && again.base_uuid == record.base_uuid &&
                again.base_filesystem == record.base_filesystem,
            "a device set's record that is written is read again");
  });
  refused([&] {
    auto record = read_transaction(folder);
    promise(record.has_value(), "a transaction that is there is read or refused");
    if (!record->layer.empty()) promise_one_name(record->layer, "a transaction's layer is one name");
    write_transaction(folder, *record);
    auto again = read_transaction(folder);
    promise(again && again->open_id == record->open_id && again->layer == record->layer, "it is read again");
  });
}
