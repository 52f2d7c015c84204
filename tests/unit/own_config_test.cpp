// Whose configuration a migration writes, where its data root was copied.
#include "migrate/own_config.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"
#include "tests/unit/switch_fixture.hpp"

using namespace drover;
using namespace drover::test;

namespace {
std::string config_naming(const std::string& root) { return "{\"data-root\": \"" + root + "\"}"; }

/// What the fixture's migration has for its configuration, after `named` was given.
std::string settled(SwitchFixture& fixture, const std::optional<std::string>& named) {
  settle_config(fixture.root(), fixture.folder(), named);
  return fixture.folder().record().config_path;
}
}  // namespace

TEST_CASE("the configuration of the plan is taken where it is this data root's, or the user says so") {
  SwitchFixture fixture({});
  const std::string planned = fixture.tree().path("/etc/daemon.json");
  fixture.tree().write("/another/image/overlay2/repositories.json", "{}");
  fixture.tree().write("/etc/daemon.json", config_naming(fixture.tree().path("/d")));
  CHECK(settled(fixture, std::nullopt) == planned);
  // A plan that anybody may have made could name any file.
  for (const std::string& text :
       {std::string("{}"), std::string("broken"), config_naming(fixture.tree().path("/gone")),
        config_naming(fixture.tree().path("/another"))}) {
    CAPTURE(text);
    fixture.tree().write("/etc/daemon.json", text);
    CHECK_THROWS_WITH_AS(settled(fixture, std::nullopt), doctest::Contains("which does not name"), Error);
    CHECK(settled(fixture, planned) == planned);
  }
}

TEST_CASE("a copy does not write the original's configuration") {
  SwitchFixture fixture({});
  fixture.copy_root();
  fixture.tree().write("/etc/daemon.json", config_naming(fixture.tree().path("/original")));
  CHECK_THROWS_WITH_AS(settled(fixture, std::nullopt), doctest::Contains("is the configuration of"), Error);
  CHECK_THROWS_AS(settled(fixture, fixture.tree().path("/etc/daemon.json")), Error);
  fixture.tree().write("/etc/copy.json", "{}");
  CHECK(settled(fixture, fixture.tree().path("/etc/copy.json")) == fixture.tree().path("/etc/copy.json"));
}

TEST_CASE("another configuration is taken only where it names this data root") {
  SwitchFixture fixture({});
  fixture.tree().write("/etc/other.json", "{}");
  const std::string other = fixture.tree().path("/etc/other.json");
  CHECK_THROWS_WITH_AS(settled(fixture, other), doctest::Contains("is about the configuration"), Error);
  fixture.tree().write("/etc/other.json", config_naming(fixture.tree().path("/d")));
  CHECK(settled(fixture, other) == other);
}
