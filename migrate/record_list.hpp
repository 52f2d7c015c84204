#pragma once
#include <optional>
#include <string>

#include "drivers/sys/dir.hpp"

namespace drover {

constexpr const char* kRecordsInode = "records-inode";  ///< in `kept`: of the new records

/// Writes it, while they are staged.
void write_records_inode(const Dir& kept, const Dir& records);

/// Whether these records are those that a switch has put in place, by what it has written down in `kept`: an
/// engine that finds none makes new ones, which name nothing. Nothing where it is not written down; in a copy
/// of a data root none are.
std::optional<bool> were_put_in_place(const Dir& kept, const Dir& records);

/// In `kept`: what there was of the old records and containers just before the switch. No engine looks there
/// once they are put aside, so what is not there later is lost, and was not removed by anybody who knew.
constexpr const char* kRecordList = "records.json";

/// Writes it: `records` is `image/<driver>`, `containers` the folder of that name, if there is one. Of a
/// folder of records the number of its files and a digest of their names and sizes, since there may be a
/// million.
void write_record_list(const Dir& kept, const Dir& records, const std::optional<Dir>& containers);

/// The first folder of records, or container, that is not as the list says, in words: "`/path` has other
/// files than it had". Containers that have come since are none of its business. Nothing where all is there,
/// or there is no list. Throws Error for a list that makes no sense.
std::optional<std::string> lost_record(const Dir& kept, const Dir& records,
                                       const std::optional<Dir>& containers);

}  // namespace drover
