#include "migrate/mark_list.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>

#include "drivers/sys/disk.hpp"
#include "drivers/sys/error.hpp"

namespace drover {

namespace {

constexpr std::string_view kForm = "l1";
constexpr std::size_t kBuffer = 64 << 10;
constexpr std::size_t kLongestRecord = 512;

bool is_component(std::string_view name) {
  constexpr std::size_t kLongestName = 255;
  return !name.empty() && name != "." && name != ".." && name.size() <= kLongestName &&
         name.find('/') == std::string_view::npos;
}

bool parse_part(std::string_view& text, char end, std::int64_t& number) {
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::size_t used = static_cast<std::size_t>(rest - text.data());
  if (error != std::errc() || used == 0) return false;
  if (end == 0) return used == text.size();
  if (used == text.size() || *rest != end) return false;
  text.remove_prefix(used + 1);
  return true;
}

bool parse_times(std::string_view text, timespec (&times)[2]) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  for (int i = 0; i < 2; ++i) {
    std::int64_t seconds = 0, nanoseconds = 0;
    if (!parse_part(text, '.', seconds) || !parse_part(text, i == 0 ? ' ' : '\0', nanoseconds) ||
        nanoseconds < 0 || nanoseconds >= kSecond)
      return false;
    times[i] = {seconds, nanoseconds};
  }
  return true;
}

std::string list_time(const timespec& time) {
  return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

}  // namespace

MarkListWriter::MarkListWriter(const Dir& folder, const std::string& name) : path_(folder.path_of(name)) {
  if (folder.exists(name)) folder.unlink(name);
  fd_ = folder.open_file(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
  bytes_.append(kForm).push_back('\0');
}

void MarkListWriter::add(MarkRecord::Kind kind, std::string_view name) {
  bytes_.push_back(static_cast<char>(kind));
  bytes_.append(name).push_back('\0');
  if (bytes_.size() >= kBuffer) flush();
}

void MarkListWriter::add_times(const struct stat& st) {
  add(MarkRecord::Kind::times, list_time(st.st_atim) + " " + list_time(st.st_mtim));
}

void MarkListWriter::finish() {
  add(MarkRecord::Kind::end);
  flush();
  fd_.reset();
}

void MarkListWriter::flush() {
  for (std::size_t done = 0; done < bytes_.size();) {
    ssize_t n = disk::write(fd_.get(), bytes_.data() + done, bytes_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("cannot write `" + path_ + "`");
    done += static_cast<std::size_t>(n);
  }
  bytes_.clear();
}

MarkListReader::MarkListReader(const Dir& folder, const std::string& name)
    : fd_(folder.open_regular(name)), path_(folder.path_of(name)) {
  std::string text;
  if (!next_text(text) || text != kForm) refuse();
}

void MarkListReader::refuse() const {
  throw Error("`" + path_ + "` is damaged: it is no list of marks that drover has written",
              "it says which marks of a layer are to be spelled anew; restore it");
}

/// The bytes up to the next NUL.
bool MarkListReader::next_text(std::string& text) {
  for (;;) {
    std::size_t end = bytes_.find('\0', at_);
    if (end != std::string::npos) {
      text.assign(bytes_, at_, end - at_);
      at_ = end + 1;
      return true;
    }
    bytes_.erase(0, at_);
    at_ = 0;
    if (bytes_.size() > kLongestRecord) refuse();
    std::size_t old = bytes_.size();
    bytes_.resize(old + kBuffer);
    ssize_t n;
    while ((n = ::read(fd_.get(), bytes_.data() + old, kBuffer)) < 0)
      if (errno != EINTR) throw_errno("cannot read `" + path_ + "`");
    bytes_.resize(old + static_cast<std::size_t>(n));
    if (n > 0) continue;
    if (!bytes_.empty()) refuse();
    return false;
  }
}

bool MarkListReader::next(MarkRecord& record) {
  using Kind = MarkRecord::Kind;
  if (ended_) return false;
  std::string text;
  if (!next_text(text) || text.empty()) refuse();
  record.kind = static_cast<Kind>(text[0]);
  record.name = text.substr(1);
  bool change = false;
  switch (record.kind) {
    case Kind::enter:
      if (!is_component(record.name)) refuse();
      ++depth_;
      timed_ = false;
      return true;
    case Kind::leave:
      if (!record.name.empty() || depth_ == 0) refuse();
      --depth_;
      timed_ = false;
      return true;
    case Kind::times:
      if (timed_ || !parse_times(record.name, record.times)) refuse();
      record.name.clear();
      timed_ = true;
      return true;
    case Kind::whiteout:
    case Kind::drop:
    case Kind::keep:
      change = is_component(record.name);
      break;
    case Kind::opaque:
      change = record.name.empty();
      break;
    case Kind::end:
      // Nothing may follow it.
      if (!record.name.empty() || depth_ != 0 || next_text(text)) refuse();
      ended_ = true;
      return true;
  }
  // Its directory's times would be lost.
  if (!change || !timed_) refuse();
  return true;
}

}  // namespace drover
