#include "drivers/sys/trail.hpp"

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover {

void TrailDir::let_go() {
  if (!dir_) return;
  is_ = dir_->stat();
  if (!is_shortened(dir_->path())) path_ = dir_->path();
  dir_.reset();
}

void TrailDir::reach_from(const TrailDir& below) {
  if (dir_) return;
  std::string path = path_.empty() ? path_above(below->path()) : path_;
  auto changed = [&](const char* how) {
    return Error(ExitCode::in_use, "`" + path + "` changed while it was read: a directory in it was " + how,
                 "an engine is at work there, or another program: stop it, or try again");
  };
  // What was removed while it was open has no directory above it any more.
  if (below->stat().st_nlink == 0) throw changed("removed");
  Dir above = below->above(path);
  struct stat is = above.stat();
  if (is.st_dev != is_.st_dev || is.st_ino != is_.st_ino) throw changed("moved away");
  dir_ = std::make_shared<const Dir>(std::move(above));
}

}  // namespace drover
