#include "migrate/gzip_lines.hpp"

#include <cstring>

#include "drivers/sys/error.hpp"

namespace drover {

namespace {
constexpr std::size_t kInput = 64 << 10;
// Grows where a line asks for it. Most records are shorter than this, and there is one for each layer.
constexpr std::size_t kFirstText = 32 << 10;
// One segment may hold all that follows a tar's end, which an old engine wrote as one line.
constexpr std::size_t kLongestLine = 64 << 20;
constexpr int kGzipOnly = 16 + MAX_WBITS;
}  // namespace

GzipLines::GzipLines(Fd gz)
    : gz_(std::move(gz)),
      input_(std::make_unique_for_overwrite<unsigned char[]>(kInput)),
      text_(kFirstText, '\0') {
  if (inflateInit2(&inflate_, kGzipOnly) != Z_OK) throw Error("cannot set up zlib");
}

GzipLines::~GzipLines() { inflateEnd(&inflate_); }

void GzipLines::fail(const std::string& why) const {
  throw Error("line " + std::to_string(number_) + ": " + why);
}

bool GzipLines::fill_input() {
  if (inflate_.avail_in > 0) return true;
  ssize_t n;
  do n = ::read(gz_.get(), input_.get(), kInput);
  while (n < 0 && errno == EINTR);
  if (n < 0) throw_errno("cannot read compressed data");
  inflate_.next_in = input_.get();
  inflate_.avail_in = static_cast<uInt>(n);
  return n > 0;
}

/// Inflates some more behind what is there. False at the end of a complete stream.
bool GzipLines::fill() {
  if (!damage_.empty()) fail(damage_);
  if (begin_ > 0) {
    std::memmove(text_.data(), text_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == text_.size()) {
    if (end_ >= kLongestLine) fail("longer than " + std::to_string(kLongestLine) + " bytes");
    text_.resize(text_.size() * 2);
  }
  for (std::size_t before = end_; end_ == before;) {
    if (!fill_input()) {
      if (in_member_) fail("the compressed data end too early");
      return false;
    }
    if (!in_member_ && inflateReset(&inflate_) != Z_OK) fail("cannot set up zlib");
    in_member_ = true;
    inflate_.next_out = reinterpret_cast<unsigned char*>(text_.data() + end_);
    inflate_.avail_out = static_cast<uInt>(text_.size() - end_);
    int result = inflate(&inflate_, Z_NO_FLUSH);
    end_ = text_.size() - inflate_.avail_out;
    if (result == Z_STREAM_END)
      in_member_ = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)
      damage_ =
          std::string("damaged compressed data") + (inflate_.msg ? std::string(": ") + inflate_.msg : "");
    // What was inflated before the damage is given out first, so that the right line is named.
    if (!damage_.empty() && end_ == before) fail(damage_);
  }
  return true;
}

bool GzipLines::next(std::string_view& line) {
  ++number_;
  for (std::size_t seen = 0;;) {
    const char* from = text_.data() + begin_;
    const void* newline = std::memchr(from + seen, '\n', end_ - begin_ - seen);
    if (newline) {
      line = {from, static_cast<std::size_t>(static_cast<const char*>(newline) - from)};
      begin_ += line.size() + 1;
      return true;
    }
    seen = end_ - begin_;
    if (fill()) continue;
    line = {text_.data() + begin_, seen};
    begin_ = end_;
    return seen > 0;
  }
}

}  // namespace drover
