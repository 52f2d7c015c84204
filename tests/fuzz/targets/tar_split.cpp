// A whole tar-split: the lines are compressed here, since a fuzzer does not find a checksum.
#include "migrate/tar_split.hpp"

#include <optional>

#include "drivers/sys/error.hpp"
#include "drivers/sys/sha256.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/support/tar_split_writer.hpp"

using namespace drover;
using namespace drover::fuzz;

FUZZ_TARGET(tar_split) {
  const std::string packed = test::gzip(input);
  auto recipe = [&] { return TarSplitReader(test::memory_file(packed)); };
  std::size_t entries = 0;
  bool sound = !refused([&] {
    TarSplitReader reader = recipe();
    for (TarSplitEntry entry; reader.next(entry); ++entries) clean_tar_name(entry.name);
    TarSplitEntry more;
    promise(!reader.next(more), "the end stays the end");
  });
  // A layer in which each name is a file of five bytes.
  auto five = [](const std::string&) { return std::optional(test::memory_file("hello")); };
  std::string tar;
  Rebuilt rebuilt;
  bool rebuilds = !refused([&] {
    TarSplitReader reader = recipe();
    rebuilt = rebuild_tar(reader, five, [&](std::string_view bytes) { tar += bytes; });
  });
  if (rebuilds) promise(sound || !rebuilt.problem.empty(), "a damaged record gives no tar");
  if (rebuilds && rebuilt.problem.empty()) {
    promise_same(rebuilt.digest, sha256_hex(tar), "the digest is that of the bytes");
    promise(rebuilt.bytes == tar.size(), "the size is that of the bytes");
  } else if (rebuilds) {
    promise(rebuilt.digest.empty(), "with a problem there is no digest");
    promise_shown(rebuilt.problem, "a problem is one line of harmless text");
  }
  refused([&] {
    TarSplitReader reader = recipe();
    promise_shown(find_changed_file(reader, five), "what is found is one line of harmless text");
  });
}
