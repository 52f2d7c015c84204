#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/sys/fd.hpp"

namespace drover {

/// tar-split (github.com/vbatts/tar-split): the recipe from which a layer's original tar is put together
/// again from the layer's files. A gzip stream of JSON objects, one a line: segments (bytes as they are) and
/// files (content from disk).
struct TarSplitEntry {
  enum class Kind { segment, file };
  Kind kind = Kind::segment;
  std::string bytes;                 ///< segment: the bytes
  std::string name;                  ///< file: the name exactly as in the tar header, any bytes
  std::uint64_t size = 0;            ///< file: content size
  std::optional<std::uint64_t> crc;  ///< file: CRC-64/ISO of the content, where recorded
  bool empty_crc = false;  ///< file: its checksum is that of no content (a hard link that states a size)
};

/// Reads entries one after another in bounded memory. Throws Error on a damaged stream, naming the line.
class TarSplitReader {
 public:
  explicit TarSplitReader(Fd gz);
  ~TarSplitReader();
  TarSplitReader(TarSplitReader&&) noexcept;
  /// False at the end of a complete stream.
  bool next(TarSplitEntry&);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Cleans a tar entry's name to a relative path: no leading "/", "./" or trailing "/", no empty or "."
/// components. Nothing if it has a ".." component or an embedded zero byte. "" is the layer's root.
std::optional<std::string> clean_tar_name(std::string_view name);

/// How a rebuilt layer compares with its diff ID.
struct Rebuilt {
  std::string digest;       ///< sha256 of the rebuilt tar, hex; empty if there is a problem
  std::uint64_t bytes = 0;  ///< its size
  std::string problem;      ///< empty, or the first file that could not be read as recorded: which and why
};

/// Opens a regular file of the layer's view by its name in the tar; nothing if it is absent. With O_NONBLOCK,
/// since a hostile layer may have a fifo in its place: whether the descriptor is a regular file is looked at
/// here.
using OpenFile = std::function<std::optional<Fd>(const std::string& name)>;

/// Rebuilds a layer's tar. The content's length must be as recorded; a file that is missing, no regular file,
/// unreadable, shorter or longer is named in `problem` and ends the rebuild. `sink`, if given, gets the
/// bytes.
Rebuilt rebuild_tar(TarSplitReader&, const OpenFile& open_file,
                    const std::function<void(std::string_view)>& sink = {});

/// Where a rebuilt tar is not what it should be: the first file whose content is not what its recorded
/// checksum says, as a problem like that of Rebuilt; empty if all are. Slower than rebuild_tar, so for after
/// a mismatch.
std::string find_changed_file(TarSplitReader&, const OpenFile& open_file);

}  // namespace drover
