// What every driver must hold of a layer's content: a stack is written as the engine would have, through its
// own mounts where this kernel has them, and read back from the files on disk.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "drivers/sys/error.hpp"
#include "migrate/layer_writer.hpp"
#include "tests/conformance/drivers_under_test.hpp"
#include "tests/conformance/layer_script.hpp"
#include "tests/conformance/stacks.hpp"

using namespace drover;
using namespace drover::test;

namespace {

/// Makes one layer of what a plain folder holds, by the reader and the writer that migrations use.
void write_layer(Driver& driver, const LayerId& id, const Dir& content) {
  write_changes(content, nullptr, driver, id, driver.create(id, std::nullopt, {}));
  driver.seal(id);
}

}  // namespace

TEST_CASE("a stack as the engine writes it reads as what was done") {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      TestFolder folder(one.filesystem);
      ModelStack model(folder.path(), longest_name(one.driver));
      write_stack(home, model);
      for (std::size_t i = 0; i < layer_script().size(); ++i) {
        const ScriptLayer& layer = layer_script()[i];
        CAPTURE(std::string(layer_script()[i].name));
        if (layer.same_everywhere)
          CHECK(differences(model.view(i), Marks::none, View(*home, layer.id()), home->marks()) == "");
        if (one.driver.inspect) one.driver.inspect(home.path(), *home, layer.id(), parent_of(i));
      }
    }
  }
}

TEST_CASE("the view of a stack is what the engine's own mount shows") {
  for (const Case& one : cases()) {
    if (!one.driver.mount) continue;
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      TestFolder folder(one.filesystem);
      ModelStack model(folder.path(), longest_name(one.driver));
      write_stack(home, model);
      for (std::size_t i = 0; i < layer_script().size(); ++i) {
        CAPTURE(std::string(layer_script()[i].name));
        CHECK(mount_differences(home, layer_script()[i].id()) == "");
      }
    }
  }
}

TEST_CASE("what a driver cannot hold is refused, and what it can is held") {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      Marks marks = home->marks();
      struct Odd {
        std::string name;
        mode_t type;
        bool holdable;
      };
      const Odd odd[] = {
          {"null device", S_IFCHR, can_hold_null_device(marks)},
          {".wh.file", S_IFREG, can_hold_name(marks, ".wh.file")},
          {".wh.folder", S_IFDIR, can_hold_name(marks, ".wh.folder")},
          {".wh..wh..opq", S_IFREG, can_hold_name(marks, ".wh..wh..opq")},
          {std::string(242, 'n'), S_IFREG, true},
          {std::string(251, 'n'), S_IFREG, can_hold_name(marks, std::string(251, 'n'))},
          {std::string(252, 'n'), S_IFREG, can_hold_name(marks, std::string(252, 'n'))},
          {std::string(255, 'n'), S_IFDIR, can_hold_name(marks, std::string(255, 'n'))},
      };
      for (const Odd& entry : odd) {
        CAPTURE(entry.name);
        TestFolder folder(one.filesystem);
        Dir content = Dir::open(folder.path());
        if (entry.type == S_IFDIR)
          content.make_dir(entry.name, 0755);
        else
          content.make_node(entry.name, entry.type | 0644, makedev(0, 0));
        if (entry.holdable) {
          write_layer(*home, id_of(entry.name), content);
          CHECK(differences(plain_view(content), Marks::none, View(*home, id_of(entry.name)), marks) == "");
        } else {
          CHECK_THROWS_AS(write_layer(*home, id_of(entry.name), content), Error);
        }
        home->remove(id_of(entry.name));
      }
    }
  }
}

