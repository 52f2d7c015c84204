// import.json: what an import does to a data root.
#include "migrate/archive/import_record.hpp"

#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

void promise_inside(const std::string& path) {
  promise(!path.empty() && !path.starts_with('/') && ("/" + path + "/").find("/../") == std::string::npos,
          "a path stays inside");
}

}  // namespace

FUZZ_TARGET(import_record) {
  Dir folder = empty_folder();
  put_file(folder, "import.json", input);
  ImportRecord record = require_import_record(folder);
  for (const auto& ids : {record.layers, record.replaced_layers})
    for (const LayerId& id : ids) promise_one_name(id, "a layer's ID is one name");
  for (const auto& [chain, id] : record.shared) promise_one_name(id, "a layer's ID is one name");
  for (const auto& pairs : {record.moves, record.put_aside})
    for (const auto& [from, to] : pairs) {
      promise_inside(from);
      promise_inside(to);
    }
  for (const std::string& path : record.made_dirs) promise_inside(path);
  for (const auto& [tag, id] : record.tags) promise(is_digest(id), "a tag leads to a digest");
  write_import_record(folder, record);
  const std::string text = folder.read("import.json");
  write_import_record(folder, require_import_record(folder));
  promise_same(folder.read("import.json"), text, "what is written is read again");
}
