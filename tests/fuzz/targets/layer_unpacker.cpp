// A layer's tar and a tar of changes to it, both told by lines (tar_text.hpp), unpacked: nothing outside of
// the layer's folder changes, and what is unpacked can be told as tar and changes again.
#include "migrate/archive/layer_unpacker.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <map>

#include "drivers/sys/error.hpp"
#include "migrate/archive/layer_amendments.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/changes.hpp"
#include "tests/fuzz/tar_text.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

constexpr const char *kLayer = "layer", *kAgain = "again";

/// Where layers are made. What lies beside them stays from one run to the next: whoever writes there has been
/// led out.
class Surroundings {
 public:
  Surroundings() {
    place_.put("beside/canary", "alive");
    beside_ = place_.dir().sub("beside");
    before_ = facts();
  }
  /// Empty, and a new one.
  Dir make(const char* layer) const {
    place_.dir().remove_tree(layer);
    return place_.dir().make_path(layer, 0755);
  }
  void check() const {
    promise_same(facts(), before_, "nothing outside of the layer changes");
    for (const DirEntry& entry : place_.dir().list())
      promise(entry.name == "beside" || entry.name == kLayer || entry.name == kAgain,
              "no other folder is made");
  }

 private:
  std::string facts() const {
    std::string text = beside_.read("canary");
    struct stat st = beside_.stat("canary");
    text += std::to_string(st.st_mode) + "," + std::to_string(st.st_uid) + "," + std::to_string(st.st_nlink);
    for (const DirEntry& entry : beside_.list()) text += "," + entry.name + "=" + std::to_string(entry.inode);
    return text;
  }
  KeptFolder place_;
  Dir beside_;
  std::string before_;
};

void unpack(const Dir& root, const std::string& layer, const std::string& changes) {
  LayerUnpacker unpacker(root, nullptr);
  TextSource layer_bytes(layer), changes_bytes(changes);
  TarReader layer_tar(layer_bytes), changes_tar(changes_bytes);
  unpacker.apply_layer(layer_tar);
  if (!changes.empty()) unpacker.apply_changes(changes_tar);
  unpacker.finish();
}

/// The layer that is in `root` as changes to what its tar makes.
std::string amendments(const Dir& root, const std::string& layer) {
  TextSource bytes(layer);
  TarReader tar(bytes);
  LayerModel model(tar);
  std::string changes;
  LayerAmendments sink(model, root, Marks::overlay, [&](std::string_view more) { changes += more; });
  read_delta(root, Marks::overlay, sink);
  sink.finish();
  return changes;
}

/// Everything that there is of a folder's content, a line an entry.
std::string inventory_of(const Dir& dir, const std::string& path, std::map<ino_t, std::string>& links) {
  std::string text;
  std::map<std::string, DirEntry> entries;
  for (DirEntry& entry : dir.list()) entries.emplace(entry.name, entry);
  for (const auto& [name, entry] : entries) {
    struct stat st = dir.stat(name);
    const std::string here = path + "/" + name;
    auto [first, fresh] = links.emplace(st.st_ino, here);
    if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {  // a whiteout has nothing but its name
      text += here + " gone\n";
      continue;
    }
    text += here + " " + std::to_string(st.st_mode) + " " + std::to_string(st.st_uid) + " " +
            std::to_string(st.st_gid) + " " + std::to_string(st.st_rdev) + " " +
            std::to_string(S_ISDIR(st.st_mode) ? 0 : st.st_size) + " " + std::to_string(st.st_mtim.tv_sec) +
            "." + std::to_string(st.st_mtim.tv_nsec);
    if (!fresh) text += " like " + first->second;
    if (S_ISLNK(st.st_mode)) text += " to " + dir.read_link(name);
    if (S_ISREG(st.st_mode)) text += " holds " + dir.read(name);
    for (const auto& [key, value] : dir.xattrs(name)) text += " " + key + "=" + value;
    text += "\n";
    if (S_ISDIR(st.st_mode)) text += inventory_of(dir.sub(name), here, links);
  }
  return text;
}

}  // namespace

FUZZ_TARGET(layer_unpacker) {
  auto part = parts_of(input.substr(0, 4096), 2);
  const std::string layer = tar_of_text(part[0]), changes = part[1].empty() ? "" : tar_of_text(part[1]);
  static const Surroundings surroundings;
  Dir root = surroundings.make(kLayer);
  const bool good = !refused([&] { unpack(root, layer, changes); });
  surroundings.check();
  // Amendments are for a layer whose files have the content that is in its tar, which changes need not keep.
  if (!good || !changes.empty()) return;
  refused([&] {
    const std::string told = amendments(root, layer);
    Dir again = surroundings.make(kAgain);
    unpack(again, layer, told);
    std::map<ino_t, std::string> links, links_again;
    promise_same(inventory_of(again, "", links_again), inventory_of(root, "", links),
                 "tar and amendments make the same layer");
  });
  surroundings.check();
}
