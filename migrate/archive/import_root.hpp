#pragma once
#include "detect/data_root.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// As open_data_root_for_change, but what an engine has not filled yet, or a folder that is empty, will do,
/// too. Throws Error for a folder with anything else in it.
Dir open_import_root(const DataRoot&);

/// Makes the data root, or nothing where there is one, and takes the engine's lock. When this ends without
/// keep(), a root that was made is gone again, unless something is in it by now.
class NewRoot {
 public:
  explicit NewRoot(const DataRoot&);
  ~NewRoot();
  NewRoot(const NewRoot&) = delete;
  NewRoot& operator=(const NewRoot&) = delete;
  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool made_root_ = false, kept_ = false;
  std::optional<EngineLock> lock_;
};

}  // namespace drover
