#pragma once
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace drover {

/// A folder of files for one test, removed with it.
class HostTree {
 public:
  /// Paths below the folder ("/etc/docker/daemon.json") and what is in them.
  HostTree(std::initializer_list<std::pair<std::string, std::string>> files = {});
  ~HostTree();
  HostTree(const HostTree&) = delete;
  HostTree& operator=(const HostTree&) = delete;

  const std::string& root() const { return root_; }
  std::string path(const std::string& below) const { return root_ + below; }
  void write(const std::string& below, const std::string& text) const;
  std::string read(const std::string& below) const;
  void link(const std::string& below, const std::string& target) const;
  /// Names in a folder, sorted.
  std::vector<std::string> names(const std::string& below) const;

 private:
  std::string root_;
};

}  // namespace drover
