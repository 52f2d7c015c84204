// fuzz_archive RUNS [SEED]: gives the reader a small archive in which bytes were changed, left out, doubled
// or moved, so many times. For compilers without libFuzzer; with clang:
//   clang++ -std=c++20 -fsanitize=fuzzer,address -I. tests/fuzz/archive_reader.cpp ... and the rooms'
//   libraries
#include <iostream>
#include <random>

#include "drivers/sys/sha256.hpp"
#include "migrate/archive/archive_head.hpp"
#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/changes_writer.hpp"
#include "tests/fuzz/archive_reader.hpp"
#include "tests/support/sample_layer.hpp"

using namespace drover;
using namespace drover::test;

namespace {

std::string sample_archive() {
  std::string layer = make_tar({directory("d"), file("d/one", "1"), hard_link_to("d/two", "d/one"),
                                whiteout("gone"), symlink_to("s", "d"), file(std::string(150, 'n'), "long")});
  Digest id = sha256_hex(layer);
  ArchiveHead head;
  head.images.push_back({Digest(64, 'a'), {"app:1"}, std::nullopt, "2026-01-01"});
  head.layers.push_back({id, id, std::nullopt, 5, layer.size()});
  head.containers.push_back({Digest(64, 'c'), "box", id, false});
  TarMember sparse;
  sparse.name = "holes";
  sparse.size = 3;
  sparse.mtime = {1, 2};
  sparse.xattrs = {{"user.a=b", "c"}};
  sparse.drover[kExtentsRecord] = "100 5+1 9+2";
  std::string changes = tar_headers(sparse) + "abc" + std::string(tar_padding(3), '\0') + tar_end(), bytes;
  ArchiveWriter archive([&](std::string_view more) { bytes += more; });
  archive.add(kArchiveHead, head_text(head));
  archive.add("blobs/sha256/" + id, layer);
  archive.add("drover/layers/" + id + "/changes.000000", changes);
  archive.finish();
  return bytes;
}

std::string mutated(std::string bytes, std::mt19937& random) {
  for (unsigned count = 1 + random() % 4; count > 0 && !bytes.empty(); --count) {
    std::size_t at = random() % bytes.size(),
                length = std::min<std::size_t>(random() % 600, bytes.size() - at);
    switch (random() % 5) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      default:
        bytes.replace(at, length, bytes.substr(random() % bytes.size(), length));
        break;
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned long runs = argc > 1 ? std::stoul(argv[1]) : 1000, seed = argc > 2 ? std::stoul(argv[2]) : 1;
  std::string sample = sample_archive();
  for (unsigned long run = 0; run < runs; ++run) {
    std::mt19937 random(static_cast<std::mt19937::result_type>(seed + run));
    std::string bytes = run == 0 ? sample : mutated(sample, random);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  std::cout << runs << " archives read, from seed " << seed << "\n";
}
