#include "migrate/tar_split_sparse.hpp"

#include <algorithm>
#include <charconv>

#include "drivers/sys/interrupt.hpp"

namespace drover {

namespace {

constexpr std::size_t kHeaderSize = 512;
constexpr std::uint64_t kMostRecords = 1 << 20;  // as Go's archive/tar: of one pax header

std::uint64_t padding(std::uint64_t size) { return (kHeaderSize - size % kHeaderSize) % kHeaderSize; }

std::optional<std::uint64_t> octal(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

/// The checksum itself counts as blanks. Some old tars took bytes for numbers with signs.
bool has_right_sum(std::string_view block) {
  std::uint64_t sum = 0, signed_sum = 0;
  for (std::size_t i = 0; i < kHeaderSize; ++i) {
    char byte = i >= 148 && i < 156 ? ' ' : block[i];
    sum += static_cast<unsigned char>(byte);
    signed_sum += static_cast<std::uint64_t>(static_cast<signed char>(byte));
  }
  auto stated = octal(block.substr(148, 8));
  return stated && (*stated == sum || *stated == signed_sum);
}

/// Whether one of the records ("LENGTH KEY=VALUE\n" ...) has such a key.
bool tells_of_sparse_file(std::string_view records) {
  while (!records.empty()) {
    std::size_t length = 0;
    auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
    auto blank = static_cast<std::size_t>(end - records.data());
    if (error != std::errc{} || length <= blank || length > records.size() || *end != ' ') return false;
    if (records.substr(blank + 1, length - blank - 1).starts_with("GNU.sparse.")) return true;
    records.remove_prefix(length);
  }
  return false;
}

/// Reads the headers of a tar whose bytes come as a recipe has them.
class Headers {
 public:
  void take(std::string_view bytes) {
    while (!bytes.empty() && !over_) {
      if (records_rest_ > 0)
        take_records(bytes);
      else if (skip_ > 0)
        skip_ -= cut(bytes, skip_).size();
      else
        take_header(bytes);
    }
  }

  /// What comes now is a member's content.
  void take_content(std::uint64_t size) {
    if (records_rest_ > 0 || !block_.empty()) over_ = true;
    sparse_ = false;
    // A global pax header is a member of its own for tar-split, and old ones took its records for content.
    if (skip_ > 0)
      skip_ -= std::min(skip_, size);
    else
      skip_ = padding(size);
  }

  /// Whether the member whose content comes now is one.
  bool is_sparse() const { return sparse_ && is_member_ && !over_; }

 private:
  static std::string_view cut(std::string_view& bytes, std::uint64_t most) {
    std::string_view part =
        bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(most, bytes.size())));
    bytes.remove_prefix(part.size());
    return part;
  }

  void take_records(std::string_view& bytes) {
    std::string_view part = cut(bytes, records_rest_);
    records_ += part;
    records_rest_ -= part.size();
    if (records_rest_ == 0) sparse_ = tells_of_sparse_file(records_);
  }

  void take_header(std::string_view& bytes) {
    block_ += cut(bytes, kHeaderSize - block_.size());
    is_member_ = false;
    if (block_.size() < kHeaderSize) return;
    std::string block;
    block.swap(block_);
    char flag = block[156];
    const bool is_special = flag == 'x' || flag == 'g' || flag == 'L' || flag == 'K';
    auto size = octal({block.data() + 124, 12});             // of a large file it is no octal number
    over_ = !has_right_sum(block) || (is_special && !size);  // at the end of the tar, too
    if (over_) return;
    is_member_ = !is_special;
    if (flag == 'x') {
      over_ = *size > kMostRecords;
      sparse_ = false;  // of several such headers the last one counts
      records_.clear();
      records_rest_ = *size;
      skip_ = padding(*size);
    } else if (is_special) {
      skip_ = *size + padding(*size);
      if (flag == 'g') sparse_ = false;  // what came before it is for nobody
    }
  }

  std::string block_;    ///< the beginning of a header
  std::string records_;  ///< of the last pax header
  std::uint64_t records_rest_ = 0;
  std::uint64_t skip_ = 0;  ///< until the next header
  bool sparse_ = false;     ///< so the last pax header says
  bool is_member_ = false;  ///< the last header is one's own
  bool over_ = false;       ///< the end, or no tar from here on
};

}  // namespace

std::optional<std::string> find_sparse_member(TarSplitReader& recipe) {
  Headers headers;
  for (TarSplitEntry entry; recipe.next(entry);) {
    check_interrupted();
    if (entry.kind == TarSplitEntry::Kind::segment)
      headers.take(entry.bytes);
    else if (headers.is_sparse())
      return entry.name;
    else
      headers.take_content(entry.empty_crc ? 0 : entry.size);
  }
  return std::nullopt;
}

}  // namespace drover
