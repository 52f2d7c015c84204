#include <map>
#include <set>

#include "drivers/attributes.hpp"
#include "drivers/sys/copy_content.hpp"
#include "drivers/sys/shared_extents.hpp"
#include "migrate/changes.hpp"
#include "migrate/link_groups.hpp"
#include "migrate/walk_pair.hpp"

namespace drover {

namespace {

using Inode = LinkGroups::Inode;

/// Directories are told to the sink only once something in them, or they themselves, turn out to differ.
class LazyDirectories {
 public:
  explicit LazyDirectories(ChangeSink& sink) : sink_(sink) {}

  /// The root of the view: what entry() says of it is not used.
  void start(const ViewDir& root) { levels_.push({root, {}, root.top().stat(), true, false, false}); }
  void descend(const PairEntry& into, bool hides_past) {
    levels_.push({into.in, into.entry, into.st, false, hides_past, false});
  }
  void enter_all() {
    std::size_t from = levels_.size();
    while (from > 0 && !levels_[from - 1].entered) --from;
    if (from == levels_.size()) return;
    // Up to the first that is to be told, and down again from there: what lies above may have been let go.
    ViewDir at = levels_.back().in;
    for (std::size_t i = levels_.size() - 1; i > from; --i) {
      ViewDir above = levels_[i - 1].in;
      above.reach_from(at);
      at = std::move(above);
    }
    for (std::size_t i = from; i < levels_.size(); ++i) {
      Level& level = levels_[i];
      const Dir& holder = level.is_root ? at.top() : at.holder(level.entry);
      sink_.enter({holder, level.entry.name, level.st}, level.hides_past);
      level.entered = true;
      if (!level.is_root && i + 1 < levels_.size()) at = at.sub(level.entry);
    }
  }
  void leave() {
    if (levels_.back().entered) sink_.leave();
    levels_.pop();
  }

 private:
  struct Level {
    ViewDir in;  ///< the directory that holds it; the root itself for the root
    ViewEntry entry;
    struct stat st;
    bool is_root, hides_past, entered;
    // The root is no directory in itself.
    void let_go(const Level& below) {
      if (!is_root) in.let_go(below.in);
    }
    void reach_from(const Level& below) { in.reach_from(below.in); }
  };
  ChangeSink& sink_;
  ViewTrail<Level> levels_;
};

/// Names of one inode: how many the view has, and how many of them were put.
struct Names {
  std::uint64_t seen = 0, put = 0;
};

class ViewReader : public PairVisitor {
 public:
  ViewReader(const View& now, const View* past, const ViewComparison& comparison, ChangeSink& sink)
      : comparison_(comparison),
        sink_(sink),
        directories_(sink),
        now_groups_([&now] { return now.repeated_inodes(); }),
        past_groups_([past] { return past ? past->repeated_inodes() : std::nullopt; }) {}

  void start(const ViewDir& root) {
    directories_.start(root);
    directories_.enter_all();
  }

  bool both(const PairEntry& now, const PairEntry& past, const std::string& path) override {
    ++step_;
    // Both maps must see every step, whatever else differs.
    bool linked_alike = now_groups_.group_of(now.st, step_) == past_groups_.group_of(past.st, step_);
    bool recorded = comparison_.recorded && comparison_.recorded(path);
    if (S_ISDIR(now.st.st_mode)) {
      bool was_directory = S_ISDIR(past.st.st_mode);
      directories_.descend(now, !was_directory);
      if (recorded || !was_directory || !same_attributes(now.st, past.st) || !same_xattrs(now, past))
        directories_.enter_all();
      return true;
    }
    if (recorded || !linked_alike || changed(now, past)) return put(now);
    note(now.st, false);
    return false;
  }

  bool only_first(const PairEntry& now, const std::string&) override {
    now_groups_.group_of(now.st, ++step_);
    if (!S_ISDIR(now.st.st_mode)) return put(now);
    directories_.descend(now, false);
    directories_.enter_all();
    return true;
  }

