#include "migrate/find_by_name.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "tests/support/store_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {

Inventory made_up() {
  Inventory inventory;
  auto image = [&](const Digest& id, std::vector<std::string> references) {
    inventory.images[id].id = id;
    inventory.images[id].references = std::move(references);
  };
  auto container = [&](const std::string& id, const std::string& name) {
    inventory.containers[id].id = id;
    inventory.containers[id].name = name;
  };
  inventory.driver = DriverKind::overlay2;
  image("abc1" + std::string(60, '0'), {"app:latest", "app:1"});
  image("abc2" + std::string(60, '0'), {"reg:5000/team/app:1"});
  image("dead" + std::string(60, '0'), {});
  image("beef" + std::string(60, '0'), {"web:latest", "web@sha256:" + std::string(64, '9')});
  container("abc3" + std::string(60, '0'), "web");
  container("face" + std::string(60, '0'), "f1");
  return inventory;
}

/// "image abc1", "container face", or the error.
std::string found(const Inventory& inventory, const std::string& name) {
  try {
    Subject subject = find_subject(inventory, name);
    CHECK(subject.image.has_value() != subject.container.has_value());
    return subject.image ? "image " + subject.image->substr(0, 4)
                         : "container " + subject.container->substr(0, 4);
  } catch (const Error& e) {
    CHECK_FALSE(e.hint().empty());
    return e.what();
  }
}

}  // namespace

TEST_CASE("names are taken as docker takes them") {
  Inventory inventory = made_up();
  CHECK(found(inventory, "app") == "image abc1");
  CHECK(found(inventory, "app:1") == "image abc1");
  CHECK(found(inventory, "docker.io/library/app:1") == "image abc1");
  CHECK(found(inventory, "reg:5000/team/app:1") == "image abc2");
  CHECK(found(inventory, "dead") == "image dead");
  CHECK(found(inventory, "d") == "image dead");
  CHECK(found(inventory, "sha256:dead") == "image dead");
  CHECK(found(inventory, "dead" + std::string(60, '0')) == "image dead");
  CHECK(found(inventory, "web@sha256:" + std::string(64, '9')) == "image beef");
  CHECK(found(inventory, "web:1@sha256:" + std::string(64, '9')) == "image beef");
  CHECK(found(inventory, "fac") == "container face");
  CHECK(found(inventory, "abc3") == "container abc3");
  CHECK(found(inventory, "/f1") == "container face");
  // A container goes before an image of its name, and a name before the beginning of an ID.
  CHECK(found(inventory, "web") == "container abc3");
  CHECK(found(inventory, "web:latest") == "image beef");
  CHECK(found(inventory, "f1") == "container face");
}

TEST_CASE("what nothing is called, or several are, is an error that says so") {
  Inventory inventory = made_up();
  for (const std::string name : {"", "/", "nothing", "app:2", "team/app:1", "reg:5000/team/app", "WEB",
                                 "DEAD", "sha256:", "\x1b[2J", "../x", "*"}) {
    CAPTURE(name);
    CHECK(found(inventory, name).starts_with("there is no image or container `"));
  }
  CHECK(found(inventory, "\x1b[2J").find('\x1b') == std::string::npos);
  CHECK(found(inventory, "abc") ==
        "`abc` is the beginning of several IDs: container abc300000000 (web), image abc100000000 "
        "(app:latest), image abc200000000 (reg:5000/team/app:1)");
  CHECK(found(inventory, "sha256:abc") ==
        "`sha256:abc` is the beginning of several IDs: image abc100000000 (app:latest), image abc200000000 "
        "(reg:5000/team/app:1)");
  for (char c = 'a'; c < 'z'; ++c) inventory.images[std::string(63, 'e') + c].id = std::string(63, 'e') + c;
  CHECK(found(inventory, "ee").ends_with("and 17 more"));
}

TEST_CASE("a name that damage or another driver keeps away is told so") {
  StoreFixture fixture;
  fixture.tree.write(fixture.image(fixture.app_image), "{");
  CHECK(found(fixture.read(), "app").starts_with("`app` cannot be read: "));
  Inventory inventory = made_up();
  ContainerRecord old;
  old.id = std::string(64, '7');
  old.name = "old";
  old.driver = "aufs";
  inventory.foreign_containers.push_back(old);
  CHECK(found(inventory, "old") == "container `old` is of the driver aufs, not of overlay2");
}

TEST_CASE("references are spelled as the store spells them") {
  CHECK(familiar_reference("app") == "app:latest");
  CHECK(familiar_reference("library/app") == "app:latest");
  CHECK(familiar_reference("index.docker.io/library/app:2") == "app:2");
  CHECK(familiar_reference("docker.io/team/app") == "team/app:latest");
  CHECK(familiar_reference("library/team/app") == "library/team/app:latest");
  CHECK(familiar_reference("localhost:5000/app") == "localhost:5000/app:latest");
  CHECK(familiar_reference("localhost:5000/app:1@sha256:12") == "localhost:5000/app@sha256:12");
}
