#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "drivers/marks.hpp"
#include "migrate/mark_list.hpp"
#include "migrate/survey.hpp"

namespace drover {

/// With chattr's +i or +a no entry of a directory, and no name of a file, can be changed. Of the directory
/// itself where `name` is empty.
bool is_guarded(const Dir&, const std::string& name);

/// Looks on while a delta is measured, and finds what of it would have to be spelled anew if the directory
/// became, as it is, a layer of a driver with other marks; and what cannot be.
class MarkScan : public TreeVisitor {
 public:
  /// What is spelled anew goes to `list`, if there is one. `going_back`: book-keeping attributes of `from`
  /// do no harm, and the times of the root are always listed.
  MarkScan(Marks from, Marks to, MarkListWriter* list = nullptr, bool going_back = false)
      : from_(from), to_(to), list_(list), going_back_(going_back) {}

  void enter(std::string_view name, const Dir&, const std::vector<DirEntry>&) override;
  void entry(const Dir&, const std::string& name, const struct statx&) override;
  void leave() override;

  /// The first thing that keeps the layer from being taken over so, in words; empty: nothing does.
  const std::string& obstacle() const { return obstacle_; }
  /// What else than to remove it can be done about that, beginning with a verb; empty: nothing.
  const std::string& way_out() const { return way_out_; }
  bool has_changes() const { return has_changes_; }
  /// There is book-keeping of `from` in it.
  bool has_bookkeeping() const { return has_bookkeeping_; }

 private:
  using Change = std::pair<MarkRecord::Kind, std::string>;
  void object(const Dir&, std::string_view name, const std::string& why, std::string_view way_out = {});
  void look_at_attributes(const Dir&, std::string_view name, bool directory);
  void look_at_entry(const Dir&, const DirEntry&, Opacity inside, std::vector<Change>&);
  void look_at_content(const Dir&, const DirEntry&);
  void change(const Dir&, MarkRecord::Kind, const std::string& name, const std::string& entry,
              std::vector<Change>&);
  void list(const Dir&, const std::vector<Change>&);

  Marks from_, to_;
  MarkListWriter* list_;
  bool going_back_;
  std::vector<std::string> levels_;  ///< names, from the root's own on, which is none
  std::size_t listed_ = 1;           ///< so many of them, from the first on, are in the list
  std::string obstacle_, way_out_;
  bool has_changes_ = false, has_bookkeeping_ = false;
};

}  // namespace drover
