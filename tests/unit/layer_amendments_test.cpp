// A layer as changes to what its tar makes of it, where the two differ.
#include "migrate/archive/layer_amendments.hpp"

#include <doctest/doctest.h>

#include <map>

#include "migrate/archive/changes_writer.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/changes.hpp"
#include "tests/fuzz/tar_text.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

namespace {

/// Of each name that the amendments of this folder to this tar speak of: its mark, the last one if there are
/// several.
std::map<std::string, std::string> marks_of(const Dir& layer, const std::string& tar_text) {
  const std::string tar = fuzz::tar_of_text(tar_text);
  TextSource bytes(tar);
  TarReader reader(bytes);
  LayerModel model(reader);
  std::string changes;
  LayerAmendments amendments(model, layer, Marks::overlay, [&](std::string_view more) { changes += more; });
  read_delta(layer, Marks::overlay, amendments);
  amendments.finish();
  TextSource changes_bytes(changes);
  TarReader changes_reader(changes_bytes);
  changes_reader.know_own_records();
  std::map<std::string, std::string> marks;
  for (TarMember member; changes_reader.next(member);) {
    auto mark = member.drover.find(kMarkRecord);
    marks[member.name] = mark == member.drover.end() ? "" : mark->second;
  }
  return marks;
}

}  // namespace

TEST_CASE("amendments: what stands where the tar has a whiteout alone is not taken away") {
  HostTree tree;
  Dir layer = Dir::open(tree.root()).make_path("layer", 0755);
  layer.write_new("file", "x", 0644);
  layer.make_path("folder/below", 0755);
  auto marks = marks_of(layer, "f .wh.file\nf .wh.folder\nf .wh.neither\n");
  CHECK_EQ(marks.at("file"), "");
  CHECK_NE(marks.at("folder"), kMarkAbsent);
  CHECK_EQ(marks.at("neither"), kMarkAbsent);
}
