#include "tests/fuzz/target.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <stdexcept>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"

namespace drover::fuzz {

namespace {

std::vector<Target>& all_targets() {
  static std::vector<Target> all;
  return all;
}

/// A folder of this process; removed with it.
class OwnFolder {
 public:
  OwnFolder() {
    const char* above = std::getenv("TMPDIR");
    path_ = std::string(above ? above : "/tmp") + "/drover-fuzz-XXXXXX";
    if (!::mkdtemp(path_.data())) throw std::runtime_error("cannot make a folder in $TMPDIR");
  }
  ~OwnFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  OwnFolder(const OwnFolder&) = delete;
  OwnFolder& operator=(const OwnFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void check_shown(const Error& e) {
  promise(*e.what() != '\0', "an error says something");
  promise_shown(e.what(), "what an error says is one line of harmless text");
  promise_shown(e.hint(), "what an error's hint says is one line of harmless text");
}

}  // namespace

bool register_target(const Target& target) {
  auto& all = all_targets();
  all.insert(std::upper_bound(all.begin(), all.end(), target,
                              [](const Target& a, const Target& b) { return a.name < b.name; }),
             target);
  return true;
}

const std::vector<Target>& targets() { return all_targets(); }

const Target* find_target(std::string_view name) {
  for (const Target& target : targets())
    if (target.name == name) return &target;
  return nullptr;
}

void run_target(const Target& target, std::string_view input) {
  try {
    target.run(input);
  } catch (const Error& e) {
    check_shown(e);
  } catch (const std::exception& e) {
    throw BrokenPromise{std::string("nothing but Error is thrown: ") + e.what()};
  }
}

void promise(bool holds, std::string_view what) {
  if (!holds) throw BrokenPromise{std::string(what)};
}

void promise_same(std::string_view one, std::string_view other, std::string_view what) {
  if (one == other) return;
  constexpr std::size_t kShown = 400;
  throw BrokenPromise{std::string(what) + ":\n  " + printable(one.substr(0, kShown)) + "\n  " +
                      printable(other.substr(0, kShown))};
}

void promise_shown(std::string_view text, std::string_view what) {
  promise_same(text, printable(text), what);
}

void promise_one_name(std::string_view text, std::string_view what) {
  bool good = !text.empty() && text != "." && text != ".." && text.find('/') == std::string_view::npos &&
              text.find('\0') == std::string_view::npos;
  promise(good, std::string(what) + ": `" + printable(text) + "`");
}

bool refused(const std::function<void()>& f) {
  try {
    f();
    return false;
  } catch (const Error& e) {
    check_shown(e);
    return true;
  }
}

std::vector<std::string> parts_of(std::string_view input, std::size_t count) {
  constexpr std::string_view kLine = "%%\n";
  std::vector<std::string> parts;
  while (parts.size() + 1 < count) {
    std::size_t at = input.starts_with(kLine) ? 0 : input.find("\n%%\n");
    if (at == std::string_view::npos) break;
    bool first = input.starts_with(kLine);
    parts.emplace_back(input.substr(0, at));
    input.remove_prefix(at + kLine.size() + (first ? 0 : 1));
  }
  parts.emplace_back(input);
  parts.resize(count);
  return parts;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Dir empty_folder() {
  static const OwnFolder own;
  Dir folder = Dir::open(own.path());
  folder.clear();
  return folder;
}

KeptFolder::KeptFolder() {
  static std::deque<OwnFolder> all;
  dir_ = Dir::open(all.emplace_back().path());
}

void KeptFolder::put(const std::string& path, std::string_view content) {
  auto found = files_.find(path);
  if (found == files_.end()) {
    const std::size_t slash = path.rfind('/');
    const Dir folder =
        slash == std::string::npos ? dir_.clone() : dir_.make_path(path.substr(0, slash), 0755);
    const std::string name = path.substr(slash + 1);
    Fd fd(::openat(folder.fd(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd) throw std::runtime_error("cannot make " + path);
    found = files_.emplace(path, File{std::move(fd), {}}).first;
  }
  auto& [fd, old] = found->second;
  if (old == content) return;
  if (::pwrite(fd.get(), content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()) ||
      (content.size() < old.size() && ::ftruncate(fd.get(), static_cast<off_t>(content.size())) != 0))
    throw std::runtime_error("cannot write " + path);
  old = content;
}

void KeptFolder::drop(const std::string& path) {
  if (files_.erase(path) != 0 && ::unlinkat(dir_.fd(), path.c_str(), 0) != 0)
    throw std::runtime_error("cannot remove " + path);
}

void put_file(const Dir& folder, const char* name, std::string_view content) {
  Fd fd(::openat(folder.fd(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd || ::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()))
    throw std::runtime_error(std::string("cannot write ") + name);
}

}  // namespace drover::fuzz