  bool only_second(const PairEntry& past, const std::string&) override {
    past_groups_.group_of(past.st, ++step_);
    directories_.enter_all();
    sink_.remove(past.entry.name);
    return false;
  }

  void leave() override { directories_.leave(); }

  /// Inodes some of whose names were put and some not.
  std::set<Inode> torn_groups() const {
    std::set<Inode> torn;
    for (const auto& [inode, names] : names_)
      if (names.put > 0 && names.put < names.seen) torn.insert(inode);
    return torn;
  }

 private:
  bool put(const PairEntry& now) {
    note(now.st, true);
    directories_.enter_all();
    sink_.put({now.holder(), now.entry.name, now.st});
    return false;
  }

  void note(const struct stat& st, bool put) {
    if (!now_groups_.may_have_more(st)) return;
    Names& names = names_[{st.st_dev, st.st_ino}];
    ++names.seen;
    if (put) ++names.put;
  }

  bool same_xattrs(const PairEntry& a, const PairEntry& b) const {
    return content_xattrs(a.holder(), a.entry.name, comparison_.marks, Marks::none) ==
           content_xattrs(b.holder(), b.entry.name, comparison_.marks, Marks::none);
  }

  bool changed(const PairEntry& now, const PairEntry& past) {
    if (now.st.st_dev == past.st.st_dev && now.st.st_ino == past.st.st_ino) return false;
    if (!same_attributes(now.st, past.st)) return true;
    if (S_ISLNK(now.st.st_mode) &&
        now.holder().read_link(now.entry.name) != past.holder().read_link(past.entry.name))
      return true;
    if (!same_xattrs(now, past)) return true;
    if (!comparison_.content || !S_ISREG(now.st.st_mode)) return false;
    OpenContent a = open_content(now.holder(), now.entry.name),
                b = open_content(past.holder(), past.entry.name);
    return !extents_.same(a.file.get(), now.st, b.file.get(), past.st) && !same_content(a, b);
  }

  const ViewComparison& comparison_;
  ChangeSink& sink_;
  LazyDirectories directories_;
  LinkGroups now_groups_, past_groups_;
  SharedExtents extents_;
  std::map<Inode, Names> names_;
  std::uint64_t step_ = 0;
};

/// Puts every name of some inodes, a second time where need be, so that a writer links them all to one file.
class GroupReader : public PairVisitor {
 public:
  GroupReader(const std::set<Inode>& inodes, ChangeSink& sink)
      : inodes_(inodes), sink_(sink), directories_(sink) {}

  void start(const ViewDir& root) { directories_.start(root); }
  bool both(const PairEntry&, const PairEntry&, const std::string&) override { return false; }
  bool only_second(const PairEntry&, const std::string&) override { return false; }
  bool only_first(const PairEntry& now, const std::string&) override {
    if (S_ISDIR(now.st.st_mode)) {
      directories_.descend(now, false);
      return true;
    }
    if (inodes_.contains({now.st.st_dev, now.st.st_ino})) {
      directories_.enter_all();
      sink_.put({now.holder(), now.entry.name, now.st});
    }
    return false;
  }
  void leave() override { directories_.leave(); }

 private:
  const std::set<Inode>& inodes_;
  ChangeSink& sink_;
  LazyDirectories directories_;
};

}  // namespace

void read_views(const View& layer, const View* past, const ViewComparison& comparison, ChangeSink& sink) {
  ViewDir now = layer.root();
  std::optional<ViewDir> before;
  if (past) before = past->root();
  ViewReader reader(layer, past, comparison, sink);
  reader.start(now);
  walk_pair(now, before ? &*before : nullptr, reader);
  if (std::set<Inode> torn = reader.torn_groups(); !torn.empty()) {
    GroupReader rest(torn, sink);
    rest.start(now);
    walk_pair(now, nullptr, rest);
  }
}

}  // namespace drover
