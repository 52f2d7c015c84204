#pragma once
#include <optional>
#include <string>

#include "migrate/tar_split.hpp"

namespace drover {

/// The name of the first member that a layer's tar holds as a sparse file, going by the headers in its
/// recipe: its data alone are in the tar, and tar-split records the file with its holes
/// (github.com/vbatts/tar-split/issues/21), so that no engine puts that tar together again either. Only pax
/// headers count, in the three spellings of "GNU.sparse." that GNU tar and libarchive write: an engine
/// unpacks these, and refuses a member of GNU's old type `S` (tried with dockerd 20.10). Headers are believed
/// as far as their checksums are right. Throws Error as the reader does.
std::optional<std::string> find_sparse_member(TarSplitReader&);

}  // namespace drover
