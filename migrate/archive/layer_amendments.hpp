#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "migrate/archive/changes_writer.hpp"
#include "migrate/archive/layer_model.hpp"
#include "migrate/archive/name_bytes.hpp"
#include "migrate/recorded_paths.hpp"

namespace drover {

/// Is told a layer as a driver shows it, and writes a tar of changes with what its unpacked tar is not:
/// nothing where the two are the same. The layer's tar must have been rebuilt from these very files, so that
/// the content of what both have is known to be equal.
class LayerAmendments : public ChangeSink {
 public:
  /// `own`: the layer's own files. All must outlive this.
  LayerAmendments(LayerModel& model, const Dir& own, Marks marks, ByteSink to);
  void enter(const Node&, bool hides_past) override;
  void leave() override { path_.leave(); }
  void put(const Node&) override;
  void remove(std::string_view name) override;
  /// To be called once all was told. The model's names are taken.
  void finish();

 private:
  void write_file(const Node&, const std::string& path);
  /// The names of one file, and whether the tar has each of them as it is.
  struct Group {
    std::set<std::string> names;
    bool same = true;
  };
  void check_group(const Group&);
  void note(Group&, const std::string& path, bool same);
  EntryWriter& out();
  LayerModel& model_;
  const Dir& own_;
  Marks marks_;
  ByteSink to_;
  std::optional<EntryWriter> out_;  ///< once there is something to say
  SinkPath path_;
  std::set<RecordedPaths::Fingerprint>
      entered_;           ///< directories that the tar does not have: they may be told twice
  NameBytes name_bytes_;  ///< of those below
  std::map<std::pair<dev_t, ino_t>, Group> groups_;
  std::vector<Group> singles_;
};

}  // namespace drover
