#include "drivers/probe_scratch.hpp"

#include <sys/file.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "drivers/probe_backing.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/log.hpp"

namespace drover {

namespace {

constexpr std::string_view kTrialPrefix = ".drover-probe-";
constexpr int kTries = 100;

std::string random_name() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) throw_errno("cannot get random bytes");
  std::ostringstream name;
  name << kTrialPrefix << std::hex << number;
  return name.str();
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

std::string nearest_existing(const std::string& path) {
  std::filesystem::path at = std::filesystem::absolute(path.empty() ? "." : path).lexically_normal();
  std::error_code ignored;
  while (!std::filesystem::is_directory(at, ignored) && at.has_relative_path()) at = at.parent_path();
  return at.string();
}

std::string probe_place(const std::string& data_root, std::string_view driver) {
  std::string root = nearest_existing(data_root), home = data_root + "/" + std::string(driver);
  struct stat root_stat, home_stat;
  if (::stat(root.c_str(), &root_stat) == 0 && ::stat(home.c_str(), &home_stat) == 0 &&
      S_ISDIR(home_stat.st_mode) && home_stat.st_dev != root_stat.st_dev)
    return home;
  return root;
}

bool is_trial_scratch(std::string_view name) { return name.starts_with(kTrialPrefix); }

Scratch::Scratch(const std::string& place) : parent_(Dir::open(place)) {
  remove_stale();
  for (int i = 0; i < kTries; ++i) {
    name_ = random_name();
    parent_.make_dir(name_, 0700);
    auto made = parent_.try_sub(name_);
    // Between its making and its locking another run may take it for stale: then it is gone, and made again.
    if (!made || ::flock(made->fd(), LOCK_EX) != 0) continue;
    auto there = parent_.try_stat(name_);
    if (!there || !same_file(*there, made->stat())) continue;
    dir_ =
        Dir(Fd(::fcntl(made->fd(), F_DUPFD_CLOEXEC, 0)), place + (place.ends_with('/') ? "" : "/") + name_);
    return;
  }
  throw Error("cannot make a scratch directory in `" + place + "`");
}

Scratch::~Scratch() {
  Uninterrupted to_the_end;
  try {
    parent_.remove_tree(name_);
  } catch (const std::exception& e) {
    log_warning(std::string("a scratch directory stays: ") + e.what());
  }
}

void Scratch::remove_stale() const {
  for (const auto& entry : parent_.list()) {
    if (!is_trial_scratch(entry.name)) continue;
    auto stale = parent_.try_sub(entry.name);
    if (!stale || stale->stat().st_uid != ::geteuid() || ::flock(stale->fd(), LOCK_EX | LOCK_NB) != 0)
      continue;
    try {
      parent_.remove_tree(entry.name);
    } catch (const Error& e) {
      log_warning(std::string("cannot remove what a killed run left: ") + e.what());
    }
  }
}

void Scratch::enter() const {
  struct stat here;
  if (::chdir(path().c_str()) != 0 || ::stat(".", &here) != 0) throw_errno("cannot enter `" + path() + "`");
  if (!same_file(here, dir_.stat())) throw Error("another directory appeared at `" + path() + "`");
}

Probe guarded_probe(const std::string& place, const std::function<Probe()>& body) {
  check_interrupted();
  Uninterrupted whole;  // it is short, and one that is cut would say of the driver what is not so
  try {
    return body();
  } catch (const Error& e) {
    if (::geteuid() != 0)
      return not_usable("it cannot be tried without root rights", e.what(), "run drover as root");
    return not_usable(
        std::string("it cannot be tried: ") + e.what(), "a trial in `" + place + "`",
        e.hint().empty() ? "make `" + place + "` writable, or name another place: --data-root" : e.hint());
  }
}

Probe usable(std::string evidence) { return {Probe::Usable::yes, "", std::move(evidence), "", {}}; }

Probe usable_with_limits(std::string limits, std::string evidence, std::string fix) {
  return {Probe::Usable::with_limits, std::move(limits), std::move(evidence), std::move(fix), {}};
}

Probe not_usable(std::string reason, std::string evidence, std::string fix) {
  return {Probe::Usable::no, std::move(reason), std::move(evidence), std::move(fix), {}};
}

Probe home_possible(Probe probe) {
  probe.home_possible = true;
  return probe;
}

std::string filesystem_evidence(const std::string& place) {
  struct statfs fs;
  if (::statfs(place.c_str(), &fs) != 0) throw_errno("cannot look at the filesystem of `" + place + "`");
  std::string name = engine_filesystem_name(fs.f_type);
  return "`" + place + "` is on " + (name.empty() ? "another filesystem" : name);
}

std::optional<Fd> open_device(const char* path) {
  Fd device(::open(path, O_RDWR | O_CLOEXEC));
  if (device) return device;
  if (errno == EACCES || errno == EPERM) throw_errno(std::string("cannot open `") + path + "`");
  return std::nullopt;
}

bool in_user_namespace() {
  std::ifstream map("/proc/self/uid_map");
  std::uint64_t inside = 0, outside = 0, count = 0;
  if (!(map >> inside >> outside >> count)) return false;
  return inside != 0 || outside != 0 || count != 0xffffffff;
}

}  // namespace drover
