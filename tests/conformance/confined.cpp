#include "tests/conformance/confined.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"

namespace drover::test {

namespace {

// The sanitizers map all of the address space, and need stack, memory and time of their own.
#ifdef DROVER_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

void limit_to(int resource, rlim_t most) {
  rlimit limit{most, most};
  if (::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) throw_errno("cannot set a limit");
}

std::string run_limited(const std::function<std::string()>& f, const Means& means) {
  try {
    limit_to(RLIMIT_CORE, 0);
    limit_to(RLIMIT_NOFILE, means.files);
    if (!kSanitized) {
      limit_to(RLIMIT_STACK, means.stack_bytes);
      limit_to(RLIMIT_AS, means.memory_bytes);
    }
    ::alarm(means.seconds * (kSanitized ? 10 : 1));
    return f();
  } catch (const std::exception& e) {
    return std::string("threw: ") + e.what();
  }
}

void send_text(int to, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(to, text.data(), text.size());
    if (n < 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string sum_of_content(const Dir& dir, const std::string& name) {
  auto file = dir.try_open_regular(name, O_RDONLY | O_NOATIME);
  if (!file) return "gone";
  Sha256 sum;
  std::string block(1 << 20, '\0');
  for (ssize_t n; (n = ::read(file->get(), block.data(), block.size())) > 0;)
    sum.update({block.data(), static_cast<std::size_t>(n)});
  return sum.hex();
}

/// What there is of an entry but its content. An empty name: the directory itself.
std::string entry_line(const Dir& dir, const std::string& name, const struct stat& st, ChangeTimes times) {
  std::string facts;
  for (std::int64_t number :
       {std::int64_t{st.st_mode}, std::int64_t{st.st_uid}, std::int64_t{st.st_gid}, std::int64_t{st.st_size},
        static_cast<std::int64_t>(st.st_rdev), static_cast<std::int64_t>(st.st_mtim.tv_sec),
        static_cast<std::int64_t>(st.st_mtim.tv_nsec)})
    facts += std::to_string(number) + " ";
  if (times == ChangeTimes::seen)
    facts += std::to_string(st.st_ctim.tv_sec) + " " + std::to_string(st.st_ctim.tv_nsec) + " ";
  for (const Xattr& attribute : dir.xattrs(name))
    facts += attribute.first + "=" + printable(attribute.second) + " ";
  return facts;
}

}  // namespace

Confined run_confined(const std::function<std::string()>& f, const Means& means) {
  int ends[2];
  if (::pipe(ends) != 0) throw_errno("cannot make a pipe");
  Fd from(ends[0]), to(ends[1]);
  pid_t child = ::fork();
  if (child < 0) throw_errno("cannot fork");
  if (child == 0) {
    from.reset();
    send_text(to.get(), run_limited(f, means));
    ::_exit(0);
  }
  to.reset();
  Confined result;
  char block[4096];
  for (ssize_t n; (n = ::read(from.get(), block, sizeof block)) > 0;)
    result.text.append(block, static_cast<std::size_t>(n));
  int status = 0;
  rusage usage{};
  if (::wait4(child, &status, 0, &usage) != child) throw_errno("cannot wait for a process");
  if (WIFSIGNALED(status)) result.text = "killed by signal " + std::to_string(WTERMSIG(status));
  result.peak_bytes = kSanitized ? 0 : usage.ru_maxrss * 1024;
  return result;
}

Confined drover_confined(const std::vector<std::string>& words, const Means& means) {
  return run_confined(
      [&] {
        Run run = run_drover(words);
        return std::to_string(run.code) + "\n" + run.err;
      },
      means);
}

Snapshot snapshot(const std::string& folder, const std::function<bool(const std::string& path)>& leave_out,
                  ChangeTimes times) {
  Snapshot all;
  std::vector<std::string> folders{""};
  while (!folders.empty()) {
    std::string path = std::move(folders.back());
    folders.pop_back();
    Dir dir = Dir::open(folder + path);
    all.emplace(path.empty() ? "/" : path, entry_line(dir, "", dir.stat(), times));
    for (const DirEntry& entry : dir.list()) {
      std::string below = path + "/" + entry.name;
      if (leave_out && leave_out(below)) continue;
      struct stat st = dir.stat(entry.name);
      if (S_ISDIR(st.st_mode)) {
        folders.push_back(std::move(below));
        continue;
      }
      std::string& facts = all[below] = entry_line(dir, entry.name, st, times);
      if (S_ISLNK(st.st_mode)) facts += printable(dir.read_link(entry.name));
      if (S_ISREG(st.st_mode)) facts += sum_of_content(dir, entry.name);
    }
  }
  return all;
}

std::string changes(const Snapshot& before, const Snapshot& after) {
  std::string text;
  for (const auto& [path, facts] : before) {
    auto now = after.find(path);
    if (now == after.end())
      text += printable(path) + " is gone\n";
    else if (now->second != facts)
      text += printable(path) + " was " + facts + " and is " + now->second + "\n";
  }
  for (const auto& [path, facts] : after)
    if (!before.contains(path)) text += printable(path) + " is new\n";
  return text;
}

OpenWatch::OpenWatch(const std::string& path) : events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!events_ || ::inotify_add_watch(events_.get(), path.c_str(), IN_OPEN | IN_DONT_FOLLOW) < 0)
    throw_errno("cannot watch " + path);
}

bool OpenWatch::was_opened() const {
  char event[sizeof(inotify_event) + 256];
  return ::read(events_.get(), event, sizeof event) > 0;
}

bool is_sanitized() { return kSanitized; }

bool at_full_size(const std::string& what_is_smaller) {
  const char* large = std::getenv("DROVER_TEST_LARGE");
  if (large && std::string(large) == "1") return true;
  MESSAGE("SKIP: " << what_is_smaller << ": full size with DROVER_TEST_LARGE=1");
  return false;
}

}  // namespace drover::test
