#pragma once
#include <cstdint>

namespace drover {

/// How a regular file's content can get from one file to another.
enum class ContentCopy { reflink, copied };

/// Makes `to` (empty, open for writing) hold the same `size` bytes as `from`: FICLONE where the filesystem
/// shares extents; else copy_file_range with holes kept; else read and write. `what` is for messages.
/// `may_clone` becomes false where no two files of these two places can share extents, and spares the next
/// call the try. Throws SystemError.
ContentCopy copy_content(int from, int to, std::uint64_t size, const char* what, bool& may_clone);

/// Whether two open regular files of the same size have the same bytes.
bool same_content(int a, int b, const char* what);

/// How many blocks of kContentBlock bytes of `a` are not what `b` has at the same place; those beyond the end
/// of `b` are not. Ends, with a number above `most`, as soon as there are more than that. In bounded memory.
constexpr std::uint64_t kContentBlock = 4096;
std::uint64_t differing_blocks(int a, int b, std::uint64_t most, const char* what);

}  // namespace drover
