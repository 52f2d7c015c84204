#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/sys/sha256.hpp"
#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/tar_reader.hpp"

namespace drover {

/// What the archive's own list says of one of its members.
struct ArchiveEntry {
  std::string name;
  std::uint64_t size = 0;
  std::string sha256;
  bool operator==(const ArchiveEntry&) const = default;
};

/// The names of the archive's first and last member; see docs/archive-format.md.
constexpr const char *kArchiveHead = "drover/archive.json", *kArchiveList = "drover/manifest.json";

/// Writes the members of an archive, and at its end the list of them.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(ByteSink to) : to_(std::move(to)) {}
  void add(const std::string& name, std::string_view content);
  /// A member of this size, whose content comes by write(), until end().
  void begin(const std::string& name, std::uint64_t size);
  void write(std::string_view bytes);
  /// Throws Error if it was not of the size that was said.
  void end();
  void finish();

 private:
  ByteSink to_;
  std::vector<ArchiveEntry> entries_;
  Sha256 sha256_;
  std::uint64_t written_ = 0;
};

/// A stream of unknown length, as members `prefix`.000000, `prefix`.000001, ...
class PartWriter {
 public:
  PartWriter(ArchiveWriter& archive, std::string prefix) : archive_(archive), prefix_(std::move(prefix)) {}
  void write(std::string_view bytes);
  /// To be called once all is written.
  void finish();

 private:
  void flush();
  ArchiveWriter& archive_;
  std::string prefix_, part_;
  unsigned number_ = 0;
};
std::string part_name(const std::string& prefix, unsigned number);

/// Reads the members of an archive one after another and checks them against its list.
class ArchiveReader {
 public:
  explicit ArchiveReader(ByteSource& tar) : source_(tar), tar_(tar) {}
  /// The member at which it is; null at the end.
  const TarMember* current();
  /// Of the member at which it is.
  std::size_t read(char* to, std::size_t size);
  std::string read_all(std::size_t limit);
  std::uint64_t rest() const { return tar_.rest(); }
  /// Passes the member; what was not read of it is read. The digest of its content.
  std::string pass();
  /// Reads the list, at which it is, and what is behind it. Throws Error if any member was not as listed.
  void check_list();

 private:
  ByteSource& source_;
  TarReader tar_;
  TarMember member_;
  bool has_member_ = false;
  Sha256 sha256_;
  std::vector<ArchiveEntry> entries_;
  std::size_t listed_bytes_ = 0;  ///< what they take, about
};

/// What PartWriter wrote. Ends in front of the first member that is no part of it; with `prefix`.000000
/// missing it is empty.
class PartSource : public ByteSource {
 public:
  PartSource(ArchiveReader& archive, std::string prefix) : archive_(archive), prefix_(std::move(prefix)) {}
  std::size_t read(char* to, std::size_t size) override;

 private:
  ArchiveReader& archive_;
  std::string prefix_;
  unsigned number_ = 0;
};

}  // namespace drover
