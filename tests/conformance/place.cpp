#include "tests/conformance/place.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/mount.hpp"
#include "drivers/sys/process.hpp"

namespace drover::test {

TestPlace::TestPlace(const std::vector<std::string>& mkfs, const std::string& size) {
  std::string name = "/var/tmp/drover-conformance-XXXXXX";
  if (!::mkdtemp(name.data())) throw std::runtime_error("cannot make a temporary folder");
  base_ = name;
  path = base_ + "/root";
  if (::mkdir(path.c_str(), 0755) != 0) throw std::runtime_error("cannot make " + path);
  if (mkfs.empty()) return;
  std::string image = base_ + "/image";
  run({"truncate", "-s", size, image});
  if (mkfs.front() == "zpool") {
    make_pool(image);
    return;
  }
  std::vector<std::string> make = mkfs;
  make.push_back(image);
  run(make);
  run({"mount", "-o", "loop", image, path});
  mounted_ = error.empty();
  ::unlink(image.c_str());
}

void TestPlace::make_pool(const std::string& image) {
  if (!find_program("zpool")) error = "zpool is not installed";
  std::string name = "drover-test-" + base_.substr(base_.rfind('-') + 1);
  run({"zpool", "create", "-o", "cachefile=none", "-m", path, name, image});
  if (error.empty()) pool_ = name;
  ::unlink(image.c_str());
}

TestPlace::~TestPlace() {
  if (!pool_.empty()) run_process({"zpool", "destroy", "-f", pool_});
  if (mounted_) unmount(path);
  Dir::open("/var/tmp").remove_tree(base_.substr(base_.rfind('/') + 1));
}

void TestPlace::run(const std::vector<std::string>& argv) {
  if (!error.empty()) return;
  ProcessResult result = run_process(argv);
  if (result.exit_code != 0) error = argv[0] + ": " + result.err;
}

}  // namespace drover::test
