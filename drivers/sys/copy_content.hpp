#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "drivers/sys/dir.hpp"

namespace drover {

/// How a regular file's content can get from one file to another.
enum class ContentCopy { reflink, copied };

/// Makes `to` (empty, open for writing) hold the same `size` bytes as `from`: FICLONE where the filesystem
/// shares extents; else copy_file_range with holes kept; else read and write. `what` is for messages.
/// `may_clone` becomes false where no two files of these two places can share extents, and spares the next
/// call the try. Throws SystemError.
ContentCopy copy_content(int from, int to, std::uint64_t size, const char* what, bool& may_clone);

/// A regular file that is open for reading; and where, since an error has to name the one that failed.
struct OpenContent {
  const Dir& dir;  ///< outlives it, as what `name` views does
  std::string_view name;
  Fd file;
};

/// Without touching its access time. Throws as Dir::open_regular() does.
OpenContent open_content(const Dir&, std::string_view name);

/// Whether two regular files of the same size have the same bytes. Throws SystemError that names the file
/// which cannot be read.
bool same_content(const OpenContent& a, const OpenContent& b);

/// How many blocks of kContentBlock bytes of `a` are not what `b` has at the same place; those beyond the end
/// of `b` are not. Ends, with a number above `most`, as soon as there are more than that. In bounded memory.
/// Throws as same_content() does.
constexpr std::uint64_t kContentBlock = 4096;
std::uint64_t differing_blocks(const OpenContent& a, const OpenContent& b, std::uint64_t most);

}  // namespace drover
