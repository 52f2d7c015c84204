// A tar, and what is written of its members again. Checksums of headers are put right here.
#include "migrate/archive/tar_reader.hpp"

#include "drivers/sys/error.hpp"
#include "migrate/archive/extents_record.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/tar_split_writer.hpp"
#include "tests/fuzz/tar_text.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

class CountingObserver : public TarObserver {
 public:
  void structure(std::string_view bytes) override { seen += bytes; }
  void member(const TarMember&) override {}
  void content(std::string_view bytes) override { seen += bytes; }
  std::string seen;
};

bool same_member(const TarMember& a, const TarMember& b) {
  return a.name == b.name && a.type == b.type && a.target == b.target && a.mode == b.mode && a.uid == b.uid &&
         a.gid == b.gid && a.mtime.tv_sec == b.mtime.tv_sec && a.mtime.tv_nsec == b.mtime.tv_nsec &&
         a.size == b.size && a.xattrs == b.xattrs && a.drover == b.drover;
}

void check_member(const TarMember& member) {
  promise(member.name.find('\0') == std::string::npos && member.target.find('\0') == std::string::npos,
          "names end where they seem to");
  for (const auto& [name, value] : member.xattrs)
    promise(name.find('\0') == std::string::npos, "an attribute's name ends where it seems to");
  promise(member.mtime.tv_nsec >= 0 && member.mtime.tv_nsec < 1'000'000'000, "a time is one");
  promise((member.mode & ~07777U) == 0 && member.size <= INT64_MAX, "mode and size fit");
  fingerprint_of(member);
  refused([&] {
    std::uint64_t size = 0, end = 0, sum = 0;
    for (auto [at, length] : parse_extents(member, size)) {
      promise(at >= end && length <= size && at <= size - length, "data lies in the file");
      end = at + length;
      sum += length;
    }
    promise(sum == member.size, "all data has a place");
  });
  // A name that is as a pax header has it may not be what a header can say.
  const std::string headers = tar_headers(member) + tar_end();
  TextSource source(headers);
  TarReader reader(source);
  reader.know_own_records();
  TarMember again;
  if (!refused([&] { promise(reader.next(again), "a member that is written is there"); }))
    promise(same_member(member, again), "a member that is written is read again");
}

}  // namespace

FUZZ_TARGET(tar_reader) {
  // Bytes of a tar, or a text that tells of one.
  const std::string tar = input.starts_with("#") ? tar_of_text(input) : with_checksums(input);
  TextSource source(tar);
  CountingObserver observer;
  TarReader reader(source, &observer);
  reader.know_own_records();
  refused([&] {
    for (TarMember member; reader.next(member);) {
      check_member(member);
      if (member.size % 2 == 0) reader.read_all(1 << 16);
    }
    observe_rest(source, observer);
    promise_same(observer.seen, tar, "an observer sees every byte, in order");
  });
  TextSource once_more(tar);
  TarReader layer(once_more);
  for (const std::string& path : LayerModel(layer).unseen())
    promise(("/" + path + "/").find("/../") == std::string::npos, "no path leads out of the layer");
}
