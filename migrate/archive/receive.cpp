#include "migrate/archive/receive.hpp"

#include <fcntl.h>

#include <map>
#include <set>

#include "drivers/sys/error.hpp"
#include "drivers/sys/interrupt.hpp"
#include "drivers/sys/printable.hpp"
#include "migrate/archive/archive_stream.hpp"
#include "migrate/archive/foreign_archive.hpp"
#include "migrate/archive/oci_layout.hpp"
#include "migrate/archive/room_guard.hpp"
#include "migrate/store_parts.hpp"

namespace drover {

namespace {

constexpr std::size_t kHeadLimit = 256 << 20;

/// The content of the member that an archive is at.
class CurrentSource : public ByteSource {
 public:
  explicit CurrentSource(ArchiveReader& archive) : archive_(archive) {}
  std::size_t read(char* to, std::size_t size) override { return archive_.read(to, size); }

 private:
  ArchiveReader& archive_;
};

/// Reads an archive of drover's own, in the order in which it is written.
class OwnArchive {
 public:
  OwnArchive(ArchiveReader& archive, IncomingStore& store, Progress& progress)
      : archive_(archive), store_(store), progress_(progress) {}

  void run() {
    head_ = parse_head(archive_.read_all(kHeadLimit));
    archive_.pass();
    total_ = head_.layers.size() + head_.containers.size();
    progress_.phase("reading " + std::to_string(head_.images.size()) + " images, " +
                    std::to_string(head_.containers.size()) + " containers and " +
                    std::to_string(head_.layers.size()) + " layers");
    read_images();
    std::map<Digest, unsigned> uses;
    for (const ArchivedLayer& layer : head_.layers) ++uses[layer.diff_id];
    for (const ArchivedLayer& layer : head_.layers) {
      std::string name = "layer " + short_id(layer.chain_id);
      with_context(name, [&] { read_layer(layer, uses.at(layer.diff_id) > 1); });
      progress_.step(name, ++done_, total_);
    }
    store_.add_distribution(head_.distribution);
    for (const ArchivedContainer& container : head_.containers) {
      std::string name =
          "container " + (container.name.empty() ? short_id(container.id) : printable(container.name));
      with_context(name, [&] { read_container(container); });
      progress_.step(name, ++done_, total_);
    }
    if (!at(kArchiveList)) unexpected();
    archive_.check_list();
  }

 private:
  bool at(const std::string& name) {
    const TarMember* member = archive_.current();
    return member && member->name == name && member->type == TarMember::Type::regular;
  }

  [[noreturn]] void unexpected() {
    const TarMember* member = archive_.current();
    if (!member) throw Error("it ends too early", "nothing was changed; was it cut off on its way?");
    throw Error("`" + printable(member->name) + "` is not what should come there");
  }

  /// What comes before the first layer: the images' configurations by their IDs, and files that only other
  /// tools need.
  void read_images() {
    std::map<Digest, const ArchivedImage*> wanted;
    for (const ArchivedImage& image : head_.images) wanted.emplace(image.id, &image);
    constexpr std::string_view kBlobs = "blobs/sha256/";
    auto is_layer = [&](const std::string& digest) {
      return !head_.layers.empty() && digest == head_.layers.front().diff_id;
    };
    while (const TarMember* member = archive_.current()) {
      std::string name = member->name;
      bool blob = name.starts_with(kBlobs) && is_digest(std::string_view(name).substr(kBlobs.size()));
      if (!blob && name != "oci-layout" && name != "index.json" && name != "manifest.json") break;
      std::string digest = blob ? name.substr(kBlobs.size()) : "";
      if (is_layer(digest)) break;
      std::string text = archive_.read_all(store::kJsonLimit);
      archive_.pass();
      if (auto image = wanted.extract(digest)) store_.add_image(*image.mapped(), text);
    }
    if (!wanted.empty())
      throw Error("it lacks the configuration of image " + short_id(wanted.begin()->first));
  }

  void read_layer(const ArchivedLayer& layer, bool again) {
    check_interrupted();
    if (!spooled_.contains(layer.diff_id)) {
      if (!at(blob_name(layer.diff_id))) unexpected();
      if (again) put_aside(layer.diff_id);
    }
    CurrentSource direct(archive_);
    Fd file;
    std::optional<FdSource> kept;
    if (again) {
      file = store_.spool().open_file(layer.diff_id);
      kept.emplace(file.get(), "a layer that was put aside");
    }
    PartSource changes(archive_, "drover/layers/" + layer.chain_id + "/changes");
    store_.add_layer(layer, {.tar = kept ? static_cast<ByteSource*>(&*kept) : &direct,
                             .changes = &changes,
                             .tar_split = [&](const ByteSink& to) {
                               if (!kept) archive_.pass();
                               if (!at("drover/layers/" + layer.chain_id + "/tar-split.json.gz"))
                                 unexpected();
                               pass_on(to);
                             }});
  }

  /// A tar that several layers have comes once.
  void put_aside(const Digest& diff_id) {
    Dir spool = store_.spool();
    Fd file = spool.open_file(diff_id, O_CREAT | O_EXCL | O_WRONLY, 0600);
    RoomGuard room(spool);
    pass_on([&](std::string_view bytes) {
      write_all(file.get(), bytes, "a layer that is put aside");
      room.wrote(bytes.size());
    });
    spooled_.insert(diff_id);
  }

  /// All of the member that it is at.
  void pass_on(const ByteSink& to) {
    std::string block(256 << 10, '\0');
    while (std::size_t n = archive_.read(block.data(), block.size())) to({block.data(), n});
    archive_.pass();
  }

  void read_container(const ArchivedContainer& container) {
    check_interrupted();
    std::string folder = "drover/containers/" + container.id;
    store_.begin_container(container);
    auto stream = [&](const char* name, auto take) {
      if (!at(part_name(folder + "/" + name, 0))) unexpected();
      PartSource parts(archive_, folder + "/" + name);
      take(parts);
    };
    stream("folder", [&](ByteSource& parts) { store_.add_container_folder(container, parts); });
    if (container.has_init)
      stream("init", [&](ByteSource& parts) { store_.add_container_layer(container, true, parts); });
    stream("writable", [&](ByteSource& parts) { store_.add_container_layer(container, false, parts); });
  }

  ArchiveReader& archive_;
  IncomingStore& store_;
  Progress& progress_;
  ArchiveHead head_;
  std::set<Digest> spooled_;
  std::size_t done_ = 0, total_ = 0;
};

}  // namespace

std::vector<std::string> receive_archive(ByteSource& stream, IncomingStore& store, Progress& progress) {
  return with_context("the archive cannot be imported", [&] {
    Decompressor tar(stream);
    ArchiveReader archive(tar);
    const TarMember* first = archive.current();
    if (!first) throw Error("it is empty", "nothing was changed; was it written to its end?");
    std::vector<std::string> notes;
    if (first->name == kArchiveHead)
      OwnArchive(archive, store, progress).run();
    else
      notes = receive_foreign_archive(archive, store, progress);
    store.finish();
    return notes;
  });
}

}  // namespace drover
