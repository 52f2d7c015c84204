#include "tests/support/sample_root.hpp"

namespace drover::test {

namespace {

constexpr std::string_view kGreeting = "hello from the sample image\n";

/// A static x86-64 program of a few bytes that prints the greeting, so that the images run.
std::string greeting_program() {
  std::string elf;
  auto put = [&](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) elf += static_cast<char>(value >> (8 * i));
  };
  constexpr std::uint64_t kBase = 0x400000, kHeaders = 64 + 56, kCodeSize = 34;
  const std::uint64_t size = kHeaders + kCodeSize + kGreeting.size();
  elf += std::string(
             "\x7f"
             "ELF\x02\x01\x01",
             7) +
         std::string(9, '\0');
  put(2, 2), put(62, 2), put(1, 4);                 // an executable for x86-64
  put(kBase + kHeaders, 8), put(64, 8), put(0, 8);  // entry, program headers, no sections
  put(0, 4), put(64, 2), put(56, 2), put(1, 2), put(0, 2), put(0, 2), put(0, 2);
  put(1, 4), put(5, 4), put(0, 8), put(kBase, 8), put(kBase, 8), put(size, 8), put(size, 8), put(0x1000, 8);
  put(0xb8, 1), put(1, 4);                                       // mov eax, 1 (write)
  put(0xbf, 1), put(1, 4);                                       // mov edi, 1
  put(0xbe, 1), put(kBase + kHeaders + kCodeSize, 4);            // mov esi, greeting
  put(0xba, 1), put(kGreeting.size(), 4);                        // mov edx, its length
  put(0x050f, 2);                                                // syscall
  put(0xb8, 1), put(60, 4);                                      // mov eax, 60 (exit)
  put(0xff31, 2), put(0x050f, 2), put(0x9090, 2), put(0x90, 1);  // xor edi, edi; syscall; nops
  return elf + std::string(kGreeting);
}

/// Content that gzip and reflinks cannot make smaller than it is, the same each time.
std::string noise(std::size_t size, std::uint64_t seed) {
  std::string bytes;
  bytes.reserve(size);
  while (bytes.size() < size) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    bytes += static_cast<char>(seed >> 56);
  }
  return bytes;
}

std::vector<SampleEntry> base_layer(int pages) {
  std::vector<SampleEntry> entries = {
      directory("bin"),
      file("bin/hello", greeting_program(), 0755),
      symlink_to("bin/hi", "hello"),
      hard_link_to("bin/hey", "bin/hello"),
      file("bin/su", "a setuid program\n", 04755),
      directory("etc"),
      file("etc/motd", "welcome\n"),
      file("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
      symlink_to("etc/localtime", "/usr/share/zoneinfo/UTC"),
      directory("tmp", 01777),
      directory("usr"),
      directory("usr/share"),
      directory("usr/share/doc"),
  };
  for (int i = 0; i < pages; ++i) {
    std::string name = "usr/share/doc/page" + std::to_string(i);
    entries.push_back(
        file(name, noise(20'000 + 1'000 * static_cast<std::size_t>(i), static_cast<std::uint64_t>(i))));
  }
  return entries;
}

std::vector<SampleEntry> app_layer(std::size_t data) {
  return {
      directory("etc"),
      file("etc/motd", "welcome to the app\n"),
      directory("opt"),
      directory("opt/app"),
      file("opt/app/data", noise(data, 99)),
      hard_link_to("opt/app/data.link", "opt/app/data"),
      file("opt/app/caf\xe9", "a name that is no UTF-8\n"),
      file("opt/app/empty", ""),
      directory("opt/cache"),
      file("opt/cache/first", "one\n"),
      file("opt/cache/second", "two\n"),
      directory("usr"),
      directory("usr/share"),
      directory("usr/share/doc"),
      whiteout("usr/share/doc/page0"),
      whiteout("usr/share/doc/page1"),
  };
}

std::vector<SampleEntry> slim_layer() {
  return {
      directory("opt"),
      opaque_directory("opt/cache"),
      file("opt/cache/third", "three: the others are hidden\n"),
      directory("usr"),
      directory("usr/share"),
      whiteout("usr/share/doc"),
      whiteout("bin/su"),
  };
}

std::vector<SampleEntry> container_changes() {
  return {
      directory("etc"),
      file("etc/motd", "edited in the container\n"),
      directory("opt"),
      directory("opt/app"),
      whiteout("opt/app/empty"),
      opaque_directory("opt/cache"),
      file("opt/cache/fourth", "made anew in the container\n"),
      directory("var"),
      file("var/state", noise(100'000, 7), 0600),
      fifo("var/queue"),
      whiteout("tmp"),
  };
}

}  // namespace

void fill_sample_root(SampleRoot& root, SampleSize size) {
  bool small = size == SampleSize::small;
  Digest base = root.add_layer(std::nullopt, base_layer(small ? 4 : 40));
  Digest app = root.add_layer(base, app_layer(small ? 30'000 : 3'000'000));
  Digest slim = root.add_layer(app, slim_layer());
  root.add_image("sample-base:1", base, "/bin/hello");
  Digest image = root.add_image("sample-app:1", app, "/bin/hello");
  root.tag("sample-app:latest", image);
  root.add_image("sample-app:slim", slim, "/bin/hi");
  root.add_container("worker", image, container_changes(), "hello from the sample image");
}

}  // namespace drover::test
