#include <doctest/doctest.h>

#include "drivers/sys/size_text.hpp"

using namespace drover;

TEST_CASE("sizes as Docker's users write them") {
  CHECK(parse_size("1024") == 1024);
  CHECK(parse_size("7b") == 7);
  CHECK(parse_size("10kb") == 10240);
  CHECK(parse_size("64M") == 64ULL << 20);
  CHECK(parse_size("512MiB") == 512ULL << 20);
  CHECK(parse_size("1.5 gb") == 3ULL << 29);
  CHECK(parse_size("1.5 GiB") == 3ULL << 29);
  for (const char* text : {"", "M", "-1", "1X", "10GG", "10Gib5", "1  M", "1Mbi", "1MM", "2mi", " 1", "1e3",
                           "1e30", "99999P", "0x10", "nan", "inf"})
    CHECK_MESSAGE(!parse_size(text), text);
}
