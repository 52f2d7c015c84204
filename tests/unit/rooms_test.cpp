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
constexpr std::array<std::string_view, 6> kRooms = {"drivers/sys", "drivers", "detect",
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
    if (!std::regex_search(line, match, include)) continue;
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
