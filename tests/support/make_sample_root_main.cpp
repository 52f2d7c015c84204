#include <unistd.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <string_view>

#include "tests/support/sample_root.hpp"

using namespace drover;
using namespace drover::test;

/// make_sample_root [--small] DIR: a Docker data root in overlay2 form at DIR, which must not exist or be
/// empty.
int main(int argc, char** argv) {
  bool small = argc > 1 && std::string_view(argv[1]) == "--small";
  if (argc != (small ? 3 : 2)) {
    std::cerr << "usage: make_sample_root [--small] DIR\n";
    return 2;
  }
  if (::geteuid() != 0) {
    std::cerr << "make_sample_root: whiteouts are made with mknod: run it as root\n";
    return 1;
  }
  try {
    std::filesystem::path path = std::filesystem::absolute(argv[argc - 1]);
    std::filesystem::create_directories(path);
    if (!std::filesystem::is_empty(path)) throw std::runtime_error(path.string() + " is not empty");
    SampleRoot root(path.string(), SampleRoot::Files::overlay2);
    fill_sample_root(root, small ? SampleSize::small : SampleSize::usual);
    Inventory made = read_inventory(Dir::open(path.string()), DriverKind::overlay2, nullptr);
    std::cout << path.string() << ": overlay2, " << made.layers.size() << " layers\n";
    for (const auto& [id, image] : made.images)
      for (const std::string& reference : image.references)
        std::cout << "  image      " << short_id(id) << "  " << reference << "\n";
    for (const auto& [id, container] : made.containers)
      std::cout << "  container  " << short_id(id) << "  " << container.name << "\n";
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "make_sample_root: " << e.what() << "\n";
    return 1;
  }
}
