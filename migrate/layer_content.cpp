#include "migrate/layer_content.hpp"

#include <fcntl.h>

#include <set>
#include <vector>

#include "drivers/sys/copy_content.hpp"
#include "migrate/changes.hpp"
#include "migrate/link_groups.hpp"
#include "migrate/recorded_paths.hpp"
#include "migrate/walk_pair.hpp"

namespace drover {

namespace {

using Inode = LinkGroups::Inode;

/// A write is small if it changed at most one of so many blocks.
constexpr std::uint64_t kSmallShare = 10;

std::uint64_t length_of(const struct stat& st) {
  return S_ISDIR(st.st_mode) || st.st_size < 0 ? 0 : static_cast<std::uint64_t>(st.st_size);
}

/// Adds up what a part of a view holds.
class Adder : public PairVisitor {
 public:
  std::uint64_t bytes = 0, files = 0, names = 0;
  void add(const struct stat& st) {
    ++names;
    if (S_ISDIR(st.st_mode)) return;
    ++files;
    if (st.st_nlink < 2 || seen_.insert({st.st_dev, st.st_ino}).second) bytes += length_of(st);
  }
  bool both(const PairEntry&, const PairEntry&, const std::string&) override { return false; }
  bool only_second(const PairEntry&, const std::string&) override { return false; }
  bool only_first(const PairEntry& one, const std::string&) override {
    add(one.st);
    return true;
  }

 private:
  std::set<Inode> seen_;
};

/// Counts and names what it is told, side by side with what the layers below show.
class ContentSink : public ChangeSink {
 public:
  ContentSink(const View* below, const ContentQuestion& question, LayerContent& content)
      : below_(below), question_(question), content_(content) {}

  void enter(const Node& directory, bool hides_past) override {
    Level level;
    if (directory.name.empty()) {
      if (below_) level.below = below_->root();
    } else {
      std::string path = path_of(directory.name);
      if (is_new_directory(directory.st)) ++content_.directories;
      level.below = directory_below(directory.name, path);
      path_ = std::move(path);
    }
    if (hides_past && level.below) {
      note_opaque(*level.below, path_);
      level.below.reset();
    }
    level.path = path_.size();
    levels_.push(std::move(level));
  }

  void leave() override {
    levels_.pop();
    path_.resize(levels_.empty() ? 0 : levels_.back().path);
  }

  void put(const Node& entry) override {
    std::string path = path_of(entry.name);
    bool linked = entry.st.st_nlink > 1;
    if (linked && !linked_names_.insert(fingerprint(path)).second) return;  // told already
    std::uint64_t bytes = length_of(entry.st);
    ++content_.files;
    if (!linked || linked_.insert({entry.st.st_dev, entry.st.st_ino}).second) content_.bytes += bytes;
    const ViewDir* in = below();
    auto found = in ? in->find(entry.name) : std::nullopt;
    if (!found) {
      if (question_.against_below) content_.added.add({std::move(path), bytes});
      return;
    }
    const Dir& holder = in->holder(*found);
    struct stat st = holder.stat(found->name);
    if (S_ISDIR(st.st_mode)) {
      note_hidden(*in, *found, st, path, HiddenEntry::How::replaced);
      content_.added.add({std::move(path), bytes});
      return;
    }
    content_.bytes_below_copies += length_of(st);
    if (question_.small_writes && S_ISREG(st.st_mode) && S_ISREG(entry.st.st_mode))
      note_small_write(entry, holder, path, bytes, length_of(st));
    content_.copied_up.add({std::move(path), bytes, length_of(st)});
  }

  void remove(std::string_view name) override {
    const ViewDir* in = below();
    auto found = in ? in->find(name) : std::nullopt;
    if (found)
      note_hidden(*in, *found, in->holder(*found).stat(found->name), path_of(name),
                  HiddenEntry::How::whiteout);
  }

 private:
  struct Level {
    std::size_t path = 0;          ///< how much of path_ is this directory's
    std::optional<ViewDir> below;  ///< what the layers below show in this directory; none: nothing
    void let_go(const Level& next) {
      if (below && next.below) below->let_go(*next.below);
    }
    void reach_from(const Level& next) {
      if (below && next.below) below->reach_from(*next.below);
    }
  };
  /// A path in as many bytes as a number: names may be as long as a tree is deep.
  using Fingerprint = std::pair<std::size_t, std::size_t>;
  static Fingerprint fingerprint(const std::string& path) {
    return {std::hash<std::string>()(path), path.size()};
  }

