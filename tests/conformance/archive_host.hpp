#pragma once
#include <functional>
#include <string>
#include <vector>

#include "migrate/store.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/support/run_drover.hpp"

namespace drover::test {

/// A data root on a filesystem of the tests, not there at first, whose engine is set to a driver.
class ArchiveHost {
 public:
  ArchiveHost(const TestFilesystem&, DriverKind, const std::vector<std::string>& storage_opts = {});
  ~ArchiveHost();
  ArchiveHost(const ArchiveHost&) = delete;
  ArchiveHost& operator=(const ArchiveHost&) = delete;

  /// Runs drover on it, one layer at a time.
  Run run(std::vector<std::string> words,
          const std::function<void(const std::string& line)>& on_line = nullptr) const;
  /// As SampleHost::run_apart.
  std::string run_apart(const std::vector<std::string>& words,
                        const std::function<void(const std::string& line)>& on_line) const;
  const std::string& root() const { return root_; }
  std::string path(const std::string& below) const { return root_ + "/" + below; }
  /// Of a file beside the data root.
  std::string beside(const std::string& name) const { return folder_.path() + "/" + name; }
  bool exists() const;
  Inventory inventory() const;

  /// Fills it with the sample data root; only for overlay2.
  void make_sample() const;
  /// Keeps a copy of the data root, to compare with.
  void remember() const;
  /// How it differs from that, one a line.
  std::string changes() const;

  /// How what this host shows of its images and containers differs from what another one does, one a line.
  std::string losses_from(const ArchiveHost& before) const;

 private:
  std::unique_ptr<Driver> home() const;
  DriverKind kind_;
  std::vector<std::string> storage_opts_;
  TestFolder folder_;
  std::string root_;
};

/// The sample in a data root of overlay2, and its archive.
struct ArchivedSample {
  ArchiveHost host{filesystem("ext4"), DriverKind::overlay2};
  std::string archive = host.beside("sample.drover");
  explicit ArchivedSample(const std::string& compress = "none");
};

std::string bytes_of(const std::string& path);
void write_file(const std::string& path, const std::string& bytes);

}  // namespace drover::test
