#pragma once
#include <ctime>
#include <string>
#include <string_view>

#include "drivers/sys/dir.hpp"

namespace drover {

/// The marks of one layer that are to be spelled anew, as a file: what a walk does that comes by all of them.
/// A record is a letter, then bytes up to a NUL; names are any bytes that a name may have.
///
///     l1                      the first record: a list of this form
///     dNAME                   go into this directory
///     u                       go back to the one above
///     tA.ns M.ns              this directory's times, before its entries change; what follows is in it
///     wNAME                   a whiteout for this name
///     o                       it is opaque
///     kNAME                   book-keeping of the old driver's: kept elsewhere, by its number
///     xNAME                   a device of fuse-overlayfs's that means nothing: removed
///     e                       the end, back in the layer's root: a list without it is torn
struct MarkRecord {
  enum class Kind : char {
    enter = 'd',
    leave = 'u',
    times = 't',
    whiteout = 'w',
    opaque = 'o',
    keep = 'k',
    drop = 'x',
    end = 'e'
  };
  Kind kind = Kind::end;
  std::string name;     ///< of enter, whiteout, keep and drop: one path component
  timespec times[2]{};  ///< of times: of last access and change
};

/// Writes a list; what was there is replaced. Not synced.
class MarkListWriter {
 public:
  MarkListWriter(const Dir& folder, const std::string& name);
  void add(MarkRecord::Kind, std::string_view name = {});
  void add_times(const struct stat&);
  /// Writes the end. Without it the list is torn.
  void finish();

 private:
  void flush();
  Fd fd_;
  std::string path_, bytes_;
};

/// Reads a list record by record, in bounded memory. Throws Error if it is damaged.
class MarkListReader {
 public:
  MarkListReader(const Dir& folder, const std::string& name);
  /// False after the end.
  bool next(MarkRecord&);

 private:
  bool next_text(std::string&);
  [[noreturn]] void refuse() const;
  Fd fd_;
  std::string path_, bytes_;
  std::size_t at_ = 0, depth_ = 0;
  bool ended_ = false, timed_ = false;
};

}  // namespace drover
