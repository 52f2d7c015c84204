#pragma once
#include <string>
#include <string_view>

namespace drover::fuzz {

/// A tar, so that a fuzzer can change what it says and not only its bytes. A line for each member, its words
/// separated by blanks ("\s" is a blank, "\0" a zero byte in one):
///
///     d PATH              f PATH CONTENT      l PATH TARGET (hard link)   s PATH TARGET (symlink)
///     c PATH  b PATH  p PATH  u PATH (devices 1:3, fifo, socket)
///
/// and of the member before: `m OCTAL-MODE`, `o UID GID`, `t SECONDS NANOSECONDS`, `a XATTR VALUE`,
/// `r RECORD VALUE` (one of drover's own), `n` (device 0:0). Other lines are nothing.
std::string tar_of_text(std::string_view text);

/// Each block that looks like a tar's header gets the checksum that it asks for.
std::string with_checksums(std::string_view tar);

}  // namespace drover::fuzz
