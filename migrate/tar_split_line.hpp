#pragma once
#include <string_view>

#include "migrate/tar_split.hpp"

namespace drover {

/// Reads one line of tar-split JSON: a flat object with the keys type, name, name_raw, size, payload,
/// position. Strings of `entry` are overwritten in place. Throws Error saying what is wrong with the line.
///
/// A scanner of its own, since this is the inner loop of every proof: a general JSON parser takes several
/// times as long on these lines, which are mostly base64.
void parse_tar_split_line(std::string_view line, TarSplitEntry& entry);

}  // namespace drover
