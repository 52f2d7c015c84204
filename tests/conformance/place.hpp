#pragma once
#include <string>
#include <vector>

namespace drover::test {

/// A temporary directory, with a filesystem of its own on a loop file if `mkfs` says how to make one. The
/// loop file has no name any more once it is mounted, so that a killed test leaves none. `mkfs` may be
/// "zpool": then it is a zfs pool of its own, which a killed test leaves behind.
class TestPlace {
 public:
  explicit TestPlace(const std::vector<std::string>& mkfs = {}, const std::string& size = "400M");
  ~TestPlace();
  TestPlace(const TestPlace&) = delete;
  TestPlace& operator=(const TestPlace&) = delete;

  std::string path;
  std::string error;  ///< why the filesystem could not be made or mounted here

 private:
  void run(const std::vector<std::string>& argv);
  void make_pool(const std::string& image);
  std::string base_, pool_;
  bool mounted_ = false;
};

}  // namespace drover::test
