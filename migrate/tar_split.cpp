#include "migrate/tar_split.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "drivers/sys/error.hpp"
#include "drivers/sys/printable.hpp"
#include "drivers/sys/sha256.hpp"
#include "migrate/crc64.hpp"
#include "migrate/gzip_lines.hpp"
#include "migrate/tar_split_line.hpp"

namespace drover {

struct TarSplitReader::State {
  explicit State(Fd gz) : lines(std::move(gz)) {}
  GzipLines lines;
};

TarSplitReader::TarSplitReader(Fd gz) : state_(std::make_unique<State>(std::move(gz))) {}
TarSplitReader::~TarSplitReader() = default;
TarSplitReader::TarSplitReader(TarSplitReader&&) noexcept = default;

bool TarSplitReader::next(TarSplitEntry& entry) {
  return with_context("damaged tar-split data", [&] {
    std::string_view line;
    do {
      if (!state_->lines.next(line)) return false;
    } while (line.empty());
    return with_context("line " + std::to_string(state_->lines.number()), [&] {
      parse_tar_split_line(line, entry);
      return true;
    });
  });
}

std::optional<std::string> clean_tar_name(std::string_view name) {
  if (name.find('\0') != std::string_view::npos) return std::nullopt;
  std::string clean;
  clean.reserve(name.size());
  while (!name.empty()) {
    std::size_t cut = std::min(name.find('/'), name.size());
    std::string_view component = name.substr(0, cut);
    name.remove_prefix(std::min(cut + 1, name.size()));
    if (component == "..") return std::nullopt;
    if (component.empty() || component == ".") continue;
    if (!clean.empty()) clean += '/';
    clean += component;
  }
  return clean;
}

namespace {

using Take = std::function<void(std::string_view)>;

constexpr std::size_t kBlock = 256 << 10;

/// Gives the content of one file to `take`, in large blocks. What is wrong with the file, or nothing.
std::string read_content(int file, std::uint64_t size, std::string& block, const Take& take) {
  struct stat st;
  if (::fstat(file, &st) != 0) return errno_text(errno);
  if (!S_ISREG(st.st_mode)) return "not a regular file";
  std::string recorded = " than the " + std::to_string(size) + " bytes recorded";
  if (static_cast<std::uint64_t>(st.st_size) > size) return "longer" + recorded;
  if (static_cast<std::uint64_t>(st.st_size) < size) return "shorter" + recorded;
  for (std::uint64_t rest = size; rest > 0;) {
    ssize_t n =
        ::read(file, block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(rest, block.size())));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_text(errno);
    if (n == 0) return "shorter" + recorded;
    take({block.data(), static_cast<std::size_t>(n)});
    rest -= static_cast<std::uint64_t>(n);
  }
  return {};
}

bool has_content(const TarSplitEntry& entry) {
  return entry.kind == TarSplitEntry::Kind::file && entry.size > 0 && !entry.empty_crc;
}

std::string read_entry(const TarSplitEntry& entry, const OpenFile& open_file, std::string& block,
                       const Take& take) {
  auto file = open_file(entry.name);
  std::string wrong = file ? read_content(file->get(), entry.size, block, take) : "missing";
  return wrong.empty() ? wrong : "`" + printable(entry.name) + "`: " + wrong;
}

}  // namespace

Rebuilt rebuild_tar(TarSplitReader& reader, const OpenFile& open_file, const Take& sink) {
  Rebuilt rebuilt;
  Sha256 sha256;
  Take take = [&](std::string_view bytes) {
    sha256.update(bytes);
    rebuilt.bytes += bytes.size();
    if (sink) sink(bytes);
  };
  std::string block(kBlock, '\0');
  for (TarSplitEntry entry; reader.next(entry);) {
    if (entry.kind == TarSplitEntry::Kind::segment) take(entry.bytes);
    if (!has_content(entry)) continue;
    rebuilt.problem = read_entry(entry, open_file, block, take);
    if (!rebuilt.problem.empty()) return rebuilt;
  }
  rebuilt.digest = sha256.hex();
  return rebuilt;
}

std::string find_changed_file(TarSplitReader& reader, const OpenFile& open_file) {
  std::string block(kBlock, '\0');
  for (TarSplitEntry entry; reader.next(entry);) {
    if (!has_content(entry)) continue;
    Crc64 crc;
    std::string problem =
        read_entry(entry, open_file, block, [&](std::string_view bytes) { crc.update(bytes); });
    if (!problem.empty()) return problem;
    if (entry.crc && crc.value() != *entry.crc)
      return "`" + printable(entry.name) + "`: its content is not what was recorded";
  }
  return {};
}

}  // namespace drover
