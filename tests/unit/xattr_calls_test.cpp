// Reading extended attributes by the new system calls, and without them.
#include "drivers/sys/xattr_calls.hpp"

#include <doctest/doctest.h>
#include <sys/xattr.h>

#include "drivers/sys/dir.hpp"
#include "drivers/sys/error.hpp"
#include "tests/support/host_tree.hpp"

using namespace drover;

TEST_CASE("attributes are read alike by both ways") {
  HostTree tree;
  tree.write("/d/file", "content");
  tree.write("/d/bare", "content");
  Dir dir = Dir::open(tree.path("/d"));
  dir.make_symlink("link", "file");
  const std::string large(3000, 'v');
  if (::setxattr(tree.path("/d/file").c_str(), "user.large", large.data(), large.size(), 0) != 0) {
    REQUIRE(errno == ENOTSUP);
    MESSAGE("SKIP: no user attributes on " << tree.path("/d"));
    return;
  }
  dir.set_xattr("file", "user.empty", "");
  dir.set_xattr("", "user.own", "the directory's");
  bool ways[] = {uses_xattrat(), false};
  for (bool way : ways) {
    CAPTURE(way);
    uses_xattrat() = way;
    CHECK(dir.xattrs("file") == std::vector<Xattr>{{"user.empty", ""}, {"user.large", large}});
    CHECK(dir.xattrs("bare").empty());
    CHECK(dir.xattrs("link").empty());  // it is not followed
    CHECK(dir.xattrs("") == std::vector<Xattr>{{"user.own", "the directory's"}});
    CHECK(dir.xattr("file", "user.large") == large);
    CHECK_FALSE(dir.xattr("bare", "user.large"));
    CHECK_THROWS_AS(dir.xattrs("missing"), SystemError);
    CHECK_THROWS_AS(dir.xattrs("../d"), SystemError);
  }
  uses_xattrat() = ways[0];
}
