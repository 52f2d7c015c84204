// The reader of a thin pool's metadata: on metadata that thin_restore made (package thin-provisioning-tools;
// what is expected is what thin_dump said of it), and on metadata that lies.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>

#include "drivers/sys/crc32c.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/thin_metadata.hpp"
#include "tests/support/thin_pool_writer.hpp"

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t kBlock = kThinMetadataBlock;

Fd file_of(const std::string& content) {
  Fd file(::memfd_create("thin-metadata", MFD_CLOEXEC));
  REQUIRE(file);
  REQUIRE(::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  return file;
}

ThinMetadata metadata_of(const std::string& content) { return {file_of(content), "metadata"}; }

std::string fixture() {
  gzFile in = ::gzopen((std::string(TESTS_DIR) + "/unit/data/thin_metadata.gz").c_str(), "rb");
  REQUIRE(in);
  std::string text(1 << 20, '\0');
  int n = ::gzread(in, text.data(), static_cast<unsigned>(text.size()));
  ::gzclose(in);
  REQUIRE(n == 1 << 20);
  return text;
}

/// What is said of the metadata, reading every device of it; empty: nothing.
std::string complaint(const std::string& content) {
  try {
    ThinMetadata metadata = metadata_of(content);
    for (const auto& [device, blocks] : metadata.devices()) metadata.extents(device);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

bool complains(const std::string& content, const char* of) {
  std::string said = complaint(content);
  INFO(said);
  return said.find(of) != std::string::npos;
}

void put32(std::string& content, std::size_t at, std::uint32_t value) {
  std::memcpy(content.data() + at, &value, 4);
}
void put64(std::string& content, std::size_t at, std::uint64_t value) {
  std::memcpy(content.data() + at, &value, 8);
}
std::uint32_t u32(const std::string& content, std::size_t at) {
  std::uint32_t value;
  std::memcpy(&value, content.data() + at, 4);
  return value;
}

/// A pool with one device of two levels: block 1 and 2 are its leaves, 3 its root, 4 the mapping, 5 the
/// details.
std::string small_pool() {
  ThinDevices devices;
  for (std::uint64_t i = 0; i < 300; ++i) devices[7][i * 2] = {i, 0};
  return thin_metadata(devices);
}

}  // namespace

TEST_CASE("CRC-32C") { CHECK((crc32c(UINT32_MAX, "123456789") ^ UINT32_MAX) == 0xe3069283); }

TEST_CASE("metadata as the tools make it") {
  ThinMetadata metadata = metadata_of(fixture());
  CHECK(metadata.pool().transaction_id == 41);
  CHECK(metadata.pool().block_bytes == 64 << 10);
  CHECK(metadata.pool().data_blocks == 60000);
  CHECK(metadata.pool().used_data_blocks == 1857);
  CHECK(metadata.pool().metadata_blocks == 256);
  CHECK_FALSE(metadata.pool().needs_check);
  CHECK(metadata.devices() ==
        std::map<std::uint64_t, std::uint64_t>{{1, 60}, {2, 341}, {5, 0}, {16777215, 1500}});

  CHECK(metadata.extents(1) == std::vector<ThinExtent>{{0, 0, 40}, {500, 40, 20}});
  CHECK(metadata.extents(5).empty());
  CHECK_THROWS_WITH_AS(metadata.extents(3), doctest::Contains("no device 3"), Error);

  std::map<std::uint64_t, std::uint64_t> blocks, expected;
  for (const ThinExtent& extent : metadata.extents(2))
    for (std::uint64_t i = 0; i < extent.length; ++i) blocks[extent.begin + i] = extent.data + i;
  for (std::uint64_t i = 0; i < 40; ++i) expected[i] = i;
  for (std::uint64_t i = 0; i < 20; ++i) expected[500 + i] = 40 + i;
  for (std::uint64_t i = 0; 10 + 3 * i < 900; ++i) expected[10 + 3 * i] = 60 + i;
  CHECK(blocks == expected);

  auto large = metadata.extents(16777215);
  REQUIRE(large.size() == 1500);
  for (std::uint64_t i = 0; i < large.size(); ++i) CHECK(large[i] == ThinExtent{i * 10, 357 + i, 1});
}

TEST_CASE("metadata of our own writer, for the tests below") {
  ThinMetadata metadata = metadata_of(small_pool());
  CHECK(metadata.extents(7).size() == 300);
  ThinDevices many;
  for (std::uint64_t device = 1; device < 500; ++device) many[device][device] = {device, 0};
  ThinMetadata wide = metadata_of(thin_metadata(many));
  CHECK(wide.devices().size() == 499);
  CHECK(wide.extents(321) == std::vector<ThinExtent>{{321, 321, 1}});
}

TEST_CASE("every byte of the metadata is under a checksum") {
  std::string sound = small_pool();
  REQUIRE(complaint(sound).empty());
  for (std::size_t at = 0; at < sound.size(); at += 97) {
    std::string content = sound;
    content[at] = static_cast<char>(content[at] ^ 0x10);
    CHECK_MESSAGE(complains(content, "has a wrong checksum"), "byte " << at);
  }
}

TEST_CASE("metadata that ends too early") {
  std::string sound = small_pool();
  for (std::size_t size : {std::size_t{0}, std::size_t{100}, kBlock, kBlock * 3, sound.size() - 1})
    CHECK_MESSAGE(complains(sound.substr(0, size), "is beyond its end"), "size " << size);
  CHECK(complains(fixture().substr(0, 5 * kBlock), "is beyond its end"));
}

TEST_CASE("a superblock that lies") {
  auto with = [&](std::size_t at, std::uint64_t value, bool wide) {
    std::string content = small_pool();
    if (wide)
      put64(content, at, value);
    else
      put32(content, at, static_cast<std::uint32_t>(value));
    reseal(content, 0);
    return content;
  };
  CHECK(complains(with(8, 1, true), "is another one"));
  CHECK(complains(with(32, 1, true), "is no superblock"));
  CHECK(complains(with(40, 9, false), "of version 9"));
  CHECK(complains(with(360, 1, false), "does not know"));
  CHECK(complains(with(336, 0, false), "block size"));
  CHECK(complains(with(336, 127, false), "block size"));
  CHECK(complains(with(336, UINT32_MAX, false), "block size"));
  CHECK(complains(with(340, 16, false), "block size"));
  CHECK(complains(with(64, UINT64_MAX, true), "impossible counts"));
  CHECK(complains(with(72, UINT64_MAX, true), "impossible counts"));
  CHECK(complains(with(64, 10, true), "impossible counts"));
  CHECK(complains(with(320, UINT64_MAX, true), "is beyond its end"));
  CHECK(complains(with(328, 0, true), "has a wrong checksum"));
  CHECK(complains(with(328, 4, true), "values of another size"));
  CHECK(metadata_of(with(4, 1, false)).pool().needs_check);
}

TEST_CASE("nodes that lie") {
  std::string sound = small_pool();
  constexpr std::size_t kLeaf = 1 * kBlock, kRoot = 3 * kBlock, kDetails = 5 * kBlock;
  REQUIRE(u32(sound, kRoot + 4) == 1);
  REQUIRE(u32(sound, kRoot + 16) == 2);
  std::size_t values = kRoot + 32 + u32(sound, kRoot + 20) * 8;
  auto with = [&](auto&& change, std::uint64_t block) {
    std::string content = sound;
    change(content);
    reseal(content, block);
    return content;
  };
  SUBCASE("a circle") {
    CHECK(complains(with([&](auto& c) { put64(c, values, 3); }, 3), "is met twice"));
    CHECK(complains(with([&](auto& c) { put64(c, values + 8, 1); }, 3), "is met twice"));
  }
  SUBCASE("counts") {
    for (std::uint32_t entries : {253U, 1U << 20, UINT32_MAX})
      CHECK(complains(with([&](auto& c) { put32(c, kLeaf + 16, entries); }, 1),
                      "impossible number of entries"));
    for (std::uint32_t room : {255U, 0x10000000U, UINT32_MAX})
      CHECK(complains(with([&](auto& c) { put32(c, kLeaf + 20, room); }, 1), "impossible number of entries"));
    for (std::uint32_t size : {0U, 7U, 16U, UINT32_MAX})
      CHECK(complains(with([&](auto& c) { put32(c, kLeaf + 24, size); }, 1), "values of another size"));
    CHECK(complains(with([&](auto& c) { put64(c, kDetails + 32 + u32(c, kDetails + 20) * 8, 299); }, 5),
                    "should map 299 blocks"));
  }
  SUBCASE("kinds") {
    for (std::uint32_t flags : {0U, 3U, 4U})
      CHECK(complains(with([&](auto& c) { put32(c, kLeaf + 4, flags); }, 1), "is no node"));
  }
  SUBCASE("order") {
    CHECK(complains(with([&](auto& c) { put64(c, kLeaf + 32, 1000); }, 1), "in disorder"));
    CHECK(complains(with([&](auto& c) { put64(c, kRoot + 40, 0); }, 3), "in disorder"));
    CHECK(complains(with([&](auto& c) { put64(c, 2 * kBlock + 32, 0); }, 2), "in disorder"));
  }
  SUBCASE("blocks outside of the data, and devices that cannot be") {
    CHECK(complains(with([&](auto& c) { put64(c, kLeaf + 32 + 252 * 8, (1ULL << 14) << 24); }, 1),
                    "outside of the pool"));
    CHECK(complains(with([&](auto& c) { put64(c, kDetails + 32, 1ULL << 24); }, 5), "has a device 16777216"));
  }
}

TEST_CASE("a tree that is deeper than any can be") {
  // Inner nodes of one entry each, one above the other.
  std::string content = small_pool();
  std::uint64_t below = 3;
  for (int i = 0; i < 20; ++i) {
    std::uint64_t number = content.size() / kBlock;
    std::string node = content.substr(3 * kBlock, kBlock);
    put64(node, 8, number);
    put32(node, 16, 1);
    put64(node, 32 + u32(node, 20) * 8, below);
    content += node;
    reseal(content, number);
    below = number;
  }
  put64(content, 4 * kBlock + 32 + u32(content, 4 * kBlock + 20) * 8, below);
  reseal(content, 4);
  CHECK(complains(content, "is too deep"));
}
