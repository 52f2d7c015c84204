#pragma once
#include <cstdint>
#include <string>

#include "drivers/sys/fd.hpp"
#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/tar_reader.hpp"
#include "migrate/crc64.hpp"

namespace drover {

/// Writes the tar-split.json.gz of the tar that it is shown, as the engine does when it takes a layer in
/// (github.com/vbatts/tar-split, tar/asm and tar/storage).
class TarSplitWriter : public TarObserver {
 public:
  /// To a file that must outlive this.
  explicit TarSplitWriter(int file);
  void structure(std::string_view bytes) override;
  void member(const TarMember&) override;
  void content(std::string_view bytes) override;
  /// To be called at the end of the tar.
  void finish();

 private:
  void flush_segment();
  void flush_file();
  void line(const std::string& json);
  Compressor gzip_;
  std::string segment_;
  bool in_file_ = false;
  std::string name_;
  std::uint64_t size_ = 0, position_ = 0;
  Crc64 crc_;
};

/// Reads on from where a TarReader has ended, up to the end, with all that an observer is to know of.
void observe_rest(ByteSource&, TarObserver&);

}  // namespace drover
