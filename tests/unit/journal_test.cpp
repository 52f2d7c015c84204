#include "migrate/journal.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

const LayerId kOne(64, '1'), kTwo = std::string(64, '2') + "-init", kThree(25, 'k');

struct Folder {
  HostTree tree;
  Dir dir = Dir::open(tree.root());
  JournalContent read() const { return Journal::read(dir); }
};

std::string layer_line(const LayerId& id) { return R"({"event":"layer","id":")" + id + "\"}\n"; }
std::string state_line(const std::string& name) { return R"({"event":"state","name":")" + name + "\"}\n"; }

}  // namespace

TEST_CASE("without a journal nothing has begun") {
  Folder folder;
  CHECK_FALSE(folder.read().state);
  CHECK(folder.read().finished_layers.empty());
}

TEST_CASE("a journal tells what was written into it, the last state counts") {
  Folder folder;
  {
    Journal journal = Journal::open(folder.dir);
    CHECK_FALSE(folder.read().state);
    journal.state(MigrationState::staging);
    journal.layers_finished({{kOne}, {kTwo}});
    journal.layers_finished({{kThree}});
    journal.step("`/x \n \xff` is in place");
  }
  Journal::open(folder.dir).state(MigrationState::switching);
  CHECK(folder.read().state == MigrationState::switching);
  CHECK(folder.read().finished_layers == std::set<LayerId>{kOne, kTwo, kThree});
}

TEST_CASE("a layer that was dropped is not finished, until it is again") {
  Folder folder;
  Journal journal = Journal::open(folder.dir);
  journal.layers_finished({{kOne}, {kTwo, true}});
  CHECK(folder.read().damaged_layers == std::set<LayerId>{kTwo});
  journal.layers_dropped({kTwo});
  CHECK(folder.read().finished_layers == std::set<LayerId>{kOne});
  CHECK(folder.read().damaged_layers.empty());
  journal.layers_finished({{kTwo}});
  CHECK(folder.read().finished_layers == std::set<LayerId>{kOne, kTwo});
  journal.layers_dropped({});
  CHECK(folder.read().finished_layers == std::set<LayerId>{kOne, kTwo});
}

TEST_CASE("room that was taken for what follows outlasts a torn line") {
  Folder folder;
  {
    Journal journal = Journal::open(folder.dir);
    journal.state(MigrationState::switching);
    journal.reserve();
  }
  auto has_room = [&] { return folder.dir.stat("journal").st_blocks * 512 >= 64 << 10; };
  if (!has_room()) {
    MESSAGE("SKIP: the filesystem of temporary files reserves no room");
    return;
  }
  std::string text = folder.dir.read("journal");
  REQUIRE(::truncate(folder.tree.path("/journal").c_str(), static_cast<off_t>(text.size() - 4)) == 0);
  CHECK_FALSE(has_room());
  Journal::open(folder.dir);
  CHECK(has_room());
}

TEST_CASE("every state has a name of its own that is read back") {
  std::set<std::string_view> names;
  for (MigrationState state :
       {MigrationState::staging, MigrationState::switching, MigrationState::switched,
        MigrationState::rolling_back, MigrationState::committing, MigrationState::ended}) {
    Folder folder;
    Journal::open(folder.dir).state(state);
    CHECK(folder.read().state == state);
    names.insert(state_name(state));
  }
  CHECK(names.size() == 6);
  CHECK_FALSE(names.contains(""));
}

TEST_CASE("a last line that was cut off counts for nothing and is mended") {
  std::string whole = state_line("staging") + layer_line(kOne), last = layer_line(kTwo);
  for (std::size_t cut = 0; cut < last.size(); ++cut) {
    CAPTURE(cut);
    Folder folder;
    folder.tree.write("/journal", whole + last.substr(0, cut));
    CHECK(folder.read().finished_layers == std::set<LayerId>{kOne});
    Journal::open(folder.dir).layers_finished({{kThree}});
    CHECK(folder.read().finished_layers == std::set<LayerId>{kOne, kThree});
    CHECK(folder.read().state == MigrationState::staging);
  }
}

TEST_CASE("a complete line that makes no sense is an error that names it") {
  const char* const bad[] = {"",
                             "{",
                             "[]",
                             "null",
                             "{}",
                             R"({"event":"state"})",
                             R"({"event":"state","name":"STAGING"})",
                             R"({"event":"state","name":7})",
                             R"({"event":"layer"})",
                             R"({"event":"layer","id":"../../etc"})",
                             R"({"event":"layer","id":["x"]})",
                             R"({"event":7,"name":"staging"})",
                             R"({"event":"unknown"})",
                             "\xff\xfe"};
  for (const std::string line : bad) {
    CAPTURE(line);
    Folder folder;
    folder.tree.write("/journal", state_line("staging") + line + "\n" + layer_line(kOne));
    CHECK_THROWS_WITH_AS(folder.read(), "the migration's journal is damaged in line 2", Error);
  }
}

TEST_CASE("a journal that is larger than any migration's is refused without being read") {
  Folder folder;
  folder.tree.write("/journal", state_line("staging"));
  REQUIRE(::truncate(folder.tree.path("/journal").c_str(), (64 << 20) + 1) == 0);
  for (const auto& read :
       {std::function([&] { folder.read(); }), std::function([&] { Journal::open(folder.dir); })})
    CHECK_THROWS_WITH_AS(read(), doctest::Contains("/journal` is larger than 67108864 bytes"), Error);
}

TEST_CASE("a journal that is no file, or is not ours to follow, is refused") {
  Folder folder;
  folder.tree.write("/elsewhere", "");
  folder.tree.link("/journal", "elsewhere");
  CHECK_THROWS_AS(folder.read(), Error);
  CHECK_THROWS_AS(Journal::open(folder.dir), Error);
  CHECK(folder.tree.read("/elsewhere").empty());
  std::string journal = folder.tree.path("/journal");
  for (bool endless : {false, true}) {
    CAPTURE(endless);
    REQUIRE(::unlink(journal.c_str()) == 0);
    if (endless) {
      folder.tree.write("/journal", "");
      REQUIRE(::truncate(journal.c_str(), off_t{1} << 40) == 0);
    } else {
      REQUIRE(::mkfifo(journal.c_str(), 0600) == 0);
    }
    try {
      folder.read();
      FAIL("was read");
    } catch (const Error& e) {
      CHECK_MESSAGE(std::string(e.what()).find(journal) != std::string::npos, e.what());
      CHECK_MESSAGE(e.hint().find("docs/safety.md") != std::string::npos, e.hint());
    }
  }
}

TEST_CASE("several threads write whole lines") {
  Folder folder;
  {
    Journal journal = Journal::open(folder.dir);
    std::vector<std::jthread> threads;
    for (char letter : {'a', 'b', 'c', 'd'})
      threads.emplace_back([&journal, letter] {
        for (char digit = '0'; digit <= '9'; ++digit)
          journal.layers_finished({{std::string(63, letter) + digit}});
      });
  }
  CHECK(folder.read().finished_layers.size() == 40);
}
