#pragma once
#include <map>
#include <string>

#include "tests/support/host_tree.hpp"

namespace drover::test {

/// A program `zfs` in PATH, for as long as this lives, that knows the few things drover asks of it and keeps
/// its filesystems in a text file: for what needs no real one.
class FakeZfs {
 public:
  FakeZfs();
  ~FakeZfs();
  FakeZfs(const FakeZfs&) = delete;
  FakeZfs& operator=(const FakeZfs&) = delete;

  /// Makes a filesystem; `origin` is the name of the one that it is a clone of.
  void add(const std::string& name, const std::string& guid, const std::string& origin = {}) const;
  /// All filesystems: GUIDs by name.
  std::map<std::string, std::string> filesystems() const;
  /// The n-th `command` from now on fails, and changes nothing.
  void fail(const std::string& command, int nth) const;
  /// A folder for the test.
  const HostTree& tree() const { return tree_; }

 private:
  HostTree tree_;
  std::string path_;
};

}  // namespace drover::test
