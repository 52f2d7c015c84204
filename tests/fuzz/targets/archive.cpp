// What `drover import` reads of an archive of its own before anything is written: whatever the bytes are, it
// ends, with an Error or without one.
#include <string_view>

#include "migrate/archive/archive_head.hpp"
#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/extents_record.hpp"
#include "migrate/archive/layer_model.hpp"
#include "tests/fuzz/tar_text.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

constexpr std::size_t kHeadLimit = 1 << 20;

class CurrentSource : public ByteSource {
 public:
  explicit CurrentSource(ArchiveReader& archive) : archive_(archive) {}
  std::size_t read(char* to, std::size_t size) override { return archive_.read(to, size); }

 private:
  ArchiveReader& archive_;
};

void read_changes_tar(ByteSource& source) {
  TarReader tar(source);
  std::uint64_t size = 0;
  for (TarMember member; tar.next(member);) {
    parse_extents(member, size);
    tar_headers(member);
  }
}

/// Whether its list was read and found right.
bool read_archive(std::string_view bytes) {
  TextSource raw(bytes);
  Decompressor unpacked(raw);
  ArchiveReader archive(unpacked);
  bool listed = false;
  while (const TarMember* member = archive.current()) {
    std::string name = member->name;
    if (name == kArchiveHead) {
      head_text(parse_head(archive.read_all(kHeadLimit)));
      archive.pass();
    } else if (name == kArchiveList) {
      archive.check_list();
      listed = true;
    } else if (name.starts_with("blobs/")) {
      CurrentSource source(archive);
      TarReader layer(source);
      LayerModel(layer).unseen();
      archive.pass();
    } else if (name.ends_with(".000000")) {
      PartSource parts(archive, name.substr(0, name.size() - 7));
      read_changes_tar(parts);
      drain(parts);
    } else {
      archive.pass();
    }
  }
  return listed;
}

}  // namespace

FUZZ_TARGET(archive) {
  refused([&] { read_archive(with_checksums(input)); });
  bool whole = false;
  refused([&] { whole = read_archive(input) && input.size() > 2 * kTarBlock; });
  // In it each byte of a member counts: here the first one's, where that is long enough and the archive is a
  // plain tar.
  constexpr std::size_t kAt = kTarBlock + 40;
  TextSource source(input);
  TarReader tar(source);
  TarMember first;
  if (!whole || !input.substr(257).starts_with("ustar") || !tar.next(first) || first.size < 100) return;
  if (input[156] != '0') return;  // a header of its own comes before it
  std::string changed(input);
  changed[kAt] = static_cast<char>(changed[kAt] ^ 1);
  bool taken = false;
  refused([&] { taken = read_archive(changed); });
  promise(!taken, "a byte that was changed is noticed");
}
