#include "migrate/require_written.hpp"

#include <fcntl.h>
#include <sys/utsname.h>

#include <cstdio>

#include "drivers/sys/error.hpp"
#include "migrate/read_through.hpp"
#include "migrate/walk_pair.hpp"

namespace drover {

namespace {

/// By the version: to try it out takes a disk that fails.
bool syncfs_tells() {
  utsname system;
  unsigned major = 0, minor = 0;
  if (::uname(&system) != 0 || std::sscanf(system.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 5 || (major == 5 && minor >= 8);
}

/// sync_file_range(2) of each file. Unlike fsync it makes the disk empty no cache, which sync_fs() does once
/// for all.
class EachFile : public PairVisitor {
 public:
  explicit EachFile(unsigned how) : how_(how) {}
  bool both(const PairEntry&, const PairEntry&, const std::string&) override { return false; }
  bool only_second(const PairEntry&, const std::string&) override { return false; }
  bool only_first(const PairEntry& one, const std::string&) override {
    if (!S_ISREG(one.st.st_mode) || one.st.st_size == 0) return true;
    Fd file = one.holder().open_regular(one.entry.name, O_RDONLY | O_NOATIME);
    if (::sync_file_range(file.get(), 0, 0, how_) != 0)
      throw_errno("cannot write `" + one.holder().path_of(one.entry.name) + "`");
    return true;
  }

 private:
  unsigned how_;
};

}  // namespace

void require_written(const Dir& dir) {
  if (syncfs_tells()) return;
  const View view = folder_view(dir);
  // None is waited for before all are on their way.
  for (unsigned how : {SYNC_FILE_RANGE_WRITE, SYNC_FILE_RANGE_WAIT_BEFORE}) {
    EachFile visitor(how);
    walk_pair(view.root(), nullptr, visitor);
  }
}

}  // namespace drover
