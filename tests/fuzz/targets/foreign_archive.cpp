// What `docker save` wrote, or an OCI layout. Its files are parts between lines of "%%": a file's name, and
// its content from the next line on; a name that begins with "tar:" has a content that is told by lines
// (tar_text.hpp). "@N@" is the digest of file N, whose number begins with 0.
#include "migrate/archive/foreign_archive.hpp"

#include <algorithm>

#include "drivers/sys/sha256.hpp"
#include "migrate/store_parts.hpp"
#include "tests/fuzz/tar_text.hpp"
#include "tests/fuzz/target.hpp"

using namespace drover;
using namespace drover::fuzz;

namespace {

constexpr std::size_t kMostParts = 10;

void put_digests(std::string& text, const std::vector<std::string>& digests) {
  for (std::size_t i = 0; i < digests.size(); ++i) {
    const std::string mark = "@" + std::to_string(i) + "@";
    for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += digests[i].size())
      text.replace(at, mark.size(), digests[i]);
  }
}

std::string foreign_tar(std::string_view input) {
  std::string tar;
  std::vector<std::string> digests;
  for (const std::string& part : parts_of(input, kMostParts)) {
    if (part.empty()) continue;
    std::size_t end = std::min(part.find('\n'), part.size());
    std::string name = part.substr(0, end), content = part.substr(std::min(end + 1, part.size()));
    put_digests(content, digests);
    if (name.starts_with("tar:")) {
      name.erase(0, 4);
      content = tar_of_text(content);
    }
    digests.push_back(sha256_hex(content));
    put_digests(name, digests);
    TarMember member;
    member.name = name;
    member.mode = 0644;
    member.size = content.size();
    if (name.starts_with("link:")) {  // a symlink to its content
      member.name.erase(0, 5);
      member.type = TarMember::Type::symlink;
      member.target = content.substr(0, content.find('\n'));
      member.size = 0;
      content.clear();
    }
    tar += tar_headers(member) + content + std::string(tar_padding(content.size()), '\0');
  }
  return tar + tar_end();
}

}  // namespace

FUZZ_TARGET(foreign_archive) {
  const std::string tar = foreign_tar(input.substr(0, 8192));
  Dir place = empty_folder();
  Dir folder = place.make_path("incoming", 0700);
  put_file(place, "canary", "alive");
  refused([&] {
    TextSource bytes(tar);
    ArchiveReader archive(bytes);
    Progress silent;
    IncomingStore store(folder.clone(), DriverKind::overlay2, {});
    for (const std::string& note : receive_foreign_archive(archive, store, silent))
      promise_shown(note, "a note is one line of harmless text");
    store.finish();
    Inventory inventory = read_inventory(folder, DriverKind::overlay2, nullptr);
    for (const StoreProblem& problem : inventory.problems)
      promise(false, "what was received is sound: " + problem.what);
    for (const auto& [id, image] : inventory.images)
      for (const std::string& reference : image.references)
        promise_shown(reference, "a tag is harmless text");
  });
  promise(place.list().size() == 2 && place.read("canary") == "alive",
          "nothing outside of its folder changes");
}