  const ViewDir* below() const { return levels_.back().below ? &*levels_.back().below : nullptr; }
  std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "/" + std::string(name);
  }
  bool is_new_directory(const struct stat& st) { return directories_.insert({st.st_dev, st.st_ino}).second; }

  std::optional<ViewDir> directory_below(std::string_view name, const std::string& path) {
    const ViewDir* in = below();
    auto found = in ? in->find(name) : std::nullopt;
    if (!found) return std::nullopt;
    struct stat st = in->holder(*found).stat(found->name);
    if (S_ISDIR(st.st_mode)) return in->sub(*found);
    note_hidden(*in, *found, st, path, HiddenEntry::How::replaced);
    return std::nullopt;
  }

  void note_hidden(const ViewDir& in, const ViewEntry& entry, const struct stat& st, const std::string& path,
                   HiddenEntry::How how) {
    if (how == HiddenEntry::How::replaced && !replaced_.insert(fingerprint(path)).second)
      return;  // told already
    Adder sum;
    sum.add(st);
    if (S_ISDIR(st.st_mode)) walk_pair(in.sub(entry), nullptr, sum);
    content_.hidden.add({path, sum.bytes, sum.files, how});
  }

  void note_opaque(const ViewDir& hidden, const std::string& path) {
    Adder sum;
    walk_pair(hidden, nullptr, sum);
    if (sum.names > 0) content_.hidden.add({path, sum.bytes, sum.files, HiddenEntry::How::opaque});
  }

  void note_small_write(const Node& entry, const Dir& holder, const std::string& path, std::uint64_t bytes,
                        std::uint64_t bytes_below) {
    if (bytes < kLargeFile) return;
    std::uint64_t most = bytes / kContentBlock / kSmallShare;
    std::uint64_t cut_off = bytes_below > bytes ? (bytes_below - bytes) / kContentBlock : 0;
    if (cut_off > most) return;
    std::uint64_t changed = cut_off + differing_blocks(open_content(entry.at, entry.name),
                                                       open_content(holder, entry.name), most);
    if (changed <= most) content_.small_writes.add({path, bytes, changed * kContentBlock});
  }

  const View* below_;
  const ContentQuestion& question_;
  LayerContent& content_;
  ViewTrail<Level> levels_;
  std::string path_;
  std::set<Inode> directories_, linked_;
  std::set<Fingerprint> linked_names_, replaced_;
};

/// Whether the layer's own files are the changes to its parent.
bool is_delta_on(const Driver& home, const LayerId& id, const std::optional<LayerId>& parent) {
  if (home.form_of(id) != LayerForm::delta) return false;
  std::vector<LayerId> stack = home.stack(id);
  return (stack.size() > 1 ? std::optional(stack[1]) : std::nullopt) == parent;
}

}  // namespace

LayerContent read_layer_content(const Dir& data_root, const Driver& home, const ContentQuestion& question) {
  LayerContent content;
  content.added = content.copied_up = Largest<LayerFile>(question.listed);
  content.hidden = Largest<HiddenEntry>(question.listed);
  content.small_writes = Largest<SmallWrite>(question.listed);
  bool delta = is_delta_on(home, question.id, question.parent);
  std::optional<View> below;
  if (question.parent && (question.against_below || !delta)) below.emplace(home, *question.parent);
  ContentSink sink(question.against_below && below ? &*below : nullptr, question, content);
  if (delta) {
    OpenLayer own = home.open(question.id);
    read_delta(own.root, home.marks(), sink);
    return content;
  }
  std::optional<RecordedPaths> recorded;
  if (question.chain_id) recorded = recorded_paths(data_root, home.kind(), *question.chain_id);
  ViewComparison comparison;
  comparison.marks = home.marks();
  comparison.content = !recorded;
  if (recorded) comparison.recorded = [&](const std::string& path) { return recorded->contains(path); };
  read_views(View(home, question.id), below ? &*below : nullptr, comparison, sink);
  return content;
}

}  // namespace drover
