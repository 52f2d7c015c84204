#include "drivers/sys/printable.hpp"

#include <doctest/doctest.h>

#include "drivers/sys/error.hpp"

using drover::printable;

TEST_CASE("text that is UTF-8 is printed as it is") {
  CHECK(printable("plain, caf\xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80") ==
        "plain, caf\xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80");
}

TEST_CASE("what steers a terminal, and bytes that are no UTF-8, are escaped") {
  CHECK(printable("a\nb\x1b[31m\x7f") == "a\\x0ab\\x1b[31m\\x7f");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");
  CHECK(printable("\xe2\x80\xae") == "\\xe2\\x80\\xae");
  CHECK(printable("caf\xe9") == "caf\\xe9");
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");
  CHECK(printable("\xc0\xaf\xed\xa0\x80\xf5") == "\\xc0\\xaf\\xed\\xa0\\x80\\xf5");
}

TEST_CASE("bytes that are no UTF-8 become replacement characters, all else stays") {
  CHECK(drover::as_utf8("a\x1b\n caf\xc3\xa9") == "a\x1b\n caf\xc3\xa9");
  CHECK(drover::as_utf8("caf\xe9!") == "caf\xef\xbf\xbd!");
}

TEST_CASE("an error is printable whatever it names") {
  drover::Error error("cannot read `a\nb`", "mend `\x1b[31m`");
  CHECK(std::string(error.what()) == "cannot read `a\\x0ab`");
  CHECK(error.hint() == "mend `\\x1b[31m`");
  CHECK(std::string(drover::SystemError("`\xff`", ENOENT).what()) == "`\\xff`: no such file or directory");
}
