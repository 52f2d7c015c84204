#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "migrate/archive/byte_stream.hpp"
#include "migrate/archive/tar_member.hpp"

namespace drover {

/// Is told of every byte of a tar, in order: what is content of a member, and what is not.
class TarObserver {
 public:
  virtual ~TarObserver() = default;
  virtual void structure(std::string_view bytes) = 0;
  /// The headers are read; its content, if any, comes next.
  virtual void member(const TarMember&) = 0;
  virtual void content(std::string_view bytes) = 0;
};

/// Reads a tar member by member in bounded memory, as an engine does (Go's archive/tar). Nothing in it is
/// trusted: throws Error that says what is wrong with it. Sparse members are refused: no tar-split
/// leads back to the tar of a layer that has one (tar_split_sparse.hpp).
class TarReader {
 public:
  /// Both must outlive this.
  explicit TarReader(ByteSource& source, TarObserver* observer = nullptr)
      : source_(source), observer_(observer) {}

  /// From here on `DROVER.` records count: in a tar of changes (docs/archive-format.md) alone. In any other
  /// they are unknown keys, as they are to an engine: else it would find one content under a digest, and
  /// drover another.
  void know_own_records() noexcept { knows_own_ = true; }
  /// The next member; what was not read of the last one's content is passed over. False at the end.
  bool next(TarMember&);
  /// Up to `size` bytes of the member's content; 0 at its end.
  std::size_t read(char* to, std::size_t size);
  /// How much of the member's content is still to come.
  std::uint64_t rest() const noexcept { return rest_; }
  /// All of the member's content. Throws Error if it is larger than `limit`.
  std::string read_all(std::size_t limit);

 private:
  bool read_block(char* block);
  void take(char* to, std::size_t size);
  void finish_member();
  std::string read_special(std::uint64_t size);
  void parse_header(const char* block, TarMember&) const;
  using PaxRecords = std::map<std::string, std::string>;
  static PaxRecords parse_pax(std::string_view text);
  void apply_pax(const PaxRecords&, TarMember&) const;
  void require_end();

  ByteSource& source_;
  TarObserver* observer_;
  std::uint64_t rest_ = 0;   ///< of the content
  std::size_t padding_ = 0;  ///< behind it
  bool ended_ = false;
  bool knows_own_ = false;
};

/// The content of the member that a reader is at.
class MemberSource : public ByteSource {
 public:
  explicit MemberSource(TarReader& reader) : reader_(reader) {}
  std::size_t read(char* to, std::size_t size) override { return reader_.read(to, size); }

 private:
  TarReader& reader_;
};

}  // namespace drover
