#pragma once
#include <functional>
#include <string>
#include <vector>

#include "detect/data_root.hpp"
#include "migrate/journal.hpp"
#include "migrate/store.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/support/run_drover.hpp"

namespace drover::test {

/// Runs drover on a data root with a configuration file, one layer at a time.
Run run_on(const std::string& root, const std::string& config, std::vector<std::string> words,
           const std::function<void(const std::string& line)>& on_line);
/// The same in a process of its own, which `on_line` may end. Gives back exit code and standard error in one
/// text; "killed" if it came to an end of its own.
std::string run_apart_on(const std::string& root, const std::string& config,
                         const std::vector<std::string>& words,
                         const std::function<void(const std::string& line)>& on_line);

/// A host with the sample data root (overlay2, no engine) and a daemon.json, on a filesystem of the tests;
/// and a copy of all that, to compare with.
class SampleHost {
 public:
  explicit SampleHost(const TestFilesystem&);

  /// Runs drover on it, one layer at a time.
  Run run(std::vector<std::string> words,
          const std::function<void(const std::string& line)>& on_line = nullptr) const;
  /// The same in a process of its own, which `on_line` may end. Gives back exit code and standard error in
  /// one text; "killed" if it came to an end of its own.
  std::string run_apart(const std::vector<std::string>& words,
                        const std::function<void(const std::string& line)>& on_line) const;

  const std::string& root() const { return root_; }
  std::string path(const std::string& below) const { return root_ + "/" + below; }
  bool exists(const std::string& below) const;
  std::string config() const;
  void write_config(const std::string& text) const;
  /// The migration's folder in the data root; empty if there is none.
  std::string migration() const;
  /// What that migration's journal says; `ended` if it says nothing.
  MigrationState state() const;

  /// Docker's records of the sample, while it is under overlay2.
  Inventory inventory() const;

  /// How the store differs from what was made, one a line: folders and configuration, byte by byte.
  std::string damage() const;
  /// How what a driver shows of each layer differs from what the sample showed, one a line; and whether the
  /// records are the same but for the name of the driver, and paths where the root is another one.
  std::string losses(DriverKind kind) const { return losses(kind, root_); }
  std::string losses(DriverKind, const std::string& root) const;

 private:
  TestFolder folder_;
  std::string root_, before_;
};

bool has(const std::string& text, const std::string& part);
/// The part of an error that users see: without the lines of progress.
std::string message_of(const Run&);
void check_done(const Run&);

}  // namespace drover::test
