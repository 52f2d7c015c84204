// The list of marks that are to be spelled anew: what is written is read, and nothing else is.
#include "migrate/mark_list.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;
using Kind = MarkRecord::Kind;

namespace {

/// A list's records in one text; "damaged" where it is refused.
std::string read_back(const Dir& folder) {
  std::string text;
  try {
    MarkListReader list(folder, "list");
    MarkRecord record;
    while (list.next(record)) {
      text += static_cast<char>(record.kind);
      if (record.kind == Kind::times)
        text += std::to_string(record.times[0].tv_sec) + "." + std::to_string(record.times[0].tv_nsec) + " " +
                std::to_string(record.times[1].tv_sec) + "." + std::to_string(record.times[1].tv_nsec);
      else
        text += record.name;
      text += "|";
    }
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find("is damaged") != std::string::npos);
    CHECK_FALSE(e.hint().empty());
    return "damaged";
  }
  return text;
}

}  // namespace

TEST_CASE("a list of marks is read as it was written, whatever bytes names have") {
  HostTree tree;
  Dir folder = Dir::open(tree.root());
  tree.write("/list", "what an earlier run has left");
  struct stat st {};
  st.st_atim = {-5, 7};
  st.st_mtim = {1700000000, 999999999};
  MarkListWriter list(folder, "list");
  list.add_times(st);
  list.add(Kind::opaque);
  list.add(Kind::whiteout, "new\nline");
  list.add(Kind::enter, "\xff\x01 ");
  list.add_times(st);
  list.add(Kind::keep, ".wh..wh.aufs");
  list.add(Kind::drop, std::string(255, 'x'));
  list.add(Kind::leave);
  list.finish();
  const std::string times = "t-5.7 1700000000.999999999|";
  CHECK(read_back(folder) ==
        times + "o|wnew\nline|d\xff\x01 |" + times + "k.wh..wh.aufs|x" + std::string(255, 'x') + "|u|e|");
}

TEST_CASE("a list of many marks is written and read in pieces, and each of them comes back") {
  HostTree tree;
  Dir folder = Dir::open(tree.root());
  MarkListWriter list(folder, "list");
  list.add_times({});
  constexpr int kMany = 200000;
  for (int i = 0; i < kMany; ++i) list.add(Kind::whiteout, std::to_string(i));
  list.finish();
  MarkListReader back(folder, "list");
  MarkRecord record;
  int next = 0;
  while (back.next(record))
    if (record.kind == Kind::whiteout && record.name == std::to_string(next)) ++next;
  CHECK(next == kMany);
}

TEST_CASE("a torn or foreign list of marks is refused") {
  HostTree tree;
  Dir folder = Dir::open(tree.root());
  auto text = [](std::initializer_list<std::string> records) {
    std::string all;
    for (const std::string& one : records) all += one + '\0';
    return all;
  };
  const std::string t = "t0.0 0.0";
  tree.write("/list", text({"l1", "e"}));
  CHECK(read_back(folder) == "e|");
  const std::string damaged[] = {
      "",
      "l1",
      text({"l1"}),
      text({"l2", "e"}),
      text({"l1", t, "wx"}),                     // torn
      text({"l1", t, "wx", "e"}).substr(0, 16),  // in the middle of a record
      text({"l1", "e", "e"}),                    // something follows
      text({"l1", "wx", "e"}),                   // whose times?
      text({"l1", "o", "e"}),
      text({"l1", "dx", "e"}),  // not back in the root
      text({"l1", "u", "e"}),
      text({"l1", "dx", t, "u", "wx", "e"}),  // times of another directory
      text({"l1", t, t, "e"}),
      text({"l1", "d..", "u", "e"}),
      text({"l1", "d.", "u", "e"}),
      text({"l1", "d", "u", "e"}),
      text({"l1", "da/b", "u", "e"}),
      text({"l1", t, "w../x", "e"}),
      text({"l1", t, "k..", "e"}),
      text({"l1", t, "w" + std::string(256, 'x'), "e"}),
      text({"l1", t, "ox", "e"}),
      text({"l1", "ux", "e"}),
      text({"l1", "q", "e"}),
      text({"l1", "", "e"}),
      text({"l1", "t0.0", "e"}),
      text({"l1", "t0.0 0.1000000000", "e"}),
      text({"l1", "t0.0 0.-1", "e"}),
      text({"l1", "t0.0 0.0 ", "e"}),
      text({"l1", "t99999999999999999999.0 0.0", "e"}),
      "l1" + std::string(100000, 'x'),
      std::string("l1\0", 3) + std::string(100000, 'w'),
  };
  for (const std::string& one : damaged) {
    CAPTURE(one.substr(0, 60));
    tree.write("/list", one);
    CHECK(read_back(folder) == "damaged");
  }
}
