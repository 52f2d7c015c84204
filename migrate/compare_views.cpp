#include "migrate/compare_views.hpp"

#include <algorithm>
#include <cstdio>

#include "drivers/attributes.hpp"
#include "drivers/sys/copy_content.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/shared_extents.hpp"
#include "migrate/link_groups.hpp"
#include "migrate/walk_pair.hpp"

namespace drover {

namespace {

constexpr std::size_t kNamed = 10;

std::string octal(unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, "%o", value);
  return text;
}

std::string time_text(const timespec& t) {
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%09ld", static_cast<long long>(t.tv_sec), t.tv_nsec);
  return text;
}

/// The first attribute in which two entries differ, in words.
std::string attribute_difference(const struct stat& a, const struct stat& b) {
  auto differ = [](const std::string& what, const std::string& x, const std::string& y) {
    return what + " " + x + " became " + y;
  };
  if (a.st_mode != b.st_mode) return differ("type and mode", octal(a.st_mode), octal(b.st_mode));
  if (a.st_uid != b.st_uid) return differ("owner", std::to_string(a.st_uid), std::to_string(b.st_uid));
  if (a.st_gid != b.st_gid) return differ("group", std::to_string(a.st_gid), std::to_string(b.st_gid));
  if (!S_ISDIR(a.st_mode) && a.st_size != b.st_size)
    return differ("size", std::to_string(a.st_size), std::to_string(b.st_size));
  if (a.st_mtim.tv_sec != b.st_mtim.tv_sec || a.st_mtim.tv_nsec != b.st_mtim.tv_nsec)
    return differ("modification time", time_text(a.st_mtim), time_text(b.st_mtim));
  return "device number differs";
}

class Comparison : public PairVisitor {
 public:
  Comparison(const ComparedView& source, const ComparedView& target, bool content, bool marks,
             const std::function<bool(const std::string&)>& leave_out)
      : source_(source),
        target_(target),
        content_(content),
        marks_(marks),
        leave_out_(leave_out),
        source_groups_([&] { return source.view.repeated_inodes(); }),
        target_groups_([&] { return target.view.repeated_inodes(); }) {}

  bool passes_over(const std::string& path) override { return leave_out_ && leave_out_(path); }
  bool both(const PairEntry& a, const PairEntry& b, const std::string& path) override {
    ++step_;
    bool linked_alike = source_groups_.group_of(a.st, step_) == target_groups_.group_of(b.st, step_);
    bool one_inode = a.st.st_dev == b.st.st_dev && a.st.st_ino == b.st.st_ino;
    if (!same_attributes(a.st, b.st))
      differ(path, attribute_difference(a.st, b.st));
    else if (!linked_alike)
      differ(path, "hard links differ");
    else if (one_inode && !S_ISDIR(a.st.st_mode))
      return false;  // what it has besides, it has in both
    else if (S_ISLNK(a.st.st_mode) &&
             a.holder().read_link(a.entry.name) != b.holder().read_link(b.entry.name))
      differ(path, "the symlink's target differs");
    else if (xattrs(a, source_.marks) != xattrs(b, target_.marks))
      differ(path, "extended attributes differ");
    else if (S_ISREG(a.st.st_mode) && content_wanted(a, b) && !content_alike(a, b))
      differ(path, "content differs");
    return S_ISDIR(a.st.st_mode) && S_ISDIR(b.st.st_mode);
  }
  bool only_first(const PairEntry& a, const std::string& path) override {
    source_groups_.group_of(a.st, ++step_);
    differ(path, "is missing in the target");
    return false;
  }
  bool only_second(const PairEntry& b, const std::string& path) override {
    target_groups_.group_of(b.st, ++step_);
    differ(path, "is in the target only");
    return false;
  }

