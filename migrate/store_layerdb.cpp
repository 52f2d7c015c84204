#include <algorithm>
#include <charconv>
#include <iterator>
#include <mutex>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/symlink.hpp"
#include "migrate/slices.hpp"
#include "migrate/store_parts.hpp"

namespace drover::store {

namespace {

/// A word that must be there, or Error "its NAME ...".
std::string need_word(const Dir& dir, const std::string& name) {
  RecordFile file = read_word(dir, name);
  if (!file.text) throw Error("its " + name + " " + file.wrong, file.fix);
  return std::move(*file.text);
}

[[noreturn]] void refuse(const std::string& name, const std::string& value) {
  throw Error("its " + name + " is `" + printable(value.substr(0, 80)) + "`");
}

Digest need_digest(const Dir& dir, const std::string& name) {
  std::string text = need_word(dir, name);
  auto digest = parse_digest(text);
  if (!digest) refuse(name, text);
  return *digest;
}

std::optional<Digest> parent_of(const Dir& dir) {
  RecordFile file = read_word(dir, "parent");
  if (file.absent) return std::nullopt;
  if (!file.text) throw Error("its parent " + file.wrong, file.fix);
  auto digest = parse_digest(*file.text);
  if (!digest) refuse("parent", *file.text);
  return digest;
}

LayerId need_layer_id(const Dir& dir, const std::string& name) {
  std::string text = need_word(dir, name);
  if (!is_layer_id(text)) refuse(name, text);
  return text;
}

std::uint64_t need_size(const Dir& dir) {
  std::string text = need_word(dir, "size");
  std::int64_t size = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc{} || stop != text.data() + text.size() || size < 0) refuse("size", text);
  return static_cast<std::uint64_t>(size);
}

LayerRecord read_layer(const Dir& dir, const Digest& chain_id) {
  LayerRecord layer;
  layer.chain_id = chain_id;
  layer.diff_id = need_digest(dir, "diff");
  layer.parent = parent_of(dir);
  layer.cache_id = need_layer_id(dir, "cache-id");
  layer.size_bytes = need_size(dir);
  layer.has_tar_split = dir.exists("tar-split.json.gz");
  return layer;
}

MountRecord read_mount(const Dir& dir, const std::string& name) {
  MountRecord mount;
  mount.name = name;
  mount.mount_id = need_layer_id(dir, "mount-id");
  if (dir.exists("init-id")) mount.init_id = need_layer_id(dir, "init-id");
  mount.parent = parent_of(dir);
  return mount;
}

/// What these files of a damaged record name.
std::vector<LayerId> readable_ids(const Dir& dir, std::initializer_list<const char*> names) {
  std::vector<LayerId> ids;
  for (const char* name : names) {
    try {
      RecordFile file = read_word(dir, name);
      if (file.text && is_layer_id(*file.text)) ids.push_back(std::move(*file.text));
    } catch (const Error& e) {
      if (!is_damage(e)) throw;
    }
  }
  return ids;
}

/// What was read of some of the records of a folder.
template <class Record>
struct Read {
  std::map<std::string, Record> records;
  Reasons damaged;
  std::map<std::string, std::vector<LayerId>> files_of_damaged;
  std::vector<std::string> leftovers;

  void take(Read& other) {
    records.merge(other.records);
    damaged.merge(other.damaged);
    files_of_damaged.merge(other.files_of_damaged);
    std::move(other.leftovers.begin(), other.leftovers.end(), std::back_inserter(leftovers));
  }
};

/// Calls `read` for each subdirectory, on several threads where there are many; an Error of it is the reason
/// why that record is damaged, unless it says nothing about the record: then it goes on up.
template <class Record, class ReadOne>
Read<Record> read_all(const Dir& dir, std::initializer_list<const char*> names_of_ids, ReadOne read_one) {
  const std::vector<DirEntry> entries = dir.list();
  Read<Record> all;
  std::mutex mutex;
  for_slices(entries.size(), [&](std::size_t from, std::size_t to) {
    Read<Record> read;
    for (std::size_t i = from; i < to; ++i) {
      const std::string& name = entries[i].name;
      std::optional<Dir> sub;
      try {
        sub = dir.try_sub(name);
        if (auto link = sub || !is_layer_id(name) ? std::nullopt : find_symlink(dir, name))
          read.damaged.emplace(name, Reason{"`" + link->path + "` is a symlink", link->fix()});
        if (!sub) continue;
        if (auto record = read_one(*sub, name, read)) read.records.emplace(name, std::move(*record));
      } catch (const Error& e) {
        if (!is_damage(e)) throw;
        read.damaged.emplace(name, Reason{e.what(), e.hint()});
        if (sub) read.files_of_damaged.emplace(name, readable_ids(*sub, names_of_ids));
      }
    }
    std::lock_guard lock(mutex);
    all.take(read);
  });
  return all;
}

}  // namespace

LayerDb read_layerdb(const Dir& store) {
  LayerDb db;
  auto layerdb = records_dir(store, "layerdb");
  if (!layerdb) return db;
  if (auto layers = records_dir(*layerdb, "sha256")) {
    auto read = read_all<LayerRecord>(
        *layers, {"cache-id"}, [](const Dir& dir, const std::string& name, Read<LayerRecord>& some) {
          if (is_digest(name)) return std::optional(read_layer(dir, name));
          // "<chain ID>-<number>-removing": the engine was deleting this layer.
          some.leftovers.push_back("`" + printable(name) +
                                   "` in layerdb is no layer: the engine passes over it");
          return std::optional<LayerRecord>();
        });
    db.layers = std::move(read.records);
    db.damaged_layers = std::move(read.damaged);
    db.files_of_damaged_layers = std::move(read.files_of_damaged);
    db.leftovers = std::move(read.leftovers);
    std::sort(db.leftovers.begin(), db.leftovers.end());
  }
  if (auto mounts = records_dir(*layerdb, "mounts")) {
    auto read = read_all<MountRecord>(*mounts, {"mount-id", "init-id"},
                                      [](const Dir& dir, const std::string& name, Read<MountRecord>&) {
                                        return std::optional(read_mount(dir, name));
                                      });
    db.mounts = std::move(read.records);
    db.damaged_mounts = std::move(read.damaged);
    db.files_of_damaged_mounts = std::move(read.files_of_damaged);
  }
  if (auto unfinished = layerdb->try_sub("tmp"))
    for (const DirEntry& entry : unfinished->list())
      db.leftovers.push_back("`" + printable(entry.name) +
                             "` in layerdb/tmp was never finished by the engine");
  return db;
}

std::set<LayerId> layers_named_by(const LayerDb& db) {
  std::set<LayerId> named;
  for (const auto& [chain, layer] : db.layers) named.insert(layer.cache_id);
  for (const auto& [name, mount] : db.mounts)
    for (const LayerId& id : files_of(mount)) named.insert(id);
  for (const auto* damaged : {&db.files_of_damaged_layers, &db.files_of_damaged_mounts})
    for (const auto& [name, files] : *damaged) named.insert(files.begin(), files.end());
  return named;
}

}  // namespace drover::store
