// Archives of other tools' making: what an engine finds in them is what drover does.
#include <doctest/doctest.h>

#include "migrate/archive/changes_writer.hpp"
#include "tests/conformance/saved_image.hpp"

using namespace drover;
using namespace drover::test;

TEST_CASE("a layer of another tool's has no records of drover's") {
  // As a tar of changes this would be a socket, a file with a mark or with holes, and what is in their
  // content.
  TarMember hidden = named("hidden");
  hidden.mode = 04755;
  std::string content = with_content(hidden, "from the content");
  std::string pax_socket = tar_headers(named("socket", TarMember::Type::socket));
  pax_socket.resize(pax_socket.size() - kTarBlock);
  std::string tar = pax_socket + with_content(named("socket"), content);
  for (const auto& [record, value] : std::vector<std::pair<std::string, std::string>>{
           {kMarkRecord, kMarkGone}, {kContentRecord, kContentKept}, {kExtentsRecord, "100 7+7"}}) {
    TarMember member = named(record);
    member.drover[record] = value;
    tar += with_content(member, "content");
  }
  ArchiveHost host(filesystem("ext4"), DriverKind::vfs);
  write_file(host.beside("saved.tar"), saved_image({tar + tar_end()}));
  check_done(host.run({"import", "-i", host.beside("saved.tar")}));
  Inventory found = host.inventory();
  REQUIRE(found.layers.size() == 1);
  Dir root = Dir::open(host.path("vfs/dir/" + found.layers.begin()->second.cache_id));
  CHECK(root.list().size() == 4);
  CHECK(S_ISREG(root.stat("socket").st_mode));
  CHECK((root.read("socket") == content));
  for (const char* name : {kMarkRecord, kContentRecord, kExtentsRecord}) CHECK(root.read(name) == "content");
}
