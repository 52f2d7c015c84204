#pragma once
#include <zlib.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "drivers/sys/fd.hpp"

namespace drover {

/// The lines of a gzip file, one after another, in bounded memory. A file of several gzip members is read as
/// one stream, as Go's reader does. Throws Error on a damaged or truncated stream, SystemError if it cannot
/// be read.
class GzipLines {
 public:
  explicit GzipLines(Fd gz);
  ~GzipLines();
  GzipLines(const GzipLines&) = delete;
  GzipLines& operator=(const GzipLines&) = delete;

  /// The next line without its newline, valid until the next call. False at the end of a complete stream.
  bool next(std::string_view& line);
  /// The number of the line that next gave last, or failed to give; the first is 1.
  std::uint64_t number() const noexcept { return number_; }

 private:
  bool fill();
  bool fill_input();
  [[noreturn]] void fail(const std::string& why) const;

  Fd gz_;
  z_stream inflate_{};
  std::unique_ptr<unsigned char[]> input_;
  std::string text_;  ///< inflated; what is used of it is [begin_, end_)
  std::size_t begin_ = 0, end_ = 0;
  bool in_member_ = true;  ///< false between one gzip member and the next
  std::string damage_;     ///< found behind what is in text_
  std::uint64_t number_ = 0;
};

}  // namespace drover