TEST_CASE("a default ACL is content, and gives nothing to what is made beside it") {
  // user::rwx, user:5:rwx, group::r-x, mask::rwx, other::r-x
  const std::string acl(
      "\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x07\0\x05\0\0\0\x04\0\x05\0\xff\xff\xff\xff"
      "\x10\0\x07\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff",
      44);
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      TestFolder folder(one.filesystem);
      auto make = [&](const char* name, const char* text) {
        Dir tree = Dir::open(folder.path()).make_path(name, 0755);
        tree.make_path("d", 0755).write_new("f", text, 0644);
        for (const char* dir : {"", "d"}) tree.set_xattr(dir, "system.posix_acl_default", acl);
        return tree;
      };
      Dir before = make("before", "old"), after = make("after", "new");
      write_layer(*home, id_of("parent"), before);
      write_changes(after, &before, *home, id_of("child"), home->create(id_of("child"), id_of("parent"), {}));
      home->seal(id_of("child"));
      CHECK(differences(plain_view(after), Marks::none, View(*home, id_of("child")), home->marks()) == "");
    }
  }
}

TEST_CASE("a name that a delta cannot hide is refused, too") {
  for (const Case& one : cases()) {
    std::string name(255, 'n');
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      TestFolder folder(one.filesystem);
      Dir before = Dir::open(folder.path()).make_path("before", 0755);
      Dir after = Dir::open(folder.path()).make_path("after", 0755);
      before.write_new(name, "", 0644);
      home->create(id_of("parent"), std::nullopt, {});
      home->seal(id_of("parent"));
      OpenLayer child = home->create(id_of("child"), id_of("parent"), {});
      if (can_hold_name(home->marks(), name))
        CHECK_NOTHROW(write_changes(after, &before, *home, id_of("child"), child));
      else
        CHECK_THROWS_AS(write_changes(after, &before, *home, id_of("child"), child), Error);
    }
  }
}

TEST_CASE("marks that hide nothing change nothing") {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      if (home->form() != LayerForm::delta) return;
      home->create(id_of("base"), std::nullopt, {}).root.write_new("below", "", 0644);
      {
        OpenLayer layer = home->create(id_of("top"), id_of("base"), {});
        hide(home->marks(), layer.root, "nothing");
        layer.root.make_dir("folder", 0755);
        make_opaque(home->marks(), layer.root.sub("folder"));
        layer.root.sub("folder").write_new("inside", "", 0644);
        hide(home->marks(), layer.root.sub("folder"), "nothing either");
      }
      TestFolder folder(one.filesystem);
      TestHome tree(*plain_driver(), one.filesystem);
      tree->create(id_of("base"), std::nullopt, {}).root.write_new("below", "", 0644);
      OpenLayer copy = tree->create(id_of("top"), id_of("base"), {});
      TreeWriter writer(copy.root, home->marks(), false);
      read_delta(home->open(id_of("top")).root, home->marks(), writer);
      ViewDir root = View(*home, id_of("top")).root();
      CHECK(root.entries().size() == 2);
      CHECK(root.sub(*root.find("folder")).entries().size() == 1);
      CHECK(copy.root.list().size() == 2);
      CHECK(copy.root.sub("folder").list().size() == 1);
    }
  }
}

TEST_CASE("an opaque root hides what is below where the driver heeds it, and nowhere else") {
  for (const Case& one : cases()) {
    SUBCASE(one.name().c_str()) {
      TestHome home(one.driver, one.filesystem);
      if (home->form() != LayerForm::delta) return;
      home->create(id_of("base"), std::nullopt, {}).root.write_new("below", "", 0644);
      make_opaque(home->marks(), home->create(id_of("top"), id_of("base"), {}).root);
      std::size_t left = opaque_root_hides(home->marks()) ? 0 : 1;
      CHECK(View(*home, id_of("top")).root().entries().size() == left);
      if (one.driver.mount) CHECK(mount_differences(home, id_of("top")) == "");
      TestHome tree(*plain_driver(), one.filesystem);
      tree->create(id_of("base"), std::nullopt, {}).root.write_new("below", "", 0644);
      OpenLayer copy = tree->create(id_of("top"), id_of("base"), {});
      TreeWriter writer(copy.root, home->marks(), false);
      read_delta(home->open(id_of("top")).root, home->marks(), writer);
      CHECK(copy.root.list().size() == left);
    }
  }
}
