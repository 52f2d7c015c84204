#pragma once
#include <memory>
#include <string>
#include <vector>

#include "drivers/driver.hpp"
#include "drivers/view.hpp"

namespace drover::test {

/// A layer as a container sees it, until this ends.
class EngineMount {
 public:
  virtual ~EngineMount() = default;
  virtual const Dir& root() const = 0;
};

struct TestFilesystem;

/// One driver, and what of it cannot be known from its interface. A new driver is one line of the table; a
/// new kind of filesystem is one line of the other.
struct DriverUnderTest {
  DriverKind kind;
  std::vector<std::string> filesystems;  ///< that it is tried on
  /// Mounts a layer as the engine does, to be written to where it is not committed. Throws where this host
  /// cannot. Null: a layer's own folder is what a container sees, or no kernel here can mount it.
  std::unique_ptr<EngineMount> (*mount)(const std::string& home, const Driver&, const LayerId&) = nullptr;
  /// Checks (doctest) what else the engine counts on in a finished layer. Null: nothing.
  void (*inspect)(const std::string& home, const Driver&, const LayerId&,
                  const std::optional<LayerId>& parent) = nullptr;
  /// The engine's storage-opts for a home on this filesystem. Null: none.
  std::vector<std::string> (*storage_opts)(const TestFilesystem&) = nullptr;
  mode_t home_mode = 0710;
  bool remapped_home = false;  ///< the home itself belongs to a remapped root, not only what is in it
  bool needs_kernel = false;   ///< its homes cannot be made where the kernel does not have it: left out there

  const char* name() const { return driver_name(kind).data(); }
};
const std::vector<DriverUnderTest>& drivers_under_test();

/// The folders in a driver's home that the engine keeps something in, layers apart.
std::vector<std::string> folders_of(DriverKind);

/// A filesystem that drivers are tried on, made once for the whole run.
struct TestFilesystem {
  std::string name;
  std::string path;     ///< where it is mounted; empty if this host has none
  std::string missing;  ///< why
  bool reflinks = false;
};
const std::vector<TestFilesystem>& test_filesystems();
/// The one of that name, which must be one of them.
const TestFilesystem& filesystem(const std::string& name);

/// One driver on one filesystem that this host has.
struct Case {
  const DriverUnderTest& driver;
  const TestFilesystem& filesystem;
  std::string name() const { return std::string(driver.name()) + " on " + filesystem.name; }
};
const std::vector<Case>& cases();

/// A home of a driver in a new folder, removed with it.
class TestHome {
 public:
  TestHome(const DriverUnderTest&, const TestFilesystem&, RootOwner owner = {});
  ~TestHome();
  TestHome(const TestHome&) = delete;
  TestHome& operator=(const TestHome&) = delete;
  Driver* operator->() const { return driver_.get(); }
  Driver& operator*() const { return *driver_; }
  const DriverUnderTest& under_test() const { return under_test_; }
  const std::string& above() const { return above_; }  ///< the folder that the home is in
  const std::string& path() const { return path_; }

 private:
  const DriverUnderTest& under_test_;
  std::string above_, path_;
  std::unique_ptr<Driver> driver_;
};

/// A new empty folder on a filesystem, removed with this.
class TestFolder {
 public:
  explicit TestFolder(const TestFilesystem&);
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The view of a plain folder.
View plain_view(const Dir&);

/// The differences that compare_views finds, contents included, one a line.
std::string differences(const View& a, Marks marks_a, const View& b, Marks marks_b);

}  // namespace drover::test
