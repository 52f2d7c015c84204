#include "drivers/tree_filler.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <thread>

#include "drivers/clone_tree.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/lend.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

/// Takes everything, each on a thread of its own, or nothing.
class Threads : public Lender {
 public:
  explicit Threads(bool idle) : idle_(idle) { of_this_thread() = this; }
  ~Threads() override {
    of_this_thread() = nullptr;
    for (std::thread& thread : threads_) thread.join();
  }
  bool lend(std::function<void()> work) override {
    if (!idle_) return false;
    threads_.emplace_back(std::move(work));
    return true;
  }
  std::size_t count() const { return threads_.size(); }

 private:
  bool idle_;
  std::vector<std::thread> threads_;
};

/// Everything below a directory, one a line, with what TreeFiller has to care for.
void list_all(const Dir& dir, const std::string& path, std::vector<std::string>& lines) {
  std::vector<DirEntry> entries = dir.list();
  std::sort(entries.begin(), entries.end(), [](auto& a, auto& b) { return a.name < b.name; });
  for (const DirEntry& entry : entries) {
    struct stat st = dir.stat(entry.name);
    std::string line = path + "/" + entry.name + " " + std::to_string(st.st_mode) + " " +
                       std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
    if (S_ISREG(st.st_mode)) line += " " + std::to_string(st.st_nlink) + " " + dir.read(entry.name);
    lines.push_back(line);
    if (S_ISDIR(st.st_mode)) list_all(dir.sub(entry.name), path + "/" + entry.name, lines);
  }
}
std::vector<std::string> all_in(const Dir& dir) {
  std::vector<std::string> lines;
  list_all(dir, "", lines);
  return lines;
}

/// Directories in directories, each with files before and after those in it, links and a large file.
struct Sample {
  Sample() {
    Dir root = Dir::open(tree.root());
    from = root.make_path("from", 0755);
    to = root.make_path("to", 0755);
    std::string path = "d";
    for (int level = 0; level < 12; ++level) {
      Dir dir = from->make_path(path, 0755);
      for (int file = 0; file < 70; ++file)
        dir.write_new("f" + std::to_string(file), std::to_string(level * 100 + file), 0600 + (file & 7));
      dir.make_symlink("link", "f0");
      REQUIRE(::linkat(dir.fd(), "f1", dir.fd(), "second name of f1", 0) == 0);
      dir.write_new("large", std::string(3 << 20, 'x'), 0644);
      path += "/m" + std::to_string(level);
    }
  }
  HostTree tree;
  std::optional<Dir> from, to;
};

}  // namespace

TEST_CASE("a tree that others help to fill is the one that is filled alone") {
  Sample sample;
  std::vector<std::string> wanted = all_in(*sample.from);
  TransferCount alone = clone_tree(*sample.from, sample.to->make_path("alone", 0755), false);
  CHECK(all_in(sample.to->sub("alone")) == wanted);
  for (bool idle : {false, true}) {
    CAPTURE(idle);
    Threads threads(idle);
    Dir to = sample.to->make_path(idle ? "helped" : "busy", 0755);
    TransferCount count = clone_tree(*sample.from, to, false);
    CHECK(all_in(to) == wanted);
    CHECK(count.copied == alone.copied);
    CHECK(count.copied_bytes == alone.copied_bytes);
    CHECK(count.directories == alone.directories);
    CHECK((threads.count() > 12) == idle);
  }
}

TEST_CASE("what fails on another thread ends the whole") {
  Sample sample;
  Threads threads(true);
  Dir to = sample.to->make_path("helped", 0755);
  // In the way of one of many.
  EntryPlacer placer(to, Marks::none, Marks::none, false);
  TreeFiller filler(placer);
  Dir source = sample.from->sub("d");
  to.write_new("f5", "", 0644);
  TrailDir target{to.clone()};
  auto folder = filler.begin(EntryPlacer::kRoot);
  auto fill = [&] {
    for (int file = 0; file < 70; ++file) {
      std::string name = "f" + std::to_string(file);
      filler.place(source, name, source.stat(name), target, folder, true);
    }
    filler.end(target, folder, source.stat(), {}, true);
    filler.finish();
  };
  CHECK_THROWS_AS(fill(), SystemError);
  CHECK_THROWS_AS(filler.finish(), SystemError);
}

TEST_CASE("what could not be lent is not waited for") {
  class NoMemory : public Lender {
   public:
    NoMemory() { of_this_thread() = this; }
    ~NoMemory() override { of_this_thread() = nullptr; }
    bool lend(std::function<void()>) override { throw std::bad_alloc(); }
  };
  Sample sample;
  NoMemory lender;
  ::alarm(60);  // it would be for ever
  CHECK_THROWS_AS(clone_tree(*sample.from, sample.to->make_path("to", 0755), false), std::bad_alloc);
  ::alarm(0);
}
