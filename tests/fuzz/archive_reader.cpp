// What `drover import` reads of an archive before anything is written: whatever the bytes are, it ends, with
// an Error or without one.
#include "tests/fuzz/archive_reader.hpp"

#include <string_view>

#include "drivers/sys/error.hpp"
#include "migrate/archive/archive_head.hpp"
#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/extents_record.hpp"
#include "migrate/archive/layer_model.hpp"

namespace {

using namespace drover;

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

void read_archive(std::string_view bytes) {
  TextSource raw(bytes);
  Decompressor unpacked(raw);
  ArchiveReader archive(unpacked);
  while (const TarMember* member = archive.current()) {
    std::string name = member->name;
    if (name == kArchiveHead) {
      head_text(parse_head(archive.read_all(kHeadLimit)));
      archive.pass();
    } else if (name == kArchiveList) {
      archive.check_list();
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
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    read_archive({reinterpret_cast<const char*>(data), size});
  } catch (const drover::Error&) {
    // An answer: it is refused.
  }
  return 0;
}
