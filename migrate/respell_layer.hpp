#pragma once
#include <string>

#include "drivers/marks.hpp"
#include "drivers/sys/dir.hpp"

namespace drover {

/// A list of marks (mark_list.hpp), and what is done with it in a layer that lies under one directory. Each
/// change is told by what is on the disk, so all of these go on where they were cut.
struct LayerMarks {
  const Dir& lists;       ///< the folder of the list
  const std::string& id;  ///< the list's name
  const Dir& layer;       ///< the layer's directory
  Marks from, to;         ///< which driver's spelling the list was made from, and for which one
  const Dir& folder;      ///< the migration's: in kept/bookkeeping/<id>/ it has the old driver's book-keeping
};

/// Spells all of the list anew, and sets the times of the directories that changes. Not synced.
void respell(const LayerMarks&);
/// The other way round.
void respell_back(const LayerMarks&);
/// Brings the old driver's book-keeping back, and nothing else. The root's times change.
void restore_bookkeeping(const LayerMarks&);

/// Reads the layer's marks: they must say what the list says, in the new spelling. Throws Error
/// (proof_failed) that names what differs.
void require_respelled(const LayerMarks&);
void require_respelled_back(const LayerMarks&);

}  // namespace drover
