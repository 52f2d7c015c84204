#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

/// From the lowest up; a room includes only itself and those before it.
constexpr std::array<std::string_view, 6> kRooms = {"drivers/sys", "drivers",         "detect",
                                                    "migrate",     "migrate/archive", "cmd"};

/// The room that holds a path relative to the source root: its folder, spelled exactly.
std::size_t room_of(const fs::path& file) {
  const auto room = std::find(kRooms.begin(), kRooms.end(), file.parent_path().generic_string());
  return static_cast<std::size_t>(room - kRooms.begin());
}

/// One message for each `#include "..."` in `text` that points upward or to no room; `file` is where it
/// stands.
std::vector<std::string> upward_includes(const fs::path& file, const std::string& text) {
  static const std::regex include(R"re(^[ \t]*#[ \t]*include[ \t]*"([^"]+)")re");
  std::vector<std::string> found;
  std::istringstream lines(text);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (line.find('#') == std::string::npos || !std::regex_search(line, match, include)) continue;
    const std::string included = match[1];
    const std::size_t room = room_of(included);
    if (room == kRooms.size()) {
      found.push_back(file.generic_string() + " includes " + included + ", which is in no room");
    } else if (room > room_of(file)) {
      found.push_back(file.generic_string() + " includes " + included + ", which is above it");
    }
  }
  return found;
}

/// The system calls of drivers/sys/disk.hpp, and those that would do the same. An open counts where it may
/// make or cut a file, an ioctl where its request changes something.
std::vector<std::string> disk_changes(const fs::path& file, const std::string& text) {
  static const std::regex change(
      R"re((^|[^\w:>.])::(creat|mkdir|mkdirat|unlink|unlinkat|rmdir|rename|renameat|renameat2|link|linkat)re"
      R"re(|symlink|symlinkat|mknod|mknodat|chmod|fchmod|fchmodat|chown|lchown|fchown|fchownat|utimensat)re"
      R"re(|futimens|l?setxattr|fsetxattr|l?removexattr|fremovexattr|write|writev|pwrite|pwritev|truncate)re"
      R"re(|ftruncate|fallocate|copy_file_range|sendfile|splice|fsync|fdatasync|sync|syncfs|mkdtemp)\s*\()re"
      R"re(|(^|[^\w])::(open|openat)\([^;]*O_(CREAT|TRUNC|TMPFILE))re"
      R"re(|(^|[^\w])::ioctl\([^;]*(FICLONE|FS_IOC_SETFLAGS|SUBVOL_CREATE|SNAP_|SUBVOL_SETFLAGS|Resize|Grow))re"
      R"re(|std::ofstream|\b(fs|filesystem)::(create_\w+|rename|remove|remove_all|copy|copy_file|permissions)\()re");
  std::vector<std::string> found;
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find("::") != std::string::npos && std::regex_search(line, change))
      found.push_back(file.generic_string() + ":" + std::to_string(number) + " changes a disk: " + line);
  }
  return found;
}

std::string read_text(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("an include that points upward is found") {
  const std::string text =
      "#include <string>\n"
      "#include \"drivers/driver.hpp\"\n"
      "  #  include \"cmd/app.hpp\"\n"
      "#include \"neighbour.hpp\"\n";
  CHECK(upward_includes("migrate/plan.cpp", text) ==
        std::vector<std::string>{"migrate/plan.cpp includes cmd/app.hpp, which is above it",
                                 "migrate/plan.cpp includes neighbour.hpp, which is in no room"});
  CHECK(upward_includes("drivers/sys/dir.cpp", text).size() == 3);
  CHECK(upward_includes("cmd/info.cpp", "#include \"drivers/sys/error.hpp\"\n").empty());
}

TEST_CASE("a room includes only rooms below it") {
  const fs::path root = fs::path(TESTS_DIR).parent_path();
  for (const std::string_view room : kRooms) {
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(root / room)) {
      const auto extension = entry.path().extension();
      if (extension != ".cpp" && extension != ".hpp") continue;
      ++files;
      const auto found = upward_includes(fs::relative(entry.path(), root), read_text(entry.path()));
      for (const std::string& message : found) FAIL_CHECK(message);
    }
    CHECK_MESSAGE(files > 0, "no source files in ", room);
  }
}

TEST_CASE("a change of a disk outside its one place is found") {
  auto found = [](const char* line) { return disk_changes("migrate/plan.cpp", line).size(); };
  for (const char* line :
       {"if (::renameat2(a, b, c, d, 0) != 0)", "  ::unlink(path.c_str());",
        "Fd fd(::open(p, O_RDWR | O_CREAT, 0600));", "::ioctl(to, FICLONE, from)", "std::ofstream out(path);",
        "std::filesystem::remove_all(path);", "return ::fsync(fd);", "!::write(fd, a, b)"}) {
    CAPTURE(std::string(line));
    CHECK(found(line) == 1);
  }
  for (const char* line : {"disk::fsync(fd)", "file.write(text);", "Fd fd(::open(p, O_RDONLY));",
                           "::ioctl(fd, BLKGETSIZE64, &n)", "void Output::write(std::string_view bytes) {",
                           "dir.unlink(name);"}) {
    CAPTURE(std::string(line));
    CHECK(found(line) == 0);
  }
}

TEST_CASE("every change of a disk goes through drivers/sys/disk.hpp") {
  // A pipe to the parent, and a file in the temporary folder whose name only mkstemp finds.
  const std::vector<std::string> pipes = {"drivers/sys/disk.cpp", "drivers/sys/mount.cpp"};
  const fs::path root = fs::path(TESTS_DIR).parent_path();
  for (const std::string_view room : kRooms)
    for (const auto& entry : fs::directory_iterator(root / room)) {
      const fs::path file = fs::relative(entry.path(), root);
      if (file.extension() != ".cpp" && file.extension() != ".hpp") continue;
      if (std::find(pipes.begin(), pipes.end(), file.generic_string()) != pipes.end()) continue;
      for (const std::string& message : disk_changes(file, read_text(entry.path()))) FAIL_CHECK(message);
    }
}
