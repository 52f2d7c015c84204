#include "tests/conformance/layer_script.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "drivers/sys/sha256.hpp"

namespace drover::test {

namespace {

constexpr uid_t kHighUid = 3'000'000'000U, kHighGid = 4'294'967'000U;

/// security.capability of revision 2: cap_net_raw permitted and effective.
std::string capability() {
  return {"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20};
}

std::string noise(std::size_t size) {
  std::string bytes;
  std::uint64_t seed = 42;
  while (bytes.size() < size) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    bytes += static_cast<char>(seed >> 56);
  }
  return bytes;
}

void write_base(TreeHand& hand) {
  hand.mode("", 0751);
  hand.own("", 12, 34);
  hand.attribute("", "user.of-the-root", "base");
  hand.folder("data");
  hand.file(kBigFile, noise(300'000));
  hand.sparse(kSparseFile, kSparseSize);
  hand.file("data/empty", "");
  hand.file("data/private", "secret", 0600);
  hand.own("data/private", kHighUid, kHighGid);
  hand.file("data/attributes", "x");
  hand.attribute("data/attributes", "user.note", std::string("zero \0 inside", 13));
  hand.attribute("data/attributes", "trusted.drover-test", "only root sees it");
  hand.attribute("data/attributes", "user.empty", "");
  hand.folder("bin");
  hand.file("bin/su", "setuid", 0755);
  hand.own("bin/su", 0, 5);
  hand.mode("bin/su", 06755);
  hand.file("bin/ping", "capable", 0755);
  hand.attribute("bin/ping", "security.capability", capability());
  hand.file("bin/odd", "odd", 0);
  hand.folder("tmp", 0777);
  hand.mode("tmp", 01777);
  hand.folder("links");
  hand.symlink("links/relative", "../data/big");
  hand.symlink("links/absolute", "/data/big");
  hand.symlink("links/nowhere", std::string(300, 'z') + "/\xff");
  hand.own("links/nowhere", kHighUid, 7);
  hand.file("links/one", "three names");
  hand.link("links/one", "links/two");
  hand.link("links/one", "data/three");
  hand.file("links/single", "one name so far");
  hand.folder("dev");
  hand.node("dev/null", S_IFCHR | 0666, makedev(1, 3));
  hand.node("dev/disk", S_IFBLK | 0660, makedev(259, 70'000));
  hand.node("dev/fifo", S_IFIFO | 0622);
  hand.node("dev/socket", S_IFSOCK | 0755);
  hand.own("dev/socket", kHighUid, 0);
  hand.folder("names");
  hand.file("names/latin\xe9", "no UTF-8");
  hand.file("names/\xe2\x82\xac", "UTF-8");
  hand.file("names/new\nline", "newline");
  hand.file("names/ blank\t\\\"'*", "blanks and quotes");
  hand.file("names/" + hand.long_name('f'), "long");
  hand.folder("names/" + hand.long_name('d'));
  hand.file("names/" + hand.long_name('d') + "/" + hand.long_name('g'), "long in long");
  hand.symlink("names/" + hand.long_name('s'), "target");
  for (const char* gone : {"gone", "gone/file", "gone/folder", "gone/folder/below", "replaced", "opaque"}) {
    if (std::string(gone) == "gone/file") continue;
    hand.folder(gone);
  }
  hand.file("gone/file", "1");
  hand.file("gone/folder/below/deep", "2");
  hand.file("opaque/before", "3");
  hand.file("replaced/file-to-folder", "4");
  hand.file("replaced/file-to-symlink", "5");
  hand.folder("replaced/folder-to-file");
  hand.file("replaced/folder-to-file/inside", "6");
  hand.folder("replaced/folder-to-symlink");
  hand.file("replaced/folder-to-symlink/inside", "7");
  hand.symlink("replaced/symlink-to-folder", "folder-to-file");
  hand.symlink("replaced/symlink-to-file", "folder-to-file/inside");
  hand.symlink("replaced/symlink-to-symlink", "old");
  hand.node("replaced/fifo-to-file", S_IFIFO | 0600);
  hand.folder("kept");
  hand.file("kept/name", "moved later");
  hand.file("kept/content", "same size, A");
  hand.file("kept/mode", "mode");
  hand.file("kept/owner", "owner");
  hand.file("kept/attribute", "attribute");
  hand.attribute("kept/attribute", "user.goes", "1");
  hand.folder("kept/folder-attributes");
}

void write_changes(TreeHand& hand) {
  hand.mode("", 0555);
  hand.own("", 56, 78);
  hand.forget_attribute("", "user.of-the-root");
  hand.remove("gone/file");
  hand.remove("gone/folder");
  hand.remove("links/nowhere");
  hand.remove("dev/fifo");
  hand.remove("names/" + hand.long_name('f'));
  hand.remove("names/" + hand.long_name('d'));
  hand.remove("opaque");
  hand.folder("opaque", 0711);
  hand.file("opaque/after", "a folder of the same name, nothing of the old one");
  for (const char* kind : {"file-to-folder", "symlink-to-folder"}) {
    std::string path = std::string("replaced/") + kind;
    hand.remove(path);
    hand.folder(path);
    hand.file(path + "/new", "inside");
  }
  for (const char* kind : {"folder-to-file", "symlink-to-file", "fifo-to-file"}) {
    std::string path = std::string("replaced/") + kind;
    hand.remove(path);
    hand.file(path, "a file now");
  }
  for (const char* kind : {"file-to-symlink", "folder-to-symlink", "symlink-to-symlink"}) {
    std::string path = std::string("replaced/") + kind;
    hand.remove(path);
    hand.symlink(path, "new");
  }
  hand.rename("kept/name", "kept/new name");
  hand.file("kept/content", "same size, B");
  hand.mode("kept/mode", 04711);
  hand.own("kept/owner", kHighUid, kHighGid);
  hand.forget_attribute("kept/attribute", "user.goes");
  hand.attribute("kept/attribute", "user.comes", "2");
  hand.mode("kept/folder-attributes", 02700);
  hand.attribute("kept/folder-attributes", "user.of-a-folder", "x");
  hand.link("links/single", "links/second name of a lower's file");
  hand.folder("new");
  hand.file("new/a", "linked in this layer");
  hand.link("new/a", "new/b");
}

/// Not even the root: a delta's root is then as the driver made it, a tree's as its parent's.
void write_nothing(TreeHand&) {}

/// What an earlier layer hid is there again; what it made is gone.
void write_back_and_forth(TreeHand& hand) {
  hand.mode("", 01700);
  hand.own("", kHighUid, kHighGid);
  hand.file("gone/file", "there again");
  hand.folder("gone/folder");
  hand.file("gone/folder/other", "not what was below");
  hand.remove("opaque/after");
  hand.remove("replaced/file-to-folder");
  hand.file("replaced/file-to-folder", "a file again");
  hand.remove("new");
  hand.folder("new");
  hand.folder("new/a");
}

/// As the engine's init layer (moby daemon/initlayer), in short.
void write_init(TreeHand& hand) {
  hand.mode("", 0755);
  hand.own("", 0, 0);
  hand.folder("etc");
  hand.file("etc/hostname", "", 0755);
  hand.file("etc/hosts", "", 0755);
  hand.symlink("etc/mtab", "/proc/mounts");
  hand.file(".dockerenv", "", 0755);
}

void write_container(TreeHand& hand) {
  hand.folder("var");
  hand.file(kContainerFile, noise(200'000), 0640);
  hand.append("data/private", " and more");
  hand.attribute("", "user.of-the-root", "container");
  hand.remove("bin/odd");
  hand.remove("gone");
  hand.remove("kept");
  hand.folder("kept");
  hand.file("kept/new name", "not the old one");
  hand.folder("tmp/work", 0700);
  hand.remove("tmp/work");
  // Of a lower's three names one gets a fourth.
  hand.link("links/two", "links/four");
}

}  // namespace

LayerId id_of(const std::string& text) { return sha256_hex(text); }

LayerId ScriptLayer::id() const {
  return role == LayerRole::init ? id_of("container") + "-init" : id_of(name);
}

const std::vector<ScriptLayer>& layer_script() {
  static const std::vector<ScriptLayer> script = {
      {"base", LayerRole::image, write_base},
      {"changes", LayerRole::image, write_changes},
      {"empty", LayerRole::image, write_nothing, false},
      {"back and forth", LayerRole::image, write_back_and_forth},
      {"init", LayerRole::init, write_init},
      {"container", LayerRole::writable, write_container, false},
  };
  return script;
}

std::optional<LayerId> parent_of(std::size_t i) {
  if (i == 0) return std::nullopt;
  return layer_script()[i - 1].id();
}

}  // namespace drover::test
