#pragma once
#include <string>

#include "drivers/view.hpp"

namespace drover {

/// Reads all that a view shows: every directory, every attribute and every file's bytes; to know whether they
/// can be read. Throws Error for what cannot.
void read_through(const View&);

/// The same of a plain folder, and of one regular file in it.
void read_through(const Dir&);
void read_through(const Dir&, const std::string& name);

/// A folder as a view: one layer without marks.
View folder_view(const Dir&);

}  // namespace drover
