#include "migrate/read_through.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "drivers/repeated_inodes.hpp"
#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "migrate/walk_pair.hpp"

namespace drover {

namespace {

void read_file(const Dir& dir, const std::string& name, std::string& buffer) {
  Fd file = dir.open_regular(name, O_RDONLY | O_NOATIME);
  for (;;) {
    check_interrupted();
    ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0) throw_errno("cannot read `" + dir.path_of(name) + "`");
    if (got == 0) return;
  }
}

constexpr std::size_t kReadSize = 1 << 20;

class ReadAll : public PairVisitor {
 public:
  explicit ReadAll(const View& view) : names_([&view] { return view.repeated_inodes(); }) {}
  bool both(const PairEntry&, const PairEntry&, const std::string&) override { return false; }
  bool only_second(const PairEntry&, const std::string&) override { return false; }
  bool only_first(const PairEntry& one, const std::string&) override {
    const Dir& dir = one.holder();
    dir.xattrs(one.entry.name);
    if (S_ISLNK(one.st.st_mode)) dir.read_link(one.entry.name);
    if (S_ISREG(one.st.st_mode) && names_.is_first(one.st.st_dev, one.st.st_ino, one.st.st_nlink))
      read_file(dir, one.entry.name, buffer_);
    return true;
  }

 private:
  std::string buffer_ = std::string(kReadSize, '\0');
  FirstNames names_;
};

}  // namespace

void read_through(const View& view) {
  ReadAll reader(view);
  walk_pair(view.root(), nullptr, reader);
}

void read_through(const Dir& dir) { read_through(folder_view(dir)); }

void read_through(const Dir& dir, const std::string& name) {
  std::string buffer(kReadSize, '\0');
  read_file(dir, name, buffer);
}

View folder_view(const Dir& dir) {
  std::vector<OpenLayer> layers;
  layers.push_back({dir.clone(), nullptr});
  return View(std::move(layers), Marks::none);
}

}  // namespace drover