  void enter(const PairDir* a, const PairDir* b, const std::string& path) override {
    if (!marks_ || !a || !b) return;
    auto hides_past = [&](const PairDir& in, Marks marks) {
      return in.dir.is_opaque() && (!path.empty() || opaque_root_hides(marks));
    };
    if (hides_past(*a, source_.marks) != hides_past(*b, target_.marks)) differ(path, "opaque on one side");
    if (hidden_in(*a) != hidden_in(*b)) differ(path, "does not hide the same names");
  }

  void compare_roots(const ViewDir& a, const ViewDir& b) {
    if (passes_over("")) return;
    struct stat st_a = a.top().stat(), st_b = b.top().stat();
    if (!same_attributes(st_a, st_b))
      differ("/", attribute_difference(st_a, st_b));
    else if (own_xattrs(a.top(), "", source_.marks) != own_xattrs(b.top(), "", target_.marks))
      differ("/", "extended attributes differ");
  }

  ViewDifferences result;

 private:
  static std::vector<std::string> hidden_in(const PairDir& dir) {
    std::vector<std::string> names = dir.hidden;
    std::sort(names.begin(), names.end());
    return names;
  }

  void differ(const std::string& path, const std::string& what) {
    ++result.count;
    if (result.first.size() < kNamed)
      result.first.push_back("`" + printable(shortened_path(path)) + "`: " + what);
  }

  /// What is content, but for what one of the two drivers cannot store.
  std::vector<Xattr> own_xattrs(const Dir& dir, std::string_view name, Marks marks) const {
    std::vector<Xattr> shown;
    for (Xattr& x : dir.xattrs(name)) {
      auto as = is_filesystem_property(x.first) ? std::nullopt : shown_xattr(marks, x.first);
      if (as && stored_xattr(source_.marks, *as) && stored_xattr(target_.marks, *as))
        shown.emplace_back(std::move(*as), std::move(x.second));
    }
    std::sort(shown.begin(), shown.end());
    return shown;
  }
  std::vector<Xattr> xattrs(const PairEntry& e, Marks marks) const {
    return own_xattrs(e.holder(), e.entry.name, marks);
  }

  bool content_wanted(const PairEntry& a, const PairEntry& b) const {
    if (!content_ || (a.st.st_dev == b.st.st_dev && a.st.st_ino == b.st.st_ino)) return false;
    return a.entry.layer < source_.proven_from || b.entry.layer < target_.proven_from;
  }

  bool content_alike(const PairEntry& a, const PairEntry& b) {
    OpenContent at_a = open_content(a.holder(), a.entry.name), at_b = open_content(b.holder(), b.entry.name);
    result.compared_bytes += static_cast<std::uint64_t>(a.st.st_size);
    // What no digest covers is read in any case: that a disk does not give it back is found now, or by its
    // user.
    const bool covered = a.entry.layer >= source_.proven_from;
    return (covered && extents_.same(at_a.file.get(), a.st, at_b.file.get(), b.st)) ||
           same_content(at_a, at_b);
  }

  const ComparedView& source_;
  const ComparedView& target_;
  bool content_, marks_;
  const std::function<bool(const std::string&)>& leave_out_;
  LinkGroups source_groups_, target_groups_;
  SharedExtents extents_;
  std::uint64_t step_ = 0;
};

ViewDifferences compare(const ComparedView& source, const ComparedView& target, bool content, bool marks,
                        const std::function<bool(const std::string&)>& leave_out) {
  Comparison comparison(source, target, content, marks, leave_out);
  ViewDir a = source.view.root(), b = target.view.root();
  comparison.compare_roots(a, b);
  walk_pair(a, &b, comparison);
  return std::move(comparison.result);
}

}  // namespace

ViewDifferences compare_views(const ComparedView& source, const ComparedView& target, bool content,
                              const std::function<bool(const std::string& path)>& leave_out) {
  return compare(source, target, content, false, leave_out);
}

ViewDifferences compare_deltas(const ComparedView& source, const ComparedView& target, bool content) {
  return compare(source, target, content, true, {});
}

}  // namespace drover
