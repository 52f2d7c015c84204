#include "tests/support/host_tree.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace drover {

namespace fs = std::filesystem;

namespace {

/// In memory where that can be: what is tested syncs often, and a test's files need not outlive it.
fs::path temporary_folder() {
  constexpr const char* kInMemory = "/dev/shm";
  if (!std::getenv("TMPDIR") && ::access(kInMemory, W_OK) == 0) return kInMemory;
  return fs::temp_directory_path();
}

}  // namespace

HostTree::HostTree(std::initializer_list<std::pair<std::string, std::string>> files) {
  std::string name = (temporary_folder() / "drover-test-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("cannot make a temporary folder");
  root_ = name;
  for (const auto& [below, text] : files) write(below, text);
}

HostTree::~HostTree() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

void HostTree::write(const std::string& below, const std::string& text) const {
  fs::create_directories(fs::path(path(below)).parent_path());
  std::ofstream file(path(below), std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path(below));
}

std::string HostTree::read(const std::string& below) const {
  std::ifstream file(path(below), std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path(below));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void HostTree::link(const std::string& below, const std::string& target) const {
  fs::create_directories(fs::path(path(below)).parent_path());
  fs::create_symlink(target, path(below));
}

std::vector<std::string> HostTree::names(const std::string& below) const {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(path(below)))
    found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace drover
